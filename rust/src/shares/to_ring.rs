//! Words to a ring: `dealt.rs`'s first step, a subtraction under sharing, and an opening to two parties.

use crate::shares::adder::carries;
use crate::shares::algebra::{Additive, Algebra, Bitwise};
use crate::shares::channel::Broken;
use crate::shares::compare::blocks;
use crate::shares::convert::{INPUT, SHARE, bit_to_ring, fill_made};
use crate::shares::dealt::{Turns, deal};
use crate::shares::local::{Known, add, mul_public};
use crate::shares::multiply::{combine, only, term};
use crate::shares::party::{Party, Side, Which};
use crate::shares::vector::Pair;
use crate::shares::word::Word;

/// Words of at most `bits` bits as numbers of a ring of as many bits as `W`.
///
/// Few bits go one by one. More: shares d and d+1 of the result are F'(k_d) and F'(k_{d+1}), dealer P_d shares
/// their sum u as a word, and the borrows of w - u (made where ~w & u, passed on where w and u are equal) give
/// share d+2 = w - u as a shared word, which is opened to P_{d+1} and P_{d+2} alone.
///
/// **Who learns what.** P_{d+1} learns w - F'(k_d) - F'(k_{d+1}) and does not know k_d; P_{d+2} learns the same and
/// does not know k_{d+1}: uniformly random words to each, and its share of the result by definition. The message
/// that opens it is that word and the receiver's own two shares of it taken together. Simulator: draw share d+2
/// uniformly, compute the message from it.
pub fn words_to_ring<W: Word>(
    party: &mut Party,
    a: &Pair<W>,
    bits: u32,
) -> Result<Pair<W>, Broken> {
    if bits <= W::BITS.ilog2() + 2 {
        return one_by_one(party, a, bits);
    }
    let mut out = Pair::zeroes(a.len());
    for rows in blocks(a.len()) {
        let mask = W::mask(bits);
        let cut = |shares: &[W]| -> Vec<W> {
            shares[rows.clone()]
                .iter()
                .map(|share| share.and(mask))
                .collect()
        };
        let word = Pair {
            first: cut(&a.first),
            second: cut(&a.second),
        };
        let part = rest(party, word)?;
        out.first[rows.clone()].copy_from_slice(&part.first);
        out.second[rows].copy_from_slice(&part.second);
    }
    Ok(out)
}

fn one_by_one<W: Word>(party: &mut Party, a: &Pair<W>, bits: u32) -> Result<Pair<W>, Broken> {
    let workers = party.workers();
    let mut sum = bit_to_ring::<W, W>(party, a, 0)?;
    for place in 1..bits {
        let bit = bit_to_ring::<W, W>(party, a, place)?;
        let weight = Known::One(W::ONE.up(place));
        sum = add::<Additive, W>(
            &workers,
            &sum,
            &mul_public::<Additive, W>(&workers, &bit, &weight),
        );
    }
    Ok(sum)
}

fn rest<W: Word>(party: &mut Party, word: Pair<W>) -> Result<Pair<W>, Broken> {
    let operation = party.begin()?;
    let rows = word.len();
    let turns = Turns::new(party, rows);
    let input = [Which::Own, Which::Next].map(|which| party.stream(which, operation, INPUT));
    let share = [Which::Own, Which::Next].map(|which| party.stream(which, operation, SHARE));
    // u as a shared word: s_d, s_{d+1} and 0.
    let mut u = Pair::<W>::zeroes(rows);
    deal(party, &turns, &mut u.second, |start, out| {
        input[0].fill(start, out);
        let mut parts = [vec![W::ZERO; out.len()], vec![W::ZERO; out.len()]];
        for (part, stream) in parts.iter_mut().zip(&share) {
            stream.fill(start, part);
        }
        for ((out, a), b) in out.iter_mut().zip(&parts[0]).zip(&parts[1]) {
            *out = a.add(*b).xor(*out);
        }
    })?;
    input[0].fill(turns.deal.start, &mut u.first[turns.deal.clone()]);
    input[1].fill(turns.before.start, &mut u.second[turns.before.clone()]);
    for row in turns.after.clone() {
        u.first[row] = std::mem::replace(&mut u.second[row], W::ZERO);
    }
    // ~w and u: "not" flips share 0, which P_0 has first and P_2 second.
    let ones = match party.index() {
        0 => (W::ONES, W::ZERO),
        2 => (W::ZERO, W::ONES),
        _ => (W::ZERO, W::ZERO),
    };
    let made = only(combine::<Bitwise, W>(party, &[rows], |_, start, out| {
        for (row, out) in (start..).zip(out.iter_mut()) {
            let not = (word.first[row].xor(ones.0), word.second[row].xor(ones.1));
            let u = (u.first[row], u.second[row]);
            *out = Bitwise::add(*out, term::<Bitwise, W>(not, u));
        }
    })?);
    let either = |a: &[W], b: &[W], public: W| -> Vec<W> {
        a.iter()
            .zip(b)
            .map(|(a, b)| a.xor(*b).xor(public))
            .collect()
    };
    let passed = Pair {
        first: either(&word.first, &u.first, ones.0),
        second: either(&word.second, &u.second, ones.1),
    };
    let differ = Pair {
        first: either(&word.first, &u.first, W::ZERO),
        second: either(&word.second, &u.second, W::ZERO),
    };
    drop((word, u));
    let made = carries(party, made, passed, W::BITS - 1)?;
    let down = |differ: &[W], made: &[W]| -> Vec<W> {
        differ
            .iter()
            .zip(made)
            .map(|(d, m)| d.xor(m.up(1)))
            .collect()
    };
    let mut first = down(&differ.first, &made.first);
    let mut second = down(&differ.second, &made.second);
    // P_{d+2} lacks share d+1, which P_{d+1} has first; P_{d+1} lacks share d, which P_{d+2} has second.
    party.round();
    let (after, before) = (turns.after.clone(), turns.before.clone());
    party.send(Side::Next, &first[after.clone()])?;
    party.send(Side::Previous, &second[before.clone()])?;
    let all = |shares: &mut [W], others: &[W]| {
        for (share, other) in shares.iter_mut().zip(others) {
            *share = share.xor(*other);
        }
    };
    all(&mut second[after.clone()], &first[after.clone()]);
    all(&mut first[before.clone()], &second[before.clone()]);
    party.receive_with(Side::Next, &mut second[after], W::xor)?;
    party.receive_with(Side::Previous, &mut first[before], W::xor)?;
    fill_made(party, operation, &turns, &mut first, &mut second);
    Ok(Pair { first, second })
}
