//! Short pretokens -> ids, several at a time and in turns.
//!
//! Each merge of a pretoken waits for two look-ups in the table of merges, which is larger than the
//! caches next to the processor. So a pretoken only asks for what it has to know, and while that is on
//! its way the others have their turn.

use super::table::{MergeTable, NO_ID, NONE, Question};
use crate::pretokenize::simd::Simd;

/// The longest pretoken that is merged in a lane, in bytes.
pub const MAX_LEN: usize = 31;

/// Places of a lane: the last is nobody's and stands for whatever is beyond either end.
const PLACES: usize = 32;
const BEYOND: usize = PLACES - 1;

/// Pretokens that are merged in turns: enough that what is asked for in one turn is there in the next.
const LANES: usize = 12;

/// Bits of the place of a pair in its pretoken.
const PLACE_BITS: u32 = PLACES.trailing_zeros();

/// A pretoken on its way from bytes to ids. Nothing moves: a bit for each id says whether it is still
/// there.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Lane {
    /// For each id, the rank of its merge with the next and its place in one number, so that the smallest
    /// is the one to merge. Signed, as more processors compare many of those at once.
    merges: [i32; PLACES],
    ids: [u32; PLACES],
    there: u32,
    is_long: bool,
    /// What the last merge has to know: the ranks of the pairs that it made, and their places.
    asked: [(Question, usize); 2],
    /// Which of the caller's pretokens it is.
    job: usize,
}

/// Pretokens that are merged in turns.
#[derive(Debug)]
pub struct Lanes(Box<[Lane; LANES]>);

fn packed(rank: u32, place: usize) -> i32 {
    (rank << PLACE_BITS) as i32 | place as i32
}

impl Lane {
    const IDLE: Self = Self {
        merges: [0; PLACES],
        ids: [0; PLACES],
        there: 0,
        is_long: false,
        asked: [(Question::NONE, 0); 2],
        job: 0,
    };

    /// Begins with the bytes of a pretoken of 1 to [`MAX_LEN`] bytes.
    #[inline(always)]
    fn begin(&mut self, table: &MergeTable, job: usize, pretoken: &[u8]) {
        let len = pretoken.len();
        debug_assert!((1..=MAX_LEN).contains(&len));
        self.job = job;
        self.there = ((1 << len) - 1) | 1 << BEYOND;
        self.is_long = len > PLACES / 2;
        self.asked = [(Question::NONE, BEYOND); 2];
        self.merges = [packed(NONE, 0); PLACES];
        self.ids[BEYOND] = NO_ID;
        for (id, &byte) in self.ids.iter_mut().zip(pretoken).take(MAX_LEN) {
            *id = table.byte_id(byte);
        }
        for (place, pair) in pretoken.windows(2).enumerate().take(MAX_LEN) {
            self.merges[place] = packed(table.byte_rank(pair[0], pair[1]), place);
        }
    }

    /// Merges one pair and asks for what the next merge depends on; `false` if there is no pair to merge.
    #[inline(always)]
    fn advance(&mut self, table: &MergeTable) -> bool {
        let smallest =
            |merges: &[i32]| merges.iter().fold(i32::MAX, |best, &merge| best.min(merge));
        let mut best = smallest(&self.merges[..PLACES / 2]);
        if self.is_long {
            best = best.min(smallest(&self.merges[PLACES / 2..]));
        }
        // Only now, since a wide load would have to wait for narrow stores just before it.
        for (question, place) in self.asked {
            let merge = packed(table.answer(question), place);
            self.merges[place % PLACES] = merge;
            best = best.min(merge);
        }
        let (rank, at) = (best as u32 >> PLACE_BITS, best as usize % PLACES);
        if rank == NONE {
            return false;
        }
        let behind = self.there & (u32::MAX << at << 1);
        let gone = behind.trailing_zeros() as usize % PLACES;
        self.there &= !(1 << gone);
        let right = (behind & behind.wrapping_sub(1)).trailing_zeros() as usize % PLACES;
        let before = self.there & !(u32::MAX << at);
        let left = 31u32.wrapping_sub(before.leading_zeros()) as usize % PLACES;
        let id = table.product(rank);
        self.ids[at] = id;
        for place in [left, at, gone] {
            self.merges[place] = packed(NONE, 0);
        }
        self.asked =
            [(table.question(self.ids[left], id), left), (table.question(id, self.ids[right]), at)];
        table.prefetch(self.asked[0].0);
        table.prefetch(self.asked[1].0);
        true
    }

    /// Moves the ids that are left to the front and returns them.
    #[inline(always)]
    fn finish(&mut self) -> &[u32] {
        self.there &= !(1 << BEYOND);
        let mut len = 0;
        while self.there != 0 {
            self.ids[len % PLACES] = self.ids[self.there.trailing_zeros() as usize % PLACES];
            self.there &= self.there - 1;
            len += 1;
        }
        &self.ids[..len]
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self(Box::new([Lane::IDLE; LANES]))
    }
}

impl Lanes {
    /// Merges pretokens of 1 to [`MAX_LEN`] bytes, each given with a number, and calls `done` with the
    /// number and the ids, in no order.
    #[inline]
    pub fn merge<'t>(
        &mut self,
        table: &MergeTable,
        jobs: impl Iterator<Item = (usize, &'t [u8])>,
        done: impl FnMut(usize, &[u32]),
    ) {
        match Simd::get() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has what this was compiled for.
            Simd::Avx2 | Simd::Avx512 => unsafe { self.merge_avx2(table, jobs, done) },
            _ => self.merge_plainly(table, jobs, done),
        }
    }

    /// The same, compiled for newer processors.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn merge_avx2<'t>(
        &mut self,
        table: &MergeTable,
        jobs: impl Iterator<Item = (usize, &'t [u8])>,
        done: impl FnMut(usize, &[u32]),
    ) {
        self.merge_plainly(table, jobs, done);
    }

    #[inline(always)]
    fn merge_plainly<'t>(
        &mut self,
        table: &MergeTable,
        mut jobs: impl Iterator<Item = (usize, &'t [u8])>,
        mut done: impl FnMut(usize, &[u32]),
    ) {
        let mut busy = 0;
        for (lane, (job, pretoken)) in self.0.iter_mut().zip(&mut jobs) {
            lane.begin(table, job, pretoken);
            busy += 1;
        }
        while busy > 0 {
            let mut at = 0;
            while at < busy {
                let lane = &mut self.0[at];
                if lane.advance(table) {
                    at += 1;
                    continue;
                }
                let job = lane.job;
                done(job, lane.finish());
                match jobs.next() {
                    Some((job, pretoken)) => {
                        lane.begin(table, job, pretoken);
                        at += 1;
                    }
                    None => {
                        busy -= 1;
                        self.0.swap(at, busy);
                    }
                }
            }
        }
    }
}
