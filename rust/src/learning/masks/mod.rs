//! Masks that cancel in a sum, as in K. Bonawitz et al., "Practical secure aggregation for privacy-preserving
//! machine learning", CCS 2017, sec. 4. Unaudited.
//!
//! Keys come from uniform scalars (`scalar.rs`), so that what Shamir's scheme (`shamir.rs`) shares is a uniform
//! element of its field; pairs agree on secrets by X25519 (`agree.rs`), and a secret gives an AES-256 key stream
//! for each context (`stream.rs`). Nothing branches on or indexes by a secret, except inside `sha2`, `aes`
//! and `curve25519-dalek`, which say of themselves that they do not either.
//!
//! Copies that those libraries leave on the stack are out of reach of the wiping here.

pub mod agree;
pub mod hkdf;
pub mod scalar;
pub mod shamir;
pub mod stream;
