//! CKKS: approximate reals in the slots of a polynomial.
//!
//! J. H. Cheon, A. Kim, M. Kim, Y. Song, "Homomorphic Encryption for Arithmetic of Approximate
//! Numbers" (ASIACRYPT 2017, ePrint 2016/421), in the residue number system of J. H. Cheon, K. Han,
//! A. Kim, M. Kim, Y. Song, "A Full RNS Variant of Approximate Homomorphic Encryption" (SAC 2018,
//! ePrint 2018/931). A vector of N/2 reals is scaled, rounded to a polynomial with integer
//! coefficients (canonical embedding) and hidden under RLWE with small errors, which become part of
//! the value: the last bits of a decryption are noise that depends on the secret key.
//!
//! That is why CKKS is IND-CPA but not IND-CPA-D (B. Li, D. Micciancio, "On the Security of
//! Homomorphic Encryption on Approximate Numbers", ePrint 2020/1533, sections 3 and 4): who sees a
//! decryption and knows what was computed learns the error, hence linear equations in the secret
//! key, and a few of them give it away. A decryption may therefore only be shown to somebody who
//! does not hold the key after noise that hides the error was added. The key's holder loses nothing
//! by seeing its own decryptions.

pub mod crt;
pub mod embedding;
pub mod encode;
