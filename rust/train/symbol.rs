//! Token ids in as few bytes as the vocabulary allows: training is bound by how much fits in a cache.

use std::fmt::Debug;

/// A cell of the text in training: a token's id, or one of two marks.
pub trait Symbol: Copy + Eq + Debug + Send + Sync {
    /// Between words, before the first and behind the last.
    const SEPARATOR: Self;
    /// Where a token began that has become the right part of another.
    const INSIDE: Self;
    /// Ids must be smaller.
    const LIMIT: usize;

    /// The cell of an id below [`Symbol::LIMIT`].
    fn of(id: u32) -> Self;
    /// The id; of a mark, a number from [`Symbol::LIMIT`] on.
    fn id(self) -> u32;
}

macro_rules! symbol {
    ($type:ty) => {
        impl Symbol for $type {
            const SEPARATOR: Self = <$type>::MAX;
            const INSIDE: Self = <$type>::MAX - 1;
            const LIMIT: usize = Self::INSIDE as usize;

            #[inline]
            fn of(id: u32) -> Self {
                debug_assert!((id as usize) < Self::LIMIT);
                id as Self
            }

            #[inline]
            fn id(self) -> u32 {
                self.into()
            }
        }
    };
}
symbol!(u16);
symbol!(u32);
