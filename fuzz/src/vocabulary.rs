//! Vocabularies in which anything may merge with anything, and what must hold of every vocabulary.

use arbitrary::{Arbitrary, Result, Unstructured};
use byteloom::Monitor;
use byteloom::encode::{AllowedSpecial, Encoder};
use byteloom::pretokenize::Pretokenizer;
use byteloom::special::SpecialTokens;
use byteloom::vocab::{Merge, Vocabulary};

use crate::input::Specials;
use crate::oracle;
use crate::splitting::{Part, parts};

/// Bytes that merge: letters, a space, a contraction's, and those of characters beyond ASCII.
const LETTERS: &[u8] = b"ab s'\n1\xc3\xa9\xe6<|";

/// Tokens, merges and special tokens that fit together: picks among what was made before, so that a
/// token may be made twice and merges need not be those of any training.
#[derive(Debug)]
pub struct Tables {
    /// In the order of their ids.
    pub tokens: Vec<Vec<u8>>,
    /// In their order.
    pub merges: Vec<Merge>,
    /// Special tokens; some may be tokens already.
    pub special: Vec<Vec<u8>>,
}

impl<'a> Arbitrary<'a> for Tables {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let special = Specials::arbitrary(u)?.0;
        let few = u.arbitrary::<u8>()?;
        let letters = &LETTERS[..2 + usize::from(few) % (LETTERS.len() - 1)];
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut pool: Vec<Vec<u8>> = letters.iter().map(|&letter| vec![letter]).collect();
        let mut merges = Vec::new();
        for _ in 0..u.arbitrary::<u8>()? % 40 {
            let mut pick = || Ok(pool[usize::from(u.arbitrary::<u8>()?) % pool.len()].clone());
            let (left, right): (Vec<u8>, Vec<u8>) = (pick()?, pick()?);
            let product = [left.as_slice(), &right].concat();
            if product.len() > 64 {
                continue;
            }
            if !tokens.contains(&product) {
                tokens.push(product.clone());
                pool.push(product);
            }
            merges.push((left, right));
        }
        // Ids need not be in the order of anything.
        let at = usize::from(u.arbitrary::<u8>()?) % tokens.len();
        if u.arbitrary()? {
            tokens.rotate_left(at);
        }
        Ok(Self { tokens, merges, special })
    }
}

impl Tables {
    /// The vocabulary; the tables are in order.
    pub fn vocabulary(&self) -> Vocabulary {
        let tokens = (0..).zip(self.tokens.iter().cloned()).collect();
        Vocabulary::new(tokens, self.merges.clone(), &self.special).expect("tables that fit")
    }
}

/// The ids of a text by the slow encoder, after the engine's splitting, which targets of its own try.
pub fn slow_ids(encoder: &Encoder, special: &SpecialTokens, text: &[u8]) -> Option<Vec<u32>> {
    let slow = oracle::encode::Encoder::new(encoder.vocabulary());
    let id = |token: &[u8]| {
        let mut known = encoder.vocabulary().special_tokens().iter();
        known.find(|(special, _)| special == token).expect("a special token of the vocabulary").1
    };
    let ids =
        parts(encoder.pretokenizer(), special, text)?.into_iter().flat_map(|part| match part {
            Part::Special(index) => vec![id(&special.tokens()[index])],
            Part::Pretoken(pretoken) => slow.encode(&pretoken),
        });
    Some(ids.collect())
}

/// A vocabulary that was read encodes as the slow encoder does, and decodes what it encoded.
///
/// The text is made of its own tokens, so that they meet.
pub fn check_use(vocabulary: &Vocabulary, pretokenizer: &Pretokenizer) {
    let encoder =
        Encoder::new(vocabulary.clone(), pretokenizer.clone()).expect("few special tokens");
    let (special, _): (Vec<_>, Vec<_>) = vocabulary.special_tokens().iter().cloned().unzip();
    let special = SpecialTokens::new(&special).expect("the vocabulary has them");
    let longest: Vec<_> = vocabulary.tokens().iter().filter(|token| token.len() > 1).collect();
    let mut text: Vec<u8> =
        longest.iter().rev().take(20).flat_map(|token| token.to_vec()).collect();
    text.extend(longest.iter().take(20).flat_map(|token| token.to_vec()));
    text.truncate(600);
    let Some(expected) = slow_ids(&encoder, &special, &text) else { return };
    let ids = encoder.encode::<u32>(&text, &AllowedSpecial::All, &Monitor::new());
    let ids = ids.expect("as above");
    assert_eq!(*ids, expected, "the slow encoder gives other ids for {text:?}");
    let mut back = Vec::new();
    encoder.decode(&ids, &mut back).expect("ids of its own");
    assert_eq!(back, text, "decoding gives another text");
}
