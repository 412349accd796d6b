//! One prime, and the reduction of signed sums modulo it that all paths of the fused kernel share.
//!
//! For |s| <= 2^62 let v = s + offset with offset = q ceil(2^62 / q), so 0 <= v < 2^63 + 2^50,
//! t = floor(v / 2^12) < 2^52, m = floor(2^64 / q) < 2^52 (q > 2^12) and e = floor(t m / 2^52).
//! Every step rounds down, and v/q - e is below 2^12/q + 1 + 1 < 3: two conditional subtractions
//! reduce v - e q, and as 3 q < 2^52 the difference may be taken modulo 2^52.

use crate::ring::modulus::Modulus;

/// The reduction above holds from here on; no ring's prime is smaller (the least is 12,289).
pub const LEAST: u64 = 1 << 13;
/// Signed sums up to this magnitude are reduced.
pub const MOST_SUM: u64 = 1 << 62;

/// A prime's constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub modulus: Modulus,
    /// q ceil(2^62 / q)
    pub offset: u64,
}

impl Field {
    /// Constants of `q`, if it is odd, at least 2^13 and below 2^50.
    pub fn new(q: u64) -> Option<Self> {
        let modulus = Modulus::new(q).filter(|_| q >= LEAST)?;
        let offset = MOST_SUM.div_ceil(q) * q;
        Some(Self { modulus, offset })
    }

    /// A signed sum of magnitude at most 2^62 as a residue.
    #[inline(always)]
    pub fn reduce(self, sum: i64) -> u64 {
        debug_assert!(sum.unsigned_abs() <= MOST_SUM);
        let q = self.modulus.value();
        let v = self.offset.wrapping_add(sum as u64);
        let e = ((u128::from(v >> 12) * u128::from(self.modulus.word_inverse())) >> 52) as u64;
        let once = |x: u64| x.min(x.wrapping_sub(q));
        once(once(v.wrapping_sub(e.wrapping_mul(q))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_sums_are_reduced() {
        for q in [
            12_289,
            65_537,
            (1 << 30) - 35,
            1_099_511_480_321,
            (1 << 50) - 27,
            (1 << 49) + 69,
        ] {
            let field = Field::new(q).unwrap();
            let most = MOST_SUM as i64;
            let mut sums = vec![0, 1, -1, most, -most, most - 1, 1 - most];
            let mut x = 0x9e37_79b9_7f4a_7c15u64;
            for _ in 0..5_000 {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let near = (x >> 13) as i64 % q as i64;
                sums.extend([
                    near,
                    -near,
                    near << 11,
                    -(near << 11),
                    most - near,
                    near - most,
                ]);
            }
            for sum in sums {
                assert_eq!(
                    field.reduce(sum),
                    sum.rem_euclid(q as i64) as u64,
                    "{sum} {q}"
                );
            }
        }
    }

    #[test]
    fn moduli_out_of_range_are_refused() {
        for q in [0, 1, 3, 8_191, 1 << 20, 1 << 50, (1 << 50) + 1, u64::MAX] {
            assert!(Field::new(q).is_none());
        }
    }
}
