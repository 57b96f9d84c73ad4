//! Workers that threads borrow to encode texts from memory, one pool for each type of ids; as many as
//! there ever were at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::worker::Worker;

/// The idle workers.
#[derive(Debug, Default)]
pub struct Pool {
    narrow: Mutex<Vec<Worker<u16>>>,
    wide: Mutex<Vec<Worker<u32>>>,
}

/// A type that workers are kept for.
pub trait Pooled: Sized {
    /// Its workers.
    fn workers(pool: &Pool) -> &Mutex<Vec<Worker<Self>>>;
}

impl Pooled for u16 {
    fn workers(pool: &Pool) -> &Mutex<Vec<Worker<Self>>> {
        &pool.narrow
    }
}

impl Pooled for u32 {
    fn workers(pool: &Pool) -> &Mutex<Vec<Worker<Self>>> {
        &pool.wide
    }
}

impl Pool {
    fn lock<T: Pooled>(&self) -> MutexGuard<'_, Vec<Worker<T>>> {
        T::workers(self).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker, if one is idle.
    pub fn take<T: Pooled>(&self) -> Option<Worker<T>> {
        self.lock().pop()
    }

    /// Keeps a worker for the next text.
    pub fn give_back<T: Pooled>(&self, worker: Worker<T>) {
        self.lock().push(worker);
    }
}
