//! X25519 (RFC 7748): what two members have in common.

use curve25519_dalek::montgomery::MontgomeryPoint;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hkdf::{Key, expand, extract};
use crate::learning::fault::Fault;

/// Bytes of a public key.
pub const PUBLIC_BYTES: usize = 32;
const DOMAIN: &[u8] = b"hitoku/mask-secret/1";

/// The public key of a private one.
pub fn public(private: &Key) -> [u8; PUBLIC_BYTES] {
    MontgomeryPoint::mul_base_clamped(**private).to_bytes()
}

/// X25519 of a private and a peer's public key.
///
/// # Errors
/// `bad-public-key` if the result is zero (RFC 7748, sec. 6.1): the peer's key has low order, and anybody could
/// tell the secret. Whether it is, is looked at in constant time.
pub fn x25519(private: &Key, peer: [u8; PUBLIC_BYTES]) -> Result<Key, Fault> {
    let point = Zeroizing::new(MontgomeryPoint(peer).mul_clamped(**private));
    let shared = Zeroizing::new(point.to_bytes());
    if bool::from(shared.ct_eq(&[0; 32])) {
        return Err(Fault::new("bad-public-key"));
    }
    Ok(shared)
}

/// The secret of two members, the same for both: bound to their public keys, in byte order, and to `info`.
///
/// # Errors
/// `bad-public-key` if the peer's is not 32 bytes, or of low order.
pub fn secret(private: &Key, peer: &[u8], info: &[u8]) -> Result<Key, Fault> {
    let peer: [u8; PUBLIC_BYTES] = peer.try_into().map_err(|_| Fault::new("bad-public-key"))?;
    let shared = x25519(private, peer)?;
    let own = public(private);
    let (first, second) = if own < peer { (own, peer) } else { (peer, own) };
    let key = extract(&[], &*shared);
    Ok(expand(&*key, &[DOMAIN, &first, &second, info]))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{public, secret, x25519};
    use crate::learning::masks::hkdf::Key;

    const NINE: &str = "0900000000000000000000000000000000000000000000000000000000000000";

    fn bytes(hex: &str) -> [u8; 32] {
        core::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    fn key(hex: &str) -> Key {
        Zeroizing::new(bytes(hex))
    }

    #[test]
    fn the_rfc_s_examples() {
        // RFC 7748, sec. 5.2, both vectors.
        for (scalar, point, expected) in [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
            ),
        ] {
            assert_eq!(
                *x25519(&key(scalar), bytes(point)).unwrap(),
                bytes(expected)
            );
        }
        // The iterated vector of the same section, once and a thousand times.
        let (mut k, mut u) = (bytes(NINE), bytes(NINE));
        for round in 1..=1000 {
            let next = *x25519(&Zeroizing::new(k), u).unwrap();
            (u, k) = (k, next);
            if round == 1 {
                assert_eq!(
                    k,
                    bytes("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
                );
                assert_eq!(public(&key(NINE)), k);
            }
        }
        assert_eq!(
            k,
            bytes("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
        );
    }

    #[test]
    fn both_sides_have_the_same_secret_and_no_other_info_gives_it() {
        let (a, b) = (Zeroizing::new([7; 32]), Zeroizing::new([9; 32]));
        let one = secret(&a, &public(&b), b"x").unwrap();
        assert_eq!(*one, *secret(&b, &public(&a), b"x").unwrap());
        assert_ne!(*one, *secret(&b, &public(&a), b"y").unwrap());
    }

    #[test]
    fn points_of_low_order_and_other_lengths_are_refused() {
        // The u of points of order 1, 2, 4 and 8, and what is congruent to them.
        let low = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        let own = Zeroizing::new([5; 32]);
        for point in low {
            let mut point = bytes(point);
            assert!(secret(&own, &point, b"").is_err());
            // The top bit is ignored (RFC 7748, sec. 5).
            point[31] |= 0x80;
            assert!(secret(&own, &point, b"").is_err());
        }
        assert!(secret(&own, &[9; 31], b"").is_err());
        assert!(secret(&own, &[], b"").is_err());
    }
}
