//! Pretokens by the hundred: whoever takes them can ask for memory that many will need before the first
//! is looked at, and its code need not be part of every scanner's.

/// Pretokens in a batch at most.
pub const MAX_BATCH: usize = 1 << 10;

/// Collects the ends of pretokens and hands them over, with the start of the first.
pub struct Batch<F> {
    consume: F,
    start: usize,
    ends: Vec<usize>,
}

impl<F: FnMut(usize, &[usize])> Batch<F> {
    /// None yet, at the start of a text.
    pub fn new(consume: F) -> Self {
        Self { consume, start: 0, ends: Vec::with_capacity(MAX_BATCH) }
    }

    /// Adds the next pretoken, by its end.
    #[inline]
    pub fn push(&mut self, end: usize) {
        self.ends.push(end);
        if self.ends.len() == MAX_BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if let Some(&last) = self.ends.last() {
            (self.consume)(self.start, &self.ends);
            self.start = last;
            self.ends.clear();
        }
    }

    /// Hands over what is left.
    pub fn finish(mut self) {
        self.hand_over();
    }
}
