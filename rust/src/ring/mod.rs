//! Polynomial rings for computing on ciphertexts (CKKS, BGV). Own arithmetic, unaudited.

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
pub mod transform;
pub mod vector;

pub use python::register;
