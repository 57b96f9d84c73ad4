//! Sixty-four bytes at once -> one bit mask for each class of ASCII bytes; and the places of a mask's bits.
//!
//! A kernel is one small file for one kind of processor; which of them can run is found out when the
//! program runs, so one build serves every machine of an architecture. What the masks mean for a
//! pattern is the pattern's own business.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use std::sync::OnceLock;

/// Bytes that are classified together.
pub const BLOCK: usize = 64;

/// For each of 64 bytes, the bit of its place in the mask of every class that it is of. A byte that is
/// in no mask is ASCII punctuation, a symbol or a control character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// `A` to `Z` and `a` to `z`.
    pub letter: u64,
    /// `A` to `Z`.
    pub upper: u64,
    /// `0` to `9`.
    pub number: u64,
    /// Space, tab, newline, vertical tab, form feed, carriage return.
    pub white: u64,
    /// Newline, carriage return.
    pub newline: u64,
    /// Space alone.
    pub space: u64,
    /// `'`
    pub apostrophe: u64,
    /// `/`
    pub slash: u64,
    /// Not ASCII: 0x80 and above.
    pub high: u64,
}

/// Places that are written at a time, whether there are so many or not: no branch depends on the text.
pub(super) const AHEAD: usize = 8;

/// Room for the places of a mask's bits, and for what is written ahead and means nothing.
pub(super) type Places = [usize; BLOCK + AHEAD];

/// Writes the places of a mask's bits, where the first byte's is `at`.
#[inline(always)]
pub(super) fn write(mut mask: u64, at: usize, places: &mut Places) {
    let count = mask.count_ones() as usize;
    let mut done = 0;
    while done < count {
        let Some(room) = places[done..].first_chunk_mut::<AHEAD>() else { break };
        for place in room {
            *place = at + mask.trailing_zeros() as usize;
            mask &= mask.wrapping_sub(1);
        }
        done += AHEAD;
    }
}

/// A way to scan text, of which the best that the processor has is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Simd {
    /// Byte after byte, on any processor.
    Scalar,
    /// 64 bytes in two registers of 32.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 64 bytes in one register. Without VBMI2, which Intel's processors have since Ice Lake and AMD's
    /// since Zen 4, it would be no faster than AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 64 bytes in four registers of 16.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Simd {
    /// Those that this processor can run, the best one last.
    pub fn available() -> impl Iterator<Item = Self> {
        ALL.iter().copied().filter(|simd| simd.is_available())
    }

    /// The one in use: the best, or the one that the environment variable `BYTELOOM_SIMD` names
    /// (`scalar`, `avx2`, `avx512`, `neon`), if the processor has it.
    #[must_use]
    pub fn get() -> Self {
        static CHOSEN: OnceLock<Simd> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let wanted = std::env::var("BYTELOOM_SIMD").ok();
            let named = |simd: &Self| wanted.as_deref() == Some(simd.name());
            Self::available().find(named).or(Self::available().last()).unwrap_or(Self::Scalar)
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
        }
    }

    /// Whether this processor can run it. The features are those that the kernels are compiled for.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vbmi2")
            }
            // Every 64-bit Arm processor has it.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
        }
    }
}

/// From the slowest to the fastest.
const ALL: &[Simd] = &[
    Simd::Scalar,
    #[cfg(target_arch = "x86_64")]
    Simd::Avx2,
    #[cfg(target_arch = "x86_64")]
    Simd::Avx512,
    #[cfg(target_arch = "aarch64")]
    Simd::Neon,
];
