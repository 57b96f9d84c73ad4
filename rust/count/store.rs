//! Shards that several threads fill, and that go to the disk when they take too much memory.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::{Runs, merge, write_run};
use super::levels::collect;
use super::order::InOrder;
use super::{Counts, SHARDS, Shard};
use crate::{Error, Monitor, Result};

/// The shards, and how much memory they may take.
pub struct Store<'m> {
    shards: Vec<Mutex<Shard>>,
    limit: Option<Limit<'m>>,
}

/// What is kept of counts that went to the disk, and of memory in use.
struct Limit<'m> {
    budget: i64,
    /// Bytes that all tables take. A spill may subtract what a worker is about to add, so this can be too
    /// little for a moment, even below 0.
    used: AtomicI64,
    /// Locked while counts go to the disk: whoever needs more memory then waits for it.
    spilled: Mutex<Spilled>,
    failed: AtomicBool,
    monitor: &'m Monitor,
}

#[derive(Default)]
struct Spilled {
    runs: Runs,
    failure: Option<Error>,
}

impl<'m> Store<'m> {
    /// Empty shards that take no more than `budget` bytes, if it is given.
    pub fn new(budget: Option<usize>, monitor: &'m Monitor) -> Self {
        let empty = (SHARDS * Shard::default().memory()) as i64;
        let limit = budget.map(|budget| Limit {
            budget: i64::try_from(budget).unwrap_or(i64::MAX),
            used: AtomicI64::new(empty),
            spilled: Mutex::default(),
            failed: AtomicBool::new(false),
            monitor,
        });
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), limit }
    }

    /// Lets `add` add to a shard, then makes room if there is too little.
    pub fn add(&self, shard: usize, add: impl FnOnce(&mut Shard)) {
        let mut locked = lock(&self.shards[shard]);
        let Some(limit) = &self.limit else { return add(&mut locked) };
        let before = locked.memory();
        add(&mut locked);
        let grown = locked.memory() - before;
        drop(locked);
        // Only what grows asks: most of the time, nothing does.
        if grown > 0 {
            limit.used.fetch_add(grown as i64, Relaxed);
            if limit.is_exceeded() {
                self.make_room(limit);
            }
        }
    }

    /// Whether the disk has taken what it was given; to be asked now and then.
    ///
    /// # Errors
    /// What the disk said, to the first who asks.
    pub fn check(&self) -> Result<()> {
        match &self.limit {
            Some(limit) if limit.failed.load(Relaxed) => {
                Err(lock(&limit.spilled).failure.take().unwrap_or_else(Error::cancelled))
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn make_room(&self, limit: &Limit<'_>) {
        let mut spilled = lock(&limit.spilled);
        // Another worker may have made room while this one waited.
        if limit.is_exceeded()
            && !limit.failed.load(Relaxed)
            && let Err(error) = self.spill(limit, &mut spilled.runs)
        {
            spilled.failure = Some(error);
            limit.failed.store(true, Relaxed);
        }
    }

    /// Puts all counts on the disk, and frees their memory.
    fn spill(&self, limit: &Limit<'_>, runs: &mut Runs) -> Result<()> {
        let mut taken: Vec<Shard> =
            self.shards.iter().map(|shard| std::mem::take(&mut *lock(shard))).collect();
        let empty = Shard::default().memory();
        let freed: usize = taken.iter().map(|shard| shard.memory() - empty).sum();
        let short = taken.iter_mut().map(|shard| std::mem::take(&mut shard.short).into_slots());
        let short = short.collect();
        let long = taken.iter().flat_map(|shard| shard.long.iter()).collect();
        let in_order = InOrder::new(short, long);
        let run = write_run(|put| in_order.for_each(put))?;
        drop(in_order);
        drop(taken);
        give_back_memory();
        limit.used.fetch_sub(freed as i64, Relaxed);
        runs.push(run, limit.monitor)
    }

    /// The counts: those in memory, or the sums of all that went to the disk, as far as they fit.
    ///
    /// # Errors
    /// The disk refuses, or the monitor was cancelled.
    pub fn finish(self) -> Result<Counts> {
        self.check()?;
        if let Some(limit) = &self.limit {
            let mut spilled = std::mem::take(&mut *lock(&limit.spilled));
            if !spilled.runs.is_empty() {
                self.spill(limit, &mut spilled.runs)?;
                let inputs = spilled.runs.into_inputs()?;
                let budget = limit.budget as usize;
                return collect(budget, limit.monitor, |put| merge(inputs, limit.monitor, put));
            }
        }
        let whole =
            |shard: Mutex<Shard>| shard.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Counts { shards: self.shards.into_iter().map(whole).collect(), pruned: None })
    }
}

impl Limit<'_> {
    fn is_exceeded(&self) -> bool {
        self.used.load(Relaxed) > self.budget
    }
}

/// A worker that panicked while it held the lock left what is still in order.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the allocator for what it keeps: another thread, which has an arena of its own, would not get it.
fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: touches nothing but memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
