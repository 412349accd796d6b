//! Equality of words, to a bit: the "and" of all bits of ~(a ^ b), halved again and again with halves of words, then with rows
//! packed into bytes: `bits` products of bits in log2(bits) rounds.
//!
//! **Who learns what.** Only products send anything; their simulator (`multiply.rs`) is this one's, round by
//! round, by composition. Results are fresh shares where at least one product was made, that is for more than
//! one bit; equality of single bits is linear.

use std::ops::Range;

use crate::shares::algebra::Bitwise;
use crate::shares::bits::{byte_halves, pack_all, padded, unpack, word_halves};
use crate::shares::channel::Broken;
use crate::shares::local::placed;
use crate::shares::multiply::{combine, only, term};
use crate::shares::party::Party;
use crate::shares::vector::Pair;
use crate::shares::word::Word;

/// Rows that go through all levels together, so that what lies between them stays small.
pub const BLOCK: usize = 1 << 20;

/// Blocks of at most `BLOCK` rows.
pub fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows)
        .step_by(BLOCK)
        .map(move |start| start..(start + BLOCK).min(rows))
}

/// A bit for every row: whether the low `bits` bits (1 to all) of both are equal.
pub fn equal<W: Word>(
    party: &mut Party,
    a: &Pair<W>,
    b: &Pair<W>,
    bits: u32,
) -> Result<Pair<u8>, Broken> {
    in_blocks(a.len(), |rows| {
        let part = Part { a, b, rows };
        Ok(match bits {
            0..=8 => equal_bytes(party, part.same::<u8>(party, bits), bits)?,
            9..=16 => equal16(party, part.same(party, bits))?,
            17..=32 => equal32(party, part.same(party, bits))?,
            33..=64 => equal64(party, part.same(party, bits))?,
            _ => {
                let same: Pair<u128> = part.same(party, bits);
                let rows = same.len();
                let same = and_halves(party, rows, &same, word_halves)?;
                equal64(party, same)?
            }
        })
    })
}

/// One vector of bits from those of blocks.
pub(super) fn in_blocks(
    rows: usize,
    mut block: impl FnMut(Range<usize>) -> Result<Pair<u8>, Broken>,
) -> Result<Pair<u8>, Broken> {
    if rows <= BLOCK {
        return block(0..rows);
    }
    let mut out = Pair {
        first: Vec::with_capacity(rows),
        second: Vec::with_capacity(rows),
    };
    for range in blocks(rows) {
        let part = block(range)?;
        out.first.extend_from_slice(&part.first);
        out.second.extend_from_slice(&part.second);
    }
    Ok(out)
}

/// Rows of two vectors.
pub(super) struct Part<'a, W> {
    pub(super) a: &'a Pair<W>,
    pub(super) b: &'a Pair<W>,
    pub(super) rows: Range<usize>,
}

impl<W: Word> Part<'_, W> {
    /// Shares of `map` of both vectors' shares, of these rows; `map` also gets what is added for public values.
    pub(super) fn map<V: Word>(
        &self,
        party: &Party,
        public: V,
        map: impl Fn(W, W, V) -> V + Send + Sync,
    ) -> Pair<V> {
        let (first, second) = placed(party.index(), public);
        let one = |a: &[W], b: &[W], public: V| {
            let (a, b) = (&a[self.rows.clone()], &b[self.rows.clone()]);
            party.workers().make(a.len(), |start, part| {
                for ((out, a), b) in part.iter_mut().zip(&a[start..]).zip(&b[start..]) {
                    *out = map(*a, *b, public);
                }
            })
        };
        Pair {
            first: one(&self.a.first, &self.b.first, first),
            second: one(&self.a.second, &self.b.second, second),
        }
    }

    /// ~(a ^ b) in words that just hold `bits` bits; bits above them are 1.
    fn same<V: Word>(&self, party: &Party, bits: u32) -> Pair<V> {
        let mask = V::mask(bits);
        self.map(party, V::ONES, |a, b, public| {
            V::cut(a.xor(b).wide()).and(mask).xor(public)
        })
    }
}

fn equal64(party: &mut Party, same: Pair<u64>) -> Result<Pair<u8>, Broken> {
    let rows = same.len();
    let same = and_halves(party, rows, &same, word_halves)?;
    equal32(party, same)
}

fn equal32(party: &mut Party, same: Pair<u32>) -> Result<Pair<u8>, Broken> {
    let rows = same.len();
    let same = and_halves(party, rows, &same, word_halves)?;
    equal16(party, same)
}

fn equal16(party: &mut Party, same: Pair<u16>) -> Result<Pair<u8>, Broken> {
    let rows = same.len();
    let same = and_halves(party, rows, &same, word_halves)?;
    equal_bytes(party, same, 8)
}

/// From bytes of which the low `bits` matter to bits.
fn equal_bytes(party: &mut Party, mut same: Pair<u8>, bits: u32) -> Result<Pair<u8>, Broken> {
    let rows = same.len();
    pad(&mut same);
    for width in [4, 2, 1] {
        let bytes = same.len() / 2;
        same = if bits > width {
            and_halves(party, bytes, &same, |x, start, stop| {
                byte_halves(x, width, start, stop)
            })?
        } else {
            packed(&same, width)
        };
    }
    Ok(unpacked(&same, rows))
}

/// Rows of zeroes so that bits fill bytes.
pub(super) fn pad(bytes: &mut Pair<u8>) {
    let rows = padded(bytes.len());
    bytes.first.resize(rows, 0);
    bytes.second.resize(rows, 0);
}

/// `pack_all` of both shares.
pub(super) fn packed(bytes: &Pair<u8>, width: u32) -> Pair<u8> {
    Pair {
        first: pack_all(&bytes.first, width),
        second: pack_all(&bytes.second, width),
    }
}

/// `unpack` of both shares.
pub(super) fn unpacked(bytes: &Pair<u8>, rows: usize) -> Pair<u8> {
    Pair {
        first: unpack(&bytes.first, rows),
        second: unpack(&bytes.second, rows),
    }
}

/// The "and" of the halves of every word.
fn and_halves<'a, X: Word, H: Word, I: Iterator<Item = (H, H)>>(
    party: &mut Party,
    rows: usize,
    x: &'a Pair<X>,
    halves: impl Fn(&'a [X], usize, usize) -> I + Send + Sync,
) -> Result<Pair<H>, Broken> {
    let out = combine::<Bitwise, H>(party, &[rows], |_, start, out| {
        let stop = start + out.len();
        let first = halves(&x.first, start, stop);
        let second = halves(&x.second, start, stop);
        for ((out, (high0, low0)), (high1, low1)) in out.iter_mut().zip(first).zip(second) {
            *out = out.xor(term::<Bitwise, H>((high0, high1), (low0, low1)));
        }
    })?;
    Ok(only(out))
}
