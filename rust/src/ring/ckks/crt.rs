//! From residues back to one integer: mixed radix (Garner), exact for any number of primes.

use crate::ring::params::{MOST_PRIMES, Params};
use crate::ring::vector;

/// Turns residues `[level][N]` (in coefficients) into balanced digits, in place: the centred digits
/// d of x satisfy `x = d[0] + p[0] (d[1] + p[1] (d[2] + ...))`, each stored as its residue.
///
/// All primes being odd, balanced digits write the integers in -Q/2..Q/2, each in one way, and small
/// integers of either sign have zeroes in front: nothing cancels when they are added up in floats.
pub fn balance(params: &Params, residues: &mut [u64], room: &mut Vec<u64>) {
    let n = params.n();
    room.resize(n, 0);
    for i in 1..residues.len() / n {
        let (digits, rest) = residues.split_at_mut(i * n);
        let modulus = params.modulus(i);
        for (j, digit) in digits.chunks_exact(n).enumerate() {
            vector::lift_centred_to(modulus, room, digit, params.modulus(j));
            let inverse = params.inverse(j, i).word;
            vector::sub_mul_scalar_assign(modulus, &mut rest[..n], room, inverse);
        }
    }
}

/// The integers of balanced digits in float64: exact below 2^53, else right to a few last bits.
pub fn balanced_to_float(params: &Params, digits: &[u64], at: usize, out: &mut [f64]) {
    let n = params.n();
    out.fill(0.0);
    for (i, digits) in digits.chunks_exact(n).enumerate().rev() {
        let modulus = params.modulus(i);
        let prime = modulus.value() as f64;
        for (out, &digit) in out.iter_mut().zip(&digits[at..]) {
            *out = *out * prime + modulus.centred(digit) as f64;
        }
    }
}

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
    fn balanced_digits_and_plain_ones_are_the_same_integers() {
        let params = small(Scheme::Ckks);
        let n = params.n();
        let seed = crate::ring::sample::Seed::new([3; 32]);
        for level in 1..=3 {
            let mut residues = vec![0; level * n];
            for (at, place) in residues.chunks_exact_mut(n).enumerate() {
                crate::ring::sample::Expander::new(&seed, b"test", at as u64)
                    .uniform(params.modulus(at), place);
                // Small ones too, of both signs.
                for (i, place) in place[..100].iter_mut().enumerate() {
                    *place = params.modulus(at).reduce_signed(i as i64 - 50);
                }
            }
            let crt = Crt::new(&params, level);
            let mut expected = Vec::with_capacity(n);
            for i in 0..n {
                let mut digits = [0; MOST_PRIMES];
                crt.digits(|component| residues[component * n + i], &mut digits);
                let negative = crt.centre(&mut digits);
                let size = crt.to_float(&digits);
                expected.push(if negative { -size } else { size });
            }
            balance(&params, &mut residues, &mut Vec::new());
            let mut found = vec![0.0; n - 7];
            balanced_to_float(&params, &residues, 7, &mut found);
            for (i, (found, expected)) in found.iter().zip(&expected[7..]).enumerate() {
                assert!((found - expected).abs() <= expected.abs() * 1e-15);
                assert!(i + 7 >= 100 || *found == i as f64 + 7.0 - 50.0);
            }
        }
    }

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
