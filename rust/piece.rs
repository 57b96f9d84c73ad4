//! A stretch of text that is counted or encoded on its own, with the borders of documents in it.

/// Bytes, and where in them documents end. No pretoken and no special token goes across such an end.
///
/// The bytes behind the last end belong to a document that goes on in the next piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// Ascending places in `bytes`; an empty document repeats the one before.
    pub(crate) ends: Vec<usize>,
    pub(crate) progress: u64,
    pub(crate) place: Place,
    /// Whether its documents are records; else it is of a plain text, which is one document.
    pub(crate) of_records: bool,
}

/// A place between two pieces: reading can go on from there, with pieces of any size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which of the inputs, counted from 0.
    pub input: usize,
    /// Bytes of its text before the place, and ends of documents: of a plain file, the byte.
    pub offset: u64,
}

/// A document, or as much of it as lies in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'p> {
    /// Its bytes; none for an empty document.
    pub text: &'p [u8],
    /// Whether the document ends here; otherwise it goes on in the next piece.
    pub ends: bool,
}

impl Piece {
    /// The bytes of all documents, joined.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How far the input has moved on for this piece, in bytes of its file: compressed ones, if it is
    /// compressed. Over all pieces of a file that is its size.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// The documents in order, the last of which may be unfinished.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let whole = begins.zip(&self.ends);
        let whole = whole.map(|(begin, &end)| Part { text: &self.bytes[begin..end], ends: true });
        let rest = &self.bytes[self.ends.last().copied().unwrap_or(0)..];
        whole.chain((!rest.is_empty()).then_some(Part { text: rest, ends: false }))
    }

    /// Neither text, nor the end of one, nor progress.
    pub(crate) fn is_empty(&self) -> bool {
        self.size() == 0 && self.progress == 0
    }

    /// Bytes and ends together: ends are counted so that empty documents fill a piece too.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.ends.len()
    }

    pub(crate) fn end_document(&mut self) {
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.progress = 0;
        self.of_records = false;
    }
}
