//! Tokenizers on disk. There is no format of our own: what opens these opens ours.

pub mod gpt2;
pub mod huggingface;
pub mod tiktoken;

use std::path::Path;

use crate::vocab::Vocabulary;
use crate::{Error, Result};

/// What a file told.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Tokens and merges.
    pub vocabulary: Vocabulary,
    /// A preset's name or a regular expression, if the format has one.
    pub pattern: Option<String>,
}

/// Reads a `tokenizer.json`, a tiktoken rank file, or a folder with a `tokenizer.json` or with
/// `vocab.json` and `merges.txt`. What a file is, its content says.
///
/// `special` are the special tokens of a tiktoken file, which cannot name them; other files can.
///
/// # Errors
/// The file cannot be read, or is none of these; the message names it and the place in it.
pub fn load(path: &Path, special: &[(Vec<u8>, u32)]) -> Result<Loaded> {
    if path.is_dir() {
        let (json, vocab, merges) =
            (path.join("tokenizer.json"), path.join("vocab.json"), path.join("merges.txt"));
        if json.exists() {
            return load(&json, special);
        }
        if vocab.exists() && merges.exists() {
            let vocabulary = gpt2::load(&vocab, &merges, None)?;
            return Ok(Loaded { vocabulary, pattern: None });
        }
        return Err(Error::invalid(format!(
            "{} holds neither tokenizer.json nor vocab.json and merges.txt",
            path.display()
        )));
    }
    let text = read_text(path)?;
    let source = path.display().to_string();
    if text.trim_start().starts_with('{') {
        huggingface::parse(&text, &source)
    } else {
        let vocabulary = tiktoken::parse(&text, special, &source)?;
        Ok(Loaded { vocabulary, pattern: None })
    }
}

/// Reads a file that must be UTF-8.
fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", &e))?;
    String::from_utf8(bytes).map_err(|error| {
        Error::invalid(format!(
            "{}: not a tokenizer: byte {} is not UTF-8",
            path.display(),
            error.utf8_error().valid_up_to()
        ))
    })
}

/// The byte-level alphabet of GPT-2's files, in which every byte is a character one can see.
mod alphabet {
    /// The character that stands for a byte: itself if it shows, else one from U+0100 on, in order.
    pub fn to_char(byte: u8) -> char {
        let hidden = |byte: u8| !is_shown(byte);
        if is_shown(byte) {
            char::from(byte)
        } else {
            let before = (0..byte).filter(|&b| hidden(b)).count() as u32;
            char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    }

    fn is_shown(byte: u8) -> bool {
        matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
    }

    /// Both directions of the alphabet.
    pub struct Alphabet {
        chars: [char; 256],
        bytes: std::collections::HashMap<char, u8>,
    }

    impl Alphabet {
        pub fn new() -> Self {
            let chars = std::array::from_fn(|byte| to_char(byte as u8));
            Self { chars, bytes: chars.into_iter().zip(0..=255).collect() }
        }

        pub fn encode(&self, bytes: &[u8]) -> String {
            bytes.iter().map(|&byte| self.chars[usize::from(byte)]).collect()
        }

        /// `Err` with the first character that is not of the alphabet.
        pub fn decode(&self, text: &str) -> Result<Vec<u8>, char> {
            text.chars().map(|c| self.bytes.get(&c).copied().ok_or(c)).collect()
        }
    }
}
