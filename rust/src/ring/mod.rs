//! Polynomial rings for computing on ciphertexts (CKKS, BGV). Own arithmetic, **unaudited**.
//!
//! Everything rests on decision RLWE with a ternary secret for the parameters that `params.rs` lets
//! through, and key switching on circular security besides (`keys.rs`). The arguments stand where the
//! samples are made: keys in `keys.rs`, ciphertexts in `encrypt.rs`, results that leave in
//! `release.rs`, and why a CKKS decryption is nothing to publish in `ckks/mod.rs`.
//!
//! Secret: `SecretKey`, seeds of errors, errors, and plaintexts. No branch and no address depends on
//! the first three; encoding and decoding of reals, which the key's holder does, promise nothing of
//! the kind. Public: ciphertexts, all other keys, their seeds. No policy lives here.

pub mod automorphism;
pub mod bgv;
pub mod ckks;
pub mod codec;
pub mod decrypt;
pub mod encrypt;
pub mod evaluate;
pub mod fault;
pub mod keys;
pub mod keyswitch;
pub mod modulus;
pub mod ntt;
pub mod pack;
pub mod pages;
pub mod parallel;
pub mod params;
pub mod pointwise;
pub mod primes;
pub mod python;
pub mod release;
pub mod sample;
#[cfg(target_arch = "x86_64")]
mod simd_avx2;
#[cfg(target_arch = "x86_64")]
mod simd_avx2_vector;
#[cfg(target_arch = "x86_64")]
mod simd_avx512;
#[cfg(target_arch = "x86_64")]
mod simd_avx512_vector;
pub mod threshold;
pub mod transform;
pub mod vector;

pub use python::register;
