//! The best pair next: a heap whose order knows the tie rules.

use std::cmp::Ordering;

/// Which of two pairs with equal counts is merged first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TieBreak {
    /// The lexicographically greatest pair of byte strings: the course's rule.
    #[default]
    Bytes,
    /// The smallest pair of the ids that Hugging Face's trainer gives: bytes in the order of the
    /// characters that stand for them, then merges in order of creation.
    HuggingFace,
    /// The smallest pair of ids, bytes in their own order, then merges in order of creation: the rule of
    /// trainers that search their pairs in the order of ids, and no thought of ties.
    Ids,
}

/// A pair with the count it had when it was queued. If that is no longer its count, the entry is out
/// of date: pairs are not searched for in the heap when they change, only looked at when they are
/// taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Occurrences.
    pub count: u64,
    /// Id of the left token.
    pub left: u32,
    /// Id of the right token.
    pub right: u32,
}

/// What the tie rules need to know of the tokens.
#[derive(Debug)]
pub struct TokenOrder {
    rule: TieBreak,
    /// Per id: the first eight bytes as a number that sorts as they do, which settles most ties
    /// ([`TieBreak::Bytes`]); or the id in the rule's numbering.
    keys: Vec<u64>,
    tokens: Vec<Box<[u8]>>,
}

impl TokenOrder {
    /// An order of the 256 bytes, whose ids are 0 .. 255.
    pub fn new(rule: TieBreak) -> Self {
        let mut order = Self { rule, keys: Vec::new(), tokens: Vec::new() };
        for byte in 0..=255 {
            order.push([byte].into());
        }
        if rule == TieBreak::HuggingFace {
            let alphabet =
                (0..=255u8).filter(|&b| is_shown(b)).chain((0..=255).filter(|&b| !is_shown(b)));
            alphabet.zip(0..).for_each(|(byte, rank)| order.keys[usize::from(byte)] = rank);
        }
        order
    }

    /// Adds a token and returns its id, the next one.
    pub fn push(&mut self, token: Box<[u8]>) -> u32 {
        self.keys.push(match self.rule {
            TieBreak::Bytes => {
                let mut first = [0; 8];
                let n = token.len().min(8);
                first[..n].copy_from_slice(&token[..n]);
                u64::from_be_bytes(first)
            }
            TieBreak::HuggingFace | TieBreak::Ids => self.tokens.len() as u64,
        });
        self.tokens.push(token);
        self.tokens.len() as u32 - 1
    }

    /// The bytes of an id.
    pub fn token(&self, id: u32) -> &[u8] {
        &self.tokens[id as usize]
    }

    /// The bytes of all ids.
    pub fn into_tokens(self) -> Vec<Box<[u8]>> {
        self.tokens
    }

    /// `Greater` for the entry that is merged first.
    #[inline]
    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        a.count.cmp(&b.count).then_with(|| match self.rule {
            TieBreak::Bytes => {
                self.bytes(a.left, b.left).then_with(|| self.bytes(a.right, b.right))
            }
            TieBreak::HuggingFace | TieBreak::Ids => {
                let key = |e: &Entry| (self.keys[e.left as usize], self.keys[e.right as usize]);
                key(b).cmp(&key(a))
            }
        })
    }

    #[inline]
    fn bytes(&self, a: u32, b: u32) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        let keys = self.keys[a as usize].cmp(&self.keys[b as usize]);
        keys.then_with(|| self.token(a).cmp(self.token(b)))
    }
}

/// Bytes that Hugging Face's byte-level alphabet shows as themselves; the others stand behind them.
fn is_shown(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// A binary heap. The standard library's cannot be told an order that grows with the vocabulary.
#[derive(Debug, Default)]
pub struct Queue {
    heap: Vec<Entry>,
}

impl Queue {
    /// Adds an entry.
    pub fn push(&mut self, entry: Entry, order: &TokenOrder) {
        self.heap.push(entry);
        let mut at = self.heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if order.compare(&self.heap[at], &self.heap[parent]) != Ordering::Greater {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    /// The entry that comes first, left where it is.
    pub fn peek(&self) -> Option<&Entry> {
        self.heap.first()
    }

    /// Takes out the entry that comes first.
    pub fn pop(&mut self, order: &TokenOrder) -> Option<Entry> {
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        let first = self.heap.pop();
        self.sink(order);
        first
    }

    /// Puts another entry in place of the first, which is cheaper than taking out and adding.
    pub fn replace_first(&mut self, entry: Entry, order: &TokenOrder) {
        if let Some(first) = self.heap.first_mut() {
            *first = entry;
            self.sink(order);
        }
    }

    fn sink(&mut self, order: &TokenOrder) {
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child >= self.heap.len() {
                return;
            }
            if child + 1 < self.heap.len()
                && order.compare(&self.heap[child + 1], &self.heap[child]) == Ordering::Greater
            {
                child += 1;
            }
            if order.compare(&self.heap[child], &self.heap[at]) != Ordering::Greater {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }
}
