//! Automorphisms X -> X^k of the ring, as permutations of a polynomial in transformed order.
//!
//! Transformed order is that of [`super::ntt`]: place i holds the value at psi^(2 brv(i) + 1). The value
//! of a(X^k) there is a's at psi^(k (2 brv(i) + 1)), so the automorphism only moves values.

use super::ntt::Path;
#[cfg(target_arch = "x86_64")]
use super::simd_avx512_vector;

/// Slot j of a batch stands for the value at psi^(3^j): 3 and -1 make all odd numbers modulo 2N. (Microsoft
/// SEAL's choice, so that ciphertexts can be compared with its; others take 5.)
pub const GENERATOR: u64 = 3;

/// Places that move together.
///
/// The places of one aligned eight share the low bits of b = brv(i), all but the top three. So do their
/// sources' b' = (k (2 b + 1) - 1) / 2 modulo N / 8, which is all that tells the sources' eight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eight {
    /// The eight that is read.
    pub from: u32,
    /// Which of it goes to each place, one byte each.
    pub lanes: [u8; 8],
}

/// One automorphism over polynomials of degree N.
#[derive(Clone, Debug)]
pub struct Galois {
    element: u64,
    eights: Vec<Eight>,
}

impl Galois {
    /// X -> X^element for an odd element below 2n. `None` for another element, or an `n` that is no power
    /// of two within 8 ..= 2^20.
    pub fn new(n: usize, element: u64) -> Option<Self> {
        if !n.is_power_of_two() || !(8..=1 << 20).contains(&n) {
            return None;
        }
        let twice = 2 * n as u64;
        if element.is_multiple_of(2) || element >= twice {
            return None;
        }
        let shift = u64::BITS - n.trailing_zeros();
        let source = |place: usize| {
            let odd = 2 * ((place as u64).reverse_bits() >> shift) + 1;
            // Both factors are below 2^21.
            let from = (odd * element % twice - 1) / 2;
            from.reverse_bits() >> shift
        };
        let eights = (0..n / 8).map(|index| Eight {
            from: (source(8 * index) / 8) as u32,
            lanes: std::array::from_fn(|lane| (source(8 * index + lane) % 8) as u8),
        });
        Some(Self {
            element,
            eights: eights.collect(),
        })
    }

    /// Turns both halves of the N/2 slots left by `step` (right where negative): slot j takes the value
    /// of slot j + step modulo N/2.
    pub fn for_step(n: usize, step: i64) -> Option<Self> {
        Self::new(n, element_for_step(n, step)?)
    }

    /// X -> X^-1: the complex conjugate of every slot (CKKS), or the two rows swapped (BGV).
    pub fn conjugation(n: usize) -> Option<Self> {
        Self::new(n, (2 * n as u64).checked_sub(1)?)
    }

    /// The exponent k of X -> X^k.
    pub fn element(&self) -> u64 {
        self.element
    }

    /// The inverse automorphism's exponent.
    pub fn inverse_element(&self) -> u64 {
        // Newton: each round doubles the correct low bits; 2N is a power of two of at most 21 bits.
        let mut inverse = self.element;
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(self.element.wrapping_mul(inverse)));
        }
        inverse % (2 * self.n() as u64)
    }

    /// The degree N.
    pub fn n(&self) -> usize {
        8 * self.eights.len()
    }

    /// The place whose value comes to place i.
    ///
    /// # Panics
    /// If `place` is not below N.
    pub fn source(&self, place: usize) -> usize {
        let eight = self.eights[place / 8];
        8 * eight.from as usize + usize::from(eight.lanes[place % 8])
    }

    /// Writes the automorphism's image of `src` (transformed order) to `dst`.
    ///
    /// # Panics
    /// If either is not of length N.
    pub fn permute(&self, src: &[u64], dst: &mut [u64]) {
        self.permute_with(Path::best(), src, dst);
    }

    pub fn permute_with(&self, path: Path, src: &[u64], dst: &mut [u64]) {
        assert_eq!(src.len(), self.n());
        assert_eq!(dst.len(), self.n());
        assert!(path.is_available());
        let (src, dst) = (src.as_chunks::<8>().0, dst.as_chunks_mut::<8>().0);
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => simd_avx512_vector::permute(&self.eights, src, dst),
            _ => {
                for (dst, eight) in dst.iter_mut().zip(&self.eights) {
                    let from = &src[eight.from as usize];
                    *dst = eight.lanes.map(|lane| from[usize::from(lane & 7)]);
                }
            }
        }
    }
}

/// The exponent of the automorphism that turns the slots left by `step`; `None` for an `n` that is no
/// power of two from 8.
pub fn element_for_step(n: usize, step: i64) -> Option<u64> {
    if !n.is_power_of_two() || !(8..=1 << 20).contains(&n) {
        return None;
    }
    let twice = 2 * n as u64;
    let mut exponent = step.rem_euclid(n as i64 / 2);
    let (mut element, mut square) = (1u64, GENERATOR);
    while exponent > 0 {
        if exponent & 1 == 1 {
            element = element * square % twice;
        }
        square = square * square % twice;
        exponent >>= 1;
    }
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::modulus::Modulus;
    use crate::ring::ntt::Tables;
    use crate::ring::primes::ntt_primes;
    use crate::ring::sample::{Expander, Seed};

    /// a(X^k) by its coefficients: X^i goes to X^(i k), and X^N is -1.
    fn by_coefficients(q: Modulus, a: &[u64], element: u64) -> Vec<u64> {
        let n = a.len();
        let mut out = vec![0; n];
        for (power, &coefficient) in a.iter().enumerate() {
            let place = power * element as usize % (2 * n);
            out[place % n] = if place < n {
                coefficient
            } else {
                q.neg(coefficient)
            };
        }
        out
    }

    #[test]
    fn permutations_are_substitutions_of_the_variable() {
        for log_n in [4, 5, 8, 10, 13] {
            let n = 1usize << log_n;
            let q = Modulus::new(ntt_primes(40, n as u64, 1, &[])[0]).unwrap();
            let tables = Tables::new(log_n, q).unwrap();
            let mut a = vec![0; n];
            Expander::new(&Seed::new([5; 32]), b"galois", 0).uniform(q, &mut a);
            let mut values = a.clone();
            tables.forward(&mut values);
            for element in [1, 3, 5, 9, n as u64 - 1, n as u64 + 1, 2 * n as u64 - 1] {
                let galois = Galois::new(n, element).unwrap();
                let mut expected = by_coefficients(q, &a, element);
                tables.forward(&mut expected);
                for path in Path::available() {
                    let mut out = vec![0; n];
                    galois.permute_with(path, &values, &mut out);
                    assert_eq!(out, expected, "{path:?} {n} {element}");
                }
                let moved: Vec<u64> = (0..n).map(|place| values[galois.source(place)]).collect();
                assert_eq!(moved, expected);
            }
        }
    }

    #[test]
    fn steps_add_up_and_inverses_undo() {
        let n = 1_024;
        let values: Vec<u64> = (0..n as u64).collect();
        let turned = |from: &[u64], galois: &Galois| {
            let mut out = vec![0; n];
            galois.permute(from, &mut out);
            out
        };
        for (first, second) in [(1, 2), (3, -3), (511, 1), (-7, 500), (600, -88)] {
            let [a, b] = [first, second].map(|step| Galois::for_step(n, step).unwrap());
            let both = Galois::for_step(n, first + second).unwrap();
            assert_eq!(turned(&turned(&values, &a), &b), turned(&values, &both));
            let back = Galois::new(n, a.inverse_element()).unwrap();
            assert_eq!(turned(&turned(&values, &a), &back), values);
        }
        let conjugation = Galois::conjugation(n).unwrap();
        assert_eq!(conjugation.element(), 2 * n as u64 - 1);
        assert_eq!(turned(&turned(&values, &conjugation), &conjugation), values);
    }

    #[test]
    fn steps_and_conjugation_reach_every_automorphism() {
        let n = 64;
        let mut elements: Vec<u64> = (0..n as i64 / 2)
            .flat_map(|step| {
                let element = element_for_step(n, step).unwrap();
                [element, 2 * n as u64 - element]
            })
            .collect();
        elements.sort_unstable();
        assert_eq!(
            elements,
            (0..n as u64).map(|k| 2 * k + 1).collect::<Vec<_>>()
        );
    }

    #[test]
    fn senseless_elements_and_degrees_are_refused() {
        for (n, element) in [(16, 2), (16, 33), (12, 5), (4, 3), (0, 1)] {
            assert!(Galois::new(n, element).is_none());
        }
        assert!(Galois::conjugation(0).is_none());
        assert!(Galois::for_step(12, 1).is_none());
    }
}
