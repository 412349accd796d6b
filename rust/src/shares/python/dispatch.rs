//! Kinds at run time: the operations of `Shared` vectors, with every wrong call refused before anything is sent.

use crate::shares::compare;
use crate::shares::convert;
use crate::shares::less;
use crate::shares::local;
use crate::shares::multiply::product;
use crate::shares::party::Party;
use crate::shares::python::Refusal;
use crate::shares::select::{select_ring, select_words};
use crate::shares::to_ring;
use crate::shares::vector::{Pair, Shared};
use crate::shares::word::Word;
use crate::shares::workers::Workers;
use crate::zip_shared;

type Done = Result<Shared, Refusal>;

/// Refuses vectors of different lengths.
pub fn same_length(a: &Shared, b: &Shared) -> Result<(), Refusal> {
    if a.len() == b.len() {
        Ok(())
    } else {
        Err(Refusal::Misuse("length"))
    }
}

fn kinds(made: Option<Shared>) -> Done {
    made.ok_or(Refusal::Misuse("kind"))
}

fn checked_bits(bits: u32, most: u32) -> Result<(), Refusal> {
    if (1..=most).contains(&bits) {
        Ok(())
    } else {
        Err(Refusal::Misuse("bits"))
    }
}

/// Sums, in a ring.
pub fn add(workers: &Workers, a: &Shared, b: &Shared) -> Done {
    same_length(a, b)?;
    kinds(zip_shared!(rings a, b, x, y => local::add::<A, _>(workers, x, y)))
}

/// Differences, in a ring.
pub fn sub(workers: &Workers, a: &Shared, b: &Shared) -> Done {
    same_length(a, b)?;
    kinds(zip_shared!(rings a, b, x, y => local::sub::<A, _>(workers, x, y)))
}

/// Exclusive or, of words.
pub fn xor(workers: &Workers, a: &Shared, b: &Shared) -> Done {
    same_length(a, b)?;
    kinds(zip_shared!(words a, b, x, y => local::add::<A, _>(workers, x, y)))
}

/// Words to wider or narrower words, rings to narrower rings.
pub fn cast(workers: &Workers, a: &Shared, kind: &str) -> Done {
    macro_rules! to {
        ($pair:expr, $from:ty; $($name:literal $type:ident $variant:ident),*) => {
            match kind {
                $($name => Ok(Shared::$variant(local::map(workers, $pair, |word: $from| {
                    <$type as Word>::cut(word.wide())
                }))),)*
                _ => Err(Refusal::Misuse("kind")),
            }
        };
    }
    macro_rules! words {
        ($pair:expr, $from:ty) => {
            to!($pair, $from; "u8" u8 U8, "u16" u16 U16, "u32" u32 U32, "u64" u64 U64, "u128" u128 U128)
        };
    }
    match a {
        Shared::U8(pair) => words!(pair, u8),
        Shared::U16(pair) => words!(pair, u16),
        Shared::U32(pair) => words!(pair, u32),
        Shared::U64(pair) => words!(pair, u64),
        Shared::U128(pair) => words!(pair, u128),
        Shared::R32(pair) => to!(pair, u32; "r32" u32 R32),
        Shared::R64(pair) => to!(pair, u64; "r32" u32 R32, "r64" u64 R64),
        Shared::R128(pair) => to!(pair, u128; "r32" u32 R32, "r64" u64 R64, "r128" u128 R128),
    }
}

/// Vectors of one kind, one after the other.
pub fn concat(vectors: &[&Shared]) -> Done {
    macro_rules! all {
        ($variant:ident) => {{
            let pairs: Option<Vec<_>> = vectors
                .iter()
                .map(|vector| match vector {
                    Shared::$variant(pair) => Some(pair),
                    _ => None,
                })
                .collect();
            let pairs = pairs.ok_or(Refusal::Misuse("kind"))?;
            Ok(Shared::$variant(local::concat(&pairs)))
        }};
    }
    match vectors.first().ok_or(Refusal::Misuse("empty"))? {
        Shared::U8(_) => all!(U8),
        Shared::U16(_) => all!(U16),
        Shared::U32(_) => all!(U32),
        Shared::U64(_) => all!(U64),
        Shared::U128(_) => all!(U128),
        Shared::R32(_) => all!(R32),
        Shared::R64(_) => all!(R64),
        Shared::R128(_) => all!(R128),
    }
}

/// Products, in a ring.
pub fn mul(party: &mut Party, a: &Shared, b: &Shared) -> Done {
    same_length(a, b)?;
    kinds(zip_shared!(rings a, b, x, y => product::<A, _>(party, x, y)?))
}

/// And, of words.
pub fn and(party: &mut Party, a: &Shared, b: &Shared) -> Done {
    same_length(a, b)?;
    kinds(zip_shared!(words a, b, x, y => product::<A, _>(party, x, y)?))
}

/// Or, of words: a ^ b ^ ab.
pub fn or(party: &mut Party, a: &Shared, b: &Shared) -> Done {
    let both = and(party, a, b)?;
    let workers = party.workers();
    xor(&workers, &xor(&workers, a, b)?, &both)
}

/// Equality, to a bit.
pub fn equal(party: &mut Party, a: &Shared, b: &Shared, bits: u32) -> Done {
    same_length(a, b)?;
    macro_rules! of {
        ($($variant:ident $word:ident),*) => {
            match (a, b) {
                $((Shared::$variant(x), Shared::$variant(y)) => {
                    checked_bits(bits, $word::BITS)?;
                    Ok(Shared::U8(compare::equal(party, x, y, bits)?))
                })*
                _ => Err(Refusal::Misuse("kind")),
            }
        };
    }
    of!(U8 u8, U16 u16, U32 u32, U64 u64, U128 u128)
}

/// Order, to a bit.
pub fn less(party: &mut Party, a: &Shared, b: &Shared, bits: u32) -> Done {
    same_length(a, b)?;
    macro_rules! of {
        ($($variant:ident $word:ident),*) => {
            match (a, b) {
                $((Shared::$variant(x), Shared::$variant(y)) => {
                    checked_bits(bits, $word::BITS)?;
                    Ok(Shared::U8(less::less(party, x, y, bits)?))
                })*
                _ => Err(Refusal::Misuse("kind")),
            }
        };
    }
    of!(U8 u8, U16 u16, U32 u32, U64 u64, U128 u128)
}

/// Bits as numbers of a ring.
pub fn bit_to_ring(party: &mut Party, bit: &Shared, kind: &str) -> Done {
    let Shared::U8(bit) = bit else {
        return Err(Refusal::Misuse("kind"));
    };
    Ok(match kind {
        "r32" => Shared::R32(convert::bit_to_ring(party, bit, 0)?),
        "r64" => Shared::R64(convert::bit_to_ring(party, bit, 0)?),
        "r128" => Shared::R128(convert::bit_to_ring(party, bit, 0)?),
        _ => return Err(Refusal::Misuse("kind")),
    })
}

/// Words as numbers of a ring that holds them.
pub fn words_to_ring(party: &mut Party, a: &Shared, bits: u32, kind: &str) -> Done {
    let width = match a {
        Shared::U8(_) => 8,
        Shared::U16(_) => 16,
        Shared::U32(_) => 32,
        Shared::U64(_) => 64,
        Shared::U128(_) => 128,
        _ => return Err(Refusal::Misuse("kind")),
    };
    let (word, most) = match kind {
        "r32" => ("u32", 32),
        "r64" => ("u64", 64),
        "r128" => ("u128", 128),
        _ => return Err(Refusal::Misuse("kind")),
    };
    checked_bits(bits, width.min(most))?;
    Ok(match cast(&party.workers(), a, word)? {
        Shared::U32(pair) => Shared::R32(to_ring::words_to_ring(party, &pair, bits)?),
        Shared::U64(pair) => Shared::R64(to_ring::words_to_ring(party, &pair, bits)?),
        Shared::U128(pair) => Shared::R128(to_ring::words_to_ring(party, &pair, bits)?),
        _ => return Err(Refusal::Misuse("kind")),
    })
}

/// The low bits of ring elements, as words of the least kind that holds them.
pub fn ring_to_words(party: &mut Party, a: &Shared, bits: u32) -> Done {
    fn cut<V: Word, W: Word>(workers: &Workers, a: &Pair<V>) -> Pair<W> {
        local::map(workers, a, |share| W::cut(share.wide()))
    }
    fn words<V: Word>(party: &mut Party, a: &Pair<V>, bits: u32) -> Done {
        checked_bits(bits, V::BITS)?;
        let workers = party.workers();
        macro_rules! narrow {
            ($word:ident, $variant:ident) => {{
                let low: Pair<$word> = cut(&workers, a);
                Shared::$variant(convert::ring_to_words(party, &low, bits)?)
            }};
        }
        Ok(match bits {
            0..=8 => narrow!(u8, U8),
            9..=16 => narrow!(u16, U16),
            17..=32 => narrow!(u32, U32),
            33..=64 => narrow!(u64, U64),
            _ => narrow!(u128, U128),
        })
    }
    match a {
        Shared::R32(pair) => words(party, pair, bits),
        Shared::R64(pair) => words(party, pair, bits),
        Shared::R128(pair) => words(party, pair, bits),
        _ => Err(Refusal::Misuse("kind")),
    }
}

/// `a` where the bit is 1, else `b`.
pub fn select(party: &mut Party, bit: &Shared, a: &Shared, b: &Shared) -> Done {
    same_length(a, b)?;
    same_length(bit, a)?;
    let Shared::U8(bit) = bit else {
        return Err(Refusal::Misuse("kind"));
    };
    if let Some(made) = zip_shared!(words a, b, x, y => {
        select_words(party, bit, x, y)?
    }) {
        return Ok(made);
    }
    kinds(zip_shared!(rings a, b, x, y => {
        select_ring(party, bit, x, y)?
    }))
}
