//! Splitting by any regular expression: it is refused, gives up with an error, or splits as the
//! definition says; nothing is lost, and special tokens alone cut.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use byteloom::pretokenize::Pretokenizer;
use byteloom::special::SpecialTokens;
use byteloom_fuzz::input::{Specials, Text};
use byteloom_fuzz::splitting::{parts, parts_in_pieces, slow_parts};
use fancy_regex::Regex;
use libfuzzer_sys::fuzz_target;

const SYNTAX: &[&str] = &[
    "a", "b", " ", "é", "'", ".", "|", "(", ")", "(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!",
    "(?>", "*", "+", "?", "*?", "++", "{2}", "{1,3}", "{0,40}", "[", "]", "[^", "-", r"\p{L}",
    r"\p{N}", r"\s", r"\S", r"\w", r"\b", "^", "$", r"\z", r"\1", r"\n", "(?s)", "(?m)", r"\K",
    r"\G", "0",
];

#[derive(Debug)]
struct Expression(String);

impl<'a> Arbitrary<'a> for Expression {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut expression = String::new();
        for _ in 0..u.arbitrary::<u8>()? % 16 {
            expression.push_str(SYNTAX[usize::from(u.arbitrary::<u8>()?) % SYNTAX.len()]);
        }
        Ok(Self(expression))
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    expression: Expression,
    piece_size: u8,
    special: Specials,
    text: Text,
}

fuzz_target!(|input: Input| {
    let Ok(pretokenizer) = Pretokenizer::new(&input.expression.0) else { return };
    let Input { special: Specials(special), text: Text(text), .. } = &input;
    let tokens = SpecialTokens::new(special).expect("they are different, and not empty");
    // Backtracking may take its time, up to a limit; that is not what is looked for.
    let text = &text[..text.len().min(256)];
    let Some(whole) = parts(&pretokenizer, &tokens, text) else { return };
    let size = usize::from(input.piece_size) + 1;
    let pieces = parts_in_pieces(&pretokenizer, &tokens, text, size);
    assert_eq!(pieces.as_ref(), Some(&whole), "pieces of {size} bytes split otherwise");
    let regex = Regex::new(pretokenizer.pattern()).expect("what compiled once");
    assert_eq!(whole, slow_parts(&regex, special, text), "the regex engine splits otherwise");
});
