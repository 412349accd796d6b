//! Arithmetic modulo one odd number below 2^50, in constant time.
//!
//! Every operand called a residue is below the modulus, and so is every result. No branch and no
//! memory address depends on a residue: secrets pass through here.

/// Moduli are below 2^50: then 4q < 2^52 is what one IFMA multiplication takes, and a product of two
/// residues splits exactly into two doubles.
pub const MOST_BITS: u32 = 50;
const LEAST: u64 = 3;

/// An odd modulus `3 <= q < 2^50` with what reduction by it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulus {
    value: u64,
    bits: u32,
    /// floor(2^64 / q).
    word_inverse: u64,
    /// floor(2^(bits + 51) / q), below 2^52.
    product_inverse: u64,
    /// 2^64 mod q.
    word: u64,
    /// 2^128 mod q.
    wide: u64,
}

impl Modulus {
    /// `None` unless `q` is odd and `3 <= q < 2^50`. That `q` is prime is not checked here.
    pub const fn new(q: u64) -> Option<Self> {
        if q < LEAST || q.is_multiple_of(2) || q >> MOST_BITS != 0 {
            return None;
        }
        let bits = u64::BITS - q.leading_zeros();
        let word = ((1u128 << 64) % q as u128) as u64;
        Some(Self {
            value: q,
            bits,
            word_inverse: ((1u128 << 64) / q as u128) as u64,
            product_inverse: ((1u128 << (bits + 51)) / q as u128) as u64,
            word,
            wide: ((word as u128 * word as u128) % q as u128) as u64,
        })
    }

    #[inline(always)]
    pub const fn value(self) -> u64 {
        self.value
    }

    /// Bits of the modulus: `2^(bits - 1) < q < 2^bits`.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// floor(2^(bits + 51) / q): the constant of Barrett's reduction of a product, below 2^52.
    #[inline(always)]
    pub const fn product_inverse(self) -> u64 {
        self.product_inverse
    }

    /// floor(2^64 / q).
    #[inline(always)]
    pub const fn word_inverse(self) -> u64 {
        self.word_inverse
    }

    /// `x` or `x - q`, whichever is a residue; `x < 2q`.
    #[inline(always)]
    const fn settle(self, x: u64) -> u64 {
        // q < 2^50, so the difference is negative exactly where its top bit is set.
        let less = x.wrapping_sub(self.value);
        less.wrapping_add(self.value & (((less as i64) >> 63) as u64))
    }

    #[inline(always)]
    pub const fn add(self, a: u64, b: u64) -> u64 {
        self.settle(a.wrapping_add(b))
    }

    #[inline(always)]
    pub const fn sub(self, a: u64, b: u64) -> u64 {
        let less = a.wrapping_sub(b);
        less.wrapping_add(self.value & (((less as i64) >> 63) as u64))
    }

    #[inline(always)]
    pub const fn neg(self, a: u64) -> u64 {
        self.settle(self.value.wrapping_sub(a))
    }

    /// The product of two residues.
    #[inline(always)]
    pub const fn mul(self, a: u64, b: u64) -> u64 {
        self.reduce_product(a as u128 * b as u128)
    }

    /// `a * b + c` for residues.
    #[inline(always)]
    pub const fn mul_add(self, a: u64, b: u64, c: u64) -> u64 {
        // Up to (q-1)^2 + (q-1) < q^2: within what `reduce_product` takes.
        self.reduce_product((a as u128 * b as u128).wrapping_add(c as u128))
    }

    /// Any `x < q^2` modulo q, by Barrett.
    ///
    /// With s = bits, x' = floor(x / 2^(s-1)) < 2^(s+1) and m = floor(2^(s+51) / q), the quotient
    /// floor(x' m / 2^52) is short of x / q by less than 2^(s-1)/q + x'/2^52 + 1 < 2.5, so what remains
    /// is below 3q.
    #[inline(always)]
    pub const fn reduce_product(self, x: u128) -> u64 {
        let high = (x >> (self.bits - 1)) as u64;
        let quotient = ((high as u128 * self.product_inverse as u128) >> 52) as u64;
        let rest = (x as u64).wrapping_sub(quotient.wrapping_mul(self.value));
        self.settle(self.settle_twice(rest))
    }

    /// `x` or `x - 2q`, below 2q where x is below 4q.
    #[inline(always)]
    pub(crate) const fn settle_twice(self, x: u64) -> u64 {
        let twice = self.value << 1;
        let less = x.wrapping_sub(twice);
        less.wrapping_add(twice & (((less as i64) >> 63) as u64))
    }

    /// Any 64-bit number modulo q.
    #[inline(always)]
    pub const fn reduce(self, x: u64) -> u64 {
        // floor(2^64 / q) is short by less than 1, so the quotient is by less than 1 + x / 2^64 < 2.
        let quotient = ((x as u128 * self.word_inverse as u128) >> 64) as u64;
        self.settle(x.wrapping_sub(quotient.wrapping_mul(self.value)))
    }

    /// Any 128-bit number modulo q.
    #[inline(always)]
    pub const fn reduce_wide(self, x: u128) -> u64 {
        let high = self.reduce((x >> 64) as u64);
        self.mul_add(high, self.word, self.reduce(x as u64))
    }

    /// The residue of a signed number.
    #[inline(always)]
    pub const fn reduce_signed(self, x: i64) -> u64 {
        let negative = (x >> 63) as u64;
        self.sub(self.reduce(x as u64), self.word & negative)
    }

    /// The residue of a signed 128-bit number.
    #[inline(always)]
    pub const fn reduce_signed_wide(self, x: i128) -> u64 {
        let negative = (x >> 127) as u64;
        self.sub(self.reduce_wide(x as u128), self.wide & negative)
    }

    /// The signed number closest to zero that has this residue: in `-(q-1)/2 ..= (q-1)/2`.
    #[inline(always)]
    pub const fn centred(self, x: u64) -> i64 {
        let above = ((self.value >> 1).wrapping_sub(x) as i64) >> 63;
        (x as i64).wrapping_sub((self.value as i64) & above)
    }

    /// `base^exponent`. Its time depends on the exponent, not on the base.
    pub const fn pow(self, base: u64, exponent: u64) -> u64 {
        let (mut result, mut square, mut left) = (1, base, exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = self.mul(result, square);
            }
            square = self.mul(square, square);
            left >>= 1;
        }
        result
    }

    /// The inverse of a residue other than 0 modulo a **prime** q (Fermat); 0 for 0.
    pub const fn inverse(self, a: u64) -> u64 {
        self.pow(a, self.value - 2)
    }

    /// floor(w 2^64 / q): what [`Self::mul_shoup`] needs for a factor `w` used often.
    #[inline(always)]
    pub const fn shoup(self, w: u64) -> u64 {
        (((w as u128) << 64) / self.value as u128) as u64
    }

    /// `x w mod q` for any 64-bit `x`, a residue `w` and `w_shoup = shoup(w)`.
    #[inline(always)]
    pub const fn mul_shoup(self, x: u64, w: u64, w_shoup: u64) -> u64 {
        self.settle(self.mul_shoup_lazy(x, w, w_shoup))
    }

    /// The same, below 2q only.
    #[inline(always)]
    pub const fn mul_shoup_lazy(self, x: u64, w: u64, w_shoup: u64) -> u64 {
        let quotient = ((x as u128 * w_shoup as u128) >> 64) as u64;
        x.wrapping_mul(w)
            .wrapping_sub(quotient.wrapping_mul(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::sample::{Expander, Seed};

    const MODULI: [u64; 10] = [
        3,
        5,
        97,
        12_289,
        (1 << 30) + 1,
        (1 << 40) - 87,
        (1 << 48) + 1,
        (1 << 49) + 9,
        (1 << 50) - 27,
        (1 << 50) - 1,
    ];

    fn words() -> Vec<u64> {
        let mut bytes = [0; 8 * 1_000];
        Expander::new(&Seed::new([9; 32]), b"words", 1).fill(&mut bytes);
        let random = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word));
        let edges = [
            0,
            1,
            2,
            1 << 32,
            1 << 50,
            1 << 52,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ];
        edges.into_iter().chain(random).collect()
    }

    #[test]
    fn only_odd_numbers_below_2_to_the_50_are_moduli() {
        for refused in [0, 1, 2, 4, 1 << 49, 1 << 50, (1 << 50) + 1, u64::MAX] {
            assert!(Modulus::new(refused).is_none(), "{refused}");
        }
        for q in MODULI {
            let modulus = Modulus::new(q).unwrap();
            assert_eq!(modulus.value(), q);
            assert_eq!(q >> (modulus.bits() - 1), 1);
        }
    }

    #[test]
    fn operations_are_those_of_whole_numbers() {
        for q in MODULI {
            let modulus = Modulus::new(q).unwrap();
            let big = u128::from(q);
            let words = words();
            let mut residues: Vec<u64> = words.iter().map(|word| word % q).collect();
            residues.extend([q - 1, q / 2, q / 2 + 1]);
            for (index, &a) in residues.iter().enumerate() {
                let b = residues[(index * 7 + 3) % residues.len()];
                let c = residues[(index * 5 + 1) % residues.len()];
                let [x, y, z] = [a, b, c].map(u128::from);
                assert_eq!(u128::from(modulus.add(a, b)), (x + y) % big);
                assert_eq!(u128::from(modulus.sub(a, b)), (x + big - y) % big);
                assert_eq!(u128::from(modulus.neg(a)), (big - x) % big);
                assert_eq!(u128::from(modulus.mul(a, b)), x * y % big);
                assert_eq!(u128::from(modulus.mul_add(a, b, c)), (x * y + z) % big);
                let centred = modulus.centred(a);
                assert_eq!(centred.rem_euclid(q as i64) as u64, a);
                assert!(centred.unsigned_abs() <= q / 2);
                let quotient = modulus.shoup(b);
                for word in [a, words[index % words.len()]] {
                    let right = u128::from(word) * y % big;
                    assert_eq!(u128::from(modulus.mul_shoup(word, b, quotient)), right);
                    assert!(modulus.mul_shoup_lazy(word, b, quotient) < 2 * q);
                }
            }
        }
    }

    #[test]
    fn words_of_any_width_are_reduced() {
        for q in MODULI {
            let modulus = Modulus::new(q).unwrap();
            let words = words();
            for pair in words.windows(2) {
                let wide = u128::from(pair[0]) << 64 | u128::from(pair[1]);
                assert_eq!(modulus.reduce(pair[0]), pair[0] % q);
                assert_eq!(u128::from(modulus.reduce_wide(wide)), wide % u128::from(q));
                let short = pair[0] as i64;
                let right = i128::from(short).rem_euclid(i128::from(q));
                assert_eq!(i128::from(modulus.reduce_signed(short)), right);
                let signed = wide as i128;
                let right = signed.rem_euclid(i128::from(q));
                assert_eq!(i128::from(modulus.reduce_signed_wide(signed)), right);
            }
            for extreme in [i128::MIN, -1, 0, i128::MAX] {
                let right = extreme.rem_euclid(i128::from(q));
                assert_eq!(i128::from(modulus.reduce_signed_wide(extreme)), right);
            }
        }
    }

    #[test]
    fn inverses_multiply_to_one() {
        for q in [3, 97, 12_289, (1 << 50) - 27] {
            let modulus = Modulus::new(q).unwrap();
            for a in [1, 2, q / 2, q - 1] {
                assert_eq!(modulus.mul(a, modulus.inverse(a)), 1, "{a} modulo {q}");
                assert_eq!(modulus.pow(a, 0), 1);
                assert_eq!(modulus.pow(a, 3), modulus.mul(a, modulus.mul(a, a)));
            }
        }
    }
}
