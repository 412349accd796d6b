//! Carries of an addition of shared bits, in every place: a parallel prefix within words.
//!
//! From g (a carry is made here) and p (a carry is passed on), Sklansky's tree ("Conditional-sum addition logic",
//! IRE Trans. 1960): at level k the upper half of every 2^(k+1) places takes the group below it,
//! g += p g', p = p p'. A half of the places changes, and each takes two products, so one "and" of whole
//! words does a level: products for g in the upper halves, those for p in the lower ones. (ABY3, Mohassel and
//! Rindal, CCS 2018, sec. 5.3, sends twice as much in Kogge-Stone's tree.)
//!
//! **Who learns what.** Only products send anything: the simulator is theirs, level by level.

use crate::shares::algebra::Bitwise;
use crate::shares::bits::upper_halves;
use crate::shares::channel::Broken;
use crate::shares::multiply::{combine, only, term};
use crate::shares::party::Party;
use crate::shares::vector::Pair;
use crate::shares::word::Word;

/// The low bits of the places that a level of the tree uses.
#[derive(Clone, Copy)]
struct Level<W> {
    /// Half of the size of its groups.
    half: u32,
    /// Places of upper halves.
    upper: W,
    /// The lowest place of every group.
    base: W,
}

impl<W: Word> Level<W> {
    fn new(level: u32) -> Self {
        let half = 1 << level;
        let upper = upper_halves::<W>(level);
        let lower = upper.not();
        Self {
            half,
            upper,
            base: lower.and(lower.up(1).not()).or(W::ONE),
        }
    }

    /// The top bit of every lower half, in all places of that lower half.
    #[inline(always)]
    fn spread(self, word: W) -> W {
        let top = word.down(self.half - 1).and(self.base);
        top.up(self.half).sub(top)
    }

    /// What is multiplied by what, of one share.
    #[inline(always)]
    fn factors(self, g: W, p: W) -> (W, W) {
        let passing = p.and(self.upper);
        let passing = passing.or(passing.down(self.half));
        let below = self.spread(g).up(self.half).or(self.spread(p));
        (passing, below)
    }
}

/// The carry out of each of the low `places` places; higher places hold nothing of use.
pub fn carries<W: Word>(
    party: &mut Party,
    mut g: Pair<W>,
    mut p: Pair<W>,
    places: u32,
) -> Result<Pair<W>, Broken> {
    let rows = g.len();
    let levels = if places < 2 {
        0
    } else {
        u32::BITS - (places - 1).leading_zeros()
    };
    for number in 0..levels {
        let level = Level::<W>::new(number);
        let made = only(combine::<Bitwise, W>(party, &[rows], |_, start, out| {
            let stop = start + out.len();
            let g = g.first[start..stop].iter().zip(&g.second[start..stop]);
            let p = p.first[start..stop].iter().zip(&p.second[start..stop]);
            for ((out, (g0, g1)), (p0, p1)) in out.iter_mut().zip(g).zip(p) {
                let (pass0, below0) = level.factors(*g0, *p0);
                let (pass1, below1) = level.factors(*g1, *p1);
                *out = out.xor(term::<Bitwise, W>((pass0, pass1), (below0, below1)));
            }
        })?);
        let last = number + 1 == levels;
        for (g, p, made) in [
            (&mut g.first, &mut p.first, &made.first),
            (&mut g.second, &mut p.second, &made.second),
        ] {
            party.workers().write(g, |start, part| {
                for (g, made) in part.iter_mut().zip(&made[start..]) {
                    *g = g.xor(made.and(level.upper));
                }
            });
            if !last {
                party.workers().write(p, |start, part| {
                    for (p, made) in part.iter_mut().zip(&made[start..]) {
                        let lower = level.upper.not();
                        *p = p.and(lower).or(made.and(lower).up(level.half));
                    }
                });
            }
        }
    }
    Ok(g)
}
