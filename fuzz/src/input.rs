//! Bytes of the fuzzer -> texts, special tokens and words.
//!
//! Bytes alone seldom become a contraction behind a no-break space. So they are read as a small
//! language in which ASCII stands for itself, which keeps seeds readable and the fuzzer's own
//! mutations useful, and the other bytes for what patterns trip over.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Bytes that a text has at most: what is slow about the oracles is quadratic.
const MOST: usize = 4096;

/// Contractions, whitespace of every kind, all classes of characters, and bytes that are no UTF-8.
const FRAGMENTS: &[&[u8]] = &[
    b"'s",
    b"'S",
    b"'ll",
    b"'Ve",
    b"'re",
    b"''",
    b"  ",
    b"\r\n",
    b"\n\n",
    b"\t",
    b" '",
    b"<|",
    b"|>",
    b"the",
    b" the",
    b"1234",
    "é".as_bytes(),
    "ß".as_bytes(),
    "ſ".as_bytes(),
    "ǅ".as_bytes(),
    "İ".as_bytes(),
    "Ж".as_bytes(),
    "ж".as_bytes(),
    "ʰ".as_bytes(),
    "日".as_bytes(),
    "한".as_bytes(),
    "𐐀".as_bytes(),
    "𐐨".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{903}".as_bytes(),
    "\u{1f3fb}".as_bytes(),
    "२".as_bytes(),
    "²".as_bytes(),
    "Ⅻ".as_bytes(),
    "½".as_bytes(),
    "𝟘".as_bytes(),
    "\u{a0}".as_bytes(),
    "\u{85}".as_bytes(),
    "\u{2003}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{3000}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{200d}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{fffd}".as_bytes(),
    "\u{10ffff}".as_bytes(),
    "’".as_bytes(),
    "—".as_bytes(),
    "🦀".as_bytes(),
    b"\xc3",
    b"\xc2",
    b"\xe2\x82",
    b"\xe2",
    b"\xf0\x9f\xa6",
    b"\xf0\x9f",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xff",
];

/// A text, valid UTF-8 or not. It takes all the bytes there are: let it be an input's last field.
#[derive(Debug)]
pub struct Text(pub Vec<u8>);

impl<'a> Arbitrary<'a> for Text {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut text = Vec::new();
        let mut last: Vec<u8> = b" ".to_vec();
        while !u.is_empty() && text.len() < MOST {
            match u.arbitrary::<u8>()? {
                ascii @ 0..=0x7f => last = vec![ascii],
                code @ 0x80..=0xdf => {
                    last = FRAGMENTS[usize::from(code - 0x80) % FRAGMENTS.len()].to_vec();
                }
                // Any character, one of the first planes most of the time.
                high @ 0xe0..=0xe7 => {
                    let number = u32::from(high & 7) << 16 | u32::from(u.arbitrary::<u16>()?);
                    let character = char::from_u32(number % 0x11_0000).unwrap_or('\u{fffd}');
                    last = character.to_string().into_bytes();
                }
                // What came last, again and again: across the borders of blocks of 64 bytes.
                more @ 0xe8..=0xef => {
                    let times =
                        (usize::from(more & 7) << 5 | usize::from(u.arbitrary::<u8>()? & 31)) + 1;
                    text.extend(last.repeat(times.min(MOST / last.len())));
                    continue;
                }
                // Any byte.
                _ => last = vec![u.arbitrary()?],
            }
            text.extend_from_slice(&last);
        }
        text.truncate(MOST);
        Ok(Self(text))
    }
}

/// Special tokens: few, short, and likely to overlap and to stand in a [`Text`].
#[derive(Debug)]
pub struct Specials(pub Vec<Vec<u8>>);

const SYMBOLS: &[&str] =
    &["<", "|", ">", "a", "<|", "|>", "'", "s", " ", "\n", "1", "é", "the", "/", "日", "\u{a0}"];

impl<'a> Arbitrary<'a> for Specials {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        for _ in 0..u.arbitrary::<u8>()? % 5 {
            let symbols = u.arbitrary::<u8>()? % 4 + 1;
            let mut token = String::new();
            for _ in 0..symbols {
                token.push_str(SYMBOLS[usize::from(u.arbitrary::<u8>()?) % SYMBOLS.len()]);
            }
            if !tokens.contains(&token.clone().into_bytes()) {
                tokens.push(token.into_bytes());
            }
        }
        Ok(Self(tokens))
    }
}

impl Specials {
    /// The tokens as text, which they are.
    pub fn strings(&self) -> Vec<String> {
        self.0.iter().map(|token| String::from_utf8_lossy(token).into_owned()).collect()
    }
}

/// Words of few letters and how often each occurs: many ties, runs, and words within words.
/// They take all the bytes there are.
#[derive(Debug)]
pub struct Words(pub Vec<(Vec<u8>, u64)>);

/// Bytes of all words together: the brute-force trainer goes over all of them at each merge.
const MOST_LETTERS: usize = 300;

impl<'a> Arbitrary<'a> for Words {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Counts beyond 32 bits at times; their sum stays below 2^63.
        let scale = [0, 0, 0, 31, 45][usize::from(u.arbitrary::<u8>()?) % 5];
        let letters: &[u8] = [&b"ab"[..], b"abc", b"aB \xc3\n", b"\x00\x7f\x80\xff", b"abcdefgh"]
            [usize::from(u.arbitrary::<u8>()?) % 5];
        let mut words = Vec::new();
        let mut word = Vec::new();
        let mut all = 0;
        while !u.is_empty() && all < MOST_LETTERS {
            match u.arbitrary::<u8>()? {
                end @ 0xf0.. => {
                    words.push((std::mem::take(&mut word), u64::from(end & 15) << scale))
                }
                run @ 0xe0..=0xef => {
                    let last = word.last().copied().unwrap_or(letters[0]);
                    word.extend(std::iter::repeat_n(last, usize::from(run & 15)));
                }
                letter => word.push(letters[usize::from(letter) % letters.len()]),
            }
            all += 1 + word.len() / 8;
        }
        words.push((word, 1 << scale));
        Ok(Self(words))
    }
}
