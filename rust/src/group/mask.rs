//! Masking: every point of a column times a secret scalar (protocol messages 1 to 3).
//!
//! **Half the key.** An encoding needs an inverse square root, 3.7 microseconds, unless the point is a
//! double: the encodings of the doubles of many points share one inversion (0.4 microseconds each). So
//! each point is multiplied by `k/2` and the batch doubles it. The group's order l is odd, so `k/2`
//! exists mod l, and `2 (k/2 P) = k P` since l times any element is the identity of the quotient group
//! that ristretto255 is, whichever of the four Edwards points the library holds for it. `k/2` is as
//! secret as `k` and multiplied in the same constant time. The tests compare with `k P` one by one.
//!
//! Secret: the scalar, the ids and the unmasked points. Public once sent: what comes out, and only
//! after its whole group was sorted.

use curve25519_dalek::ristretto::RistrettoPoint;
use zeroize::Zeroizing;

use super::hash::{Hasher, ID};
use super::parallel::{check, fill};
use super::point::{POINT, Points, decode, encode_doubles};
use super::records::Field;
use super::secret::Secret;
use crate::columns::fault::Fault;
use crate::columns::random::OsRandom;

/// The identity must not be sent. Nobody will meet what hashes to it: one chance in 2^252 each.
fn no_identity(made: &[[u8; POINT]], start: usize) -> Result<(), Fault> {
    match made.iter().position(|point| *point == [0; POINT]) {
        Some(place) => Err(Fault::at("identity", start + place)),
        None => Ok(()),
    }
}

/// The encodings of hashed ids, not masked: for tests and research, never to be sent.
pub fn hash(ids: Field<'_, ID>, hasher: &Hasher, threads: usize) -> Result<Vec<u8>, Fault> {
    fill::<POINT>(ids.len(), threads, |rows, out| {
        for (place, (_, id)) in out.iter_mut().zip(ids.range(rows)) {
            *place = hasher.point(id).compress().to_bytes();
        }
        Ok(())
    })
}

/// Hashed ids times a scalar.
pub fn mask(
    ids: Field<'_, ID>,
    hasher: &Hasher,
    key: &Secret,
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    fill::<POINT>(ids.len(), threads, |rows, out| {
        let mut points: Points = Zeroizing::new(Vec::with_capacity(out.len()));
        for (_, id) in ids.range(rows.clone()) {
            points.push(hasher.point(id) * key.half());
        }
        encode_doubles(&points, out);
        no_identity(out, rows.start)
    })
}

/// Points of another party times a scalar: `WIDTH` is that of points, or of tags.
pub fn raise<const WIDTH: usize>(
    points: Field<'_, POINT>,
    key: &Secret,
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    fill::<WIDTH>(points.len(), threads, |rows, out| {
        let mut raised: Points = Zeroizing::new(Vec::with_capacity(out.len()));
        for (row, bytes) in points.range(rows) {
            raised.push(decode(bytes, row)? * key.half());
        }
        encode_doubles(&raised, out);
        Ok(())
    })
}

/// Whether all are points that another party may send. One identity or bad encoding is a fault.
pub fn validate(points: Field<'_, POINT>, threads: usize) -> Result<(), Fault> {
    check(points.len(), threads, |rows| {
        points
            .range(rows)
            .try_for_each(|(row, bytes)| decode(bytes, row).map(|_| ()))
    })
}

/// Uniformly random points, which nobody can tell from masked ones: what groups are padded with.
pub fn random(count: usize, threads: usize) -> Result<Vec<u8>, Fault> {
    fill::<POINT>(count, threads, |rows, out| {
        let mut random = OsRandom::new();
        let mut points: Points = Zeroizing::new(Vec::with_capacity(out.len()));
        for _ in rows.clone() {
            let uniform = Zeroizing::new(random.bytes::<64>()?);
            points.push(RistrettoPoint::from_uniform_bytes(&uniform));
        }
        // Doubling is one to one, so the doubles of uniform points are uniform.
        encode_doubles(&points, out);
        no_identity(out, rows.start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::point::TAG;

    const ROWS: usize = 600;

    fn ids() -> Vec<u8> {
        (0..ROWS)
            .flat_map(|row| {
                let mut id = [7; ID];
                id[..8].copy_from_slice(&row.to_le_bytes());
                id
            })
            .collect()
    }

    fn field<const N: usize>(bytes: &[u8]) -> Field<'_, N> {
        Field::new(bytes, N, 0).unwrap()
    }

    #[test]
    fn masking_and_raising_are_what_they_are_one_by_one() {
        let hasher = Hasher::new(b"test domain", b"run").unwrap();
        let (alpha, beta) = (Secret::random().unwrap(), Secret::random().unwrap());
        let ids = ids();
        let hashed = hash(field(&ids), &hasher, 2).unwrap();
        let masked = mask(field(&ids), &hasher, &alpha, 2).unwrap();
        let raised = raise::<POINT>(field(&masked), &beta, 2).unwrap();
        let tags = raise::<TAG>(field(&masked), &beta, 2).unwrap();
        for row in 0..ROWS {
            let at = |all: &[u8]| all[row * 32..][..32].to_vec();
            let point = hasher.point(&ids[row * 32..][..32]);
            assert_eq!(at(&hashed), point.compress().as_bytes());
            let point = alpha.whole() * point;
            assert_eq!(at(&masked), point.compress().as_bytes());
            let point = beta.whole() * point;
            assert_eq!(at(&raised), point.compress().as_bytes());
            assert_eq!(tags[row * TAG..][..TAG], at(&raised)[..TAG]);
            assert_eq!(tags[row * TAG] & 1, 0);
        }
        let other = mask(field(&ids), &hasher, &beta, 1).unwrap();
        assert_eq!(raise::<POINT>(field(&other), &alpha, 1).unwrap(), raised);
        let undone = raise::<POINT>(field(&masked), &alpha.inverse().unwrap(), 1).unwrap();
        assert_eq!(undone, hashed);
    }

    #[test]
    fn half_of_an_extreme_scalar_is_right_too() {
        let hasher = Hasher::new(b"test domain", b"run").unwrap();
        let one = curve25519_dalek::Scalar::ONE;
        for scalar in [one, -one, one + one, -(one + one)] {
            let key = Secret::new(scalar).unwrap();
            let masked = mask(field(&[1; 32]), &hasher, &key, 1).unwrap();
            let expected = hasher.point(&[1; 32]) * scalar;
            assert_eq!(masked, expected.compress().as_bytes());
        }
    }

    #[test]
    fn one_bad_point_among_many_is_found() {
        let mut points = random(ROWS, 2).unwrap();
        validate(field(&points), 2).unwrap();
        points[500 * 32..][..32].fill(0);
        points[501 * 32] ^= 1;
        let key = Secret::random().unwrap();
        for fault in [
            validate(field(&points), 2).unwrap_err(),
            raise::<TAG>(field(&points), &key, 2).unwrap_err(),
        ] {
            assert_eq!(fault, Fault::at("identity", 500));
        }
        points[500 * 32] = 1;
        assert_eq!(
            raise::<POINT>(field(&points), &key, 1).unwrap_err(),
            Fault::at("not-a-point", 500)
        );
    }

    #[test]
    fn the_identity_is_not_sent() {
        assert!(no_identity(&[[1; 32], [2; 32]], 5).is_ok());
        assert_eq!(
            no_identity(&[[1; 32], [0; 32]], 5).unwrap_err(),
            Fault::at("identity", 6)
        );
    }

    #[test]
    fn random_points_are_points_and_differ() {
        let points = random(ROWS, 2).unwrap();
        let mut rows: Vec<_> = points.as_chunks::<32>().0.to_vec();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), ROWS);
    }
}
