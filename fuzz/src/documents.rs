//! Inputs read to their end, as the documents that are in them.

use std::path::Path;

use byteloom::chunk::Pieces;
use byteloom::piece::Piece;
use byteloom::special::SpecialTokens;
use byteloom::{Error, Monitor};

use crate::splitting::preset;

/// Bytes and documents that are read at most: a few bytes of a file can stand for millions.
const MOST: usize = 1 << 22;

/// The documents of an input, put together again from pieces; `None` if they are more
/// than anybody would wait for.
///
/// # Errors
/// Those of reading; then there is no more to be read, and the message names the input.
pub fn documents(
    input: &Path,
    column: &str,
    piece_size: usize,
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let inputs = [input.to_path_buf()];
    let special = SpecialTokens::new::<&[u8]>(&[])?;
    let gpt2 = &preset(0).pretokenizer;
    let stop = Monitor::new().stop();
    let pieces = Pieces::open(&inputs, column, None, gpt2, &special, piece_size, stop)?;
    let (mut all, mut open) = (Vec::new(), Vec::new());
    let (mut piece, mut progress, mut read) = (Piece::default(), 0, 0);
    loop {
        match pieces.next(&mut piece) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                let more = pieces.next(&mut piece).expect("no second error");
                assert_eq!(more, None, "pieces behind an error");
                let name = if input == Path::new("-") { "standard input".as_ref() } else { input };
                let message = error.to_string();
                assert!(message.contains(&*name.to_string_lossy()), "which input? {message}");
                return Err(error);
            }
        }
        read += piece.bytes().len() + piece.parts().count();
        if read > MOST {
            return Ok(None);
        }
        let mut length = 0;
        for part in piece.parts() {
            length += part.text.len();
            open.extend_from_slice(part.text);
            if part.ends {
                all.push(std::mem::take(&mut open));
            }
        }
        assert_eq!(length, piece.bytes().len(), "the parts are not the piece");
        progress += piece.progress();
    }
    assert!(open.is_empty(), "the last document has no end");
    if let Some(total) = pieces.total_bytes() {
        assert_eq!(progress, total, "progress is not the size of the file");
    }
    Ok(Some(all))
}
