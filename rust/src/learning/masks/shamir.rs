//! Shamir's t-of-n sharing (CACM 22(11), 1979) over the scalar field of ristretto255.
//!
//! Share x of a secret s is p(x), p a polynomial of degree t - 1 with p(0) = s and uniform other coefficients:
//! any t - 1 shares are uniform and independent of s. A share is its number x (one byte, from 1) and p(x) in
//! its one canonical form (32 bytes, little-endian, below the order). Numbers are public; arithmetic on scalars
//! runs in constant time.

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, Zeroizing};

use crate::group::secret::random_scalar;
use crate::learning::fault::Fault;

/// Bytes of a share.
pub const SHARE_BYTES: usize = 33;
/// As many members as numbers of a share.
pub const MOST_MEMBERS: usize = 255;

/// A share in bytes, wiped when it is dropped.
pub type Share = Zeroizing<[u8; SHARE_BYTES]>;

fn check_threshold(threshold: usize, members: usize) -> Result<(), Fault> {
    if 2 <= threshold && threshold <= members && members <= MOST_MEMBERS {
        Ok(())
    } else {
        Err(Fault::new("bad-threshold"))
    }
}

/// Shares number 1 to `members` of a secret, with fresh coefficients.
///
/// # Errors
/// `bad-threshold` if not 2 <= threshold <= members <= 255; `no-randomness`.
pub fn share(secret: &Scalar, threshold: usize, members: usize) -> Result<Vec<Share>, Fault> {
    check_threshold(threshold, members)?;
    let mut coefficients = Zeroizing::new(vec![*secret; threshold]);
    for coefficient in coefficients.iter_mut().skip(1) {
        *coefficient = random_scalar()?;
    }
    let shares = (1..=members).map(|number| {
        let x = Scalar::from(number as u64);
        // Horner's rule.
        let mut value = Zeroizing::new(Scalar::ZERO);
        for coefficient in coefficients.iter().rev() {
            *value = *value * x + coefficient;
        }
        let mut share = Share::new([0; SHARE_BYTES]);
        share[0] = number as u8;
        share[1..].copy_from_slice(Zeroizing::new(value.to_bytes()).as_slice());
        share
    });
    Ok(shares.collect())
}

struct Point {
    number: u8,
    value: Scalar,
}

impl Drop for Point {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

fn decode(share: &[u8]) -> Result<Point, Fault> {
    let bad = Fault::new("bad-share");
    let share: &[u8; SHARE_BYTES] = share.try_into().map_err(|_| bad)?;
    let [number, value @ ..] = share;
    let value: Option<Scalar> = Scalar::from_canonical_bytes(*value).into();
    match (*number, value) {
        (number @ 1.., Some(value)) => Ok(Point { number, value }),
        _ => Err(bad),
    }
}

/// The value at `x` of the polynomial through the points, whose numbers differ (Lagrange).
fn at(points: &[Point], x: u8) -> Zeroizing<Scalar> {
    let number = |value: u8| Scalar::from(u64::from(value));
    let mut sum = Zeroizing::new(Scalar::ZERO);
    for point in points {
        let (mut above, mut below) = (Scalar::ONE, Scalar::ONE);
        for other in points.iter().filter(|other| other.number != point.number) {
            above *= number(x) - number(other.number);
            below *= number(point.number) - number(other.number);
        }
        *sum += point.value * above * below.invert();
    }
    sum
}

/// The secret that shares give back. All that are there are checked against one another.
///
/// # Errors
/// `bad-threshold`; `bad-share` (length, number 0, not canonical), `repeated-share`, `few-shares`,
/// `uneven-shares` (more than `threshold`, not on one polynomial of its degree).
pub fn combine<'a>(
    shares: impl ExactSizeIterator<Item = &'a [u8]>,
    threshold: usize,
) -> Result<Zeroizing<Scalar>, Fault> {
    check_threshold(threshold, MOST_MEMBERS)?;
    if shares.len() > MOST_MEMBERS {
        return Err(Fault::new("repeated-share"));
    }
    let points = shares.map(decode).collect::<Result<Vec<_>, _>>()?;
    let mut seen = [false; MOST_MEMBERS + 1];
    for point in &points {
        if std::mem::replace(&mut seen[usize::from(point.number)], true) {
            return Err(Fault::new("repeated-share"));
        }
    }
    let Some((first, others)) = points.split_at_checked(threshold) else {
        return Err(Fault::new("few-shares"));
    };
    if others
        .iter()
        .any(|other| *at(first, other.number) != other.value)
    {
        return Err(Fault::new("uneven-shares"));
    }
    Ok(at(first, 0))
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar;

    use super::{MOST_MEMBERS, Share, combine, share};
    use crate::group::secret::random_scalar;

    fn combined(shares: &[Share], threshold: usize) -> Result<Scalar, &'static str> {
        combine(shares.iter().map(|share| share.as_slice()), threshold)
            .map(|scalar| *scalar)
            .map_err(|fault| fault.code)
    }

    #[test]
    fn every_set_of_the_threshold_gives_the_secret_back() {
        let secret = random_scalar().unwrap();
        let (members, threshold) = (6, 4);
        let shares = share(&secret, threshold, members).unwrap();
        for set in 0u32..1 << members {
            let chosen: Vec<Share> = (0..members)
                .filter(|member| set >> member & 1 == 1)
                .map(|member| shares[member].clone())
                .collect();
            let expected = if chosen.len() < threshold {
                Err("few-shares")
            } else {
                Ok(secret)
            };
            assert_eq!(combined(&chosen, threshold), expected);
        }
    }

    #[test]
    fn shares_are_fresh_every_time() {
        let secret = random_scalar().unwrap();
        let [one, other] = [(); 2].map(|()| share(&secret, 2, 20).unwrap());
        assert!(one.iter().zip(&other).all(|(one, other)| **one != **other));
        let mixed = [one[0].clone(), other[1].clone()];
        assert_ne!(combined(&mixed, 2), Ok(secret));
    }

    #[test]
    fn the_most_members() {
        let secret = random_scalar().unwrap();
        let mut shares = share(&secret, 200, MOST_MEMBERS).unwrap();
        assert_eq!(combined(&shares, 200), Ok(secret));
        shares.reverse();
        assert_eq!(combined(&shares[..200], 200), Ok(secret));
    }

    #[test]
    fn a_lower_threshold_gives_something_else() {
        let secret = random_scalar().unwrap();
        let shares = share(&secret, 3, 5).unwrap();
        assert_ne!(combined(&shares[..2], 2), Ok(secret));
        assert_eq!(combined(&shares, 2), Err("uneven-shares"));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let secret = random_scalar().unwrap();
        for (threshold, members) in [(0, 3), (1, 3), (4, 3), (3, 256)] {
            assert!(share(&secret, threshold, members).is_err());
        }
        let shares = share(&secret, 2, 3).unwrap();
        let mut changed = shares.clone();
        changed[2][5] ^= 1;
        assert_eq!(combined(&changed, 2), Err("uneven-shares"));
        assert_eq!(combined(&shares, 1), Err("bad-threshold"));
        let twice = [shares[0].clone(), shares[0].clone()];
        assert_eq!(combined(&twice, 2), Err("repeated-share"));
        for (at, byte) in [(0, 0), (32, 0xff)] {
            let mut bad = shares.clone();
            bad[1][at] = byte;
            assert_eq!(combined(&bad, 2), Err("bad-share"));
        }
        let short = [&shares[0][..], &shares[1][..32]];
        assert_eq!(
            combine(short.into_iter(), 2)
                .map_err(|fault| fault.code)
                .unwrap_err(),
            "bad-share"
        );
    }
}
