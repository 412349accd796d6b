//! Linear operations: every party on its own shares, nothing is sent.
//!
//! Shares of a sum are sums of shares, in both algebras; a public value is added to share 0 alone. Nothing is
//! received, so there is nothing to simulate; results are shares with the same randomness as their arguments.

use crate::shares::algebra::Algebra;
use crate::shares::vector::Pair;
use crate::shares::word::Word;
use crate::shares::workers::{Workers, fresh};

/// What is added to both shares of party `index` for a public value: the value where the share is share 0.
pub fn placed<W: Word>(index: usize, value: W) -> (W, W) {
    match index {
        0 => (value, W::ZERO),
        2 => (W::ZERO, value),
        _ => (W::ZERO, W::ZERO),
    }
}

/// A public vector.
pub fn public<W: Word>(index: usize, values: Vec<W>) -> Pair<W> {
    let zeroes = fresh(values.len());
    match index {
        0 => Pair {
            first: values,
            second: zeroes,
        },
        2 => Pair {
            first: zeroes,
            second: values,
        },
        _ => Pair {
            second: fresh(values.len()),
            first: zeroes,
        },
    }
}

/// `map` of every share.
pub fn map<V: Word, W: Word>(
    workers: &Workers,
    a: &Pair<V>,
    map: impl Fn(V) -> W + Send + Sync,
) -> Pair<W> {
    let one = |shares: &[V]| {
        workers.make(shares.len(), |start, part| {
            for (out, value) in part.iter_mut().zip(&shares[start..]) {
                *out = map(*value);
            }
        })
    };
    Pair {
        first: one(&a.first),
        second: one(&a.second),
    }
}

/// `map` of every pair of shares; vectors of equal length.
pub fn zip<V: Word, W: Word>(
    workers: &Workers,
    a: &Pair<V>,
    b: &Pair<V>,
    map: impl Fn(V, V) -> W + Send + Sync,
) -> Pair<W> {
    let one = |a: &[V], b: &[V]| {
        workers.make(a.len(), |start, part| {
            for ((out, a), b) in part.iter_mut().zip(&a[start..]).zip(&b[start..]) {
                *out = map(*a, *b);
            }
        })
    };
    Pair {
        first: one(&a.first, &b.first),
        second: one(&a.second, &b.second),
    }
}

/// a + b.
pub fn add<A: Algebra, W: Word>(workers: &Workers, a: &Pair<W>, b: &Pair<W>) -> Pair<W> {
    zip(workers, a, b, A::add)
}

/// a - b.
pub fn sub<A: Algebra, W: Word>(workers: &Workers, a: &Pair<W>, b: &Pair<W>) -> Pair<W> {
    zip(workers, a, b, A::sub)
}

/// A public operand: one value for all rows, or one a row.
#[derive(Debug, Clone)]
pub enum Known<W> {
    /// For all rows.
    One(W),
    /// One a row.
    Each(Vec<W>),
}

fn with<W: Word>(
    workers: &Workers,
    shares: &[W],
    known: &Known<W>,
    map: impl Fn(W, W) -> W + Send + Sync,
) -> Vec<W> {
    workers.make(shares.len(), |start, part| match known {
        Known::One(value) => {
            for (out, share) in part.iter_mut().zip(&shares[start..]) {
                *out = map(*share, *value);
            }
        }
        Known::Each(values) => {
            for ((out, share), value) in part.iter_mut().zip(&shares[start..]).zip(&values[start..])
            {
                *out = map(*share, *value);
            }
        }
    })
}

/// a + public.
pub fn add_public<A: Algebra, W: Word>(
    workers: &Workers,
    index: usize,
    a: &Pair<W>,
    known: &Known<W>,
) -> Pair<W> {
    let one = |shares: &Vec<W>, mine: bool| {
        if mine {
            with(workers, shares, known, A::add)
        } else {
            shares.clone()
        }
    };
    Pair {
        first: one(&a.first, index == 0),
        second: one(&a.second, index == 2),
    }
}

/// a times public.
pub fn mul_public<A: Algebra, W: Word>(
    workers: &Workers,
    a: &Pair<W>,
    known: &Known<W>,
) -> Pair<W> {
    Pair {
        first: with(workers, &a.first, known, A::mul),
        second: with(workers, &a.second, known, A::mul),
    }
}

/// The sum of all rows, as one row.
pub fn sum<A: Algebra, W: Word>(workers: &Workers, a: &Pair<W>) -> Pair<W> {
    let one = |shares: &[W]| {
        vec![
            shares
                .iter()
                .fold(W::ZERO, |sum, value| A::add(sum, *value)),
        ]
    };
    let (first, second) = workers.both(
        size_of_val(a.first.as_slice()),
        || one(&a.first),
        || one(&a.second),
    );
    Pair { first, second }
}

/// Sums of the rows up to each, inclusive.
pub fn prefix_sum<A: Algebra, W: Word>(workers: &Workers, a: &Pair<W>) -> Pair<W> {
    let one = |shares: &[W]| {
        let mut out = fresh(shares.len());
        let mut sum = W::ZERO;
        for (out, value) in out.iter_mut().zip(shares) {
            sum = A::add(sum, *value);
            *out = sum;
        }
        out
    };
    let (first, second) = workers.both(
        size_of_val(a.first.as_slice()),
        || one(&a.first),
        || one(&a.second),
    );
    Pair { first, second }
}

/// Differences to the row before; the first row stays.
pub fn diff<A: Algebra, W: Word>(workers: &Workers, a: &Pair<W>) -> Pair<W> {
    let one = |shares: &[W]| {
        workers.make(shares.len(), |start, part| {
            let mut before = start.checked_sub(1).map_or(W::ZERO, |row| shares[row]);
            for (out, value) in part.iter_mut().zip(&shares[start..]) {
                *out = A::sub(*value, before);
                before = *value;
            }
        })
    };
    Pair {
        first: one(&a.first),
        second: one(&a.second),
    }
}

/// The rows at public places, which must exist.
pub fn take<W: Word>(workers: &Workers, a: &Pair<W>, places: &[usize]) -> Pair<W> {
    let one = |shares: &[W]| {
        workers.make(places.len(), |start, part| {
            for (out, place) in part.iter_mut().zip(&places[start..]) {
                *out = shares[*place];
            }
        })
    };
    Pair {
        first: one(&a.first),
        second: one(&a.second),
    }
}

/// All rows of all vectors, one vector after the other.
pub fn concat<W: Word>(vectors: &[&Pair<W>]) -> Pair<W> {
    let rows = vectors.iter().map(|pair| pair.len()).sum();
    let mut out = Pair {
        first: Vec::with_capacity(rows),
        second: Vec::with_capacity(rows),
    };
    for pair in vectors {
        out.first.extend_from_slice(&pair.first);
        out.second.extend_from_slice(&pair.second);
    }
    out
}

/// Rows from `start` on, before `stop`.
pub fn slice<W: Word>(a: &Pair<W>, start: usize, stop: usize) -> Pair<W> {
    Pair {
        first: a.first[start..stop].to_vec(),
        second: a.second[start..stop].to_vec(),
    }
}

/// The vector `times` times, one after the other.
pub fn tile<W: Word>(a: &Pair<W>, times: usize) -> Pair<W> {
    Pair {
        first: a.first.repeat(times),
        second: a.second.repeat(times),
    }
}
