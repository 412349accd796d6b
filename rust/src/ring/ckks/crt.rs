//! From residues back to one integer: mixed radix (Garner), exact for any number of primes.

use crate::ring::params::{MOST_PRIMES, Params};

/// What turns residues modulo the first `level` primes into mixed-radix digits.
///
/// The digits d of x satisfy `x = d[0] + p[0] (d[1] + p[1] (d[2] + ...))` with `d[i] < p[i]`.
pub struct Crt<'a> {
    params: &'a Params,
    level: usize,
}

impl<'a> Crt<'a> {
    pub fn new(params: &'a Params, level: usize) -> Self {
        debug_assert!((1..=params.levels()).contains(&level));
        Self { params, level }
    }

    /// Digits of the integer in 0..Q whose residues `residue(i)` gives.
    #[inline]
    pub fn digits(&self, residue: impl Fn(usize) -> u64, digits: &mut [u64; MOST_PRIMES]) {
        for i in 0..self.level {
            let modulus = self.params.modulus(i);
            let mut x = residue(i);
            for (j, &digit) in digits[..i].iter().enumerate() {
                let difference = modulus.sub(x, modulus.reduce(digit));
                x = self.params.inverse(j, i).times(modulus, difference);
            }
            digits[i] = x;
        }
    }

    /// Makes the digits those of |x| for x in -Q/2..Q/2, and tells whether x is negative.
    #[inline]
    pub fn centre(&self, digits: &mut [u64; MOST_PRIMES]) -> bool {
        if !self.above_half(digits) {
            return false;
        }
        // Q - x = (Q - 1 - x) + 1, digit by digit.
        let mut carry = 1;
        for (digit, &prime) in digits.iter_mut().zip(&self.params.primes[..self.level]) {
            let complement = prime - 1 - *digit + carry;
            carry = u64::from(complement == prime);
            *digit = if complement == prime { 0 } else { complement };
        }
        true
    }

    /// The digits' value in float64: right to the last bit below 2^53, else to a few units of it.
    #[inline]
    pub fn to_float(&self, digits: &[u64; MOST_PRIMES]) -> f64 {
        let mut value = 0.0;
        for i in (0..self.level).rev() {
            value = value * self.params.primes[i] as f64 + digits[i] as f64;
        }
        value
    }

    /// Whether x > (Q - 1) / 2. Primes are odd, so the digits of (Q - 1) / 2 are (p - 1) / 2.
    #[inline]
    fn above_half(&self, digits: &[u64; MOST_PRIMES]) -> bool {
        for i in (0..self.level).rev() {
            let half = (self.params.primes[i] - 1) / 2;
            if digits[i] != half {
                return digits[i] > half;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::params::Scheme;
    use crate::ring::params::tests::small;

    #[test]
    fn small_integers_of_either_sign_come_back_exactly() {
        let params = small(Scheme::Ckks);
        let half = params
            .primes
            .iter()
            .map(|&p| i128::from(p))
            .product::<i128>()
            / 2;
        for level in 1..=3 {
            let crt = Crt::new(&params, level);
            let half = half
                / params.primes[level..]
                    .iter()
                    .map(|&p| i128::from(p))
                    .product::<i128>();
            for x in [
                0,
                1,
                -1,
                5,
                -77,
                1 << 20,
                -(1 << 20),
                half,
                -half,
                half - 1,
                1 - half,
            ] {
                let residue = |i: usize| params.modulus(i).reduce_signed_wide(x);
                let mut digits = [0; MOST_PRIMES];
                crt.digits(residue, &mut digits);
                let negative = crt.centre(&mut digits);
                assert_eq!(negative, x < 0);
                let mut value = 0i128;
                for i in (0..level).rev() {
                    value = value * i128::from(params.primes[i]) + i128::from(digits[i]);
                }
                assert_eq!(value, x.abs());
                assert!(
                    (crt.to_float(&digits) / x.abs().max(1) as f64 - f64::from(x != 0)).abs()
                        < 1e-15
                );
            }
        }
    }
}
