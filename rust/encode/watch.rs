//! The monitor, looked at now and then.

use crate::Monitor;

/// Merges between two looks.
const STRIDE: usize = 1 << 16;

/// Counts merges between looks at the monitor.
#[derive(Debug)]
pub struct Watch<'m> {
    monitor: &'m Monitor,
    until_check: usize,
}

impl<'m> Watch<'m> {
    /// Of a pretoken that has not been begun.
    pub fn new(monitor: &'m Monitor) -> Self {
        Self { monitor, until_check: STRIDE }
    }

    /// Whether to go on after so many merges more.
    #[inline(always)]
    pub fn goes_on(&mut self, merges: usize) -> bool {
        self.until_check = self.until_check.saturating_sub(merges);
        if self.until_check > 0 {
            return true;
        }
        self.until_check = STRIDE;
        self.monitor.check().is_ok()
    }
}
