//! The negacyclic number-theoretic transform over Z_q[X] / (X^N + 1).
//!
//! Order. With psi the **smallest** primitive 2N-th root of unity modulo q and brv the reversal of log2(N)
//! bits, place i of the transformed polynomial holds its value at psi^(2 brv(i) + 1). Coefficients are in
//! natural order. (Microsoft SEAL has the same root and order, so residues can be compared with its.)
//!
//! Inputs and outputs are fully reduced residues, so every path gives the same words.

use std::sync::OnceLock;

use super::modulus::Modulus;
#[cfg(target_arch = "x86_64")]
use super::{simd_avx2, simd_avx512};

/// Degrees: 2^MIN_LOG_N ..= 2^MAX_LOG_N.
pub const MIN_LOG_N: u32 = 4;
pub const MAX_LOG_N: u32 = 17;

/// Which instructions do the arithmetic. All paths give identical residues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Scalar,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL and IFMA.
    Avx512,
}

impl Path {
    /// The fastest path of this processor.
    pub fn best() -> Self {
        static BEST: OnceLock<Path> = OnceLock::new();
        *BEST.get_or_init(|| *Self::available().last().expect("the scalar path"))
    }

    /// Every path this processor can run.
    pub fn available() -> Vec<Self> {
        [Self::Scalar, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|path| path.is_available())
            .collect()
    }

    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512ifma")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The name shown to people: "scalar", "avx2" or "avx512ifma".
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512ifma",
        }
    }
}

/// A factor and its Shoup quotient floor(w 2^64 / q).
#[derive(Clone, Copy, Debug)]
struct Factor {
    w: u64,
    quotient: u64,
}

/// The transform's roots for one degree and prime.
#[derive(Debug)]
pub struct Tables {
    modulus: Modulus,
    log_n: u32,
    root: u64,
    /// psi^brv(i) at place i.
    forward: Vec<Factor>,
    /// psi^-brv(i) at place i.
    inverse: Vec<Factor>,
    /// 1 / N, and psi^-brv(1) / N for the last stage.
    last: [Factor; 2],
    /// The roots as AVX2 and AVX-512 read them, forward and inverse; made when first used.
    #[cfg(target_arch = "x86_64")]
    avx2: OnceLock<[simd_avx2::Roots; 2]>,
    #[cfg(target_arch = "x86_64")]
    avx512: OnceLock<[simd_avx512::Roots; 2]>,
}

impl Tables {
    /// `None` unless `MIN_LOG_N <= log_n <= MAX_LOG_N` and the modulus is a prime that is 1 modulo 2N.
    pub fn new(log_n: u32, modulus: Modulus) -> Option<Self> {
        if !(MIN_LOG_N..=MAX_LOG_N).contains(&log_n) {
            return None;
        }
        let q = modulus.value();
        if (q - 1) & ((2u64 << log_n) - 1) != 0 || !super::primes::is_prime(q) {
            return None;
        }
        let root = smallest_root(modulus, log_n)?;
        let n = 1usize << log_n;
        let factor = |w: u64| Factor {
            w,
            quotient: modulus.shoup(w),
        };
        let powers = |base: u64| {
            let mut places = vec![factor(0); n];
            let mut power = 1;
            for exponent in 0..n {
                places[reversed(exponent, log_n)] = factor(power);
                power = modulus.mul(power, base);
            }
            places
        };
        let inverse = powers(modulus.inverse(root));
        let scale = modulus.inverse(n as u64);
        let last = [factor(scale), factor(modulus.mul(scale, inverse[1].w))];
        Some(Self {
            modulus,
            log_n,
            root,
            forward: powers(root),
            inverse,
            last,
            #[cfg(target_arch = "x86_64")]
            avx2: OnceLock::new(),
            #[cfg(target_arch = "x86_64")]
            avx512: OnceLock::new(),
        })
    }

    pub fn modulus(&self) -> Modulus {
        self.modulus
    }

    pub fn log_n(&self) -> u32 {
        self.log_n
    }

    /// The degree N.
    pub fn n(&self) -> usize {
        1 << self.log_n
    }

    /// psi, the smallest primitive 2N-th root of unity.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Coefficients (residues, natural order) to values, in place.
    ///
    /// # Panics
    /// If `values` is not of length N.
    pub fn forward(&self, values: &mut [u64]) {
        self.forward_with(Path::best(), values);
    }

    /// Values to coefficients, in place: undoes [`Self::forward`].
    ///
    /// # Panics
    /// If `values` is not of length N.
    pub fn inverse(&self, values: &mut [u64]) {
        self.inverse_with(Path::best(), values);
    }

    /// [`Self::forward`] on a path of the caller's choice.
    ///
    /// # Panics
    /// If `values` is not of length N, or this processor has not the path.
    pub fn forward_with(&self, path: Path, values: &mut [u64]) {
        assert_eq!(values.len(), self.n());
        assert!(path.is_available());
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => simd_avx2::forward(self.modulus, &self.avx2_roots()[0], values),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => simd_avx512::forward(self.modulus, &self.avx512_roots()[0], values),
            _ => self.forward_scalar(values),
        }
    }

    /// [`Self::inverse`] on a path of the caller's choice.
    ///
    /// # Panics
    /// If `values` is not of length N, or this processor has not the path.
    pub fn inverse_with(&self, path: Path, values: &mut [u64]) {
        assert_eq!(values.len(), self.n());
        assert!(path.is_available());
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => {
                let last = self.last.map(|factor| factor.w);
                simd_avx2::inverse(self.modulus, &self.avx2_roots()[1], last, values);
            }
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => {
                let last = self.last.map(|factor| (factor.w, factor.quotient));
                simd_avx512::inverse(self.modulus, &self.avx512_roots()[1], last, values);
            }
            _ => self.inverse_scalar(values),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn avx2_roots(&self) -> &[simd_avx2::Roots; 2] {
        self.avx2.get_or_init(|| {
            [&self.forward, &self.inverse].map(|factors| {
                simd_avx2::Roots::new(self.modulus, |node| factors[node].w, self.n())
            })
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn avx512_roots(&self) -> &[simd_avx512::Roots; 2] {
        self.avx512.get_or_init(|| {
            [&self.forward, &self.inverse].map(|factors| {
                let root = |node: usize| (factors[node].w, factors[node].quotient);
                simd_avx512::Roots::new(root, self.n())
            })
        })
    }

    /// Cooley and Tukey's butterflies (Harvey, "Faster arithmetic for number-theoretic transforms", 2014).
    ///
    /// A stage adds at most 2q to a value; after 17 stages all are below 35q < 2^56, so nothing needs
    /// reduction before the end.
    fn forward_scalar(&self, values: &mut [u64]) {
        let modulus = self.modulus;
        let twice = 2 * modulus.value();
        let mut half = self.n() / 2;
        let mut first = 1;
        while half >= 1 {
            let factors = &self.forward[first..2 * first];
            for (block, factor) in values.chunks_exact_mut(2 * half).zip(factors) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let product = modulus.mul_shoup_lazy(*y, factor.w, factor.quotient);
                    let sum = x.wrapping_add(product);
                    *y = x.wrapping_add(twice).wrapping_sub(product);
                    *x = sum;
                }
            }
            first *= 2;
            half /= 2;
        }
        for value in values {
            *value = modulus.reduce(*value);
        }
    }

    /// Gentleman and Sande's butterflies; values stay below 2q.
    fn inverse_scalar(&self, values: &mut [u64]) {
        let modulus = self.modulus;
        let twice = 2 * modulus.value();
        let mut half = 1;
        let mut first = self.n() / 2;
        while first > 1 {
            let factors = &self.inverse[first..2 * first];
            for (block, factor) in values.chunks_exact_mut(2 * half).zip(factors) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let sum = x.wrapping_add(*y);
                    let less = x.wrapping_add(twice).wrapping_sub(*y);
                    *x = modulus.settle_twice(sum);
                    *y = modulus.mul_shoup_lazy(less, factor.w, factor.quotient);
                }
            }
            first /= 2;
            half *= 2;
        }
        let [whole, turned] = self.last;
        let (low, high) = values.split_at_mut(half);
        for (x, y) in low.iter_mut().zip(high) {
            let sum = x.wrapping_add(*y);
            let less = x.wrapping_add(twice).wrapping_sub(*y);
            *x = modulus.mul_shoup(sum, whole.w, whole.quotient);
            *y = modulus.mul_shoup(less, turned.w, turned.quotient);
        }
    }
}

fn reversed(index: usize, bits: u32) -> usize {
    index.reverse_bits() >> (usize::BITS - bits)
}

/// The smallest psi with psi^N = -1. `None` where there is none.
fn smallest_root(modulus: Modulus, log_n: u32) -> Option<u64> {
    let q = modulus.value();
    let n = 1u64 << log_n;
    let cofactor = (q - 1) >> (log_n + 1);
    // Half of all bases give a primitive root: 200 of them fail with a chance of 2^-200.
    let some = (2..q)
        .take(200)
        .map(|base| modulus.pow(base, cofactor))
        .find(|&root| modulus.pow(root, n) == q - 1)?;
    // All primitive roots are the odd powers of one.
    let square = modulus.mul(some, some);
    let mut power = some;
    let mut least = some;
    for _ in 1..n {
        power = modulus.mul(power, square);
        least = least.min(power);
    }
    Some(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::primes::{nearest, ntt_primes};
    use crate::ring::sample::{Expander, Seed};

    pub(crate) fn primes(log_n: u32) -> Vec<Modulus> {
        // Every size, the largest below 2^50 and, with the least below a power of two, the widest lazy bounds.
        let n = 1u64 << log_n;
        let sizes = [17, 20, 26, 30, 36, 40, 45, 46, 47, 48, 49, 50];
        let mut found: Vec<u64> = sizes
            .iter()
            .filter(|&&bits| bits > log_n + 1)
            .flat_map(|&bits| ntt_primes(bits, n, 1, &[]))
            .collect();
        for bits in [46, 47, 48, 49] {
            found.extend(nearest((1 << bits) + (1 << 20), n, 1, &[]));
        }
        found.extend(nearest(3 << 48, n, 1, &[]));
        found.into_iter().filter_map(Modulus::new).collect()
    }

    fn random(modulus: Modulus, n: usize, index: u64) -> Vec<u64> {
        let mut values = vec![0; n];
        Expander::new(&Seed::new([7; 32]), b"test", index).uniform(modulus, &mut values);
        values
    }

    fn schoolbook(modulus: Modulus, a: &[u64], b: &[u64]) -> Vec<u64> {
        let n = a.len();
        let mut product = vec![0; n];
        for (i, &x) in a.iter().enumerate() {
            for (j, &y) in b.iter().enumerate() {
                let term = modulus.mul(x, y);
                let place = &mut product[(i + j) % n];
                *place = if i + j < n {
                    modulus.add(*place, term)
                } else {
                    modulus.sub(*place, term)
                };
            }
        }
        product
    }

    #[test]
    fn products_are_those_of_the_schoolbook() {
        for log_n in [4, 5, 6, 7, 9] {
            let n = 1 << log_n;
            for modulus in primes(log_n) {
                let tables = Tables::new(log_n, modulus).unwrap();
                let (a, b) = (random(modulus, n, 0), random(modulus, n, 1));
                let expected = schoolbook(modulus, &a, &b);
                for path in Path::available() {
                    let (mut x, mut y) = (a.clone(), b.clone());
                    tables.forward_with(path, &mut x);
                    tables.forward_with(path, &mut y);
                    for (left, right) in x.iter_mut().zip(&y) {
                        *left = modulus.mul(*left, *right);
                    }
                    tables.inverse_with(path, &mut x);
                    assert_eq!(x, expected, "{path:?}, n {n}, q {}", modulus.value());
                }
            }
        }
    }

    #[test]
    fn values_come_in_the_documented_order() {
        for (log_n, bits) in [(4, 20), (10, 40), (13, 50)] {
            let n = 1usize << log_n;
            let modulus = Modulus::new(ntt_primes(bits, n as u64, 1, &[])[0]).unwrap();
            let tables = Tables::new(log_n, modulus).unwrap();
            let a = random(modulus, n, 2);
            for path in Path::available() {
                let mut values = a.clone();
                tables.forward_with(path, &mut values);
                for place in [0, 1, 2, n / 2, n / 2 + 3, n - 1] {
                    let odd = 2 * reversed(place, log_n) as u64 + 1;
                    let point = modulus.pow(tables.root(), odd);
                    let horner = a.iter().rev().fold(0, |sum, &coefficient| {
                        modulus.mul_add(sum, point, coefficient)
                    });
                    assert_eq!(values[place], horner, "{path:?} {place}");
                }
            }
        }
    }

    #[test]
    fn the_root_is_the_smallest() {
        // 12289 with N = 1024 has the root 7 (Lyubashevsky and others use it); and by search.
        let modulus = Modulus::new(12_289).unwrap();
        assert_eq!(Tables::new(10, modulus).unwrap().root(), 7);
        for (log_n, q) in [(4, 97), (4, 193), (6, 257), (10, 40_961)] {
            let modulus = Modulus::new(q).unwrap();
            let searched = (2..q)
                .find(|&x| modulus.pow(x, 1 << log_n) == q - 1)
                .unwrap();
            assert_eq!(Tables::new(log_n, modulus).unwrap().root(), searched);
        }
    }

    #[test]
    fn all_paths_agree_and_return_over_all_degrees_and_prime_sizes() {
        for log_n in MIN_LOG_N..=MAX_LOG_N {
            let n = 1usize << log_n;
            for modulus in primes(log_n) {
                let tables = Tables::new(log_n, modulus).unwrap();
                let top = modulus.value() - 1;
                let edges: Vec<u64> = (0..n).map(|place| [top, 0, 1, top][place % 4]).collect();
                for start in [random(modulus, n, 3), vec![top; n], vec![0; n], edges] {
                    let mut expected = start.clone();
                    tables.forward_with(Path::Scalar, &mut expected);
                    assert!(expected.iter().all(|&value| value < modulus.value()));
                    let mut turned = start.clone();
                    tables.inverse_with(Path::Scalar, &mut turned);
                    for path in Path::available() {
                        let mut values = start.clone();
                        tables.forward_with(path, &mut values);
                        assert!(values == expected, "{path:?} n {n} q {}", modulus.value());
                        tables.inverse_with(path, &mut values);
                        assert!(values == start, "{path:?} n {n} q {}", modulus.value());
                        tables.inverse_with(path, &mut values);
                        assert!(values == turned, "{path:?} n {n} q {}", modulus.value());
                    }
                }
            }
        }
    }

    #[test]
    fn a_modulus_without_the_roots_is_refused() {
        for (log_n, q) in [
            (13, 12_289),
            (10, 12_287),
            (4, 33),
            (3, 97),
            (18, 97),
            (4, 65 * 97),
        ] {
            assert!(
                Tables::new(log_n, Modulus::new(q).unwrap()).is_none(),
                "{q}"
            );
        }
    }
}
