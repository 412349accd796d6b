//! Bits of words, moved: linear maps over single bits, so every party does them on its own shares.

use crate::shares::word::Word;

/// A word that falls into two words of half its bits.
pub trait Wide: Word {
    /// Half of it.
    type Half: Word;

    /// The upper half, the lower half.
    fn halves(self) -> (Self::Half, Self::Half);
}

macro_rules! wide {
    ($($whole:ty, $half:ty;)*) => {$(
        impl Wide for $whole {
            type Half = $half;

            #[inline(always)]
            fn halves(self) -> ($half, $half) {
                ((self >> <$half>::BITS) as $half, self as $half)
            }
        }
    )*};
}

wide!(u16, u8; u32, u16; u64, u32; u128, u64;);

/// The halves of rows `start` to `stop`.
#[inline(always)]
pub fn word_halves<W: Wide>(
    words: &[W],
    start: usize,
    stop: usize,
) -> impl Iterator<Item = (W::Half, W::Half)> {
    words[start..stop].iter().map(|word| word.halves())
}

/// The halves of bytes of rows of `2 * width` bits each, packed as in `pack`: bytes `start` to `stop`.
#[inline(always)]
pub fn byte_halves(
    bytes: &[u8],
    width: u32,
    start: usize,
    stop: usize,
) -> impl Iterator<Item = (u8, u8)> {
    let (low, high) = bytes.split_at(bytes.len() / 2);
    low[start..stop]
        .iter()
        .zip(&high[start..stop])
        .map(move |(low, high)| (pack_upper(*low, *high, width), pack(*low, *high, width)))
}

/// Packs bytes of rows of at most `width` bits without a product: half as many bytes.
pub fn pack_all(bytes: &[u8], width: u32) -> Vec<u8> {
    let (low, high) = bytes.split_at(bytes.len() / 2);
    low.iter()
        .zip(high)
        .map(|(low, high)| pack(*low, *high, width))
        .collect()
}

/// The word with the bit of place 0b...cba moved to place 0bab...c, for words of `width` bits (a power of two).
///
/// Taken apart into halves again and again, the upper half then always has the more significant of two
/// neighbours: folds of neighbours become folds of halves.
#[inline(always)]
pub fn interleave<W: Word>(word: W, swaps: &[(u32, W)]) -> W {
    let mut word = word;
    for (distance, mask) in swaps {
        let moved = word.down(*distance).xor(word).and(*mask);
        word = word.xor(moved).xor(moved.up(*distance));
    }
    word
}

/// The steps of `interleave`: distances and masks.
pub fn swaps<W: Word>(width: u32) -> Vec<(u32, W)> {
    let levels = width.trailing_zeros();
    (0..levels / 2)
        .map(|low| {
            let high = levels - 1 - low;
            let mask = (0..width)
                .filter(|place| place >> low & 1 == 1 && place >> high & 1 == 0)
                .fold(W::ZERO, |mask, place| mask.or(W::ONE.up(place)));
            ((1 << high) - (1 << low), mask)
        })
        .collect()
}

/// Places `place` of a word whose bit `level` is set, as a mask.
pub fn upper_halves<W: Word>(level: u32) -> W {
    (0..W::BITS)
        .filter(|place| place >> level & 1 == 1)
        .fold(W::ZERO, |mask, place| mask.or(W::ONE.up(place)))
}

/// Rows padded so that their bits fill bytes.
pub fn padded(rows: usize) -> usize {
    rows.next_multiple_of(8)
}

/// Two rows of `width` (1, 2, 4) low bits out of each `2 * width` become one byte: the first half of the bytes
/// fills the lower places, the second half the upper ones.
#[inline(always)]
pub fn pack(low: u8, high: u8, width: u32) -> u8 {
    let mask = lower(width);
    (low & mask) | (high & mask) << width
}

/// The upper `width` bits out of each `2 * width` of two bytes, in the places that `pack` gives.
#[inline(always)]
pub fn pack_upper(low: u8, high: u8, width: u32) -> u8 {
    let mask = !lower(width);
    (low & mask) >> width | (high & mask)
}

#[inline(always)]
fn lower(width: u32) -> u8 {
    match width {
        4 => 0x0f,
        2 => 0x33,
        _ => 0x55,
    }
}

/// Bits of packed bytes as rows of 0 and 1: row r is in byte r modulo the number of bytes.
pub fn unpack(packed: &[u8], rows: usize) -> Vec<u8> {
    let mut out = vec![0; rows];
    if rows > 0 {
        for (place, block) in out.chunks_mut(packed.len()).enumerate() {
            for (row, byte) in block.iter_mut().zip(packed) {
                *row = byte >> place & 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{interleave, pack, pack_upper, swaps, unpack};

    #[test]
    fn interleaving_reverses_the_bits_of_places() {
        let steps = swaps::<u64>(64);
        for place in 0..64u32 {
            let there = place.reverse_bits() >> 26;
            assert_eq!(interleave(1u64 << place, &steps), 1 << there);
        }
        let steps = swaps::<u8>(4);
        assert_eq!(interleave(0b0010u8, &steps), 0b0100);
        assert_eq!(interleave(0b1000u8, &steps), 0b1000);
        assert_eq!(interleave(5u8, &swaps::<u8>(2)), 5);
        let steps = swaps::<u128>(128);
        assert_eq!(interleave(1u128 << 1, &steps), 1 << 64);
    }

    #[test]
    fn packing_keeps_rows_apart() {
        let rows: Vec<u8> = (0..16).map(|row| u8::from(row % 3 == 0)).collect();
        let mut bytes = rows.clone();
        for width in [4, 2, 1] {
            let half = bytes.len() / 2;
            bytes = (0..half)
                .map(|at| pack(bytes[at], bytes[at + half], width))
                .collect();
        }
        assert_eq!(bytes.len(), 2);
        assert_eq!(unpack(&bytes, 16), rows);
        assert_eq!(unpack(&bytes, 13), rows[..13]);
        assert!(unpack(&[], 0).is_empty());
        assert_eq!(pack_upper(0xa3, 0x5c, 4), 0x5a);
    }
}
