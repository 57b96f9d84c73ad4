//! JSON lines: an object a line, whose text is the string under one key.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::bytes::Bytes;
use super::stream::Records;
use crate::{Error, Result};

/// Bytes of text that are held before they are cut into lines.
const BUFFER: usize = 1 << 18;

/// The longest line that is taken for one: a file of another kind has no lines, and would be held whole.
const LONGEST_LINE: u64 = 1 << 30;

/// The lines of an input.
pub(super) struct JsonLines {
    input: BufReader<Bytes>,
    key: String,
    line: Vec<u8>,
    /// How many lines were read.
    number: u64,
}

impl JsonLines {
    pub fn new(bytes: Bytes, key: &str) -> Self {
        let input = BufReader::with_capacity(BUFFER, bytes);
        Self { input, key: key.to_owned(), line: Vec::new(), number: 0 }
    }

    /// Where the line at hand is.
    fn place(&self) -> String {
        format!("{}, line {}", self.input.get_ref().name(), self.number)
    }

    /// Reads the next line that is not blank; `false` if there is none.
    fn next_line(&mut self) -> Result<bool> {
        loop {
            self.line.clear();
            let mut limited = Read::take(&mut self.input, LONGEST_LINE);
            let read = limited.read_until(b'\n', &mut self.line);
            let read = read.map_err(|error| self.input.get_ref().explain(&error))?;
            if read == 0 {
                return Ok(false);
            }
            self.number += 1;
            if read as u64 == LONGEST_LINE {
                let place = self.place();
                return Err(Error::invalid(format!(
                    "{place}: longer than {LONGEST_LINE} bytes: these are no JSON lines"
                )));
            }
            self.line.truncate(self.line.trim_ascii_end().len());
            if !self.line.is_empty() {
                return Ok(true);
            }
        }
    }

    fn explain(&self, error: &serde_json::Error) -> Error {
        let place = self.place();
        // The parser saw one line only: of the place that it tells, the column is worth something.
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Error::invalid(if error.is_data() {
            format!("{place}: {reason}")
        } else {
            format!("{place}, column {}: no JSON object: {reason}", error.column())
        })
    }

    fn no_key(&self) -> Error {
        let object: BTreeMap<String, IgnoredAny> =
            serde_json::from_slice(&self.line).unwrap_or_default();
        Error::invalid(format!(
            "{}: there is no key {:?}; the keys are {:?}",
            self.place(),
            self.key,
            object.keys().collect::<Vec<_>>()
        ))
    }
}

impl Records for JsonLines {
    fn next(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        if !self.next_line()? {
            return Ok(false);
        }
        let mut json = serde_json::Deserializer::from_slice(&self.line);
        let object = Object { key: &self.key, text };
        let found = json.deserialize_map(object).and_then(|found| json.end().map(|()| found));
        match found {
            Ok(true) => Ok(true),
            Ok(false) => Err(self.no_key()),
            Err(error) => Err(self.explain(&error)),
        }
    }

    fn position(&self) -> u64 {
        self.input.get_ref().position()
    }
}

/// Puts the string under `key` into `text`, and tells whether there is one. Where the key stands
/// twice, the last one counts. Everything else is passed over without being kept.
struct Object<'a> {
    key: &'a str,
    text: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(is_key) = map.next_key_seed(Key(self.key))? {
            if is_key {
                map.next_value_seed(Text { key: self.key, text: self.text })?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is this one.
struct Key<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

/// Takes a string as bytes, so that one that is no valid Unicode is no error.
struct Text<'a> {
    key: &'a str,
    text: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string under {:?}", self.key)
    }

    fn visit_bytes<E>(self, text: &[u8]) -> Result<(), E> {
        self.text.clear();
        self.text.extend_from_slice(text);
        replace_surrogates(self.text);
        Ok(())
    }
}

/// Escaped surrogates without a partner, `\ud800`, come as three bytes that are no UTF-8. They become
/// U+FFFD, which takes three bytes too, as they do in a Python `str` that is encoded.
fn replace_surrogates(text: &mut [u8]) {
    let mut from = 0;
    while let Some(at) = memchr(0xED, &text[from..]) {
        from += at;
        if let Some(surrogate @ [_, 0xA0..=0xBF, 0x80..=0xBF]) = text.get_mut(from..from + 3) {
            surrogate.copy_from_slice("\u{fffd}".as_bytes());
        }
        from += 1;
    }
}
