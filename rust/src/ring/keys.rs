//! Keys: the secret, the public key, and key-switching keys, all under one set of parameters.
//!
//! Secret s: uniform ternary. An RLWE sample under s is `(b, a)` with `b = -a s + f e`, a uniform, e
//! centred binomial, f the scheme's error factor. What is uniform is expanded from a seed that may be
//! known to all; what is secret from a seed of its own that is wiped at once. Distinct uses of a seed
//! have distinct labels and indices (`sample::Expander`).
//!
//! Key switching is the hybrid method (C. Gentry, S. Halevi, N. Smart, "Homomorphic Evaluation of the
//! AES Circuit", CRYPTO 2012, ePrint 2012/099, section 3.1; in residues K. Han, D. Ki, "Better
//! Bootstrapping for Approximate Homomorphic Encryption", ePrint 2019/688) with one digit
//! a data prime and one special prime P: digit j's key is an RLWE sample modulo Q P to which P times
//! the target is added in the residue of prime j alone. Besides RLWE it needs circular security: a
//! relinearisation key holds s^2 under s, a rotation key s under a rotation of s. Every deployed
//! scheme of this kind assumes the same.

use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::ring::automorphism::Galois;
use crate::ring::fault::Fault;
use crate::ring::params::Params;
use crate::ring::sample::{Expander, Seed};
use crate::ring::vector;

const SECRET: &[u8] = b"secret key";
const NOISE: &[u8] = b"key noise";
const PUBLIC: &[u8] = b"public key";
const SWITCH: &[u8] = b"switching key";

/// Streams of one seed are numbered row * STRIDE + component.
pub const STRIDE: u64 = 64;

/// 32 bytes of the operating system's randomness.
pub fn fresh_bytes() -> Result<[u8; 32], Fault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Residues of small signed integers, without a branch on them; then NTT form.
pub fn lift(params: &Params, component: usize, small: &[i8], out: &mut [u64]) {
    vector::from_small(params.modulus(component), small, out);
    params.table(component).forward(out);
}

/// Adds `factor * e` to `out` where `e` is in coefficients; `room` holds N words.
pub fn add_error(
    params: &Params,
    component: usize,
    error: &[i8],
    room: &mut [u64],
    out: &mut [u64],
) {
    lift(params, component, error, room);
    let modulus = params.modulus(component);
    match params.error_factor() {
        1 => vector::add_assign(modulus, out, room),
        factor => {
            vector::mul_scalar_assign(modulus, room, factor);
            vector::add_assign(modulus, out, room);
        }
    }
}

/// The secret key: small coefficients and their NTT form for every component. Wiped when dropped.
pub struct SecretKey {
    params: Arc<Params>,
    small: Zeroizing<Vec<i8>>,
    residues: Zeroizing<Vec<u64>>,
}

impl SecretKey {
    pub fn generate(params: &Arc<Params>) -> Result<Self, Fault> {
        let seed = Seed::generate()?;
        let mut small = Zeroizing::new(vec![0; params.n()]);
        Expander::new(&seed, SECRET, 0).ternary(&mut small);
        Ok(Self::expand(params, small))
    }

    /// From N coefficients, each -1, 0 or 1.
    pub fn from_small(params: &Arc<Params>, small: Zeroizing<Vec<i8>>) -> Result<Self, Fault> {
        // No early end: the time tells nothing about where a wrong one stands.
        let wrong = small
            .iter()
            .fold(0u8, |wrong, &x| wrong | u8::from(!(-1..=1).contains(&x)));
        if small.len() != params.n() || !bool::from(wrong.ct_eq(&0)) {
            return Err(Fault::new("bad-secret"));
        }
        Ok(Self::expand(params, small))
    }

    fn expand(params: &Arc<Params>, small: Zeroizing<Vec<i8>>) -> Self {
        let n = params.n();
        let mut residues = Zeroizing::new(vec![0; n * params.components()]);
        for (component, place) in residues.chunks_exact_mut(n).enumerate() {
            lift(params, component, &small, place);
        }
        Self {
            params: Arc::clone(params),
            small,
            residues,
        }
    }

    pub fn params(&self) -> &Arc<Params> {
        &self.params
    }

    /// The coefficients; to be written by nobody but the key's owner.
    pub fn small(&self) -> &[i8] {
        &self.small
    }

    /// NTT form modulo one component.
    pub fn residues(&self, component: usize) -> &[u64] {
        let n = self.params.n();
        &self.residues[component * n..][..n]
    }

    pub fn public_key(&self) -> Result<PublicKey, Fault> {
        let params = &self.params;
        let (n, seed) = (params.n(), fresh_bytes()?);
        let mut error = Zeroizing::new(vec![0; n]);
        Expander::new(&Seed::generate()?, NOISE, 0).binomial(&mut error);
        let mut key = PublicKey::expand(params, seed, vec![0; n * params.levels()]);
        let mut room = Zeroizing::new(vec![0; n]);
        for component in 0..params.levels() {
            let place = &mut key.b[component * n..][..n];
            let a = &key.a[component * n..][..n];
            mask(params, component, a, self.residues(component), place);
            add_error(params, component, &error, &mut room, place);
        }
        Ok(key)
    }

    /// For products: from s^2 to s.
    pub fn relinearisation_key(&self, threads: usize) -> Result<SwitchKey, Fault> {
        let n = self.params.n();
        let mut target = self.residues.clone();
        for (component, place) in target.chunks_exact_mut(n).enumerate() {
            vector::mul_assign(
                self.params.modulus(component),
                place,
                self.residues(component),
            );
        }
        SwitchKey::generate(&self.params, &target, &self.residues, threads)
    }

    /// For one rotation: from s to the secret that the rotation turns into s (see `SwitchKey`).
    pub fn rotation_key(&self, step: i64, threads: usize) -> Result<SwitchKey, Fault> {
        let n = self.params.n();
        let back = step
            .checked_neg()
            .and_then(|back| Galois::for_step(n, back));
        let back = back.ok_or_else(|| Fault::new("bad-step"))?;
        let mut under = Zeroizing::new(vec![0; self.residues.len()]);
        for (from, to) in self.residues.chunks_exact(n).zip(under.chunks_exact_mut(n)) {
            back.permute(from, to);
        }
        SwitchKey::generate(&self.params, &self.residues, &under, threads)
    }
}

/// `out = -a s`.
fn mask(params: &Params, component: usize, a: &[u64], s: &[u64], out: &mut [u64]) {
    let modulus = params.modulus(component);
    out.copy_from_slice(a);
    vector::mul_assign(modulus, out, s);
    vector::neg_assign(modulus, out);
}

/// An RLWE sample of zero modulo the data primes.
pub struct PublicKey {
    pub params: Arc<Params>,
    pub seed: [u8; 32],
    /// `[levels][N]`, NTT form; b depends on the secret, a comes from the seed.
    pub b: Vec<u64>,
    pub a: Vec<u64>,
}

impl PublicKey {
    /// From what its owner published: residues must be below their primes already.
    pub fn expand(params: &Arc<Params>, seed: [u8; 32], b: Vec<u64>) -> Self {
        let n = params.n();
        let public = Seed::new(seed);
        let mut a = vec![0; b.len()];
        for (component, place) in a.chunks_exact_mut(n).enumerate() {
            Expander::new(&public, PUBLIC, component as u64)
                .uniform(params.modulus(component), place);
        }
        Self {
            params: Arc::clone(params),
            seed,
            b,
            a,
        }
    }
}

/// A key-switching key: for every data prime an RLWE sample modulo every component.
///
/// A rotation key for X -> X^g holds s under the secret s(X^(1/g)): the digits of c1 times the key
/// give a pair that decrypts c1 s under s(X^(1/g)), and the automorphism, done last on two
/// polynomials, makes of it c1(X^g) s(X^g) under s. That order lets one decomposition serve many
/// rotations with two permutations each (J.-P. Bossuat, C. Mouchet, J. Troncoso-Pastoriza, J.-P.
/// Hubaux, ePrint 2020/1203, section 4).
pub struct SwitchKey {
    pub params: Arc<Params>,
    pub seed: [u8; 32],
    /// `[digit: levels][component: levels + 1, the special prime last][N]`, NTT form.
    pub b: Vec<u64>,
    pub a: Vec<u64>,
}

impl SwitchKey {
    fn generate(
        params: &Arc<Params>,
        target: &[u64],
        under: &[u64],
        threads: usize,
    ) -> Result<Self, Fault> {
        if params.special == 0 {
            return Err(Fault::new("no-special-prime"));
        }
        let (n, components) = (params.n(), params.components());
        let noise = Seed::generate()?;
        let length = params.levels() * components * n;
        let mut key = Self::expand(params, fresh_bytes()?, vec![0; length], threads)?;
        let a = &key.a;
        crate::ring::parallel::each(&mut key.b, components * n, threads, |digit, out| {
            let mut error = Zeroizing::new(vec![0; n]);
            Expander::new(&noise, NOISE, digit as u64).binomial(&mut error);
            let mut room = Zeroizing::new(vec![0; n]);
            for (component, place) in out.chunks_exact_mut(n).enumerate() {
                let a = &a[(digit * components + component) * n..][..n];
                let s = &under[component * n..][..n];
                mask(params, component, a, s, place);
                add_error(params, component, &error, &mut room, place);
                if component == digit {
                    let modulus = params.modulus(component);
                    room.copy_from_slice(&target[component * n..][..n]);
                    vector::mul_scalar_assign(modulus, &mut room, modulus.reduce(params.special));
                    vector::add_assign(modulus, place, &room);
                }
            }
            Ok(())
        })?;
        Ok(key)
    }

    /// From what its owner published: residues must be below their primes already.
    pub fn expand(
        params: &Arc<Params>,
        seed: [u8; 32],
        b: Vec<u64>,
        threads: usize,
    ) -> Result<Self, Fault> {
        if params.special == 0 {
            return Err(Fault::new("no-special-prime"));
        }
        let (n, components) = (params.n(), params.components());
        let public = Seed::new(seed);
        let a =
            crate::ring::parallel::fill(params.levels() * components, n, threads, |row, place| {
                let (digit, component) = (row / components, row % components);
                let stream = digit as u64 * STRIDE + component as u64;
                Expander::new(&public, SWITCH, stream).uniform(params.modulus(component), place);
                Ok(())
            })?;
        Ok(Self {
            params: Arc::clone(params),
            seed,
            b,
            a,
        })
    }

    /// Refuses parameters that the key was not made for.
    pub fn fits(&self, params: &Params) -> Result<(), Fault> {
        if self.params.same(params) {
            Ok(())
        } else {
            Err(Fault::new("other-parameters"))
        }
    }

    /// Both halves of one digit modulo one component.
    pub fn at(&self, digit: usize, component: usize) -> (&[u64], &[u64]) {
        let n = self.params.n();
        let start = (digit * self.params.components() + component) * n;
        (&self.b[start..][..n], &self.a[start..][..n])
    }
}

#[cfg(test)]
mod tests;
