//! Up to 15 bytes and their length in two machine words: compared and hashed at once.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm_aesenc_si128, _mm_cvtsi128_si64, _mm_set_epi64x};

use bytemuck::{Pod, Zeroable};
use wide::u8x16;

/// The longest pretoken that fits.
pub const MAX_LEN: usize = 15;

/// A packed pretoken: its bytes, zeros, and the length in the last byte. All zeros is no pretoken.
/// Worked with in one register; in memory it is aligned as the counts beside it.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(transparent)]
pub struct Key([u64; 2]);

/// By length: ones for that many first bytes, and zeros.
const KEPT: [u8x16; MAX_LEN + 1] = {
    let mut kept = [u8x16::new([0; 16]); MAX_LEN + 1];
    let mut length = 1;
    while length <= MAX_LEN {
        kept[length] = u8x16::new((u128::MAX >> (128 - 8 * length)).to_le_bytes());
        length += 1;
    }
    kept
};

/// By length: that, as the last byte.
const LENGTHS: [u8x16; MAX_LEN + 1] = {
    let mut lengths = [u8x16::new([0; 16]); MAX_LEN + 1];
    let mut length = 0;
    while length <= MAX_LEN {
        lengths[length] = u8x16::new(((length as u128) << 120).to_le_bytes());
        length += 1;
    }
    lengths
};

impl PartialEq for Key {
    /// Compares all bytes at once.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.is(*other) == 1
    }
}

impl Eq for Key {}

impl Key {
    /// The key of no pretoken, and not that of a free place either.
    pub const NONE: Self = Self([u64::MAX; 2]);

    /// Packs a pretoken of 1 to 15 bytes; `None` for any other.
    #[inline]
    pub fn pack(pretoken: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_LEN).contains(&pretoken.len());
        fits.then(|| Self::read(pretoken, 0, pretoken.len()))
    }

    /// Packs `text[start..end]`; [`Key::NONE`] stands for what is too long. Sixteen bytes are loaded, if
    /// there are so many, and those behind the pretoken are cut off: no branch depends on its length,
    /// which nobody could predict.
    #[inline(always)]
    pub fn read(text: &[u8], start: usize, end: usize) -> Self {
        let length = end - start;
        if length > MAX_LEN {
            return Self::NONE;
        }
        let bytes = match text[start..].first_chunk() {
            Some(bytes) => u8x16::new(*bytes),
            None => last_bytes(&text[start..]),
        };
        bytemuck::must_cast(bytes & KEPT[length] | LENGTHS[length])
    }

    #[inline(always)]
    fn register(self) -> u8x16 {
        bytemuck::must_cast(self)
    }

    /// 1 if it is the same as another, 0 if not: a number to reckon with, of which no branch is made.
    #[inline(always)]
    pub fn is(self, other: Self) -> usize {
        (self.register().simd_eq(other.register()).to_bitmask() as usize + 1) >> 16
    }

    /// Another key for each key, which no pretoken has.
    pub fn marked(self) -> Self {
        let [low, high] = self.0;
        Self([low, high | u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, 1 << 7])])
    }

    /// The bytes that were packed.
    #[inline]
    pub fn unpack(self) -> Unpacked {
        Unpacked(bytemuck::must_cast(self))
    }

    /// A number that stands to others as the bytes do: compared from the first on, and what has less of
    /// them, but zeros, before what has more.
    pub fn in_order(self) -> u128 {
        u128::from_be_bytes(bytemuck::must_cast(self))
    }

    /// A hash whose low bits are as good as its high ones: a 128-bit product, folded.
    #[inline]
    pub fn hash(self) -> u64 {
        let [low, high] = self.0;
        let product = u128::from(low ^ FIRST) * u128::from(high ^ SECOND);
        (product >> 64) as u64 ^ product as u64
    }

    /// Another hash, which takes newer processors less time: two rounds of AES mix all bytes.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "aes")]
    pub fn hash_aes(self) -> u64 {
        let rounds = _mm_set_epi64x(SECOND.cast_signed(), FIRST.cast_signed());
        let key = bytemuck::must_cast(self);
        let hash = _mm_aesenc_si128(_mm_aesenc_si128(key, rounds), rounds);
        _mm_cvtsi128_si64(hash).cast_unsigned()
    }
}

/// Numbers without a pattern.
const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0xd6e8_feb8_6659_fd93;

/// Less than sixteen bytes, and zeros behind them.
#[cold]
#[inline(never)]
fn last_bytes(rest: &[u8]) -> u8x16 {
    let mut bytes = [0; 16];
    bytes[..rest.len()].copy_from_slice(rest);
    u8x16::new(bytes)
}

/// A pretoken of up to 15 bytes, by value.
pub struct Unpacked([u8; 16]);

impl AsRef<[u8]> for Unpacked {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.0[..usize::from(self.0[15]).min(MAX_LEN)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_unpacks_every_length() {
        let bytes: Vec<u8> = (1..=20).map(|i| 255 - i).collect();
        for n in 1..=MAX_LEN {
            for start in 0..4 {
                let pretoken = &bytes[start..start + n];
                let key = Key::pack(pretoken).unwrap();
                assert_eq!(key.unpack().as_ref(), pretoken);
            }
        }
        assert_eq!(Key::pack(b""), None);
        assert_eq!(Key::pack(&[7; 16]), None);
    }

    #[test]
    fn zero_bytes_and_lengths_are_told_apart() {
        let keys: Vec<_> = (1..=MAX_LEN).map(|n| Key::pack(&[0; MAX_LEN][..n]).unwrap()).collect();
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|b| a != b));
            assert_ne!(*a, Key::default());
        }
    }
}
