//! What leaves to the key's holder: re-randomised and flooded, so that it tells the result alone.
//!
//! **What is done.** To a result (c0, c1) modulo q, whose phase c0 + c1 s is m + v (v the circuit's
//! noise), a fresh encryption of zero under the holder's public key is added and a flood to every part:
//! F to c0, uniform in -2^k .. 2^k in every coefficient and then one more or not (times the scheme's error
//! factor), and G to c1, narrower by `narrower` bits, so that G s has a standard deviation of at most 0.21 of
//! F's (0.25 where G is a unit wide). A result of three parts gets a second fresh encryption of zero at
//! (c1, c2), which is zero under s too, times s, and a flood of c2 that s^2 brings to at most 0.24 (0.29) of F's.
//! The coin makes the mean zero (`Expander::flood`): a mean of -1/2 in c1 would be the same error in every
//! answer under one key, in the slots whose roots are near 1 and larger there than the flood.
//!
//! **Argument** (semi-honest holder of s and of the public key b = -a s + f e, as in O. Regev's and C.
//! Gentry's circuit privacy: C. Gentry, "A Fully Homomorphic Encryption Scheme", thesis 2009, section
//! 21.2). The holder sees c1' = c1 + a u + f e1 + G and the phase m + v + f (e u + e1 s + e0) + F + G s.
//! Here G is taken as known to the holder, who then sees more than it does.
//! 1. F hides w = v + f (e u + e1 s + e0): two uniform intervals of length 2^(k+1) that are apart by
//!    |w| differ by |w| / 2^(k+1), coins of their own added to both change that to nothing more, so N
//!    coefficients differ by at most N |w|max / 2^(k+1) in statistical distance. What that buys is lambda = k + 1 - log2(N |w|max) bits: **below 40 it is no proof, it
//!    only rounds the scores**; the caller knows v's bound and must say which it is.
//! 2. Then u and e1 occur in c1' alone, and (a, a u + f e1) is an RLWE sample with a ternary secret:
//!    c1' looks uniform. With three parts c2 and c1 are masked so by the two samples' u.
//! 3. So a simulator that knows m draws c1' (and c2') uniformly and sets c0' = m + F - c1' s (- c2' s^2).
//!
//! **Hostile inputs.** Under an honest key what remains is one residue c0' a coefficient, known up to F: at
//! most log2(q / 2^(k+1)) + 1 bits of it tell anything, whatever the inputs held. That is why a result is
//! first dropped to a modulus that is tight around its range.
//!
//! **Hostile keys.** Nobody can see whether b is -a s + f e. With b = floor(q / 3) and a c0 that is small or
//! known, u can be read off c0' (F is far below q / 3), and c1' - a u is c1 + G but for the small f e1. c1 is the
//! circuit's function of what the client chose; G leaves log2(q / 2^(k + 1)) + `narrower` bits of each
//! coefficient of it. That is a bound on what an answer tells, and not the rounding that an honest key gets:
//! whose key is not trusted to be made as it should is bounded by rows a day alone.
//!
//! |e u + e1 s + e0| is about 3.24 sqrt(4 N / 3) (338 at N = 8192); three parts: that times sqrt(2 N / 3).

use zeroize::Zeroizing;

use crate::ring::encrypt;
use crate::ring::evaluate::Shape;
use crate::ring::fault::Fault;
use crate::ring::keys::PublicKey;
use crate::ring::parallel;
use crate::ring::params::{Params, product_bits};
use crate::ring::sample::{Expander, Seed};
use crate::ring::vector;

const FLOOD: [&[u8]; 3] = [b"flood", b"flood of part 1", b"flood of part 2"];
const MOST_BITS: u32 = 126;

/// Results `[count][parts][level][N]`, 2 or 3 parts, re-randomised under `key` and flooded with noise
/// that is `Expander::flood` of so many bits times the error factor.
pub fn release(
    key: &PublicKey,
    x: &[u64],
    shape: Shape,
    bits: u32,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let params: &Params = &key.params;
    if !(2..=3).contains(&shape.parts) {
        return Err(Fault::new("bad-parts"));
    }
    // A flood that wraps would be no flood: it must stay below a quarter of the modulus.
    let factor = params.error_factor();
    let of_factor = u64::BITS - (factor - 1).leading_zeros();
    let most = product_bits(&params.primes[..shape.level]).saturating_sub(3 + of_factor);
    if bits > most.min(MOST_BITS) {
        return Err(Fault::at("flood-too-wide", most.min(MOST_BITS) as usize));
    }
    let (n, poly) = (shape.n, shape.poly());
    let (noise, second, wide) = (Seed::generate()?, Seed::generate()?, Seed::generate()?);
    parallel::fill(shape.count, shape.row(), threads, |row, out| {
        let mut zero = Zeroizing::new(vec![0; 2 * poly]);
        out.copy_from_slice(&x[row * shape.row()..][..shape.row()]);
        encrypt::zero(key, &noise, row, shape.level, &mut zero);
        add(params, &zero, &mut out[..2 * poly], shape);
        if shape.parts == 3 {
            encrypt::zero(key, &second, row, shape.level, &mut zero);
            add(params, &zero, &mut out[poly..], shape);
        }
        let mut flood = Zeroizing::new(vec![0i128; n]);
        for (part, out) in out.chunks_exact_mut(poly).enumerate() {
            let Some(bits) = bits.checked_sub(narrower(part, n)) else {
                continue;
            };
            Expander::new(&wide, FLOOD[part], row as u64).flood(bits, &mut flood);
            for (component, out) in out.chunks_exact_mut(n).enumerate() {
                let modulus = params.modulus(component);
                let room = &mut zero[..n];
                for (place, &flood) in room.iter_mut().zip(&*flood) {
                    *place = modulus.reduce_signed_wide(flood);
                }
                if factor != 1 {
                    vector::mul_scalar_assign(modulus, room, modulus.reduce(factor));
                }
                params.table(component).forward(room);
                vector::add_assign(modulus, out, room);
            }
        }
        Ok(())
    })
}

/// By how many bits the flood of a part is narrower than that of part 0. s has coefficients of mean square
/// 2/3, s^2 of 8 N / 9 (each product of two unlike coefficients comes twice): part 1's share of the phase's
/// variance is (2 N / 3) / 4^narrower <= 1/24, part 2's (8 N^2 / 9) / 4^narrower <= 1/18, and half as much
/// again where their floods are a unit wide, since coins count then.
fn narrower(part: usize, n: usize) -> u32 {
    let log_n = n.ilog2();
    match part {
        0 => 0,
        1 => log_n.div_ceil(2) + 2,
        _ => log_n + 2,
    }
}

fn add(params: &Params, zero: &[u64], out: &mut [u64], shape: Shape) {
    let strips = out
        .chunks_exact_mut(shape.n)
        .zip(zero.chunks_exact(shape.n));
    for (at, (out, zero)) in strips.enumerate() {
        vector::add_assign(params.modulus(at % shape.level), out, zero);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::decrypt;
    use crate::ring::keys::SecretKey;
    use crate::ring::params::{Scheme, tests::small};

    /// Coefficients of the phase, centred, from two primes at most.
    fn phase(params: &Params, plain: &[u64], level: usize) -> Vec<i128> {
        let n = params.n();
        let mut strips = plain.to_vec();
        for (component, strip) in strips.chunks_exact_mut(n).enumerate() {
            params.table(component).inverse(strip);
        }
        if level == 1 {
            let q = params.modulus(0);
            return strips.iter().map(|&x| i128::from(q.centred(x))).collect();
        }
        let (p, q) = (params.modulus(0), params.modulus(1));
        let inverse = q.inverse(q.reduce(p.value()));
        let product = i128::from(p.value()) * i128::from(q.value());
        (0..n)
            .map(|at| {
                let (x, y) = (strips[at], strips[n + at]);
                let times = q.mul(q.sub(y, q.reduce(x)), inverse);
                let whole = i128::from(x) + i128::from(p.value()) * i128::from(times);
                if whole > product / 2 {
                    whole - product
                } else {
                    whole
                }
            })
            .collect()
    }

    #[test]
    fn a_released_result_decrypts_to_itself_and_the_flood() {
        for scheme in [Scheme::Ckks, Scheme::Bgv(40_961)] {
            let params = small(scheme);
            let secret = SecretKey::generate(&params).unwrap();
            let public = secret.public_key().unwrap();
            let (n, level, factor) = (params.n(), 2, i128::from(params.error_factor()));
            // Phase 5000 in the constant coefficient of part 0: NTT form is 5000 everywhere.
            for parts in [2, 3] {
                let shape = Shape {
                    count: 2,
                    parts,
                    level,
                    n,
                };
                let mut x = vec![0u64; 2 * shape.row()];
                for row in 0..2 {
                    x[row * shape.row()..][..shape.poly()].fill(5_000);
                }
                for bits in [20, 30] {
                    let out = release(&public, &x, shape, bits, 2).unwrap();
                    assert!(out != x);
                    // Every part is new, and no two rows share their randomness.
                    for part in out.chunks_exact(shape.poly()) {
                        assert!(part.iter().any(|&x| x != 0 && x != 5_000));
                    }
                    assert!(out[..shape.row()] != out[shape.row()..]);
                    let plain = decrypt::decrypt(&secret, &out, parts, level, 1).unwrap();
                    for row in plain.chunks_exact(shape.poly()) {
                        let mut noise = phase(&params, row, level);
                        noise[0] -= 5_000;
                        let flood = factor << bits;
                        // Re-randomisation adds less than 2^13 (two parts), 2^19 (three); the floods of
                        // the other parts, 0.27 of the first one's deviation together.
                        let rest = (factor << if parts == 2 { 13 } else { 19 }) + flood;
                        assert!(
                            noise
                                .iter()
                                .all(|x| x.abs() <= flood + rest && x % factor == 0)
                        );
                        // Uniform: a quarter of the coefficients in each quarter of the range.
                        let low = noise.iter().filter(|&&x| x < -flood / 2).count();
                        let high = noise.iter().filter(|&&x| x > flood / 2).count();
                        for share in [low, high] {
                            assert!(share.abs_diff(n / 4) < n / 20, "{share} of {n}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_flood_that_wraps_is_refused() {
        let params = small(Scheme::Ckks);
        let public = SecretKey::generate(&params).unwrap().public_key().unwrap();
        let n = params.n();
        for (level, most) in [(1, 22), (2, 47)] {
            let shape = Shape {
                count: 1,
                parts: 2,
                level,
                n,
            };
            let x = vec![0; shape.row()];
            assert!(release(&public, &x, shape, most, 1).is_ok());
            let fault = release(&public, &x, shape, most + 1, 1).unwrap_err();
            assert_eq!(fault, Fault::at("flood-too-wide", most as usize));
            assert!(release(&public, &x, shape, u32::MAX - 4, 1).is_err());
        }
        let shape = Shape {
            count: 1,
            parts: 1,
            level: 1,
            n,
        };
        assert!(release(&public, &vec![0; n], shape, 3, 1).is_err());
    }
}
