//! Key switching in three steps that can be used apart: decompose, inner product, division by P.
//!
//! `keys.rs` has the method and its sources. Decomposing is the dear step and depends on the
//! polynomial alone, so one decomposition serves many rotations (hoisting: S. Halevi, V. Shoup,
//! "Faster Homomorphic Linear Transformations in HElib", CRYPTO 2018, ePrint 2018/244, section 4);
//! sums may be formed modulo Q P and divided once (double hoisting: ePrint 2020/1203, section 4).

use rayon::ThreadPool;

use crate::ring::automorphism::Galois;
use crate::ring::keys::SwitchKey;
use crate::ring::parallel::rows;
use crate::ring::params::Params;
use crate::ring::vector;

/// The digits of one polynomial: `[digit: level][component: level + 1, the special last][N]`.
///
/// Digit j is the residue modulo prime j, centred, lifted to every component, in NTT form.
pub struct Digits {
    pub level: usize,
    pub residues: Vec<u64>,
}

/// A pair modulo Q P: each `[component: level + 1, the special last][N]`, NTT form.
pub struct Accumulators {
    pub level: usize,
    pub parts: [Vec<u64>; 2],
}

/// The component that stands at `place` of `level + 1`.
pub fn component(params: &Params, level: usize, place: usize) -> usize {
    if place < level {
        place
    } else {
        params.special_at()
    }
}

/// The room's first words: it grows where it is too short and is never cleared.
fn first_words(room: &mut Vec<u64>, words: usize) -> &mut [u64] {
    if room.len() < words {
        room.resize(words, 0);
    }
    &mut room[..words]
}

/// Digits of a polynomial `[level][N]` in NTT form.
pub fn decompose(params: &Params, poly: &[u64], level: usize) -> Digits {
    let mut digits = Digits {
        level,
        residues: Vec::new(),
    };
    decompose_into(params, None, poly, &mut Vec::new(), &mut digits);
    digits
}

/// As `decompose`, in memory that was used before, on the pool's threads if there is one.
pub fn decompose_into(
    params: &Params,
    pool: Option<&ThreadPool>,
    poly: &[u64],
    room: &mut Vec<u64>,
    digits: &mut Digits,
) {
    let (n, level) = (params.n(), digits.level);
    let room = first_words(room, level * n);
    digits.residues.resize(level * (level + 1) * n, 0);
    rows(pool, room, n, |digit, coefficients| {
        coefficients.copy_from_slice(&poly[digit * n..][..n]);
        params.table(digit).inverse(coefficients);
    });
    rows(pool, &mut digits.residues, n, |row, out| {
        let (digit, place) = (row / (level + 1), row % (level + 1));
        if place == digit {
            out.copy_from_slice(&poly[digit * n..][..n]);
            return;
        }
        let at = component(params, level, place);
        let (from, to) = (params.modulus(digit), params.modulus(at));
        vector::lift_centred_to(to, out, &room[digit * n..][..n], from);
        params.table(at).forward(out);
    });
}

/// The digits times a key, modulo Q P; with an automorphism applied last where the key is for one.
pub fn inner(
    params: &Params,
    digits: &Digits,
    key: &SwitchKey,
    galois: Option<&Galois>,
) -> Accumulators {
    let mut sums = Accumulators {
        level: digits.level,
        parts: [Vec::new(), Vec::new()],
    };
    inner_into(
        params,
        None,
        digits,
        key,
        galois,
        &mut Vec::new(),
        &mut sums,
    );
    sums
}

/// As `inner`, in memory that was used before, on the pool's threads if there is one.
pub fn inner_into(
    params: &Params,
    pool: Option<&ThreadPool>,
    digits: &Digits,
    key: &SwitchKey,
    galois: Option<&Galois>,
    room: &mut Vec<u64>,
    sums: &mut Accumulators,
) {
    let (n, level) = (params.n(), digits.level);
    sums.level = level;
    for part in &mut sums.parts {
        part.resize((level + 1) * n, 0);
    }
    let before: Vec<&mut [u64]> = match galois {
        None => (0..=level).map(|_| [].as_mut_slice()).collect(),
        Some(_) => {
            let room = first_words(room, 2 * (level + 1) * n);
            room.chunks_exact_mut(2 * n).collect()
        }
    };
    let [first, second] = &mut sums.parts;
    let mut places: Vec<_> = first
        .chunks_exact_mut(n)
        .zip(second.chunks_exact_mut(n))
        .zip(before)
        .collect();
    rows(pool, &mut places, 1, |place, one| {
        let ((first, second), before) = &mut one[0];
        let at = component(params, level, place);
        let triples: Vec<[&[u64]; 3]> = (0..level)
            .map(|digit| {
                let x = &digits.residues[(digit * (level + 1) + place) * n..][..n];
                let (b, a) = key.at(digit, at);
                [x, b, a]
            })
            .collect();
        let modulus = params.modulus(at);
        match galois {
            None => vector::dot_two(modulus, first, second, &triples),
            Some(galois) => {
                let (b, a) = before.split_at_mut(n);
                vector::dot_two(modulus, b, a, &triples);
                galois.permute(b, first);
                galois.permute(a, second);
            }
        }
    });
}

/// `decompose` and `inner` in one, for a polynomial that meets one key: component by component, so that only
/// one component's digits stand in memory, which then is the core's cache.
pub fn switch_into(
    params: &Params,
    pool: Option<&ThreadPool>,
    poly: &[u64],
    key: &SwitchKey,
    galois: Option<&Galois>,
    room: &mut Vec<u64>,
    sums: &mut Accumulators,
) {
    let (n, level) = (params.n(), sums.level);
    for part in &mut sums.parts {
        part.resize((level + 1) * n, 0);
    }
    let workers = pool.map_or(1, ThreadPool::current_num_threads);
    let (coefficients, rooms) =
        first_words(room, (level + workers * (level + 2)) * n).split_at_mut(level * n);
    rows(pool, coefficients, n, |digit, coefficients| {
        coefficients.copy_from_slice(&poly[digit * n..][..n]);
        params.table(digit).inverse(coefficients);
    });
    let coefficients = &*coefficients;
    let [first, second] = &mut sums.parts;
    let places = first.chunks_exact_mut(n).zip(second.chunks_exact_mut(n));
    let mut places: Vec<_> = places.enumerate().collect();
    let mut shares: Vec<_> = places
        .chunks_mut((level + 1).div_ceil(workers))
        .zip(rooms.chunks_exact_mut((level + 2) * n))
        .collect();
    rows(pool, &mut shares, 1, |_, share| {
        let (places, room) = &mut share[0];
        let (digits, before) = room.split_at_mut(level * n);
        for (place, (first, second)) in places.iter_mut() {
            let at = component(params, level, *place);
            let modulus = params.modulus(at);
            for (digit, out) in digits
                .chunks_exact_mut(n)
                .enumerate()
                .filter(|(d, _)| d != place)
            {
                let from = params.modulus(digit);
                vector::lift_centred_to(modulus, out, &coefficients[digit * n..][..n], from);
                params.table(at).forward(out);
            }
            let digit = |digit: usize| match digit == *place {
                true => &poly[digit * n..][..n],
                false => &digits[digit * n..][..n],
            };
            let triple = |at_digit: usize| {
                let (b, a) = key.at(at_digit, at);
                [digit(at_digit), b, a]
            };
            let triples: Vec<[&[u64]; 3]> = (0..level).map(triple).collect();
            match galois {
                None => vector::dot_two(modulus, first, second, &triples),
                Some(galois) => {
                    let (b, a) = before.split_at_mut(n);
                    vector::dot_two(modulus, b, a, &triples);
                    galois.permute(b, first);
                    galois.permute(a, second);
                }
            }
        }
    });
}

/// Divides by P and rounds: `[level + 1][N]` modulo Q P to `[level][N]` modulo Q, NTT form.
///
/// With an error factor f the multiple of P taken away is a multiple of f too, so that what the
/// polynomial is modulo f is divided by P exactly.
pub fn mod_down(params: &Params, sums: &[u64], level: usize, room: &mut Vec<u64>, out: &mut [u64]) {
    let n = params.n();
    let (rest, last) = sums.split_at(level * n);
    divide(params, None, params.special_at(), last, rest, room, out);
}

/// `(poly - d) / p` for component `dropped` with prime p, where d is congruent to the polynomial
/// modulo p, small, and a multiple of the error factor. `last` is the residue modulo p.
pub fn divide(
    params: &Params,
    pool: Option<&ThreadPool>,
    dropped: usize,
    last: &[u64],
    poly: &[u64],
    room: &mut Vec<u64>,
    out: &mut [u64],
) {
    let n = params.n();
    let from = params.modulus(dropped);
    let factor = params.error_factor();
    let room = first_words(room, n);
    room.copy_from_slice(&last[..n]);
    params.table(dropped).inverse(room);
    if factor != 1 {
        vector::mul_scalar_assign(from, room, from.inverse(from.reduce(factor)));
    }
    let room = &room[..];
    rows(pool, out, n, |at, out| {
        let modulus = params.modulus(at);
        vector::lift_centred_to(modulus, out, room, from);
        if factor != 1 {
            vector::mul_scalar_assign(modulus, out, modulus.reduce(factor));
        }
        params.table(at).forward(out);
        // (x - y) / p as -(y - x) / p: the lifted residues are where the result goes.
        let inverse = modulus.neg(params.inverse(dropped, at).word);
        vector::sub_mul_scalar_assign(modulus, out, &poly[at * n..][..n], inverse);
    });
}

#[cfg(test)]
mod tests;
