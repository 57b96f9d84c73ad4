//! Which counts fit into memory, if the rarest are left out.

use super::disk::{merge, open_runs, write_run};
use super::{Counts, Key, Pruned, memory_of};
use crate::{Monitor, Result};

/// Memory that adding up files takes, next to that of the counts: their buffers and the levels.
pub const MERGING: usize = 3 << 20;

/// Counts are told apart by this many of their highest bits, those below 1024 exactly.
const BITS: u32 = 10;

/// How many pretokens there are of each count, or nearly: of small counts each has a level of its own,
/// larger ones share a level with others that differ by less than 1 in 500.
struct Levels {
    levels: Vec<Level>,
}

/// How much there is to keep.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    short: u64,
    long: u64,
    long_bytes: u64,
}

impl Levels {
    fn new() -> Self {
        Self { levels: vec![Level::default(); Self::of(u64::MAX) + 1] }
    }

    /// The level of a count; greater counts have no lower one.
    fn of(count: u64) -> usize {
        let shift = (u64::BITS - count.leading_zeros()).saturating_sub(BITS);
        // Of all levels that a shift gives, the upper half is new.
        ((shift as usize) << (BITS - 1)) + (count >> shift) as usize
    }

    /// The least count of a level; `None` of one above all.
    fn least(level: usize) -> Option<u64> {
        let half = 1 << (BITS - 1);
        let shift = (level / half).saturating_sub(1);
        let high = (level - shift * half) as u64;
        (shift + BITS as usize <= u64::BITS as usize).then(|| high << shift)
    }

    fn add(&mut self, pretoken: &[u8], count: u64) {
        let level = &mut self.levels[Self::of(count)];
        if Key::pack(pretoken).is_some() {
            level.short += 1;
        } else {
            level.long += 1;
            level.long_bytes += pretoken.len() as u64;
        }
    }

    /// The lowest level that can be kept with all above it in `budget` bytes; one above all if none can.
    fn lowest_that_fits(&self, budget: usize) -> usize {
        let mut kept = Level::default();
        for (at, level) in self.levels.iter().enumerate().rev() {
            kept.short += level.short;
            kept.long += level.long;
            kept.long_bytes += level.long_bytes;
            if memory_of(kept.short, kept.long, kept.long_bytes) > budget as u64 {
                return at + 1;
            }
        }
        0
    }
}

/// Collects entries, which come in the order of the pretokens and each once, into counts of `budget`
/// bytes at most. Should they need more, the rarest are left out. They pass through the disk: only when
/// all are known is it clear which to keep.
pub fn collect(
    budget: usize,
    monitor: &Monitor,
    fill: impl FnOnce(&mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()>,
) -> Result<Counts> {
    let mut levels = Levels::new();
    let run = write_run(|put| {
        fill(&mut |pretoken, count| {
            levels.add(pretoken, count);
            put(pretoken, count)
        })
    })?;
    let lowest = levels.lowest_that_fits(budget);
    drop(levels);
    let mut counts = Counts::new();
    let mut pruned = Pruned::default();
    merge(open_runs(vec![run])?, monitor, |pretoken, count| {
        if Levels::of(count) >= lowest {
            counts.add(pretoken, count);
        } else {
            pruned.pretokens += 1;
            pruned.occurrences = pruned.occurrences.saturating_add(count);
        }
        Ok(())
    })?;
    if pruned.pretokens > 0 {
        pruned.below = Levels::least(lowest).unwrap_or(u64::MAX);
        counts.pruned = Some(pruned);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_hold_counts_that_are_nearly_alike() {
        let near = |bits: u32| {
            let power = 1u64 << bits;
            [power - 1, power, power + 1, power + power / 3, power + (power - 1)]
        };
        let counts = (0..4000).chain((12..64).flat_map(near));
        let mut before = None;
        for count in counts {
            let level = Levels::of(count);
            assert!(
                before.is_none_or(|(c, l)| l <= level && (c < count || l == level || c >= 1 << 12))
            );
            let least = Levels::least(level).unwrap();
            assert!(least <= count && count - least <= count / 500, "{least} {count}");
            assert_eq!(Levels::of(least), level);
            assert!(least == 0 || Levels::of(least - 1) < level);
            assert!(count >= 1024 || least == count);
            before = Some((count, level));
        }
        assert_eq!(Levels::least(Levels::of(u64::MAX) + 1), None);
    }
}
