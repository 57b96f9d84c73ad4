//! How a long call is watched and stopped from outside, at the price of one atomic per piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::{Error, Result};

/// Shared between a long call and whoever waits for it: progress one way, a wish to stop the other.
#[derive(Debug, Default)]
pub struct Monitor {
    done: AtomicU64,
    total: AtomicU64,
    stop: Stop,
}

/// The wish to stop, for what outlives a borrow of the monitor. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether somebody called [`Monitor::cancel`].
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Monitor {
    /// A monitor of a call that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a stage of `total` units (bytes or merges; 0 if unknown), with nothing done yet.
    pub fn start(&self, total: u64) {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    /// Adds finished units.
    pub fn advance(&self, units: u64) {
        self.done.fetch_add(units, Relaxed);
    }

    /// Units done and units in all, 0 if that is unknown.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.done.load(Relaxed), self.total.load(Relaxed))
    }

    /// Asks the call to stop at its next [`Monitor::check`].
    pub fn cancel(&self) {
        self.stop.0.store(true, Relaxed);
    }

    /// What [`Monitor::cancel`] sets.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Called by the worker at least every few hundred milliseconds of work.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Cancelled`] once somebody called [`Monitor::cancel`].
    pub fn check(&self) -> Result<()> {
        if self.stop.is_wanted() { Err(Error::cancelled()) } else { Ok(()) }
    }
}
