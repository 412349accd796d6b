//! Order of words, to a bit.
//!
//! Of each place the pair (p: equal there, v: the bit of b). Two neighbours, the upper one h and the lower
//! one l, give (p_h p_l, v_h + p_h (v_h + v_l)): v is b's bit at the topmost place where a and b differ, which is
//! 1 just where a < b. A public place below all (p = 0, v = 0) makes equal words "not less"; where it would
//! not fit, v & ~p at the end does. About 2 * bits products of bits. (The tree is the usual one, as in Damgård et
//! al., "Unconditionally secure constant-rounds multi-party computation for equality, comparison, bits and
//! exponentiation", TCC 2006, sec. 5; the first level is free here.)
//!
//! **Who learns what.** Only products send anything; their simulator (`multiply.rs`) is this one's, round by
//! round, by composition.

use crate::shares::algebra::{Algebra, Bitwise};
use crate::shares::bits::{byte_halves, interleave, swaps, word_halves};
use crate::shares::channel::Broken;
use crate::shares::compare::{Part, in_blocks, packed, pad, unpacked};
use crate::shares::local::placed;
use crate::shares::multiply::{combine, product, term};
use crate::shares::party::Party;
use crate::shares::vector::Pair;
use crate::shares::word::Word;

/// A bit for every row: whether a < b, as unsigned words of `bits` bits (1 to all); bits above them are ignored.
pub fn less<W: Word>(
    party: &mut Party,
    a: &Pair<W>,
    b: &Pair<W>,
    bits: u32,
) -> Result<Pair<u8>, Broken> {
    in_blocks(a.len(), |rows| {
        let part = Part { a, b, rows };
        let tree = Tree {
            width: bits.next_power_of_two(),
            below: !bits.is_power_of_two(),
        };
        Ok(match tree.width {
            0..=8 => tree.bytes(party, tree.leaves(party, &part, bits))?,
            16 => tree.words16(party, tree.leaves(party, &part, bits))?,
            32 => tree.words32(party, tree.leaves(party, &part, bits))?,
            64 => tree.words64(party, tree.leaves(party, &part, bits))?,
            _ => {
                let leaves: Leaves<u128> = tree.leaves(party, &part, bits);
                let rows = leaves.v.len();
                let leaves = fold(party, rows, &leaves, true, word_halves)?;
                tree.words64(party, leaves)?
            }
        })
    })
}

/// Of each place (or run of places): v is b's bit at the topmost place where a and b differ; p: they do not.
struct Leaves<W> {
    v: Pair<W>,
    p: Pair<W>,
}

/// How the tree looks: its width, and whether there is a public place below the lowest bit.
#[derive(Clone, Copy)]
struct Tree {
    width: u32,
    below: bool,
}

impl Tree {
    fn leaves<W: Word, V: Word>(self, party: &Party, part: &Part<'_, W>, bits: u32) -> Leaves<V> {
        let steps = swaps::<V>(self.width);
        let mask = V::mask(bits);
        let up = u32::from(self.below);
        // The place below all differs: p = 0 there, and v = 0.
        let public = V::ONES.xor(V::mask(up));
        Leaves {
            v: part.map(party, V::ZERO, |_, b, _| {
                interleave(V::cut(b.wide()).and(mask).up(up), &steps)
            }),
            p: part.map(party, public, |a, b, public| {
                let differ = V::cut(a.xor(b).wide()).and(mask).up(up);
                interleave(differ.xor(public), &steps)
            }),
        }
    }

    fn words64(self, party: &mut Party, leaves: Leaves<u64>) -> Result<Pair<u8>, Broken> {
        let leaves = fold(party, leaves.v.len(), &leaves, true, word_halves)?;
        self.words32(party, leaves)
    }

    fn words32(self, party: &mut Party, leaves: Leaves<u32>) -> Result<Pair<u8>, Broken> {
        let leaves = fold(party, leaves.v.len(), &leaves, true, word_halves)?;
        self.words16(party, leaves)
    }

    fn words16(self, party: &mut Party, leaves: Leaves<u16>) -> Result<Pair<u8>, Broken> {
        let leaves = fold(party, leaves.v.len(), &leaves, true, word_halves)?;
        self.bytes(party, leaves)
    }

    fn bytes(self, party: &mut Party, mut leaves: Leaves<u8>) -> Result<Pair<u8>, Broken> {
        let rows = leaves.v.len();
        pad(&mut leaves.v);
        pad(&mut leaves.p);
        for width in [4, 2, 1] {
            let bytes = leaves.v.len() / 2;
            leaves = if self.width > width {
                let more = width > 1 || !self.below;
                fold(party, bytes, &leaves, more, |x, start, stop| {
                    byte_halves(x, width, start, stop)
                })?
            } else {
                Leaves {
                    v: packed(&leaves.v, width),
                    p: packed(&leaves.p, width),
                }
            };
        }
        if !self.below {
            let (first, second) = placed(party.index(), u8::ONES);
            let flip = |shares: &[u8], public: u8| shares.iter().map(|p| p ^ public).collect();
            let differ = Pair {
                first: flip(&leaves.p.first, first),
                second: flip(&leaves.p.second, second),
            };
            leaves.v = product::<Bitwise, u8>(party, &leaves.v, &differ)?;
        }
        Ok(unpacked(&leaves.v, rows))
    }
}

/// One level: the pairs of the halves combined; p only where `more` levels follow.
fn fold<'a, X: Word, H: Word, I: Iterator<Item = (H, H)>>(
    party: &mut Party,
    rows: usize,
    leaves: &'a Leaves<X>,
    more: bool,
    halves: impl Fn(&'a [X], usize, usize) -> I + Send + Sync,
) -> Result<Leaves<H>, Broken> {
    let (v, p) = (&leaves.v, &leaves.p);
    let sizes = [rows, rows];
    let sizes = if more { &sizes[..] } else { &sizes[..1] };
    let mut out = combine::<Bitwise, H>(party, sizes, |place, start, out| {
        let stop = start + out.len();
        let p0 = halves(&p.first, start, stop);
        let p1 = halves(&p.second, start, stop);
        let p = p0.zip(p1);
        if place == 1 {
            for (out, ((high0, low0), (high1, low1))) in out.iter_mut().zip(p) {
                *out = out.xor(term::<Bitwise, H>((high0, high1), (low0, low1)));
            }
            return;
        }
        let v0 = halves(&v.first, start, stop);
        let v1 = halves(&v.second, start, stop);
        for ((out, ((p0, _), (p1, _))), ((high0, low0), (high1, low1))) in
            out.iter_mut().zip(p).zip(v0.zip(v1))
        {
            let either = (high0.xor(low0), high1.xor(low1));
            // v_h is added as this party's own share of it: all three together add v_h.
            *out = Bitwise::add(*out, high0).xor(term::<Bitwise, H>((p0, p1), either));
        }
    })?
    .into_iter();
    Ok(Leaves {
        v: out.next().unwrap_or_default(),
        p: out.next().unwrap_or_default(),
    })
}
