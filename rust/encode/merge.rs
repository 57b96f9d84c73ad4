//! One pretoken's bytes -> ids: the pair that was merged first in training is merged first, from the
//! left, until no pair is a merge.

use super::lane::{self, Lanes};
use super::merger::Merger;
use super::table::MergeTable;
use crate::Monitor;

/// Memory that merging needs again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For short pretokens.
    pub lanes: Lanes,
    /// For long ones.
    merger: Merger,
    ids: Vec<u32>,
}

impl MergeTable {
    /// The ids of a pretoken; not merged to the end if the monitor is cancelled, which the caller has
    /// to look at.
    pub fn merge<'s>(
        &self,
        pretoken: &[u8],
        scratch: &'s mut Scratch,
        monitor: &Monitor,
    ) -> &'s [u32] {
        let Scratch { lanes, merger, ids } = scratch;
        ids.clear();
        match pretoken.len() {
            0 => {}
            1..=lane::MAX_LEN => {
                lanes.merge(self, [(0, pretoken)].into_iter(), |_, merged| ids.extend(merged));
            }
            _ => merger.merge(self, pretoken, monitor, ids),
        }
        ids
    }
}
