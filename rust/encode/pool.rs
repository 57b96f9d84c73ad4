//! Workers that threads borrow to encode texts from memory, one pool for each type of ids; as many as
//! there ever were at once.
//!
//! A process that is forked while another of its threads holds a lock starts with that lock held, by
//! nobody, for good. So a forked process never waits: where it finds a lock held, it makes workers anew.

use std::hint::spin_loop;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::worker::Worker;

/// Slots of the cache for texts from memory: 16 MiB with ids of two bytes, where they are touched, and
/// never more. With 144,000 distinct pretokens, as 10 MB in 50 languages have, half as many were so full
/// that some were merged anew in every round.
const SLOTS: usize = 1 << 19;

/// A worker for texts from memory.
pub type TextWorker<T> = Worker<T, SLOTS>;

/// The idle workers.
#[derive(Debug)]
pub struct Pool {
    /// The process that made it.
    home: u32,
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

impl Default for Pool {
    fn default() -> Self {
        Self { home: process::id(), narrow: Mutex::default(), wide: Mutex::default() }
    }
}

/// How often a forked process looks whether a lock is free: long enough for another of its own threads,
/// which holds it for a few instructions.
const PATIENCE: usize = 1000;

impl Pool {
    /// The idle workers; none for a forked process that finds them locked.
    fn lock<T: Pooled>(&self) -> Option<MutexGuard<'_, Vec<TextWorker<T>>>> {
        let workers = T::workers(self);
        match workers.try_lock() {
            Ok(workers) => return Some(workers),
            Err(TryLockError::Poisoned(workers)) => return Some(workers.into_inner()),
            Err(TryLockError::WouldBlock) if process::id() == self.home => {
                return Some(workers.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Err(TryLockError::WouldBlock) => {}
        }
        (0..PATIENCE).find_map(|_| {
            spin_loop();
            workers.try_lock().ok()
        })
    }

    /// A worker, if one is idle.
    pub fn take<T: Pooled>(&self) -> Option<TextWorker<T>> {
        self.lock()?.pop()
    }

    /// Keeps a worker for the next text.
    pub fn give_back<T: Pooled>(&self, worker: TextWorker<T>) {
        if let Some(mut workers) = self.lock() {
            workers.push(worker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a forked process may find: a lock that nobody will ever open.
    #[test]
    fn a_forked_process_does_not_wait_for_a_lock() {
        let forked = Pool { home: process::id() + 1, ..Pool::default() };
        forked.give_back(TextWorker::<u16>::new());
        let held = forked.narrow.lock().unwrap();
        assert!(forked.take::<u16>().is_none());
        forked.give_back(TextWorker::<u16>::new());
        forked.give_back(TextWorker::<u32>::new());
        assert!(forked.take::<u32>().is_some());
        drop(held);
        assert!(forked.take::<u16>().is_some());
        assert!(forked.take::<u16>().is_none());
    }
}
