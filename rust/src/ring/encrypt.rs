//! Encryption: under the secret key with a seeded second half, or under the public key.
//!
//! One seed serves a whole batch: row r, component i takes stream r * STRIDE + i. A seed must never
//! serve two batches (two plaintexts would differ by small noise alone); callers here draw it anew.
//!
//! **Argument** (IND-CPA; V. Lyubashevsky, C. Peikert, O. Regev, "On Ideal Lattices and Learning with
//! Errors over Rings", EUROCRYPT 2010). Under the secret key: (-a s + f e + m, a) is a fresh RLWE sample
//! with m added; the error factor f is a unit modulo every prime, so f times a sample is one. Under the
//! public key: (b, a) looks uniform by RLWE under s; then (b u + f e0, a u + f e1) are two samples under
//! the fresh ternary u. A simulator that knows the shape alone draws uniform residues. Expanding a from
//! a public seed takes XChaCha20 for a random oracle.

use zeroize::Zeroizing;

use crate::ring::ckks::encode::Room;
use crate::ring::fault::Fault;
use crate::ring::keys::{PublicKey, STRIDE, SecretKey, add_error, fresh_bytes, lift};
use crate::ring::parallel;
use crate::ring::params::{Params, Scheme};
use crate::ring::sample::{Expander, Seed};
use crate::ring::vector;

const MASK: &[u8] = b"ciphertext";
const NOISE: &[u8] = b"fresh noise";
const MOST_ROWS: usize = 1 << 40;

/// The second halves of seeded ciphertexts: `[count][level][N]`.
pub fn expand(params: &Params, seed: &[u8; 32], row: usize, level: usize, out: &mut [u64]) {
    let seed = Seed::new(*seed);
    for (component, place) in out.chunks_exact_mut(params.n()).enumerate().take(level) {
        let stream = row as u64 * STRIDE + component as u64;
        Expander::new(&seed, MASK, stream).uniform(params.modulus(component), place);
    }
}

/// Plaintexts `[count][level][N]` under the secret key: first halves, and the seed of the second.
pub fn symmetric(
    secret: &SecretKey,
    plain: &[u64],
    level: usize,
    threads: usize,
) -> Result<(Vec<u64>, [u8; 32]), Fault> {
    let params = secret.params();
    let (n, size) = (params.n(), level * params.n());
    let (seed, noise) = (fresh_bytes()?, Seed::generate()?);
    let first = parallel::fill(rows(plain, size)?, size, threads, |row, out| {
        let mut error = Zeroizing::new(vec![0; n]);
        Expander::new(&noise, NOISE, row as u64 * STRIDE).binomial(&mut error);
        let mut room = Zeroizing::new(vec![0; n]);
        expand(params, &seed, row, level, out);
        for (component, place) in out.chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(component);
            vector::mul_assign(modulus, place, secret.residues(component));
            vector::neg_assign(modulus, place);
            add_error(params, component, &error, &mut room, place);
            vector::add_assign(modulus, place, &plain[row * size + component * n..][..n]);
        }
        Ok(())
    })?;
    Ok((first, seed))
}

/// CKKS: reals `[count][slots]` under the secret key; as encoding and `symmetric`, in one pass.
pub fn symmetric_reals(
    secret: &SecretKey,
    values: &[f64],
    scale: f64,
    level: usize,
    threads: usize,
) -> Result<(Vec<u64>, [u8; 32]), Fault> {
    let params: &Params = secret.params();
    let (n, slots, size) = (params.n(), params.slots(), level * params.n());
    if params.scheme != Scheme::Ckks || !values.len().is_multiple_of(slots) {
        return Err(Fault::new("bad-shape"));
    }
    let count = values.len() / slots;
    if count >= MOST_ROWS {
        return Err(Fault::new("bad-shape"));
    }
    let (seed, noise) = (fresh_bytes()?, Seed::generate()?);
    let mut first = parallel::words(count, size)?;
    let room = || {
        let words = (Zeroizing::new(vec![0; n]), Zeroizing::new(vec![0i8; n]));
        (Room::new(params), words)
    };
    parallel::each_with(&mut first, size, threads, room, |room, row, out| {
        let (room, (words, error)) = room;
        room.round(params, &values[row * slots..][..slots], scale, level)
            .map_err(|fault| Fault::at(fault.code, row))?;
        Expander::new(&noise, NOISE, row as u64 * STRIDE).binomial(error);
        room.add_error(error);
        expand(params, &seed, row, level, out);
        for (component, place) in out.chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(component);
            room.write(params, component, words);
            vector::mul_assign(modulus, place, secret.residues(component));
            vector::neg_assign(modulus, place);
            vector::add_assign(modulus, place, words);
        }
        Ok(())
    })?;
    Ok((first, seed))
}

/// Plaintexts under the public key: `[count][2][level][N]`, `(b u + f e0 + m, a u + f e1)`.
pub fn public(
    key: &PublicKey,
    plain: &[u64],
    level: usize,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let params = &key.params;
    let (n, size) = (params.n(), level * params.n());
    let noise = Seed::generate()?;
    parallel::fill(rows(plain, size)?, 2 * size, threads, |row, out| {
        zero(key, &noise, row, level, out);
        for component in 0..level {
            let place = &mut out[component * n..][..n];
            let plain = &plain[row * size + component * n..][..n];
            vector::add_assign(params.modulus(component), place, plain);
        }
        Ok(())
    })
}

/// A fresh encryption of zero under the public key: `[2][level][N]`.
pub fn zero(key: &PublicKey, noise: &Seed, row: usize, level: usize, out: &mut [u64]) {
    let params = &key.params;
    let n = params.n();
    let stream = row as u64 * STRIDE;
    let (mut mask, mut room) = (Zeroizing::new(vec![0; n]), Zeroizing::new(vec![0; n]));
    let mut small = Zeroizing::new(vec![0i8; 3 * n]);
    let (u, errors) = small.split_at_mut(n);
    Expander::new(noise, NOISE, stream + 1).ternary(u);
    Expander::new(noise, NOISE, stream + 2).binomial(errors);
    for component in 0..level {
        let modulus = params.modulus(component);
        lift(params, component, u, &mut mask);
        for (part, half) in [&key.b, &key.a].into_iter().enumerate() {
            let place = &mut out[(part * level + component) * n..][..n];
            place.copy_from_slice(&half[component * n..][..n]);
            vector::mul_assign(modulus, place, &mask);
            add_error(
                params,
                component,
                &errors[part * n..][..n],
                &mut room,
                place,
            );
        }
    }
}

fn rows(plain: &[u64], size: usize) -> Result<usize, Fault> {
    let rows = plain.len() / size;
    if rows >= MOST_ROWS || rows * size != plain.len() {
        return Err(Fault::new("bad-shape"));
    }
    Ok(rows)
}
