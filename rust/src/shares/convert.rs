//! Between the two algebras: bits to a ring, ring elements to words (words to a ring: `to_ring.rs`).
//!
//! Both rest on `dealt.rs` (one party knows two of the three shares, so a conversion has two operands only)
//! and on the carries of `adder.rs`; their arguments are theirs, by composition.

use crate::shares::adder::carries;
use crate::shares::channel::Broken;
use crate::shares::compare::blocks;
use crate::shares::dealt::{Turns, deal, swap};
use crate::shares::party::{Party, Which};
use crate::shares::vector::Pair;
use crate::shares::word::Word;
use crate::shares::workers::fresh;

/// Streams' purposes: s_d, and the shares that are F' of the keys.
pub(super) const INPUT: u8 = 0;
pub(super) const SHARE: u8 = 1;

/// Bits (place `place` of words) as numbers 0 and 1 of a ring.
///
/// With x = b_d ^ b_{d+1} and v = b_{d+2}: b = x + v - 2xv = (1-2v) x + v. So f = 1-2v and the summands are
/// (1-2v) s_d and (1-2v) s_{d+1} + v. Two rounds, one element a row and party.
pub fn bit_to_ring<V: Word, W: Word>(
    party: &mut Party,
    bit: &Pair<V>,
    place: u32,
) -> Result<Pair<W>, Broken> {
    let operation = party.begin()?;
    let rows = bit.len();
    let turns = Turns::new(party, rows);
    let input = [Which::Own, Which::Next].map(|which| party.stream(which, operation, INPUT));
    let share = [Which::Own, Which::Next].map(|which| party.stream(which, operation, SHARE));
    let (mut first, mut second) = (fresh::<W>(rows), fresh::<W>(rows));
    let number = move |share: V| W::cut(u128::from(share.down(place).low() & 1));
    deal(party, &turns, &mut second, |start, out| {
        input[0].fill(start, out);
        let shares = bit.first[start..].iter().zip(&bit.second[start..]);
        for (out, (a, b)) in out.iter_mut().zip(shares) {
            *out = number(a.xor(*b)).sub(*out);
        }
    })?;
    swap(
        party,
        &turns,
        &mut first,
        &mut second,
        |after, start, out| {
            let mut mask = vec![W::ZERO; out.len()];
            if after {
                share[0].fill(start, &mut mask);
                for ((out, v), mask) in out.iter_mut().zip(&bit.second[start..]).zip(&mask) {
                    let v = number(*v);
                    *out = signed(*out, v).add(v).sub(*mask);
                }
            } else {
                input[1].fill(start, out);
                share[1].fill(start, &mut mask);
                for ((out, v), mask) in out.iter_mut().zip(&bit.first[start..]).zip(&mask) {
                    *out = signed(*out, number(*v)).sub(*mask);
                }
            }
        },
        W::add,
    )?;
    fill_made(party, operation, &turns, &mut first, &mut second);
    Ok(Pair { first, second })
}

/// (1 - 2v) s for a bit v, without a product: s or its negative.
#[inline(always)]
fn signed<W: Word>(s: W, v: W) -> W {
    let flip = W::ZERO.sub(v);
    s.xor(flip).sub(flip)
}

/// Shares d and d+1 of every row, which are F' of the keys.
pub(super) fn fill_made<W: Word>(
    party: &Party,
    operation: u64,
    turns: &Turns,
    first: &mut [W],
    second: &mut [W],
) {
    let workers = party.workers();
    let own = party.stream(Which::Own, operation, SHARE);
    let next = party.stream(Which::Next, operation, SHARE);
    for rows in [&turns.deal, &turns.after] {
        let start = rows.start;
        workers.write(&mut first[rows.clone()], |offset, part| {
            own.fill(start + offset, part);
        });
    }
    for rows in [&turns.deal, &turns.before] {
        let start = rows.start;
        workers.write(&mut second[rows.clone()], |offset, part| {
            next.fill(start + offset, part);
        });
    }
}

/// The low `bits` bits (1 to all) of ring elements, as words.
///
/// x = u + v with u = x_d + x_{d+1}: shares of u as a word are s_d = F(k_d), s_{d+1} = u ^ s_d and 0, those of v
/// are 0, 0 and v; carries are made where u & v (`dealt.rs`, f = v) and passed on where u ^ v.
pub fn ring_to_words<W: Word>(
    party: &mut Party,
    a: &Pair<W>,
    bits: u32,
) -> Result<Pair<W>, Broken> {
    if bits == 1 {
        // The lowest bits of sums are those of exclusive ors: nothing is sent.
        let low = |shares: &[W]| shares.iter().map(|share| share.and(W::ONE)).collect();
        return Ok(Pair {
            first: low(&a.first),
            second: low(&a.second),
        });
    }
    let mut out = Pair::zeroes(a.len());
    for rows in blocks(a.len()) {
        let part = Pair {
            first: a.first[rows.clone()].to_vec(),
            second: a.second[rows.clone()].to_vec(),
        };
        let (sum, made) = half_sums(party, &part)?;
        let made = carries(party, made, sum.clone(), bits - 1)?;
        let mask = W::mask(bits);
        for (out, sum, made) in [
            (&mut out.first[rows.clone()], &sum.first, &made.first),
            (&mut out.second[rows.clone()], &sum.second, &made.second),
        ] {
            for ((out, sum), made) in out.iter_mut().zip(sum).zip(made) {
                *out = sum.xor(made.up(1)).and(mask);
            }
        }
    }
    Ok(out)
}

/// (u ^ v, u & v) of u = x_d + x_{d+1} and v = x_{d+2}.
fn half_sums<W: Word>(party: &mut Party, a: &Pair<W>) -> Result<(Pair<W>, Pair<W>), Broken> {
    let operation = party.begin()?;
    let rows = a.len();
    let turns = Turns::new(party, rows);
    let input = [Which::Own, Which::Next].map(|which| party.stream(which, operation, INPUT));
    let share = [Which::Own, Which::Next].map(|which| party.stream(which, operation, SHARE));
    let mut sum = Pair::<W>::zeroes(rows);
    let mut dealt = fresh::<W>(rows);
    deal(party, &turns, &mut dealt, |start, out| {
        input[0].fill(start, out);
        let shares = a.first[start..].iter().zip(&a.second[start..]);
        for (out, (a, b)) in out.iter_mut().zip(shares) {
            *out = a.add(*b).xor(*out);
        }
    })?;
    let (own, after, before) = (
        turns.deal.clone(),
        turns.after.clone(),
        turns.before.clone(),
    );
    input[0].fill(own.start, &mut sum.first[own.clone()]);
    sum.second[own.clone()].copy_from_slice(&dealt[own]);
    sum.first[after.clone()].copy_from_slice(&dealt[after.clone()]);
    sum.second[after.clone()].copy_from_slice(&a.second[after]);
    sum.first[before.clone()].copy_from_slice(&a.first[before.clone()]);
    input[1].fill(before.start, &mut sum.second[before]);
    let (mut first, mut second) = (fresh::<W>(rows), dealt);
    swap(
        party,
        &turns,
        &mut first,
        &mut second,
        |after, start, out| {
            let mut mask = vec![W::ZERO; out.len()];
            let (v, masks) = if after {
                (&a.second, &share[0])
            } else {
                input[1].fill(start, out);
                (&a.first, &share[1])
            };
            masks.fill(start, &mut mask);
            for ((out, v), mask) in out.iter_mut().zip(&v[start..]).zip(&mask) {
                *out = out.and(*v).xor(*mask);
            }
        },
        W::xor,
    )?;
    fill_made(party, operation, &turns, &mut first, &mut second);
    Ok((sum, Pair { first, second }))
}
