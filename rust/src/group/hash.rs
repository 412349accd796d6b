//! Ids to points: hash_to_ristretto255 of RFC 9380, Appendix B, with SHA-512 (as in RFC 9497, 4.1).
//!
//! `point = map(expand_message_xmd(run || id, DST = domain, 64 bytes))`, `map` being RFC 9496's, 4.3.4.
//! The domain's length is part of what is hashed and ids are 32 bytes, so no two of (domain, run, id)
//! are hashed as one message. As a random oracle it gives points whose discrete logarithms nobody
//! knows, which is what masking rests on; encoding a number times the generator would not do.

use curve25519_dalek::ristretto::RistrettoPoint;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::columns::fault::Fault;

/// Bytes of an id: an HMAC-SHA256 of what identifies a person.
pub const ID: usize = 32;
/// Bytes that SHA-512 takes in at a time: the padding that expand_message_xmd puts first.
const BLOCK: [u8; 128] = [0; 128];

/// The hash of one run and domain, prepared.
pub struct Hasher {
    start: Sha512,
    suffix: Vec<u8>,
}

impl Hasher {
    /// `domain` says what the ids are (1 to 255 bytes), `run` which run they are for.
    pub fn new(domain: &[u8], run: &[u8]) -> Result<Self, Fault> {
        let length = u8::try_from(domain.len()).map_err(|_| Fault::new("bad-domain"))?;
        if length == 0 {
            return Err(Fault::new("bad-domain"));
        }
        Ok(Self {
            start: Sha512::new().chain_update(BLOCK).chain_update(run),
            suffix: [domain, &[length]].concat(),
        })
    }

    /// The point of an id. Constant time in it.
    pub fn point(&self, id: &[u8]) -> RistrettoPoint {
        let first = self
            .start
            .clone()
            .chain_update(id)
            .chain_update([0, 64, 0]) // two bytes of length, and the block's number
            .chain_update(&self.suffix)
            .finalize();
        let wide: [u8; 64] = Sha512::new()
            .chain_update(first)
            .chain_update([1])
            .chain_update(&self.suffix)
            .finalize()
            .into();
        RistrettoPoint::from_uniform_bytes(&Zeroizing::new(wide))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::secret::Secret;
    use crate::group::testing::hex;

    /// RFC 9497, A.1.1: input, blind, BlindedElement, EvaluationElement under the key skSm.
    const VECTORS: [[&str; 4]; 2] = [
        [
            "00",
            "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706",
            "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c",
            "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e",
        ],
        [
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706",
            "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418",
            "b4cbf5a4f1eeda5a63ce7b77c7d23f461db3fcab0dd28e4e17cecb5c90d02c25",
        ],
    ];
    const KEY: &str = "5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e";

    #[test]
    fn hashing_masking_and_raising_are_the_rfcs_oprf() {
        let hasher = Hasher::new(b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512", b"").unwrap();
        for [input, blind, blinded, evaluated] in VECTORS {
            let input: Vec<u8> = (0..input.len() / 2)
                .map(|at| u8::from_str_radix(&input[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let scalar = |text| Secret::from_bytes(&hex::<32>(text)).unwrap();
            let point = hasher.point(&input) * scalar(blind).whole();
            assert_eq!(point.compress().to_bytes(), hex(blinded));
            let point = point * scalar(KEY).whole();
            assert_eq!(point.compress().to_bytes(), hex(evaluated));
        }
    }

    #[test]
    fn the_one_way_map_is_the_rfcs() {
        // RFC 9496, A.3, the first three.
        let vectors = [
            (
                "5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c1\
                 4d98b696a1bbfb5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6",
                "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
            ),
            (
                "f116b34b8f17ceb56e8732a60d913dd10cce47a6d53bee9204be8b44f6678b27\
                 0102a56902e2488c46120e9276cfe54638286b9e4b3cdb470b542d46c2068d38",
                "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b",
            ),
            (
                "8422e1bbdaab52938b81fd602effb6f89110e1e57208ad12d9ad767e2e25510c\
                 27140775f9337088b982d83d7fcf0b2fa1edffe51952cbe7365e95c86eaf325c",
                "006ccd2a9e6867e6a2c5cea83d3302cc9de128dd2a9a57dd8ee7b9d7ffe02826",
            ),
        ];
        for (uniform, point) in vectors {
            let made = RistrettoPoint::from_uniform_bytes(&hex(uniform));
            assert_eq!(made.compress().to_bytes(), hex(point));
        }
    }

    #[test]
    fn domain_run_and_id_each_change_the_point() {
        let id = [9; ID];
        let point = |domain: &[u8], run: &[u8]| Hasher::new(domain, run).unwrap().point(&id);
        let made = [
            point(b"a", b"r"),
            point(b"b", b"r"),
            point(b"a", b"s"),
            point(b"ar", b""),
            point(b"a", b""),
        ];
        for (index, one) in made.iter().enumerate() {
            assert!(!made[..index].contains(one));
        }
        assert!(Hasher::new(b"", b"r").is_err());
        assert!(Hasher::new(&[1; 256], b"r").is_err());
    }
}
