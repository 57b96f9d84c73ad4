//! Panics of other people's code that are errors to us, and nobody else's business.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives; `None` if it panics, of which nothing is printed. Panics of other threads, and of
/// this one afterwards, go to the hook that was there before.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            // A thread that is ending has no such variable any more.
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                before(panic);
            }
        }));
    });
    let outer = QUIET.replace(true);
    // Nothing that the panic may have left half-done is used again: an error ends the reading.
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    QUIET.set(outer);
    result
}
