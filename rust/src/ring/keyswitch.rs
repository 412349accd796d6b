//! Key switching in three steps that can be used apart: decompose, inner product, division by P.
//!
//! `keys.rs` has the method and its sources. Decomposing is the dear step and depends on the
//! polynomial alone, so one decomposition serves many rotations (hoisting: S. Halevi, V. Shoup,
//! "Faster Homomorphic Linear Transformations in HElib", CRYPTO 2018, ePrint 2018/244, section 5);
//! sums may be formed modulo Q P and divided once (double hoisting: ePrint 2020/1203, section 4.3).

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
    room.resize(level * n, 0);
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
            room.resize(room.len().max(2 * (level + 1) * n), 0);
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
    room.resize(n, 0);
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
mod tests {
    use super::*;
    use crate::ring::parallel;
    use crate::ring::params::tests::small;
    use crate::ring::params::{Params, Scheme};
    use crate::ring::sample::{Expander, Seed};

    fn random(params: &Params, components: &[usize]) -> Vec<u64> {
        let n = params.n();
        let mut poly = vec![0; components.len() * n];
        let seed = Seed::new([7; 32]);
        for (&at, place) in components.iter().zip(poly.chunks_exact_mut(n)) {
            Expander::new(&seed, b"test", at as u64).uniform(params.modulus(at), place);
        }
        poly
    }

    fn coefficients(params: &Params, at: usize, poly: &[u64]) -> Vec<i64> {
        let mut poly = poly.to_vec();
        params.table(at).inverse(&mut poly);
        poly.into_iter()
            .map(|x| params.modulus(at).centred(x))
            .collect()
    }

    #[test]
    fn a_digit_is_the_same_small_integer_for_every_component() {
        let params = small(Scheme::Ckks);
        let n = params.n();
        for level in 1..=3 {
            let poly = random(&params, &[0, 1, 2][..level]);
            let digits = decompose(&params, &poly, level);
            for digit in 0..level {
                let own = coefficients(&params, digit, &poly[digit * n..][..n]);
                for place in 0..=level {
                    let at = component(&params, level, place);
                    let words = &digits.residues[(digit * (level + 1) + place) * n..][..n];
                    let expected = own.iter().map(|&x| params.modulus(at).reduce_signed(x));
                    let mut words = words.to_vec();
                    params.table(at).inverse(&mut words);
                    assert!(expected.eq(words));
                }
            }
            let pool = parallel::pool(2).unwrap();
            let mut again = Digits {
                level,
                residues: Vec::new(),
            };
            decompose_into(&params, Some(&*pool), &poly, &mut Vec::new(), &mut again);
            assert_eq!(again.residues, digits.residues);
        }
    }

    #[test]
    fn dividing_rounds_and_keeps_what_the_factor_sees() {
        for (scheme, factor) in [(Scheme::Ckks, 1i128), (Scheme::Bgv(40_961), 40_961)] {
            let params = small(scheme);
            let n = params.n();
            // One component and the special prime: small enough for 128-bit integers.
            let poly = random(&params, &[0, 3]);
            let (q, p) = (i128::from(params.primes[0]), i128::from(params.special));
            let mut out = vec![0; n];
            mod_down(&params, &poly, 1, &mut Vec::new(), &mut out);
            let low = coefficients(&params, 0, &poly[..n]);
            let high = coefficients(&params, 3, &poly[n..]);
            let divided = coefficients(&params, 0, &out);
            let inverse = i128::from(
                params
                    .modulus(3)
                    .inverse(params.modulus(3).reduce(q as u64)),
            );
            for i in 0..n {
                // x = low + q k with k = (high - low) / q modulo p.
                let k = ((i128::from(high[i]) - i128::from(low[i])) * inverse).rem_euclid(p);
                let x = i128::from(low[i]) + q * if k > p / 2 { k - p } else { k };
                let rest = x - p * i128::from(divided[i]);
                // The quotient wraps where x / p is near q / 2.
                let rest = (rest + p * q / 2).rem_euclid(p * q) - p * q / 2;
                assert_eq!(rest % factor, 0);
                assert!(rest.abs() <= factor * (p / 2 + 1), "{i}");
            }
        }
    }
}
