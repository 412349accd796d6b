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
fn switching_at_once_is_decomposing_and_then_multiplying() {
    let params = small(Scheme::Ckks);
    let secret = crate::ring::keys::SecretKey::generate(&params).unwrap();
    let key = secret.rotation_key(3, 1).unwrap();
    let galois = Galois::for_step(params.n(), 3).unwrap();
    let pool = parallel::pool(2).unwrap();
    for level in 1..=3 {
        let poly = random(&params, &[0, 1, 2][..level]);
        let digits = decompose(&params, &poly, level);
        for galois in [None, Some(&galois)] {
            let expected = inner(&params, &digits, &key, galois);
            for pool in [None, Some(&*pool)] {
                let mut sums = Accumulators {
                    level,
                    parts: [Vec::new(), Vec::new()],
                };
                // What an earlier use left in the room does not matter.
                let room = &mut vec![u64::MAX; 5_000];
                switch_into(&params, pool, &poly, &key, galois, room, &mut sums);
                assert_eq!(sums.parts, expected.parts);
            }
        }
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
