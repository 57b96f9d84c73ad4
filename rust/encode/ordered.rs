//! Blocks in any order -> blocks in theirs, with only so many waiting.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::TokenId;
use crate::Result;
use crate::piece::Place;

/// Encoded pieces that may wait for an earlier one, per thread.
const AHEAD: usize = 2;

/// Blocks that are written between two looks at what else has come.
const AT_ONCE: usize = 4;

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

/// Takes blocks from all threads, for one who puts each where it belongs.
pub(super) trait Writer<T>: Send {
    /// Takes the next block.
    fn append(&mut self, block: &Block<T>) -> Result<()>;
}

/// Takes blocks from all threads, and hands them to a writer in their order.
///
/// Whoever brings a block while nobody writes does so until nothing is left; the others leave theirs and
/// go on. A file takes the bytes of one thread at a time in any case: nobody has to stand there.
pub(super) struct Ordered<T, W> {
    state: Mutex<State<T>>,
    moved: Condvar,
    ahead: usize,
    writer: Mutex<W>,
}

struct State<T> {
    /// The block that comes next.
    next: usize,
    waiting: BTreeMap<usize, Block<T>>,
    spare: Vec<Block<T>>,
    /// Whether somebody writes, and will look for more.
    is_written: bool,
}

impl<T: TokenId, W: Writer<T>> Ordered<T, W> {
    pub fn new(writer: W, threads: usize) -> Self {
        let (waiting, spare) = (BTreeMap::new(), Vec::new());
        let state = Mutex::new(State { next: 0, waiting, spare, is_written: false });
        Self { state, moved: Condvar::new(), ahead: threads * AHEAD, writer: Mutex::new(writer) }
    }

    /// The writer, who has had all blocks.
    pub fn into_writer(self) -> W {
        self.writer.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block to fill, used before if there is one.
    pub fn spare(&self) -> Block<T> {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Hands over block `index`; waits while it is too far ahead, unless `stop` says to give up.
    ///
    /// # Errors
    /// Those of the writer, who then gets no more.
    pub fn put(&self, index: usize, block: Block<T>, stop: &dyn Fn() -> bool) -> Result<()> {
        let mut state = self.lock();
        while index >= state.next + self.ahead && !stop() {
            let patience = Duration::from_millis(50);
            let woken = self.moved.wait_timeout(state, patience);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting.insert(index, block);
        if state.is_written {
            return Ok(());
        }
        loop {
            let ready = state.take();
            state.is_written = !ready.is_empty();
            if ready.is_empty() {
                return Ok(());
            }
            self.moved.notify_all();
            drop(state);
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            // After an error nobody else writes, since nobody takes the flag back.
            ready.iter().try_for_each(|block| writer.append(block))?;
            drop(writer);
            state = self.lock();
            state.spare.extend(ready);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// The blocks whose turn it is, which may be none, and are few.
    fn take(&mut self) -> Vec<Block<T>> {
        let mut ready = Vec::new();
        while ready.len() < AT_ONCE
            && let Some(block) = self.waiting.remove(&self.next)
        {
            self.next += 1;
            ready.push(block);
        }
        ready
    }
}
