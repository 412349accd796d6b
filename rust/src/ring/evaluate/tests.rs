use super::*;
use crate::ring::ckks::encode::{Room, decode, encode};
use crate::ring::keys::SecretKey;
use crate::ring::params::Scheme;
use crate::ring::params::tests::small;
use crate::ring::{decrypt, encrypt};

const SCALE: f64 = (1u64 << 22) as f64;
const COUNT: usize = 3;

struct World {
    params: Arc<Params>,
    secret: SecretKey,
    values: Vec<Vec<f64>>,
    batch: Vec<u64>,
    shape: Shape,
}

/// Ciphertexts of `COUNT` vectors, under the secret or the public key.
fn world(public: bool, level: usize) -> World {
    let params = small(Scheme::Ckks);
    let secret = SecretKey::generate(&params).unwrap();
    let slots = params.slots();
    let values: Vec<Vec<f64>> = (0..COUNT)
        .map(|row| {
            (0..slots)
                .map(|i| ((i * (row + 2)) as f64 * 0.11).sin())
                .collect()
        })
        .collect();
    let mut plain = Vec::new();
    for row in &values {
        plain.extend(encoded(&params, row, level));
    }
    let shape = Shape {
        count: COUNT,
        parts: 2,
        level,
        n: params.n(),
    };
    let batch = if public {
        encrypt::public(&secret.public_key().unwrap(), &plain, level, 2).unwrap()
    } else {
        let (first, seed) = encrypt::symmetric(&secret, &plain, level, 2).unwrap();
        let mut batch = vec![0; COUNT * shape.row()];
        for (row, out) in batch.chunks_exact_mut(shape.row()).enumerate() {
            let (left, right) = out.split_at_mut(shape.poly());
            left.copy_from_slice(&first[row * shape.poly()..][..shape.poly()]);
            encrypt::expand(&params, &seed, row, level, right);
        }
        batch
    };
    World {
        params,
        secret,
        values,
        batch,
        shape,
    }
}

fn encoded(params: &Params, values: &[f64], level: usize) -> Vec<u64> {
    let mut plain = vec![0; level * params.n()];
    encode(
        params,
        values,
        SCALE,
        level,
        &mut Room::new(params),
        &mut plain,
    )
    .unwrap();
    plain
}

impl World {
    /// The largest difference between what the ciphertexts hold and what they should.
    fn error(
        &self,
        batch: &[u64],
        shape: Shape,
        scale: f64,
        expected: impl Fn(usize, usize) -> f64,
    ) -> f64 {
        assert_eq!(batch.len(), shape.count * shape.row());
        for (at, word) in batch.iter().enumerate() {
            assert!(*word < self.params.primes[at / shape.n % shape.level]);
        }
        let plain = decrypt::decrypt(&self.secret, batch, shape.parts, shape.level, 2).unwrap();
        let mut worst = 0.0f64;
        for (row, poly) in plain.chunks_exact(shape.poly()).enumerate() {
            let mut out = vec![0.0; self.params.slots()];
            let room = &mut Room::new(&self.params);
            decode(&self.params, poly, scale, shape.level, room, &mut out);
            for (slot, value) in out.iter().enumerate() {
                worst = worst.max((value - expected(row, slot)).abs());
            }
        }
        worst
    }
}

#[test]
fn fresh_ciphertexts_hold_their_values() {
    // Under the public key a slot's error is a sum of two products of nearly Gaussian embeddings,
    // so its tail is a Laplace distribution's: 1.3e-3 a unit here, and 46 units come once in 10^15.
    for (public, most) in [(false, 2e-3), (true, 6e-2)] {
        for level in 1..=3 {
            let w = world(public, level);
            let error = w.error(&w.batch, w.shape, SCALE, |row, slot| w.values[row][slot]);
            assert!(error < most, "{public} {level} {error}");
            assert!(error > 1e-5, "without noise");
        }
    }
}

#[test]
fn reals_encrypted_in_one_pass_are_those_encoded_first() {
    let w = world(false, 3);
    let values: Vec<f64> = w.values.concat();
    // A scale of the short way, and one of the wide.
    for scale in [SCALE, 2f64.powi(58)] {
        let made = encrypt::symmetric_reals(&w.secret, &values, scale, 3, 2).unwrap();
        let (first, seed) = made;
        let mut batch = vec![0; COUNT * w.shape.row()];
        for (row, out) in batch.chunks_exact_mut(w.shape.row()).enumerate() {
            let (left, right) = out.split_at_mut(w.shape.poly());
            left.copy_from_slice(&first[row * w.shape.poly()..][..w.shape.poly()]);
            encrypt::expand(&w.params, &seed, row, 3, right);
        }
        let most = 2e-3 * SCALE / scale + 1e-14;
        let error = w.error(&batch, w.shape, scale, |row, slot| w.values[row][slot]);
        assert!(error < most, "{scale} {error}");
        // The noise of N coefficients of deviation 3.24 and rounding: not less than half of that.
        assert!(scale > SCALE || error > 1.6 * 64.0 / scale, "without noise");
    }
    let refused = encrypt::symmetric_reals(&w.secret, &[f64::NAN; 2_048], SCALE, 3, 1);
    assert_eq!(refused.unwrap_err(), Fault::at("not-finite", 0));
}

#[test]
fn sums_differences_and_plaintexts() {
    let w = world(false, 2);
    let (x, shape) = (&w.batch, w.shape);
    let close = |batch: &[u64], scale: f64, expected: &dyn Fn(usize, usize) -> f64| {
        let error = w.error(batch, shape, scale, expected);
        assert!(error < 4e-3, "{error}");
    };
    let v = &w.values;
    let negated = negate(&w.params, x, shape, 2).unwrap();
    close(&negated, SCALE, &|row, slot| -v[row][slot]);
    let zero = add(&w.params, Pairwise::Add, (x, shape), (&negated, shape), 2).unwrap();
    assert!(zero.iter().all(|&word| word == 0));
    let twice = add(
        &w.params,
        Pairwise::Subtract,
        (x, shape),
        (&negated, shape),
        2,
    )
    .unwrap();
    close(&twice, SCALE, &|row, slot| 2.0 * v[row][slot]);
    let plain = encoded(&w.params, &v[1], 2);
    let one = with_plain(&w.params, WithPlain::Add, (x, shape), &plain, 2).unwrap();
    close(&one, SCALE, &|row, slot| v[row][slot] + v[1][slot]);
    let none = with_plain(&w.params, WithPlain::Subtract, (x, shape), &plain, 2).unwrap();
    close(&none, SCALE, &|row, slot| v[row][slot] - v[1][slot]);
    let product = with_plain(&w.params, WithPlain::Multiply, (x, shape), &plain, 2).unwrap();
    close(&product, SCALE * SCALE, &|row, slot| {
        v[row][slot] * v[1][slot]
    });
    let each: Vec<u64> = v
        .iter()
        .flat_map(|row| encoded(&w.params, row, 2))
        .collect();
    let product = with_plain(&w.params, WithPlain::Multiply, (x, shape), &each, 2).unwrap();
    close(&product, SCALE * SCALE, &|row, slot| {
        v[row][slot] * v[row][slot]
    });
}

#[test]
fn products_relinearised_rescaled_and_dropped() {
    let w = world(false, 3);
    let (x, shape, v) = (&w.batch, w.shape, &w.values);
    let key = w.secret.relinearisation_key(2).unwrap();
    let three = Shape { parts: 3, ..shape };
    let squares = square(&w.params, x, shape, 2).unwrap();
    assert_eq!(squares, multiply(&w.params, x, x, shape, 2).unwrap());
    let expected = |row: usize, slot: usize| v[row][slot] * v[row][slot];
    let scale = SCALE * SCALE;
    assert!(w.error(&squares, three, scale, expected) < 4e-3);
    let two = relinearise(&w.params, &squares, three, &key, 2).unwrap();
    assert!(w.error(&two, shape, scale, expected) < 4e-3);
    let mixed = add(
        &w.params,
        Pairwise::Add,
        (&two, shape),
        (&squares, three),
        2,
    )
    .unwrap();
    assert!(w.error(&mixed, three, scale, |r, s| 2.0 * expected(r, s)) < 8e-3);
    let lower = Shape { level: 2, ..shape };
    let scaled = rescale(&w.params, &two, shape, 2).unwrap();
    let scale = scale / w.params.primes[2] as f64;
    assert!(w.error(&scaled, lower, scale, expected) < 1e-1);
    let least = Shape { level: 1, ..shape };
    let dropped = drop_to(&scaled, lower, 1, 2).unwrap();
    assert!(w.error(&dropped, least, scale, expected) < 1e-1);
    // Keys of all levels serve lower ones.
    let again = multiply(&w.params, &scaled, &scaled, lower, 2).unwrap();
    let again = relinearise(&w.params, &again, Shape { parts: 3, ..lower }, &key, 2).unwrap();
    assert!(w.error(&again, lower, scale * scale, |r, s| expected(r, s).powi(2)) < 2e-1);
}

#[test]
fn rotations_turn_left_and_hoisting_changes_nothing() {
    let w = world(true, 2);
    let (x, shape, v, slots) = (&w.batch, w.shape, &w.values, w.params.slots());
    let steps = [1i64, 5, -2, 100];
    let keys: Vec<SwitchKey> = steps
        .iter()
        .map(|&step| w.secret.rotation_key(step, 2).unwrap())
        .collect();
    let galois: Vec<Galois> = steps
        .iter()
        .map(|&step| Galois::for_step(2 * slots, step).unwrap())
        .collect();
    let pairs: Vec<_> = galois.iter().zip(&keys).collect();
    let rotated = rotate(&w.params, x, shape, &pairs, 2).unwrap();
    for ((step, batch), pair) in steps.iter().zip(&rotated).zip(&pairs) {
        let alone = rotate(&w.params, x, shape, &[*pair], 1).unwrap();
        assert_eq!(&alone[0], batch);
        let from = |slot: usize| (slot as i64 + step).rem_euclid(slots as i64) as usize;
        let error = w.error(batch, shape, SCALE, |row, slot| v[row][from(slot)]);
        assert!(error < 1e-1, "{step} {error}");
    }
}

#[test]
fn with_bgv_every_noise_is_a_multiple_of_the_plaintext_modulus() {
    let t = 40_961;
    let params = small(Scheme::Bgv(t));
    let secret = SecretKey::generate(&params).unwrap();
    let (n, level) = (params.n(), 3);
    let modulus = crate::ring::modulus::Modulus::new(t).unwrap();
    // The polynomial 1 + 2 X, as residues.
    let mut plain = vec![0; level * n];
    for (at, out) in plain.chunks_exact_mut(n).enumerate() {
        (out[0], out[1]) = (1, 2);
        params.table(at).forward(out);
    }
    let coefficients = |batch: &[u64], parts: usize, level: usize| -> Vec<u64> {
        let poly = decrypt::decrypt(&secret, batch, parts, level, 1).unwrap();
        let mut poly = poly;
        for (at, words) in poly.chunks_exact_mut(n).enumerate() {
            params.table(at).inverse(words);
        }
        let crt = crate::ring::ckks::crt::Crt::new(&params, level);
        (0..n)
            .map(|i| {
                let mut digits = [0; crate::ring::params::MOST_PRIMES];
                crt.digits(|component| poly[component * n + i], &mut digits);
                let negative = crt.centre(&mut digits);
                let mut value = 0;
                for at in (0..level).rev() {
                    let prime = modulus.reduce(params.primes[at]);
                    value = modulus.mul_add(value, prime, modulus.reduce(digits[at]));
                }
                if negative { modulus.neg(value) } else { value }
            })
            .collect()
    };
    let shape = Shape {
        count: 1,
        parts: 2,
        level,
        n,
    };
    let x = encrypt::public(&secret.public_key().unwrap(), &plain, level, 1).unwrap();
    let starts = |found: Vec<u64>, expected: &[u64]| {
        assert_eq!(found[..expected.len()], *expected);
        assert!(found[expected.len()..].iter().all(|&word| word == 0));
    };
    starts(coefficients(&x, 2, level), &[1, 2]);
    let squares = square(&params, &x, shape, 1).unwrap();
    starts(coefficients(&squares, 3, level), &[1, 4, 4]);
    let key = secret.relinearisation_key(1).unwrap();
    let three = Shape { parts: 3, ..shape };
    let two = relinearise(&params, &squares, three, &key, 1).unwrap();
    starts(coefficients(&two, 2, level), &[1, 4, 4]);
    let switched = rescale(&params, &two, shape, 1).unwrap();
    let inverse = modulus.inverse(modulus.reduce(params.primes[2]));
    let four = modulus.mul(4, inverse);
    starts(coefficients(&switched, 2, 2), &[inverse, four, four]);
}
