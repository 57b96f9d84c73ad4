//! Pretokens by the hundred: whoever takes them can ask for memory that many will need before the first
//! is looked at, and its code need not be part of every scanner's.

/// Pretokens in a batch at most.
pub const MAX_BATCH: usize = 1 << 10;

/// Collects pretokens that come one by one, and hands over the start of the first and the ends of all.
pub struct Batch<F> {
    consume: F,
    start: usize,
    end: usize,
    ends: Vec<usize>,
}

impl<F: FnMut(usize, &[usize])> Batch<F> {
    /// None yet, at the start of a text.
    pub fn new(consume: F) -> Self {
        Self { consume, start: 0, end: 0, ends: Vec::with_capacity(MAX_BATCH) }
    }

    /// Adds the next pretoken of the text.
    #[inline]
    pub fn push(&mut self, pretoken: &[u8]) {
        self.end += pretoken.len();
        self.ends.push(self.end);
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
