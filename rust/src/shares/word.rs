//! The machine words that shares consist of, and their bytes on the wire: little-endian.

use std::fmt::Debug;

use zerocopy::{FromBytes, Immutable, IntoBytes};

#[cfg(target_endian = "big")]
compile_error!("shares travel as the machine's words, which must be little-endian");

/// A word of 8 to 128 bits. All arithmetic wraps.
pub trait Word:
    Copy + Send + Sync + Default + Eq + Ord + Debug + IntoBytes + FromBytes + Immutable + 'static
{
    /// Its bits.
    const BITS: u32;
    /// Its bytes.
    const BYTES: usize = size_of::<Self>();
    /// No bit set.
    const ZERO: Self;
    /// The number one.
    const ONE: Self;
    /// All bits set.
    const ONES: Self;

    /// The sum.
    #[must_use]
    fn add(self, other: Self) -> Self;
    /// The difference.
    #[must_use]
    fn sub(self, other: Self) -> Self;
    /// The product.
    #[must_use]
    fn mul(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    #[must_use]
    fn xor(self, other: Self) -> Self;
    /// Bitwise and.
    #[must_use]
    fn and(self, other: Self) -> Self;
    /// Bitwise or.
    #[must_use]
    fn or(self, other: Self) -> Self;
    /// Bitwise not.
    #[must_use]
    fn not(self) -> Self;
    /// Moved up by `bits`; 0 from `BITS` on.
    #[must_use]
    fn up(self, bits: u32) -> Self;
    /// Moved down by `bits`; 0 from `BITS` on.
    #[must_use]
    fn down(self, bits: u32) -> Self;
    /// The low bits of a number.
    #[must_use]
    fn cut(value: u128) -> Self;
    /// As a number.
    #[must_use]
    fn wide(self) -> u128;
    /// As an index, cut to 64 bits.
    #[must_use]
    fn low(self) -> u64;
    /// The low `bits` bits set.
    #[must_use]
    fn mask(bits: u32) -> Self {
        if bits >= Self::BITS {
            Self::ONES
        } else {
            Self::ONE.up(bits).sub(Self::ONE)
        }
    }
}

macro_rules! word {
    ($($type:ty),*) => {$(
        impl Word for $type {
            const BITS: u32 = <$type>::BITS;
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const ONES: Self = <$type>::MAX;

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn not(self) -> Self {
                !self
            }
            #[inline(always)]
            fn up(self, bits: u32) -> Self {
                if bits >= <$type>::BITS { 0 } else { self << bits }
            }
            #[inline(always)]
            fn down(self, bits: u32) -> Self {
                if bits >= <$type>::BITS { 0 } else { self >> bits }
            }
            #[inline(always)]
            fn cut(value: u128) -> Self {
                value as $type
            }
            #[inline(always)]
            fn wide(self) -> u128 {
                u128::from(self)
            }
            #[inline(always)]
            fn low(self) -> u64 {
                self as u64
            }
        }
    )*};
}

word!(u8, u16, u32, u64, u128);

/// The words as bytes, where they lie.
pub fn bytes_of<W: Word>(words: &[W]) -> &[u8] {
    words.as_bytes()
}

/// The words as bytes to be written, where they lie.
pub fn bytes_of_mut<W: Word>(words: &mut [W]) -> &mut [u8] {
    words.as_mut_bytes()
}

/// Words from their bytes; None where the bytes end within a word.
pub fn words_from<W: Word>(bytes: &[u8]) -> Option<Vec<W>> {
    if !bytes.len().is_multiple_of(W::BYTES) {
        return None;
    }
    let mut words = vec![W::ZERO; bytes.len() / W::BYTES];
    words.as_mut_bytes().copy_from_slice(bytes);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::{Word, bytes_of, words_from};

    #[test]
    fn bytes_and_back() {
        let words = [1u32, 0xffff_fff0, 7];
        assert_eq!(bytes_of(&words)[..5], [1, 0, 0, 0, 0xf0]);
        assert_eq!(words_from::<u32>(bytes_of(&words)).unwrap(), words);
        assert!(words_from::<u32>(&[0; 7]).is_none());
        assert!(words_from::<u128>(&[]).unwrap().is_empty());
    }

    #[test]
    fn masks_and_moves_at_the_edges() {
        assert_eq!(u64::mask(0), 0);
        assert_eq!(u64::mask(64), u64::MAX);
        assert_eq!(u128::mask(127), u128::MAX >> 1);
        assert_eq!(5u8.up(8), 0);
        assert_eq!(Word::down(5u8, 9), 0);
    }
}
