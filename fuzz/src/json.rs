//! JSON lines: a reader that follows the grammar letter by letter, and lines that are nearly right.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Keys, some of which need escapes.
pub const KEYS: &[&str] = &["text", "", "te\"xt", "é", "\u{0}", "日\\", "text ", "😀", "t\u{fffd}"];

/// The texts under `key`, a line each, or the number of the first line that has none.
///
/// A line that holds nothing but whitespace is passed over. Raw bytes need not be UTF-8, and control
/// characters may stand in keys and in the text, but not in other strings. Surrogates without a partner,
/// escaped or raw, become U+FFFD.
///
/// # Errors
/// The number of the first line that is no object with a string under `key`.
pub fn slow_texts(content: &[u8], key: &str) -> std::result::Result<Vec<Vec<u8>>, usize> {
    let mut texts = Vec::new();
    for (number, line) in (1usize..).zip(content.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let mut reader = Reader { rest: line, key: key.as_bytes() };
        let text = reader.record().filter(|_| reader.rest.is_empty());
        texts.push(text.flatten().ok_or(number)?);
    }
    Ok(texts)
}

/// What is left of a line. Every method takes something off its front; `None` if it is not there.
struct Reader<'a> {
    rest: &'a [u8],
    key: &'a [u8],
}

impl Reader<'_> {
    /// The whole line, and the last text under the key.
    fn record(&mut self) -> Option<Option<Vec<u8>>> {
        let mut text = None;
        self.space();
        self.word(b"{")?;
        self.space();
        if self.word(b"}").is_none() {
            loop {
                self.space();
                let key = self.string(true)?;
                self.space();
                self.word(b":")?;
                self.space();
                if key == self.key {
                    text = Some(self.string(true)?);
                } else {
                    self.value()?;
                }
                self.space();
                if self.word(b",").is_none() {
                    break self.word(b"}")?;
                }
            }
        }
        self.space();
        Some(text)
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn value(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'"' => self.string(false).map(drop),
            b'[' => self.list(b"[", b"]", Self::value),
            b'{' => self.list(b"{", b"}", |reader| {
                reader.string(false)?;
                reader.space();
                reader.word(b":")?;
                reader.space();
                reader.value()
            }),
            _ => self.number(),
        }
    }

    fn list(
        &mut self,
        begin: &[u8],
        end: &[u8],
        item: impl Fn(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.word(begin)?;
        self.space();
        if self.word(end).is_some() {
            return Some(());
        }
        loop {
            self.space();
            item(self)?;
            self.space();
            if self.word(b",").is_none() {
                return self.word(end);
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.word(b"-");
        if self.word(b"0").is_none() {
            self.digits()?;
        }
        if self.word(b".").is_some() {
            self.digits()?;
        }
        if self.word(b"e").or_else(|| self.word(b"E")).is_some() {
            let _ = self.word(b"+").or_else(|| self.word(b"-"));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
        (count > 0).then_some(())
    }

    /// The string in quotes, without its escapes.
    fn string(&mut self, with_control: bool) -> Option<Vec<u8>> {
        self.word(b"\"")?;
        let mut found = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..] = self.rest {
                self.rest = rest;
                found.extend("\u{fffd}".bytes());
                continue;
            }
            self.rest = rest;
            match byte {
                b'"' => return Some(found),
                b'\\' => self.escape(&mut found)?,
                0..0x20 if !with_control => return None,
                _ => found.push(byte),
            }
        }
    }

    fn escape(&mut self, found: &mut Vec<u8>) -> Option<()> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        found.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut units = vec![self.unit()?];
                let before = self.rest;
                if (0xd800..0xdc00).contains(&units[0]) && self.word(b"\\u").is_some() {
                    match self.unit()? {
                        low @ 0xdc00..0xe000 => units.push(low),
                        // Not its partner: an escape of its own.
                        _ => self.rest = before,
                    }
                }
                found.extend(String::from_utf16_lossy(&units).bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    fn unit(&mut self) -> Option<u16> {
        let digits =
            self.rest.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        self.rest = &self.rest[4..];
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    }
}

/// Pieces of JSON, right and wrong.
const FRAGMENTS: &[&[u8]] = &[
    b"{\"text\": \"",
    b"\"}\n",
    b"{\"text\":\"a\"}",
    b"\"text\"",
    b"\"t\\u0065xt\": ",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\\uDC00",
    b"\\u00",
    b"\\u0000",
    b"\\",
    b"\\\"",
    b"\\n\\/\\b",
    b"null",
    b"true",
    b"1e999",
    b"-0.0E-1",
    b"01",
    b"18446744073709551616",
    b"[[[[[[[[",
    b"]]]]]]]]",
    b"{\"a\":{\"text\":",
    b"}}",
    b", ",
    b": ",
    b"\r\n",
    b"\x0c",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xed",
    b"\xa0\x80",
    b"\xff",
    b"\x00",
    "é".as_bytes(),
    "😀".as_bytes(),
    "\u{2028}".as_bytes(),
];

/// JSON lines that are nearly right: ASCII stands for itself, other bytes for pieces of JSON. They take
/// all the bytes there are.
#[derive(Debug)]
pub struct Lines(pub Vec<u8>);

impl<'a> Arbitrary<'a> for Lines {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut content = Vec::new();
        while !u.is_empty() && content.len() < 4096 {
            match u.arbitrary::<u8>()? {
                ascii @ 0..=0x7f => content.push(ascii),
                code @ 0x80..=0xdf => {
                    content.extend(FRAGMENTS[usize::from(code - 0x80) % FRAGMENTS.len()]);
                }
                // A whole record, with as many members as the number says.
                record => {
                    content.push(b'{');
                    for member in 0..record % 8 {
                        content.extend_from_slice(if member == 0 { b"" } else { b"," });
                        key(u, &mut content)?;
                        content.push(b':');
                        value(u, 3, &mut content)?;
                    }
                    content.extend_from_slice(b"}\n");
                }
            }
        }
        Ok(Self(content))
    }
}

fn key(u: &mut Unstructured<'_>, content: &mut Vec<u8>) -> Result<()> {
    let kind = u.arbitrary::<u8>()?;
    let key = KEYS[usize::from(kind & 0xf) % KEYS.len()];
    content.push(b'"');
    for unit in key.encode_utf16() {
        content.extend(format!("\\u{unit:04x}").bytes().filter(|_| kind & 0x10 != 0));
    }
    if kind & 0x10 == 0 {
        content.extend(serde_json::to_string(key).unwrap_or_default().trim_matches('"').bytes());
    }
    content.push(b'"');
    Ok(())
}

fn value(u: &mut Unstructured<'_>, depth: u8, content: &mut Vec<u8>) -> Result<()> {
    match u.arbitrary::<u8>()? % 16 {
        number @ 0..4 => {
            let numbers: [&[u8]; 4] = [b" 0 ", b"-1.5e+3", b"1e999", b"99999999999999999999"];
            content.extend_from_slice(numbers[usize::from(number)]);
        }
        4 => content.extend_from_slice(b"\tnull"),
        5 if depth > 0 => {
            content.push(b'[');
            value(u, depth - 1, content)?;
            content.extend_from_slice(b" , ");
            value(u, depth - 1, content)?;
            content.push(b']');
        }
        6 if depth > 0 => {
            content.extend_from_slice(b"{ ");
            key(u, content)?;
            content.push(b':');
            value(u, depth - 1, content)?;
            content.push(b'}');
        }
        length => {
            content.push(b'"');
            for _ in 0..length {
                match u.arbitrary::<u8>()? {
                    b'"' => content.extend_from_slice(b"\\\""),
                    ascii @ 0..=0x7f => content.push(ascii),
                    code => content.extend(FRAGMENTS[usize::from(code - 0x80) % FRAGMENTS.len()]),
                }
            }
            content.push(b'"');
        }
    }
    Ok(())
}
