//! Products: one element sent to one neighbour.
//!
//! Araki et al., CCS 2016, sec. 2.2 (binary) and its ring version: the nine cross terms of
//! (x_0+x_1+x_2)(y_0+y_1+y_2) fall to the parties that hold both factors,
//!   z_i = x_i y_i + x_i y_{i+1} + x_{i+1} y_i + F(k_i) - F(k_{i+1}),
//! P_i sends z_i to P_{i-1}, which then holds (z_{i-1}, z_i). Sums of products cost as much as one product: the
//! summands are added before they are masked. "And" is the product of the bitwise algebra.
//!
//! **Who learns what.** P_i receives z_{i+1}, masked by F(k_{i+1}) - F(k_{i+2}); k_{i+2} is not known to P_i, so
//! this is a uniformly random word to it. Simulator of P_i: draw the received vector uniformly. In the real view
//! P_i's new shares are then (z_i, z_{i+1}) with z_{i+1} uniform and z_i determined by P_i's own state, and the
//! product minus both is the other parties' z_{i+2}: the joint distribution with outputs is the same but for the
//! difference of F from random words (ibid., theorem 2.3 and its computational variant).

use crate::shares::algebra::Algebra;
use crate::shares::channel::Broken;
use crate::shares::party::{Party, Side, Which};
use crate::shares::prg::Stream;
use crate::shares::vector::Pair;
use crate::shares::word::Word;

/// Bytes that are masked and summed at a time: they stay in the nearest cache.
const RUN: usize = 4096;

/// One party's summand of a product: x_i y_i + x_i y_{i+1} + x_{i+1} y_i.
#[inline(always)]
pub fn term<A: Algebra, W: Word>(x: (W, W), y: (W, W)) -> W {
    A::add(A::mul(x.0, A::add(y.0, y.1)), A::mul(x.1, y.0))
}

/// Fills `out` with this party's part of a sharing of zero, from row `start` of the streams on.
pub fn zeroes<A: Algebra, W: Word>(
    own: &Stream,
    next: &Stream,
    start: usize,
    out: &mut [W],
    scratch: &mut [W],
) {
    own.fill(start, out);
    let scratch = &mut scratch[..out.len()];
    next.fill(start, scratch);
    for (out, other) in out.iter_mut().zip(scratch) {
        *out = A::sub(*out, *other);
    }
}

/// Shares of vectors whose summands `add` adds to what it is given: place of the vector, first row, masks. One
/// round for all of them. At most 256 vectors.
pub fn combine<A: Algebra, W: Word>(
    party: &mut Party,
    rows: &[usize],
    add: impl Fn(usize, usize, &mut [W]) + Send + Sync,
) -> Result<Vec<Pair<W>>, Broken> {
    let operation = party.begin()?;
    let streams: Vec<(Stream, Stream)> = (0..rows.len())
        .map(|place| {
            let purpose = u8::try_from(place).expect("at most 256 vectors in one operation");
            (
                party.stream(Which::Own, operation, purpose),
                party.stream(Which::Next, operation, purpose),
            )
        })
        .collect();
    let workers = party.workers();
    let run = RUN / W::BYTES;
    let (first, second) = party.relay(Side::Previous, rows, |place, range, piece| {
        let (own, next) = &streams[place];
        workers.write(piece, |offset, part| {
            let mut scratch = vec![W::ZERO; run.min(part.len())];
            let mut start = range.start + offset;
            for out in part.chunks_mut(run) {
                zeroes::<A, W>(own, next, start, out, &mut scratch);
                add(place, start, out);
                start += out.len();
            }
        });
    })?;
    Ok(first
        .into_iter()
        .zip(second)
        .map(|(first, second)| Pair { first, second })
        .collect())
}

/// Sums of products: one vector for every list of factors; all factors of a list have its length.
pub fn dots<A: Algebra, W: Word>(
    party: &mut Party,
    sums: &[&[(&Pair<W>, &Pair<W>)]],
) -> Result<Vec<Pair<W>>, Broken> {
    let rows: Vec<usize> = sums
        .iter()
        .map(|terms| terms.first().map_or(0, |(x, _)| x.len()))
        .collect();
    for (terms, rows) in sums.iter().zip(&rows) {
        assert!(
            terms
                .iter()
                .all(|(x, y)| x.len() == *rows && y.len() == *rows),
            "factors have one length"
        );
    }
    combine::<A, W>(party, &rows, |place, start, out| {
        let stop = start + out.len();
        for (x, y) in sums[place] {
            let x = x.first[start..stop].iter().zip(&x.second[start..stop]);
            let y = y.first[start..stop].iter().zip(&y.second[start..stop]);
            for ((out, (x0, x1)), (y0, y1)) in out.iter_mut().zip(x).zip(y) {
                *out = A::add(*out, term::<A, W>((*x0, *x1), (*y0, *y1)));
            }
        }
    })
}

/// The product of two vectors: in a ring, or "and".
pub fn product<A: Algebra, W: Word>(
    party: &mut Party,
    x: &Pair<W>,
    y: &Pair<W>,
) -> Result<Pair<W>, Broken> {
    Ok(only(dots::<A, W>(party, &[&[(x, y)]])?))
}

/// The sum of products of vectors.
pub fn dot<A: Algebra, W: Word>(
    party: &mut Party,
    terms: &[(&Pair<W>, &Pair<W>)],
) -> Result<Pair<W>, Broken> {
    Ok(only(dots::<A, W>(party, &[terms])?))
}

/// The one vector of a list of one.
pub fn only<W: Word>(vectors: Vec<Pair<W>>) -> Pair<W> {
    vectors.into_iter().next().unwrap_or_default()
}
