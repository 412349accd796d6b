//! BGV: exact integers modulo a prime t, one in each of N slots.
//!
//! A ciphertext decrypts to `c(s) = f m + t e` modulo Q, where m is the plaintext, e small noise and
//! f, the *factor*, a unit modulo t that every division by a prime changes (it starts at 1; the
//! level above keeps it, as Microsoft SEAL's `correction_factor`). The result is right as long as
//! |f m + t e| is below Q / 2; the *noise budget* says by how many bits it is.
//!
//! t is a prime with t = 1 modulo 2N, so X^N + 1 splits into linear factors modulo t and slots are
//! the values at its roots: slot j < N/2 at the 3^j-th power of the root, slot N/2 + j at the inverse
//! of that. Rotations turn the two halves separately, and conjugation swaps them.
//!
//! Sources: Z. Brakerski, C. Gentry, V. Vaikuntanathan, "Fully Homomorphic Encryption without
//! Bootstrapping", ITCS 2012; in residues A. Kim, Y. Polyakov, V. Zucca, "Revisiting Homomorphic
//! Encryption Schemes for Finite Fields", ASIACRYPT 2021. Dividing a prime away without losing what the
//! polynomial is modulo t is `keyswitch::divide`'s: the multiple of the prime that is taken off is one of t.

use zeroize::Zeroize;

use crate::ring::automorphism::element_for_step;
use crate::ring::ckks::crt::Crt;
use crate::ring::fault::Fault;
use crate::ring::modulus::Modulus;
use crate::ring::ntt::Tables;
use crate::ring::params::{MOST_PRIMES, Params, Scheme};

/// The plaintext ring Z_t[X] / (X^N + 1) and where its slots lie.
pub struct Batch {
    modulus: Modulus,
    table: Tables,
    /// The place of each slot in transformed order.
    places: Vec<u32>,
}

impl Batch {
    /// `None` for CKKS.
    pub fn new(params: &Params) -> Option<Self> {
        let Scheme::Bgv(plain) = params.scheme else {
            return None;
        };
        let modulus = Modulus::new(plain)?;
        let (n, twice) = (params.n(), 2 * params.n() as u64);
        let shift = u64::BITS - params.log_n;
        let generator = element_for_step(n, 1)?;
        let place = |odd: u64| ((odd - 1) / 2).reverse_bits() >> shift;
        let mut places = vec![0; n];
        let mut power = 1;
        for slot in 0..n / 2 {
            places[slot] = place(power) as u32;
            places[n / 2 + slot] = place(twice - power) as u32;
            power = power * generator % twice;
        }
        Some(Self {
            modulus,
            table: Tables::new(params.log_n, modulus)?,
            places,
        })
    }

    /// Whether these parameters have this plaintext ring.
    pub fn fits(&self, params: &Params) -> bool {
        params.scheme == Scheme::Bgv(self.modulus.value()) && params.n() == self.places.len()
    }

    /// t.
    pub fn modulus(&self) -> Modulus {
        self.modulus
    }

    /// Writes the polynomial whose slots are these integers: `level` residues in NTT form, of
    /// coefficients centred modulo t.
    ///
    /// Faults: `out-of-range` for an integer beyond (t - 1) / 2 of either sign, which would wrap.
    pub fn encode(
        &self,
        params: &Params,
        values: &[i64],
        level: usize,
        out: &mut [u64],
    ) -> Result<(), Fault> {
        let (n, most) = (params.n(), self.modulus.value() / 2);
        let mut plain = vec![0; n];
        for (&value, &place) in values.iter().zip(&self.places) {
            if value.unsigned_abs() > most {
                plain.zeroize();
                return Err(Fault::new("out-of-range"));
            }
            plain[place as usize] = self.modulus.reduce_signed(value);
        }
        self.table.inverse(&mut plain);
        for (component, out) in out.chunks_exact_mut(n).take(level).enumerate() {
            let modulus = params.modulus(component);
            for (out, &x) in out.iter_mut().zip(&plain) {
                *out = modulus.reduce_signed(self.modulus.centred(x));
            }
            params.table(component).forward(out);
        }
        plain.zeroize();
        Ok(())
    }

    /// The slots of a decrypted polynomial (`level` residues in NTT form) whose factor is `factor`,
    /// centred modulo t.
    pub fn decode(
        &self,
        params: &Params,
        poly: &[u64],
        level: usize,
        factor: u64,
        out: &mut [i64],
    ) {
        let t = self.modulus;
        let mut plain = vec![0; params.n()];
        centred(params, poly, level, |at, digits, negative| {
            let sum = (0..level).rev().fold(0, |sum, i| {
                t.mul_add(sum, t.reduce(params.primes[i]), t.reduce(digits[i]))
            });
            plain[at] = if negative { t.neg(sum) } else { sum };
        });
        self.table.forward(&mut plain);
        let undo = t.inverse(t.reduce(factor));
        for (out, &place) in out.iter_mut().zip(&self.places) {
            *out = t.centred(t.mul(plain[place as usize], undo));
        }
        plain.zeroize();
    }
}

/// Calls `each(i, digits, negative)` for every coefficient, centred modulo Q, of a polynomial given by its
/// `level` residues in NTT form: mixed-radix digits of the absolute value, and whether it is below zero.
fn centred(
    params: &Params,
    poly: &[u64],
    level: usize,
    mut each: impl FnMut(usize, &[u64; MOST_PRIMES], bool),
) {
    let n = params.n();
    let mut residues = poly[..level * n].to_vec();
    for (component, residues) in residues.chunks_exact_mut(n).enumerate() {
        params.table(component).inverse(residues);
    }
    let crt = Crt::new(params, level);
    let mut digits = [0; MOST_PRIMES];
    for i in 0..n {
        crt.digits(|component| residues[component * n + i], &mut digits);
        let negative = crt.centre(&mut digits);
        each(i, &digits, negative);
    }
    residues.zeroize();
}

/// The coefficients of a polynomial (`level` residues in NTT form), centred modulo Q, rounded to float64.
/// Of what a ciphertext decrypts to, less what it should, they are the noise.
pub fn coefficients(params: &Params, poly: &[u64], level: usize, out: &mut [f64]) {
    let crt = Crt::new(params, level);
    centred(params, poly, level, |at, digits, negative| {
        let size = crt.to_float(digits);
        out[at] = if negative { -size } else { size };
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::params::tests::small;

    const T: u64 = 40_961;

    #[test]
    fn slots_come_back_and_products_are_slot_by_slot() {
        let params = small(Scheme::Bgv(T));
        let batch = Batch::new(&params).unwrap();
        let n = params.n();
        let values: Vec<i64> = (0..n as i64).map(|i| i * i % 40_961 - 20_480).collect();
        let encoded = |values: &[i64], level: usize| {
            let mut poly = vec![0; level * n];
            batch.encode(&params, values, level, &mut poly).unwrap();
            poly
        };
        let decoded = |poly: &[u64], level: usize, factor: u64| {
            let mut out = vec![0; n];
            batch.decode(&params, poly, level, factor, &mut out);
            out
        };
        for level in 1..=3 {
            let poly = encoded(&values, level);
            assert_eq!(decoded(&poly, level, 1), values);
            let thirds = decoded(&poly, level, 3);
            assert!(
                thirds
                    .iter()
                    .zip(&values)
                    .all(|(x, y)| (3 * x - y) % T as i64 == 0)
            );
        }
        let mut product = encoded(&values, 3);
        let other = encoded(&values, 3);
        for (component, place) in product.chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(component);
            for (x, &y) in place.iter_mut().zip(&other[component * n..]) {
                *x = modulus.mul(*x, y);
            }
        }
        let t = batch.modulus();
        let squares: Vec<i64> = values
            .iter()
            .map(|&x| t.centred(t.reduce_signed(x * x)))
            .collect();
        assert_eq!(decoded(&product, 3, 1), squares);
    }

    #[test]
    fn what_would_wrap_is_a_fault() {
        let params = small(Scheme::Bgv(T));
        let batch = Batch::new(&params).unwrap();
        let mut poly = vec![0; params.n()];
        for (value, fits) in [
            (20_480, true),
            (-20_480, true),
            (20_481, false),
            (i64::MIN, false),
        ] {
            let values = vec![value; params.n()];
            assert_eq!(batch.encode(&params, &values, 1, &mut poly).is_ok(), fits);
        }
        assert!(Batch::new(&small(Scheme::Ckks)).is_none());
    }

    #[test]
    fn coefficients_are_the_signed_integers() {
        let params = small(Scheme::Ckks);
        let n = params.n();
        for level in 1..=3 {
            let mut poly = vec![0; level * n];
            for (component, place) in poly.chunks_exact_mut(n).enumerate() {
                place[0] = params.modulus(component).reduce_signed(-5);
                place[n - 1] = params.modulus(component).reduce_signed(1 << 20);
                params.table(component).forward(place);
            }
            let mut out = vec![0.0; n];
            coefficients(&params, &poly, level, &mut out);
            assert_eq!(
                (out[0], out[1], out[n - 1]),
                (-5.0, 0.0, f64::from(1 << 20))
            );
        }
    }
}
