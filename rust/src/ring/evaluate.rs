//! Operations on batches of ciphertexts `[count][parts][level][N]`, all in NTT form.
//!
//! Shapes are the callers' to check (`python/shapes.rs`); slices here only have to fit.

use std::sync::Arc;

use rayon::ThreadPool;

use crate::ring::automorphism::Galois;
use crate::ring::fault::Fault;
use crate::ring::keys::SwitchKey;
use crate::ring::keyswitch::{self, Accumulators, Digits};
use crate::ring::parallel;
use crate::ring::params::Params;
use crate::ring::vector;

/// How many parts, primes and words a row of a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub count: usize,
    pub parts: usize,
    pub level: usize,
    pub n: usize,
}

impl Shape {
    /// Words of one polynomial.
    pub fn poly(self) -> usize {
        self.level * self.n
    }

    /// Words of one row.
    pub fn row(self) -> usize {
        self.parts * self.poly()
    }
}

/// What is done with two operands entry by entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pairwise {
    Add,
    Subtract,
}

/// `left + right` or `left - right`; the operand with fewer parts counts as zero in the others.
pub fn add(
    params: &Params,
    operation: Pairwise,
    left: (&[u64], Shape),
    right: (&[u64], Shape),
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let ((x, of_x), (y, of_y)) = (left, right);
    let (n, level) = (of_x.n, of_x.level);
    let parts = of_x.parts.max(of_y.parts);
    parallel::fill(of_x.count, parts * of_x.poly(), threads, |row, out| {
        let x = &x[row * of_x.row()..][..of_x.row()];
        let y = &y[row * of_y.row()..][..of_y.row()];
        out[..x.len()].copy_from_slice(x);
        for (at, (out, y)) in out.chunks_exact_mut(n).zip(y.chunks_exact(n)).enumerate() {
            let modulus = params.modulus(at % level);
            match operation {
                Pairwise::Add => vector::add_assign(modulus, out, y),
                Pairwise::Subtract => vector::sub_assign(modulus, out, y),
            }
        }
        Ok(())
    })
}

pub fn negate(params: &Params, x: &[u64], shape: Shape, threads: usize) -> Result<Vec<u64>, Fault> {
    parallel::fill(shape.count, shape.row(), threads, |row, out| {
        out.copy_from_slice(&x[row * shape.row()..][..shape.row()]);
        for (at, out) in out.chunks_exact_mut(shape.n).enumerate() {
            vector::neg_assign(params.modulus(at % shape.level), out);
        }
        Ok(())
    })
}

/// What is done with a plaintext `[count or 1][level][N]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WithPlain {
    Add,
    Subtract,
    Multiply,
}

pub fn with_plain(
    params: &Params,
    operation: WithPlain,
    x: (&[u64], Shape),
    plain: &[u64],
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let (x, shape) = x;
    let (n, level, poly) = (shape.n, shape.level, shape.poly());
    let single = plain.len() == poly;
    parallel::fill(shape.count, shape.row(), threads, |row, out| {
        let plain = &plain[if single { 0 } else { row * poly }..][..poly];
        out.copy_from_slice(&x[row * shape.row()..][..shape.row()]);
        let touched = if operation == WithPlain::Multiply {
            out.len()
        } else {
            poly
        };
        for (at, out) in out[..touched].chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(at % level);
            let plain = &plain[at % level * n..][..n];
            match operation {
                WithPlain::Add => vector::add_assign(modulus, out, plain),
                WithPlain::Subtract => vector::sub_assign(modulus, out, plain),
                WithPlain::Multiply => vector::mul_assign(modulus, out, plain),
            }
        }
        Ok(())
    })
}

/// Products of two-part ciphertexts, three parts each: `(x0 y0, x0 y1 + x1 y0, x1 y1)`.
pub fn multiply(
    params: &Params,
    x: &[u64],
    y: &[u64],
    shape: Shape,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let (n, poly, row_words) = (shape.n, shape.poly(), shape.row());
    parallel::fill(shape.count, 3 * poly, threads, |row, out| {
        let (x0, x1) = x[row * row_words..][..row_words].split_at(poly);
        let (y0, y1) = y[row * row_words..][..row_words].split_at(poly);
        let (out0, rest) = out.split_at_mut(poly);
        let (out1, out2) = rest.split_at_mut(poly);
        for at in 0..shape.level {
            let (q, block) = (params.modulus(at), at * n..(at + 1) * n);
            let (x0, x1) = (&x0[block.clone()], &x1[block.clone()]);
            let (y0, y1) = (&y0[block.clone()], &y1[block.clone()]);
            vector::mul_to(q, &mut out0[block.clone()], x0, y0);
            vector::dot(q, &mut out1[block.clone()], &[(x0, y1), (x1, y0)]);
            vector::mul_to(q, &mut out2[block], x1, y1);
        }
        Ok(())
    })
}

/// Squares of two-part ciphertexts, three parts each: `(x0^2, 2 x0 x1, x1^2)`.
pub fn square(params: &Params, x: &[u64], shape: Shape, threads: usize) -> Result<Vec<u64>, Fault> {
    let (n, poly, row_words) = (shape.n, shape.poly(), shape.row());
    parallel::fill(shape.count, 3 * poly, threads, |row, out| {
        let (x0, x1) = x[row * row_words..][..row_words].split_at(poly);
        let (out0, rest) = out.split_at_mut(poly);
        let (out1, out2) = rest.split_at_mut(poly);
        for at in 0..shape.level {
            let (q, block) = (params.modulus(at), at * n..(at + 1) * n);
            let (x0, x1) = (&x0[block.clone()], &x1[block.clone()]);
            vector::mul_to(q, &mut out0[block.clone()], x0, x0);
            vector::dot(q, &mut out1[block.clone()], &[(x0, x1), (x0, x1)]);
            vector::mul_to(q, &mut out2[block], x1, x1);
        }
        Ok(())
    })
}

/// Rooms of one key switching, to be used again.
struct Rooms {
    digits: Digits,
    sums: Accumulators,
    words: Vec<u64>,
    poly: Vec<u64>,
}

impl Rooms {
    fn new(level: usize, poly: usize) -> Self {
        Self {
            digits: Digits {
                level,
                residues: Vec::new(),
            },
            sums: Accumulators {
                level,
                parts: [Vec::new(), Vec::new()],
            },
            words: Vec::new(),
            poly: vec![0; poly],
        }
    }

    fn decompose(&mut self, params: &Params, pool: Option<&ThreadPool>, poly: &[u64]) {
        keyswitch::decompose_into(params, pool, poly, &mut self.words, &mut self.digits);
    }

    /// Adds the digits times the key, divided by P, to the two parts in `out`.
    fn add_switched(
        &mut self,
        params: &Params,
        pool: Option<&ThreadPool>,
        key: &SwitchKey,
        galois: Option<&Galois>,
        out: &mut [u64],
    ) {
        let (n, level) = (params.n(), self.digits.level);
        let (digits, sums, words) = (&self.digits, &mut self.sums, &mut self.words);
        keyswitch::inner_into(params, pool, digits, key, galois, words, sums);
        for (sums, out) in sums.parts.iter().zip(out.chunks_exact_mut(level * n)) {
            let (rest, last) = sums.split_at(level * n);
            let special = params.special_at();
            keyswitch::divide(params, pool, special, last, rest, words, &mut self.poly);
            for (at, (out, x)) in out
                .chunks_exact_mut(n)
                .zip(self.poly.chunks_exact(n))
                .enumerate()
            {
                vector::add_assign(params.modulus(at), out, x);
            }
        }
    }
}

/// Where the threads of a batch work: each on rows of its own, or, where there are fewer rows than
/// threads, all on one row after the other.
fn inside(count: usize, threads: usize) -> Result<(usize, Option<Arc<ThreadPool>>), Fault> {
    if threads > 1 && count < threads {
        Ok((1, Some(parallel::pool(threads)?)))
    } else {
        Ok((threads, None))
    }
}

/// Three parts to two.
pub fn relinearise(
    params: &Params,
    x: &[u64],
    shape: Shape,
    key: &SwitchKey,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let poly = shape.poly();
    let (outside, pool) = inside(shape.count, threads)?;
    let pool = pool.as_deref();
    let mut out = parallel::words(shape.count, 2 * poly)?;
    let rooms = || Rooms::new(shape.level, poly);
    parallel::each_with(&mut out, 2 * poly, outside, rooms, |rooms, row, out| {
        let (kept, last) = x[row * shape.row()..][..shape.row()].split_at(2 * poly);
        out.copy_from_slice(kept);
        rooms.decompose(params, pool, last);
        rooms.add_switched(params, pool, key, None, out);
        Ok(())
    })?;
    Ok(out)
}

/// Divides by the last prime and rounds.
pub fn rescale(
    params: &Params,
    x: &[u64],
    shape: Shape,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let (n, poly, kept) = (shape.n, shape.poly(), shape.level - 1);
    let mut out = parallel::words(shape.count * shape.parts, kept * n)?;
    parallel::each_with(&mut out, kept * n, threads, Vec::new, |room, row, out| {
        let (rest, last) = x[row * poly..][..poly].split_at(kept * n);
        keyswitch::divide(params, None, kept, last, rest, room, out);
        Ok(())
    })?;
    Ok(out)
}

/// Forgets all but the first `level` primes.
pub fn drop_to(x: &[u64], shape: Shape, level: usize, threads: usize) -> Result<Vec<u64>, Fault> {
    parallel::fill(
        shape.count * shape.parts,
        level * shape.n,
        threads,
        |row, out| {
            out.copy_from_slice(&x[row * shape.poly()..][..out.len()]);
            Ok(())
        },
    )
}

/// Rotations of two-part ciphertexts by several steps over one decomposition of each: a batch a step.
pub fn rotate(
    params: &Params,
    x: &[u64],
    shape: Shape,
    keys: &[(&Galois, &SwitchKey)],
    threads: usize,
) -> Result<Vec<Vec<u64>>, Fault> {
    let (n, poly, row_words) = (shape.n, shape.poly(), shape.row());
    let mut batches = Vec::with_capacity(keys.len());
    for _ in keys {
        batches.push(parallel::words(shape.count, row_words)?);
    }
    // A row's places in all batches go together, so that its digits are used while they are warm.
    let mut rows: Vec<Vec<&mut [u64]>> = (0..shape.count).map(|_| Vec::new()).collect();
    for batch in &mut batches {
        for (row, place) in rows.iter_mut().zip(batch.chunks_exact_mut(row_words)) {
            row.push(place);
        }
    }
    let (outside, pool) = inside(shape.count, threads)?;
    let pool = pool.as_deref();
    let rooms = || Rooms::new(shape.level, poly);
    parallel::each_with(&mut rows, 1, outside, rooms, |rooms, row, places| {
        let (x0, x1) = x[row * row_words..][..row_words].split_at(poly);
        rooms.decompose(params, pool, x1);
        for ((galois, key), out) in keys.iter().zip(&mut places[0]) {
            for (from, to) in x0.chunks_exact(n).zip(out[..poly].chunks_exact_mut(n)) {
                galois.permute(from, to);
            }
            rooms.add_switched(params, pool, key, Some(galois), out);
        }
        Ok(())
    })?;
    Ok(batches)
}

#[cfg(test)]
mod tests {
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
        for (public, most) in [(false, 2e-3), (true, 2e-2)] {
            for level in 1..=3 {
                let w = world(public, level);
                let error = w.error(&w.batch, w.shape, SCALE, |row, slot| w.values[row][slot]);
                assert!(error < most, "{public} {level} {error}");
                assert!(error > 1e-5, "without noise");
            }
        }
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
            assert!(error < 3e-2, "{step} {error}");
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
}
