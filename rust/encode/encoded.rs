//! The ids of a text, where a worker has written them.

use std::ops::Deref;

use super::TokenId;
use super::pool::{Pool, TextWorker};

/// Longer texts' room is given back.
const KEPT_ROOM: usize = 1 << 20;

/// Ids in the room of a worker, which goes back to its pool when they are dropped.
#[derive(Debug)]
pub struct Encoded<'p, T: TokenId> {
    pool: &'p Pool,
    /// There until the drop.
    worker: Option<TextWorker<T>>,
    room: Vec<T>,
    len: usize,
}

impl<'p, T: TokenId> Encoded<'p, T> {
    /// Lends a worker of the pool, and room for so many ids, to `write`, which says how many it wrote.
    pub(super) fn new<E>(
        pool: &'p Pool,
        room_for: usize,
        write: impl FnOnce(&mut TextWorker<T>, &mut [T]) -> Result<usize, E>,
    ) -> Result<Self, E> {
        let mut worker = pool.take().unwrap_or_else(TextWorker::new);
        let mut room = std::mem::take(&mut worker.room);
        if room.len() < room_for {
            room = vec![T::from_id(0); room_for];
        }
        let written = write(&mut worker, &mut room);
        let mut encoded = Self { pool, worker: Some(worker), room, len: 0 };
        encoded.len = written?;
        Ok(encoded)
    }
}

impl<T: TokenId> Deref for Encoded<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.room[..self.len]
    }
}

impl<T: TokenId> Drop for Encoded<'_, T> {
    fn drop(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            if self.room.len() <= KEPT_ROOM {
                worker.room = std::mem::take(&mut self.room);
            }
            self.pool.give_back(worker);
        }
    }
}
