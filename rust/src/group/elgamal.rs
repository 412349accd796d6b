//! Values under additively homomorphic ElGamal: `(rG, rP + vG)` with `P = sG` (protocol messages 2 and 4).
//!
//! Whoever holds `s` makes a key a run, encrypts and decrypts; the other party adds ciphertexts up and
//! learns nothing of the values under DDH. Ciphertexts are malleable, which is the point of them: they
//! prove nothing about a value or its size.
//!
//! The key's owner knows `s`, so `rP + vG = (rs + v) G`: two multiplications of the generator, no third.
//! Both are made of half the scalar, and the batch that encodes them doubles (see `mask.rs`):
//! `2 (hG) = rG` for `r = 2h`, and `2 ((hs + v/2) G) = rP + vG`.
//!
//! **Replay.** A run that is resumed must send the same bytes again. With a `seed`, `h` is
//! `SHA-512(label || seed || context || column || v)` reduced, a pseudorandom function of what follows
//! the seed, all of it of fixed length. The context is the record's masked point, which no two records
//! of a run share; the column tells several values of a record apart. Equal inputs give the equal
//! ciphertext that a replay is; another value at the same place gets an `r` of its own, so that the
//! difference of two values never shows. The seed is as secret as the key, and lives as long. Without a
//! seed `h` is the operating system's.
//!
//! Secret: `s`, `r`, the seed, the values. Public: `P`, ciphertexts.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::dlog::DiscreteLog;
use super::parallel::fill;
use super::point::{POINT, Points, decode, decode_any, encode_doubles};
use super::records::Field;
use super::secret::{Secret, random_scalar};
use crate::columns::fault::Fault;
use crate::columns::random::OsRandom;

/// Bytes of a ciphertext: two points.
pub const CIPHERTEXT: usize = 2 * POINT;

const LABEL: &[u8] = b"hitoku/group/1 ElGamal nonce\0";

/// The two points of a ciphertext.
pub type Pair = (RistrettoPoint, RistrettoPoint);

#[inline]
fn halves(bytes: &[u8; CIPHERTEXT]) -> (&[u8; POINT], &[u8; POINT]) {
    let [first, second] = bytes.as_chunks::<POINT>().0 else {
        unreachable!("a ciphertext is two points long");
    };
    (first, second)
}

/// A ciphertext of another party: both points canonical, neither the identity.
#[inline]
pub fn decode_pair(bytes: &[u8; CIPHERTEXT], row: usize) -> Result<Pair, Fault> {
    let (first, second) = halves(bytes);
    Ok((decode(first, row)?, decode(second, row)?))
}

/// A sum of ciphertexts: an empty one is two identities.
#[inline]
pub fn decode_sum(bytes: &[u8; CIPHERTEXT], row: usize) -> Result<Pair, Fault> {
    let (first, second) = halves(bytes);
    Ok((decode_any(first, row)?, decode_any(second, row)?))
}

pub fn encode_pair((first, second): &Pair) -> [u8; CIPHERTEXT] {
    let mut out = [0; CIPHERTEXT];
    out[..POINT].copy_from_slice(first.compress().as_bytes());
    out[POINT..].copy_from_slice(second.compress().as_bytes());
    out
}

/// A signed value as a scalar, in constant time.
fn scalar(value: i64) -> Scalar {
    let size = Scalar::from(value.unsigned_abs());
    let negative = Choice::from((value.cast_unsigned() >> 63) as u8);
    Scalar::conditional_select(&size, &-size, negative)
}

/// Where the randomness of ciphertexts comes from.
pub enum Nonces<'a> {
    /// The operating system.
    Fresh,
    /// A seed of the run, and a context for each record.
    Seeded {
        seed: &'a [u8; 32],
        contexts: Field<'a, POINT>,
        column: u32,
    },
}

impl Nonces<'_> {
    fn next(
        &self,
        random: &mut OsRandom,
        row: usize,
        value: i64,
    ) -> Result<Zeroizing<Scalar>, Fault> {
        let wide: Zeroizing<[u8; 64]> = Zeroizing::new(match self {
            Self::Fresh => random.bytes()?,
            Self::Seeded {
                seed,
                contexts,
                column,
            } => Sha512::new()
                .chain_update(LABEL)
                .chain_update(seed)
                .chain_update(contexts.get(row))
                .chain_update(column.to_le_bytes())
                .chain_update(value.to_le_bytes())
                .finalize()
                .into(),
        });
        Ok(Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide)))
    }
}

/// The key of one run. Its owner encrypts and decrypts.
pub struct KeyPair {
    secret: Secret,
    public: [u8; POINT],
}

impl KeyPair {
    pub fn new(secret: Secret) -> Self {
        let public = RistrettoPoint::mul_base(secret.whole()).compress();
        Self {
            secret,
            public: public.to_bytes(),
        }
    }

    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    pub fn public(&self) -> &[u8; POINT] {
        &self.public
    }

    /// The ciphertexts of values.
    pub fn encrypt(
        &self,
        values: &[i64],
        nonces: &Nonces<'_>,
        threads: usize,
    ) -> Result<Vec<u8>, Fault> {
        if let Nonces::Seeded { contexts, .. } = nonces
            && contexts.len() != values.len()
        {
            return Err(Fault::new("uneven-columns"));
        }
        fill::<CIPHERTEXT>(values.len(), threads, |rows, out| {
            let mut random = OsRandom::new();
            let mut points: Points = Zeroizing::new(Vec::with_capacity(2 * out.len()));
            for row in rows {
                let value = values[row];
                let half = nonces.next(&mut random, row, value)?;
                let other = Zeroizing::new(*half * self.secret.whole() + scalar(value).div_by_2());
                if *half == Scalar::ZERO || *other == Scalar::ZERO {
                    // One chance in 2^252; the receiver would refuse the identity.
                    return Err(Fault::at("identity", row));
                }
                points.push(RistrettoPoint::mul_base(&half));
                points.push(RistrettoPoint::mul_base(&other));
            }
            encode_doubles(&points, out.as_flattened_mut().as_chunks_mut::<POINT>().0);
            Ok(())
        })
    }

    /// The values of ciphertexts, all in the range that `log` was made for.
    ///
    /// Its time does not depend on them. The fault `out-of-range` names a row that is not in the range.
    pub fn decrypt(
        &self,
        ciphertexts: Field<'_, CIPHERTEXT>,
        log: &DiscreteLog,
        threads: usize,
    ) -> Result<Vec<i64>, Fault> {
        let mut opened: Points = Zeroizing::new(Vec::with_capacity(ciphertexts.len()));
        for (row, bytes) in ciphertexts.range(0..ciphertexts.len()) {
            let (first, second) = decode_sum(bytes, row)?;
            opened.push(second - first * self.secret.whole());
        }
        log.find(&opened, threads)
    }
}

/// The key under which another party's ciphertexts are.
pub struct PublicKey(RistrettoPoint);

impl PublicKey {
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let bytes = bytes.try_into().map_err(|_| Fault::new("bad-public-key"))?;
        match decode(bytes, 0) {
            Ok(point) => Ok(Self(point)),
            Err(_) => Err(Fault::new("bad-public-key")),
        }
    }

    /// Sums with `values` added, under fresh randomness: nobody, nor the key's owner, can tell which
    /// ciphertexts were added up.
    ///
    /// An encryption of the constant is added: `(C1 + rG, C2 + rP + vG)`. For the few ciphertexts of a
    /// table's cells, hence one by one.
    pub fn add_values(
        &self,
        ciphertexts: Field<'_, CIPHERTEXT>,
        values: &[i64],
        threads: usize,
    ) -> Result<Vec<u8>, Fault> {
        if ciphertexts.len() != values.len() {
            return Err(Fault::new("uneven-columns"));
        }
        fill::<CIPHERTEXT>(values.len(), threads, |rows, out| {
            for (place, (row, bytes)) in out.iter_mut().zip(ciphertexts.range(rows)) {
                let (first, second) = decode_sum(bytes, row)?;
                let fresh = Zeroizing::new(random_scalar()?);
                let value = Zeroizing::new(scalar(values[row]));
                let first = first + RistrettoPoint::mul_base(&fresh);
                let second = second + self.0 * *fresh + RistrettoPoint::mul_base(&value);
                if first.is_identity() || second.is_identity() {
                    return Err(Fault::at("identity", row));
                }
                *place = encode_pair(&(first, second));
            }
            Ok(())
        })
    }
}

/// Ciphertexts of two columns added row by row: what shards of one sum are put together with.
pub fn add(
    left: Field<'_, CIPHERTEXT>,
    right: Field<'_, CIPHERTEXT>,
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    if left.len() != right.len() {
        return Err(Fault::new("uneven-columns"));
    }
    fill::<CIPHERTEXT>(left.len(), threads, |rows, out| {
        for (place, row) in out.iter_mut().zip(rows) {
            let one = decode_sum(left.get(row), row)?;
            let other = decode_sum(right.get(row), row)?;
            *place = encode_pair(&(one.0 + other.0, one.1 + other.1));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::dlog::Plan;

    const VALUES: [i64; 7] = [0, 1, -1, 41, i64::MAX, i64::MIN, 1_000_000_007];

    fn field(bytes: &[u8]) -> Field<'_, CIPHERTEXT> {
        Field::new(bytes, CIPHERTEXT, 0).unwrap()
    }

    /// `vG`, made of nothing that the code under test uses.
    fn times_base(value: i128) -> RistrettoPoint {
        let size = Scalar::from(value.unsigned_abs());
        let base = curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
        base * if value < 0 { -size } else { size }
    }

    #[test]
    fn a_ciphertext_is_what_the_page_says() {
        let key = KeyPair::new(Secret::random().unwrap());
        let made = key.encrypt(&VALUES, &Nonces::Fresh, 2).unwrap();
        let public = decode(key.public(), 0).unwrap();
        assert_eq!(public, times_base(1) * key.secret().whole());
        for (row, value) in VALUES.iter().enumerate() {
            let (first, second) = decode_pair(field(&made).get(row), row).unwrap();
            let opened = second - first * key.secret().whole();
            assert_eq!(opened, times_base(i128::from(*value)), "{value}");
        }
        let again = key.encrypt(&VALUES, &Nonces::Fresh, 2).unwrap();
        assert!(
            made.chunks(32)
                .all(|point| again.chunks(32).all(|other| other != point))
        );
    }

    #[test]
    fn a_seed_replays_and_never_shares_randomness_between_values() {
        let key = KeyPair::new(Secret::random().unwrap());
        let (seed, other_seed) = ([3; 32], [4; 32]);
        let contexts: Vec<u8> = (0..7 * 32).map(|byte| byte as u8).collect();
        let in_column = |seed, values: &[i64], column| {
            let contexts = Field::new(&contexts, 32, 0).unwrap();
            let nonces = Nonces::Seeded {
                seed,
                contexts,
                column,
            };
            key.encrypt(values, &nonces, 1).unwrap()
        };
        let made = |seed, values: &[i64]| in_column(seed, values, 0);
        let first = made(&seed, &VALUES);
        assert_eq!(first, made(&seed, &VALUES));
        let second_column = in_column(&seed, &VALUES, 1);
        assert!(
            first
                .chunks(32)
                .zip(second_column.chunks(32))
                .all(|(a, b)| a != b)
        );
        let mut changed = VALUES;
        changed[3] += 1;
        let second = made(&seed, &changed);
        for row in 0..VALUES.len() {
            let same = field(&first).get(row) == field(&second).get(row);
            assert_eq!(same, row != 3);
        }
        assert_ne!(field(&first).get(3)[..32], field(&second).get(3)[..32]);
        assert!(
            first
                .chunks(32)
                .zip(made(&other_seed, &VALUES).chunks(32))
                .all(|(a, b)| a != b)
        );
        let short = Field::new(&contexts[..32], 32, 0).unwrap();
        let nonces = Nonces::Seeded {
            seed: &seed,
            contexts: short,
            column: 0,
        };
        assert!(key.encrypt(&VALUES, &nonces, 1).is_err());
    }

    #[test]
    fn sums_and_constants_open_to_sums() {
        let key = KeyPair::new(Secret::random().unwrap());
        let public = PublicKey::from_bytes(key.public()).unwrap();
        let left = key.encrypt(&[5, 0, 7], &Nonces::Fresh, 1).unwrap();
        let right = key.encrypt(&[-2, 0, 900], &Nonces::Fresh, 1).unwrap();
        let sums = add(field(&left), field(&right), 2).unwrap();
        let noised = public.add_values(field(&sums), &[10, -1, 0], 2).unwrap();
        assert!(sums.chunks(32).zip(noised.chunks(32)).all(|(a, b)| a != b));
        let log = DiscreteLog::new(&Plan::new(-5, 1_000, 3, 1 << 20).unwrap(), 2).unwrap();
        assert_eq!(key.decrypt(field(&sums), &log, 2).unwrap(), [3, 0, 907]);
        assert_eq!(key.decrypt(field(&noised), &log, 1).unwrap(), [13, -1, 907]);
    }

    #[test]
    fn empty_sums_are_identities_and_become_ordinary_ciphertexts() {
        let key = KeyPair::new(Secret::random().unwrap());
        let public = PublicKey::from_bytes(key.public()).unwrap();
        let made = public.add_values(field(&[0; 64]), &[-4], 1).unwrap();
        decode_pair(field(&made).get(0), 0).unwrap();
        let log = DiscreteLog::new(&Plan::new(-5, 0, 1, 1 << 10).unwrap(), 1).unwrap();
        assert_eq!(key.decrypt(field(&made), &log, 1).unwrap(), [-4]);
        assert!(decode_pair(&[0; 64], 0).is_err());
    }

    #[test]
    fn a_public_key_must_be_a_point_but_the_identity() {
        for bytes in [&[0; 32][..], &[1; 32], &[0; 31], &[]] {
            assert!(PublicKey::from_bytes(bytes).is_err());
        }
    }
}
