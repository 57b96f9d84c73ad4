//! Workers that threads borrow to encode texts from memory, one pool for each type of ids; as many as
//! there ever were at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::worker::Worker;

/// Slots of the cache for texts from memory: 4 MiB with ids of two bytes, taken when the encoder is
/// made and never more.
const SLOTS: usize = 1 << 17;

/// A worker for texts from memory.
pub type TextWorker<T> = Worker<T, SLOTS>;

/// The idle workers.
#[derive(Debug, Default)]
pub struct Pool {
    narrow: Mutex<Vec<TextWorker<u16>>>,
    wide: Mutex<Vec<TextWorker<u32>>>,
}

/// A type that workers are kept for.
pub trait Pooled: Sized {
    /// Its workers.
    fn workers(pool: &Pool) -> &Mutex<Vec<TextWorker<Self>>>;
}

impl Pooled for u16 {
    fn workers(pool: &Pool) -> &Mutex<Vec<TextWorker<Self>>> {
        &pool.narrow
    }
}

impl Pooled for u32 {
    fn workers(pool: &Pool) -> &Mutex<Vec<TextWorker<Self>>> {
        &pool.wide
    }
}

impl Pool {
    fn lock<T: Pooled>(&self) -> MutexGuard<'_, Vec<TextWorker<T>>> {
        T::workers(self).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker, if one is idle.
    pub fn take<T: Pooled>(&self) -> Option<TextWorker<T>> {
        self.lock().pop()
    }

    /// Keeps a worker for the next text.
    pub fn give_back<T: Pooled>(&self, worker: TextWorker<T>) {
        self.lock().push(worker);
    }
}
