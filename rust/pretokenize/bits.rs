//! What shifts alone do not say about the runs of bits in a mask.

/// The bits of the runs in `mask` that begin with `first`; there must be one in a run at most.
#[inline(always)]
pub(super) fn through(first: u64, mask: u64) -> u64 {
    (mask.wrapping_add(first) ^ mask) & mask
}

/// A mask without the last bit before each of others.
#[inline(always)]
pub(super) fn without_those_before(mut mask: u64, mut others: u64) -> u64 {
    while others != 0 {
        let lowest = others & others.wrapping_neg();
        others &= !lowest;
        mask &= !highest(mask & (lowest - 1));
    }
    mask
}

/// The highest bit of a mask.
#[inline(always)]
pub(super) fn highest(mask: u64) -> u64 {
    mask.checked_ilog2().map_or(0, |place| 1 << place)
}

/// The first bits of groups of which the last are given, where `inner` are those that are not first.
#[cold]
pub(super) fn first_bytes(last: u64, inner: u64) -> u64 {
    let (mut first, mut moving) = (last & !inner, last & inner);
    while moving != 0 {
        let moved = moving >> 1;
        first |= moved & !inner;
        moving = moved & inner;
    }
    first
}
