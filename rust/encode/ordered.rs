//! Blocks in any order -> blocks in theirs, with only so many waiting.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::piece::Place;

/// Encoded pieces that may wait for an earlier one, per thread.
const AHEAD: usize = 2;

/// The ids of a piece: the first of some room.
#[derive(Debug)]
pub(super) struct Block<T> {
    pub room: Vec<T>,
    pub len: usize,
    /// Where documents end in it, ascending; empty if nobody asked.
    pub ends: Vec<End>,
    /// Where the piece began.
    pub place: Place,
    /// Bytes of its text.
    pub bytes: u64,
}

/// How many ids of a block stand before the end of a document, and whether a special token ended it
/// rather than the end of a record or an input.
#[derive(Clone, Copy, Debug)]
pub(super) struct End(u64);

impl End {
    pub fn new(at: usize, by_token: bool) -> Self {
        Self((at as u64) << 1 | u64::from(by_token))
    }

    pub fn at(self) -> usize {
        (self.0 >> 1) as usize
    }

    pub fn by_token(self) -> bool {
        self.0 & 1 == 1
    }
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        let (room, ends) = (Vec::new(), Vec::new());
        Self { room, len: 0, ends, place: Place::default(), bytes: 0 }
    }
}

impl<T> Deref for Block<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.room[..self.len]
    }
}

/// Takes blocks from all threads. `S` is what they share beside, under the same lock.
pub(super) struct Queue<T, S> {
    state: Mutex<State<T, S>>,
    moved: Condvar,
    ahead: usize,
}

pub(super) struct State<T, S> {
    /// The block that comes next.
    next: usize,
    waiting: BTreeMap<usize, Block<T>>,
    spare: Vec<Block<T>>,
    pub shared: S,
}

impl<T, S> Queue<T, S> {
    pub fn new(threads: usize, shared: S) -> Self {
        let (waiting, spare) = (BTreeMap::new(), Vec::new());
        let state = Mutex::new(State { next: 0, waiting, spare, shared });
        Self { state, moved: Condvar::new(), ahead: threads * AHEAD }
    }

    pub fn lock(&self) -> MutexGuard<'_, State<T, S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block, used before if there is one.
    pub fn spare(&self) -> Block<T> {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Hands over block `index`; waits while it is too far ahead, unless `stop` says to give up.
    pub fn put(
        &self,
        index: usize,
        block: Block<T>,
        stop: &dyn Fn() -> bool,
    ) -> MutexGuard<'_, State<T, S>> {
        let mut state = self.lock();
        while index >= state.next + self.ahead && !stop() {
            let patience = Duration::from_millis(50);
            let woken = self.moved.wait_timeout(state, patience);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting.insert(index, block);
        state
    }

    /// Takes the blocks whose turn it is, which may be none.
    pub fn take(&self, state: &mut State<T, S>) -> Vec<Block<T>> {
        let mut ready = Vec::new();
        while let Some(block) = state.waiting.remove(&state.next) {
            state.next += 1;
            ready.push(block);
        }
        if !ready.is_empty() {
            self.moved.notify_all();
        }
        ready
    }
}

impl<T, S> State<T, S> {
    /// Keeps blocks that were dealt with, to be used again.
    pub fn keep(&mut self, blocks: Vec<Block<T>>) {
        self.spare.extend(blocks);
    }
}
