//! What merging is compared with in tests.

use crate::vocab::Vocabulary;

/// Looks through all merges for the first that a pair has, again and again.
pub fn slow(vocabulary: &Vocabulary, pretoken: &[u8]) -> Vec<u32> {
    let merges: Vec<_> = vocabulary.merge_ids().collect();
    let mut ids: Vec<_> = pretoken.iter().map(|&byte| vocabulary.byte_id(byte)).collect();
    let found = |ids: &[u32]| {
        merges.iter().find_map(|&(left, right, product)| {
            let at = ids.windows(2).position(|pair| pair == [left, right])?;
            Some((at, product))
        })
    };
    while let Some((at, product)) = found(&ids) {
        ids.splice(at..at + 2, [product]);
    }
    ids
}
