//! Parts of counts.

use std::cmp::Reverse;

use super::Counts;

impl Counts {
    /// The pretokens that `keep` wants. What was left out before counts as left out of these, too.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&[u8], u64) -> bool) -> Self {
        let mut kept = Self { pruned: self.pruned, ..Self::new() };
        self.for_each(|pretoken, count| {
            if keep(pretoken, count) {
                kept.add(pretoken, count);
            }
        });
        kept
    }

    /// The `n` most frequent; of equal counts the first in the order of their bytes.
    #[must_use]
    pub fn top(&self, n: usize) -> Self {
        let mut top = Self { pruned: self.pruned, ..Self::new() };
        self.most_common(n).iter().for_each(|(pretoken, count)| top.add(pretoken, *count));
        top
    }

    /// The `n` most frequent, most frequent first, equal counts in the order of their bytes.
    #[must_use]
    pub fn most_common(&self, n: usize) -> Vec<(Vec<u8>, u64)> {
        if n == 0 {
            return Vec::new();
        }
        // The least count among them, so that only they are copied.
        let mut least = 0;
        if n < self.len() {
            let mut counts = Vec::with_capacity(self.len());
            self.for_each(|_, count| counts.push(count));
            least = *counts.select_nth_unstable_by_key(n - 1, |count| Reverse(*count)).1;
        }
        let mut top = Vec::new();
        self.for_each(|pretoken, count| {
            if count >= least {
                top.push((Reverse(count), pretoken.to_vec()));
            }
        });
        top.sort_unstable();
        top.truncate(n);
        top.into_iter().map(|(Reverse(count), pretoken)| (pretoken, count)).collect()
    }
}
