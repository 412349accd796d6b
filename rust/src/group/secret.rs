//! A secret scalar, wiped when it is dropped.
//!
//! Copies that the curve library makes on the stack while it multiplies are out of reach of this.

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::columns::fault::Fault;

/// A scalar between 1 and the group's order less one, and its half (see `mask.rs`).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret {
    whole: Scalar,
    half: Scalar,
}

impl Secret {
    pub fn new(whole: Scalar) -> Result<Self, Fault> {
        if whole == Scalar::ZERO {
            return Err(Fault::new("bad-scalar"));
        }
        Ok(Self {
            whole,
            half: whole.div_by_2(),
        })
    }

    /// A new one from the operating system's randomness.
    pub fn random() -> Result<Self, Fault> {
        Self::new(random_scalar()?)
    }

    /// 32 bytes, little-endian, below the group's order and not zero (RFC 9496, 4.4).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| Fault::new("bad-scalar"))?;
        let scalar: Option<Scalar> = Scalar::from_canonical_bytes(*bytes).into();
        Self::new(scalar.ok_or_else(|| Fault::new("bad-scalar"))?)
    }

    pub fn bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.whole.to_bytes())
    }

    pub fn whole(&self) -> &Scalar {
        &self.whole
    }

    pub fn half(&self) -> &Scalar {
        &self.half
    }

    /// The scalar that undoes this one.
    pub fn inverse(&self) -> Result<Self, Fault> {
        Self::new(self.whole.invert())
    }
}

/// A uniform scalar: 512 random bits reduced, so that no value is likelier by more than 2^-259.
pub fn random_scalar() -> Result<Scalar, Fault> {
    let mut wide = Zeroizing::new([0; 64]);
    getrandom::fill(&mut *wide)?;
    Ok(Scalar::from_bytes_mod_order_wide(&wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_scalars_but_zero_are_taken() {
        // The order itself, and one less.
        let mut order = [0; 32];
        order[..16].copy_from_slice(&27742317777372353535851937790883648493u128.to_le_bytes());
        order[31] = 0x10;
        let refused = |bytes: &[u8]| Secret::from_bytes(bytes).is_err();
        assert!(refused(&order) && refused(&[0; 32]) && refused(&[255; 32]));
        assert!(refused(&[1; 31]) && refused(&[]) && refused(&[1; 33]));
        order[0] -= 1;
        let last = Secret::from_bytes(&order).unwrap();
        assert_eq!(*last.bytes(), order);
        assert_eq!(*last.whole(), -Scalar::ONE);
    }

    #[test]
    fn twice_the_half_is_the_whole_and_the_inverse_undoes() {
        for _ in 0..50 {
            let secret = Secret::random().unwrap();
            assert_eq!(secret.half() + secret.half(), *secret.whole());
            assert_eq!(
                secret.whole() * secret.inverse().unwrap().whole(),
                Scalar::ONE
            );
        }
    }
}
