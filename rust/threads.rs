//! Running the same work on several threads, and stopping all when one fails.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{Error, Result};

/// `requested`, or the number of processors that the process may use.
///
/// # Errors
/// Zero threads were asked for.
pub fn resolve(requested: Option<usize>) -> Result<usize> {
    match requested {
        Some(0) => Err(Error::invalid("num_threads is 0; it must be at least 1")),
        Some(n) => Ok(n),
        None => Ok(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
    }
}

/// Runs `work` on `threads` threads and returns what each gave, or the first error. `work` is handed
/// a question: has another one failed? Then it should stop soon.
///
/// # Errors
/// The error of the first worker, in the order of threads, that had one.
pub fn run<T: Send>(
    threads: usize,
    work: impl Fn(&dyn Fn() -> bool) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let failed = AtomicBool::new(false);
    let guarded = || {
        // Also set when `work` panics, so that the others do not wait for it.
        let alarm = Alarm(&failed);
        let value = work(&|| failed.load(Relaxed))?;
        std::mem::forget(alarm);
        Ok(value)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(guarded)).collect();
        let first = guarded();
        let others = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(first).chain(others).collect()
    })
}

/// Tells the other workers when it is dropped.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
