//! The uniform scalar behind a mask key or a self-mask: what is shared, and what keys are derived from.

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::hkdf::{Key, expand, extract};
use super::shamir::{self, Share};
use crate::group::secret::random_scalar;
use crate::learning::fault::Fault;

const PRIVATE: &[u8] = b"hitoku/mask-key/1";
const SELF: &[u8] = b"hitoku/mask-self/1";
const COMMITMENT: &[u8] = b"hitoku/mask-commitment/1";

/// A uniform scalar and the pseudorandom key HKDF-Extract makes of its 32 bytes. Wiped when dropped.
pub struct Uniform {
    scalar: Zeroizing<Scalar>,
    key: Key,
}

impl Uniform {
    fn new(scalar: Zeroizing<Scalar>) -> Self {
        let bytes = Zeroizing::new(scalar.to_bytes());
        let key = extract(&[], &*bytes);
        Self { scalar, key }
    }

    /// A new one of the operating system's randomness.
    ///
    /// # Errors
    /// `no-randomness`.
    pub fn random() -> Result<Self, Fault> {
        Ok(Self::new(Zeroizing::new(random_scalar()?)))
    }

    /// That of shares: see [`shamir::combine`].
    ///
    /// # Errors
    /// Those of [`shamir::combine`].
    pub fn combine<'a>(
        shares: impl ExactSizeIterator<Item = &'a [u8]>,
        threshold: usize,
    ) -> Result<Self, Fault> {
        shamir::combine(shares, threshold).map(Self::new)
    }

    /// Its shares: see [`shamir::share`].
    ///
    /// # Errors
    /// Those of [`shamir::share`].
    pub fn shares(&self, threshold: usize, members: usize) -> Result<Vec<Share>, Fault> {
        shamir::share(&self.scalar, threshold, members)
    }

    /// The X25519 private key.
    pub fn private(&self) -> Key {
        expand(&*self.key, &[PRIVATE])
    }

    /// The secret of a self-mask.
    pub fn secret(&self, info: &[u8]) -> Key {
        expand(&*self.key, &[SELF, info])
    }

    /// What a member can show beforehand: nobody finds two scalars with the same, and from one nobody learns
    /// the scalar, HKDF taken as a random oracle.
    pub fn commitment(&self) -> [u8; 32] {
        *expand(&*self.key, &[COMMITMENT])
    }
}
