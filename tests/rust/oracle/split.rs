//! Splitting by the definitions.

use byteloom::special::Segment;
use fancy_regex::Regex;

/// Special tokens: at each place every token is tried, the longest that stands there wins.
pub fn special<'t>(tokens: &[Vec<u8>], text: &'t [u8]) -> Vec<Segment<'t>> {
    let mut segments = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let here = tokens.iter().enumerate().filter(|(_, token)| text[at..].starts_with(token));
        match here.max_by_key(|(_, token)| token.len()) {
            Some((index, token)) => {
                if start < at {
                    segments.push(Segment::Text(&text[start..at]));
                }
                segments.push(Segment::Special(index));
                at += token.len();
                start = at;
            }
            None => at += 1,
        }
    }
    if start < text.len() {
        segments.push(Segment::Text(&text[start..]));
    }
    segments
}

/// Pretokens: the regex engine on the text with U+FFFD where it is no UTF-8; what lies between two
/// matches is a pretoken too, and an empty match is none.
pub fn pattern(regex: &Regex, text: &[u8]) -> Vec<Vec<u8>> {
    let (lossy, origin) = lossy(text);
    let mut borders = vec![0];
    for found in regex.find_iter(&lossy) {
        let found = found.unwrap();
        if !found.as_str().is_empty() {
            borders.extend([found.start(), found.end()]);
        }
    }
    borders.push(lossy.len());
    borders.dedup();
    let part = |ends: &[usize]| text[origin[ends[0]]..origin[ends[1]]].to_vec();
    borders.windows(2).map(part).collect()
}

/// The text made valid, and for each of its places that of the original.
fn lossy(original: &[u8]) -> (String, Vec<usize>) {
    let mut text = String::new();
    let mut origin = Vec::new();
    let mut at = 0;
    while at < original.len() {
        let (valid, invalid) = match std::str::from_utf8(&original[at..]) {
            Ok(rest) => (rest.len(), 0),
            Err(error) => {
                let rest = original.len() - at - error.valid_up_to();
                (error.valid_up_to(), error.error_len().unwrap_or(rest))
            }
        };
        text.push_str(std::str::from_utf8(&original[at..at + valid]).unwrap());
        origin.extend(at..at + valid);
        at += valid;
        if invalid > 0 {
            text.push('\u{fffd}');
            origin.extend([at; 3]);
            at += invalid;
        }
    }
    origin.push(at);
    assert_eq!(text, String::from_utf8_lossy(original));
    (text, origin)
}
