//! The kernels of private cross statistics: ristretto255 (RFC 9496) over columns of records.
//!
//! Two parties A and B mask hashed ids with secret scalars, exchange the sorted masked points, mask
//! them again and join on the doubly masked ones; B's values travel beside its points as ElGamal
//! ciphertexts that A adds up unread.
//!
//! Secret: scalars (`Secret`, `KeyPair`), the ids, the values, which rows match and how many.
//! Public, once sent: masked points, ciphertexts, tags. Kernels that touch a secret scalar run in
//! constant time as far as the curve library promises it; joins, sorts and sums do not, and work on
//! what their party may see. Security rests on decisional Diffie-Hellman in ristretto255 and on the
//! hash as a random oracle, and holds against parties that follow the protocol.
//!
//! **Unaudited.** `curve25519-dalek` was audited in 2019; that covers neither this use of it nor its
//! AVX-512 code. No policy lives here: who may run what is decided above.

mod backend;
mod dlog;
mod elgamal;
mod hash;
mod ids;
mod join;
mod mask;
mod order;
mod parallel;
mod point;
mod python;
mod records;
pub(crate) mod secret;
mod sorter;
mod sums;

pub use python::register;

#[cfg(test)]
mod testing;
