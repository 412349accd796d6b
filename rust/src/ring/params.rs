//! Parameters: a ring, its primes, and what is computed once from them.
//!
//! **Security.** Decision RLWE with a uniform ternary secret and errors of standard deviation 3.24 in
//! the ring Z_QP[X] / (X^N + 1). `SECURITY` is the table of 128 bits (classical, ternary secret,
//! sigma 3.2) of the Homomorphic Encryption Standard (HomomorphicEncryption.org, November 2018,
//! section 2, table 1): the most bits that the modulus may have for each N. What counts is the
//! largest modulus that anything is published under, that is the product of all data primes and the
//! special prime, since key-switching keys live there. Nothing above the table is ever built. Later
//! estimates (J.-P. Bossuat and others, "Security Guidelines for Implementing Homomorphic
//! Encryption", ePrint 2024/463) allow about two per cent fewer bits, so that the table's last bits
//! are worth slightly less than 128.

use std::sync::Arc;

use crate::ring::ckks::embedding::Embedding;
use crate::ring::fault::Fault;
use crate::ring::modulus::Modulus;
use crate::ring::ntt::Tables;
use crate::ring::primes::is_prime;

/// log2 N, and the most bits of the product of all primes.
pub const SECURITY: [(u32, u32); 6] = [
    (10, 27),
    (11, 54),
    (12, 109),
    (13, 218),
    (14, 438),
    (15, 881),
];

/// Every prime is below this: products of two residues and their sums have known room.
pub const PRIME_BITS: u32 = 50;

/// More data primes than any row of the table can hold.
pub const MOST_PRIMES: usize = 60;

/// What the integers of the ring stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Approximate reals.
    Ckks,
    /// Exact integers modulo this prime.
    Bgv(u64),
}

/// A word and its companion for multiplication by a constant (Shoup).
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    pub word: u64,
    pub shoup: u64,
}

impl Constant {
    pub fn new(modulus: Modulus, word: u64) -> Self {
        Self {
            word,
            shoup: modulus.shoup(word),
        }
    }

    #[inline(always)]
    pub fn times(self, modulus: Modulus, x: u64) -> u64 {
        modulus.mul_shoup(x, self.word, self.shoup)
    }
}

/// A checked set of parameters. Components are the data primes in order, then the special prime.
///
/// A special prime of 0 stands for none: then there are no key-switching keys.
pub struct Params {
    pub scheme: Scheme,
    pub log_n: u32,
    pub primes: Vec<u64>,
    pub special: u64,
    pub tables: Vec<Tables>,
    pub embedding: Embedding,
    moduli: Vec<Modulus>,
    inverses: Vec<Vec<Constant>>,
    bits: u32,
}

impl Params {
    pub fn new(
        scheme: Scheme,
        log_n: u32,
        primes: &[u64],
        special: u64,
    ) -> Result<Arc<Self>, Fault> {
        let Some((_, most_bits)) = SECURITY.iter().find(|(degree, _)| *degree == log_n) else {
            return Err(Fault::new("bad-degree"));
        };
        if primes.is_empty() || primes.len() > MOST_PRIMES {
            return Err(Fault::new("bad-prime-count"));
        }
        let switching = (special != 0).then_some(special);
        let all: Vec<u64> = primes.iter().copied().chain(switching).collect();
        let mut moduli = Vec::with_capacity(all.len());
        for (place, &prime) in all.iter().enumerate() {
            let modulus = ring_prime(prime, log_n).ok_or_else(|| Fault::at("bad-prime", place))?;
            if all[..place].contains(&prime) {
                return Err(Fault::at("repeated-prime", place));
            }
            moduli.push(modulus);
        }
        let bits = product_bits(&all);
        if bits > *most_bits {
            return Err(Fault::at("insecure", bits as usize));
        }
        if let Scheme::Bgv(plain) = scheme
            && (ring_prime(plain, log_n).is_none() || all.iter().any(|&prime| prime <= plain))
        {
            return Err(Fault::new("bad-plain-modulus"));
        }
        let tables: Option<Vec<Tables>> = moduli.iter().map(|&m| Tables::new(log_n, m)).collect();
        let tables = tables.ok_or_else(|| Fault::new("bad-prime"))?;
        let inverses = moduli
            .iter()
            .map(|&modulus| {
                let inverse = |&prime: &u64| match modulus.reduce(prime) {
                    0 => Constant::new(modulus, 0),
                    residue => Constant::new(modulus, modulus.inverse(residue)),
                };
                all.iter().map(inverse).collect()
            })
            .collect();
        Ok(Arc::new(Self {
            scheme,
            log_n,
            primes: primes.to_vec(),
            special,
            tables,
            embedding: Embedding::new(log_n),
            moduli,
            inverses,
            bits,
        }))
    }

    pub fn n(&self) -> usize {
        1 << self.log_n
    }

    pub fn slots(&self) -> usize {
        self.n() / 2
    }

    /// How many data primes there are.
    pub fn levels(&self) -> usize {
        self.primes.len()
    }

    /// How many primes there are with the special one.
    pub fn components(&self) -> usize {
        self.moduli.len()
    }

    /// The place of the special prime among the components.
    pub fn special_at(&self) -> usize {
        self.primes.len()
    }

    /// Bits of the product of all primes; at most the table's.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    pub fn modulus(&self, component: usize) -> Modulus {
        self.moduli[component]
    }

    pub fn table(&self, component: usize) -> &Tables {
        &self.tables[component]
    }

    /// The inverse of component `of` modulo component `at`.
    pub fn inverse(&self, of: usize, at: usize) -> Constant {
        self.inverses[at][of]
    }

    /// Whether two sets are the same.
    pub fn same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.scheme == other.scheme
                && self.log_n == other.log_n
                && self.special == other.special
                && self.primes == other.primes)
    }

    /// What every error is multiplied by: 1, or BGV's plaintext modulus.
    pub fn error_factor(&self) -> u64 {
        match self.scheme {
            Scheme::Ckks => 1,
            Scheme::Bgv(plain) => plain,
        }
    }
}

/// A prime below 2^50 that has 2N-th roots of unity.
fn ring_prime(prime: u64, log_n: u32) -> Option<Modulus> {
    let fits = prime < 1 << PRIME_BITS && prime % (2 << log_n) == 1 && is_prime(prime);
    if fits { Modulus::new(prime) } else { None }
}

/// The bit length of a product.
pub fn product_bits(factors: &[u64]) -> u32 {
    let mut limbs: Vec<u64> = vec![1];
    for &factor in factors {
        let mut carry = 0u128;
        for limb in &mut limbs {
            let wide = u128::from(*limb) * u128::from(factor) + carry;
            *limb = wide as u64;
            carry = wide >> 64;
        }
        if carry > 0 {
            limbs.push(carry as u64);
        }
    }
    let top = limbs.last().copied().unwrap_or(0);
    (limbs.len() as u32) * 64 - top.leading_zeros()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::ring::primes::ntt_primes;

    /// Small parameters for tests of other modules.
    pub fn small(scheme: Scheme) -> Arc<Params> {
        let primes = ntt_primes(25, 4_096, 4, &[]);
        Params::new(scheme, 12, &primes[..3], primes[3]).unwrap()
    }

    #[test]
    fn bits_are_those_of_the_product() {
        assert_eq!(product_bits(&[]), 1);
        assert_eq!(product_bits(&[1 << 49, 1 << 49, 1 << 49]), 148);
        assert_eq!(product_bits(&[(1 << 50) - 1, (1 << 50) - 1]), 100);
        assert_eq!(product_bits(&[3, 5]), 4);
    }

    #[test]
    fn only_the_table_is_built() {
        let refused = |log_n, primes: &[u64], special| {
            Params::new(Scheme::Ckks, log_n, primes, special)
                .err()
                .unwrap()
        };
        for (log_n, most) in SECURITY {
            // As many equal shares as fit, then one bit more.
            let count = most.div_ceil(48);
            let share = most / count;
            let n = 1u64 << log_n;
            if share <= log_n + 1 {
                continue;
            }
            let mut primes = ntt_primes(share, n, count as usize, &[]);
            while product_bits(&primes) > most {
                primes.pop();
            }
            if primes.len() < 2 {
                primes = ntt_primes(most / 2, n, 2, &[]);
            }
            if primes.len() < 2 {
                continue;
            }
            let special = primes.pop().unwrap();
            assert!(Params::new(Scheme::Ckks, log_n, &primes, special).is_ok());
            let more = ntt_primes(49, n, 1, &primes)[0];
            primes.push(more);
            assert_eq!(refused(log_n, &primes, special).code, "insecure");
        }
        let primes = ntt_primes(30, 8_192, 3, &[]);
        assert_eq!(refused(9, &primes[..2], primes[2]).code, "bad-degree");
        assert_eq!(refused(16, &primes[..2], primes[2]).code, "bad-degree");
        assert_eq!(refused(13, &[], primes[2]).code, "bad-prime-count");
        assert_eq!(refused(13, &primes, primes[2]).code, "repeated-prime");
        assert_eq!(
            refused(13, &[primes[0], 16_385], primes[2]),
            Fault::at("bad-prime", 1)
        );
        assert_eq!(refused(14, &[16_385], primes[2]).code, "bad-prime");
        assert_eq!(refused(13, &[1 << 30], primes[2]).code, "bad-prime");
        assert_eq!(refused(13, &primes[..1], u64::MAX).code, "bad-prime");
        let alone = Params::new(Scheme::Ckks, 10, &ntt_primes(27, 1_024, 1, &[]), 0).unwrap();
        assert_eq!(
            (alone.components(), alone.levels(), alone.bits()),
            (1, 1, 27)
        );
        let bgv = |plain| Params::new(Scheme::Bgv(plain), 13, &primes[..2], primes[2]);
        assert!(bgv(65_537).is_ok());
        for plain in [0, 1, 65_536, primes[1], (1 << 50) - 27] {
            assert_eq!(bgv(plain).err().unwrap().code, "bad-plain-modulus");
        }
    }
}
