//! Up to 15 bytes and their length in two machine words: compared and hashed at once.

use bytemuck::Zeroable;

/// The longest pretoken that fits.
pub const MAX_LEN: usize = 15;

/// A packed pretoken: its bytes, zeros, and the length in the last byte. All zeros is no pretoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
pub struct Key {
    low: u64,
    high: u64,
}

/// By length: the bits of that many first bytes.
const KEPT: [u128; MAX_LEN + 1] = {
    let mut kept = [0; MAX_LEN + 1];
    let mut length = 1;
    while length <= MAX_LEN {
        kept[length] = u128::MAX >> (128 - 8 * length);
        length += 1;
    }
    kept
};

impl Key {
    /// Packs a pretoken of 1 to 15 bytes; `None` for any other.
    #[inline]
    pub fn pack(pretoken: &[u8]) -> Option<Self> {
        Self::read(pretoken, 0, pretoken.len())
    }

    /// Packs `text[start..end]`. Sixteen bytes are loaded, if there are so many, and those behind the
    /// pretoken are cut off: no branch depends on its length, which nobody could predict.
    #[inline]
    pub fn read(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        if length.wrapping_sub(1) >= MAX_LEN {
            return None;
        }
        let rest = &text[start..];
        let bytes = match rest.first_chunk::<16>() {
            Some(bytes) => u128::from_le_bytes(*bytes),
            None => {
                let mut bytes = [0; 16];
                bytes[..rest.len()].copy_from_slice(rest);
                u128::from_le_bytes(bytes)
            }
        };
        let kept = bytes & KEPT[length];
        Some(Self { low: kept as u64, high: (kept >> 64) as u64 | (length as u64) << 56 })
    }

    /// The key of no pretoken, and not that of a free place either.
    pub const NONE: Self = Self { low: 0, high: u64::MAX };

    /// Whether it is the same, without a branch between its words.
    #[inline(always)]
    pub fn equals(self, other: Self) -> bool {
        (self.low ^ other.low) | (self.high ^ other.high) == 0
    }

    /// Another key for each key, which no pretoken has.
    pub fn marked(self) -> Self {
        Self { low: self.low, high: self.high | 1 << 63 }
    }

    /// The bytes that were packed.
    #[inline]
    pub fn unpack(self) -> Unpacked {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.low.to_le_bytes());
        bytes[8..].copy_from_slice(&self.high.to_le_bytes());
        Unpacked(bytes)
    }

    /// A number that stands to others as the bytes do: compared from the first on, and what has less of
    /// them, but zeros, before what has more.
    pub fn in_order(self) -> u128 {
        u128::from(self.low.swap_bytes()) << 64 | u128::from(self.high.swap_bytes())
    }

    /// A hash whose low bits are as good as its high ones: a 128-bit product, folded.
    #[inline]
    pub fn hash(self) -> u64 {
        let product = u128::from(self.low ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(self.high ^ 0xd6e8_feb8_6659_fd93);
        (product >> 64) as u64 ^ product as u64
    }
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
