//! Slices of residues of one modulus: sums, products, reductions. Results are fully reduced.
//!
//! Every function panics if its slices differ in length. Operands are residues unless it says otherwise.
//! `name(..)` takes the processor's fastest path, `name_with(path, ..)` a given one (which panics where the
//! processor lacks it); all paths give the same words. No branch and no address depends on a word.

use super::modulus::Modulus;
use super::ntt::Path;
#[cfg(target_arch = "x86_64")]
use super::{simd_avx2_vector as avx2, simd_avx512_vector as avx512};

/// Pairs that [`dot`] takes at once: 2^11 products below 2^100 fit 128 bits many times over.
pub const MOST_PAIRS: usize = 1 << 11;
/// [`from_small`] is for moduli above every sum of two of its numbers.
const LEAST_FOR_SMALL: u64 = 1 << 8;

/// Declares `name` and `name_with`: the checks, then the path's version of the body.
macro_rules! dispatched {
    (
        $(#[$about:meta])*
        $name:ident, $with:ident($q:ident $(, $argument:ident: $kind:ty)*)
        $(checks $checks:block)?
        scalar $scalar:block
    ) => {
        $(#[$about])*
        pub fn $name($q: Modulus $(, $argument: $kind)*) {
            $with(Path::best(), $q $(, $argument)*);
        }

        pub fn $with(path: Path, $q: Modulus $(, $argument: $kind)*) {
            $($checks)?
            assert!(path.is_available());
            match path {
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => avx512::$name($q $(, $argument)*),
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => avx2::$name($q $(, $argument)*),
                _ => $scalar,
            }
        }
    };
}

dispatched! {
    /// `a := a + b`.
    add_assign, add_assign_with(q, a: &mut [u64], b: &[u64])
    checks { assert_eq!(a.len(), b.len()) }
    scalar {
        for (x, &y) in a.iter_mut().zip(b) {
            *x = q.add(*x, y);
        }
    }
}

dispatched! {
    /// `a := a - b`.
    sub_assign, sub_assign_with(q, a: &mut [u64], b: &[u64])
    checks { assert_eq!(a.len(), b.len()) }
    scalar {
        for (x, &y) in a.iter_mut().zip(b) {
            *x = q.sub(*x, y);
        }
    }
}

dispatched! {
    /// `a := -a`.
    neg_assign, neg_assign_with(q, a: &mut [u64])
    scalar {
        for x in a {
            *x = q.neg(*x);
        }
    }
}

dispatched! {
    /// `a := a b`, place by place.
    mul_assign, mul_assign_with(q, a: &mut [u64], b: &[u64])
    checks { assert_eq!(a.len(), b.len()) }
    scalar {
        for (x, &y) in a.iter_mut().zip(b) {
            *x = q.mul(*x, y);
        }
    }
}

dispatched! {
    /// `out := a b`, place by place.
    mul_to, mul_to_with(q, out: &mut [u64], a: &[u64], b: &[u64])
    checks { assert!(out.len() == a.len() && out.len() == b.len()) }
    scalar {
        for ((out, &x), &y) in out.iter_mut().zip(a).zip(b) {
            *out = q.mul(x, y);
        }
    }
}

dispatched! {
    /// `sum := sum + a b`, place by place.
    mul_add_assign, mul_add_assign_with(q, sum: &mut [u64], a: &[u64], b: &[u64])
    checks { assert!(sum.len() == a.len() && sum.len() == b.len()) }
    scalar {
        for ((sum, &x), &y) in sum.iter_mut().zip(a).zip(b) {
            *sum = q.mul_add(x, y, *sum);
        }
    }
}

dispatched! {
    /// `out := sum of a_i b_i` over the pairs, place by place, with one reduction for many of them.
    ///
    /// # Panics
    /// Also if there are more than [`MOST_PAIRS`] pairs.
    dot, dot_with(q, out: &mut [u64], pairs: &[(&[u64], &[u64])])
    checks {
        assert!(pairs.len() <= MOST_PAIRS);
        assert!(pairs.iter().all(|(a, b)| a.len() == out.len() && b.len() == out.len()));
    }
    scalar {
        for (place, out) in out.iter_mut().enumerate() {
            let sum = pairs.iter().fold(0u128, |sum, (a, b)| {
                sum.wrapping_add(u128::from(a[place]) * u128::from(b[place]))
            });
            *out = q.reduce_wide(sum);
        }
    }
}

dispatched! {
    /// The sums of x_i a_i and of x_i b_i over triples (x_i, a_i, b_i): two [`dot`]s that read x once, as a
    /// key switching needs them.
    ///
    /// # Panics
    /// Also if there are more than [`MOST_PAIRS`] triples.
    dot_two, dot_two_with(q, first: &mut [u64], second: &mut [u64], triples: &[[&[u64]; 3]])
    checks {
        assert!(triples.len() <= MOST_PAIRS && first.len() == second.len());
        assert!(triples.iter().flatten().all(|slice| slice.len() == first.len()));
    }
    scalar {
        for (out, half) in [(first, 1), (second, 2)] {
            for (place, out) in out.iter_mut().enumerate() {
                let sum = triples.iter().fold(0u128, |sum, triple| {
                    let product = u128::from(triple[0][place]) * u128::from(triple[half][place]);
                    sum.wrapping_add(product)
                });
                *out = q.reduce_wide(sum);
            }
        }
    }
}

dispatched! {
    /// `a := a w` for one residue `w`.
    mul_scalar_assign, mul_scalar_assign_with(q, a: &mut [u64], w: u64)
    checks { assert!(w < q.value()) }
    scalar {
        let quotient = q.shoup(w);
        for x in a {
            *x = q.mul_shoup(*x, w, quotient);
        }
    }
}

dispatched! {
    /// `sum := sum + a w` for one residue `w`.
    mul_scalar_add_assign, mul_scalar_add_assign_with(q, sum: &mut [u64], a: &[u64], w: u64)
    checks { assert!(sum.len() == a.len() && w < q.value()) }
    scalar {
        let quotient = q.shoup(w);
        for (sum, &x) in sum.iter_mut().zip(a) {
            *sum = q.add(*sum, q.mul_shoup(x, w, quotient));
        }
    }
}

dispatched! {
    /// `a := (a - b) w` for one residue `w`: what a rescale does, w being the dropped prime's inverse.
    sub_mul_scalar_assign, sub_mul_scalar_assign_with(q, a: &mut [u64], b: &[u64], w: u64)
    checks { assert!(a.len() == b.len() && w < q.value()) }
    scalar {
        let quotient = q.shoup(w);
        for (x, &y) in a.iter_mut().zip(b) {
            *x = q.mul_shoup(q.sub(*x, y), w, quotient);
        }
    }
}

dispatched! {
    /// `out := (a - b) w` for one residue `w`.
    sub_mul_scalar_to, sub_mul_scalar_to_with(q, out: &mut [u64], a: &[u64], b: &[u64], w: u64)
    checks { assert!(out.len() == a.len() && out.len() == b.len() && w < q.value()) }
    scalar {
        let quotient = q.shoup(w);
        for ((out, &x), &y) in out.iter_mut().zip(a).zip(b) {
            *out = q.mul_shoup(q.sub(x, y), w, quotient);
        }
    }
}

dispatched! {
    /// `a := a mod q` for any 64-bit words.
    reduce_assign, reduce_assign_with(q, a: &mut [u64])
    scalar {
        for x in a {
            *x = q.reduce(*x);
        }
    }
}

dispatched! {
    /// `out := a mod q` for any 64-bit words.
    reduce_to, reduce_to_with(q, out: &mut [u64], a: &[u64])
    checks { assert_eq!(a.len(), out.len()) }
    scalar {
        for (out, &x) in out.iter_mut().zip(a) {
            *out = q.reduce(x);
        }
    }
}

dispatched! {
    /// From residues modulo `from` to those modulo q of the same numbers taken from
    /// `-(from - 1) / 2 ..= (from - 1) / 2`.
    lift_centred_to, lift_centred_to_with(q, out: &mut [u64], a: &[u64], from: Modulus)
    checks { assert_eq!(a.len(), out.len()) }
    scalar {
        let (half, shift) = (from.value() / 2, q.reduce(from.value()));
        for (out, &x) in out.iter_mut().zip(a) {
            // The difference is negative, its top bit set, exactly where x is above the half.
            let above = ((half.wrapping_sub(x) as i64) >> 63) as u64;
            *out = q.sub(q.reduce(x), shift & above);
        }
    }
}

dispatched! {
    /// `out := the residues of small signed numbers`, for q above 2^8.
    from_small, from_small_with(q, a: &[i8], out: &mut [u64])
    checks { assert!(a.len() == out.len() && q.value() > LEAST_FOR_SMALL) }
    scalar {
        for (out, &x) in out.iter_mut().zip(a) {
            let wide = i64::from(x);
            *out = (wide as u64).wrapping_add(q.value() & ((wide >> 63) as u64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::sample::{Expander, Seed};

    /// Odd numbers from the least to the largest a modulus may be; that some are no primes changes nothing.
    const MODULI: [u64; 12] = [
        257,
        12_289,
        65_537,
        (1 << 26) - 5,
        (1 << 30) + 1,
        (1 << 40) - 87,
        (1 << 45) + 5,
        (1 << 48) - 1,
        (1 << 48) + 1,
        (1 << 49) + 9,
        3 << 48 | 1,
        (1 << 50) - 1,
    ];
    const LENGTHS: [usize; 8] = [0, 1, 3, 7, 8, 9, 64, 1_029];

    fn modulus(q: u64) -> Modulus {
        Modulus::new(q).unwrap()
    }

    /// Residues: edges first, then uniform ones.
    fn residues(q: Modulus, length: usize, index: u64) -> Vec<u64> {
        let mut values = vec![0; length];
        Expander::new(&Seed::new([3; 32]), b"vectors", index).uniform(q, &mut values);
        let top = q.value() - 1;
        let edges = [top, 0, 1, top / 2, top / 2 + 1, top - 1];
        for (place, value) in values.iter_mut().enumerate().take(36) {
            let at = if index == 0 { place % 6 } else { place / 6 };
            *value = edges[at];
        }
        values
    }

    fn words(length: usize) -> Vec<u64> {
        let mut bytes = vec![0; 8 * length];
        Expander::new(&Seed::new([4; 32]), b"words", 0).fill(&mut bytes);
        let mut words: Vec<u64> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
            .collect();
        let edges = [u64::MAX, 0, 1 << 52, (1 << 52) - 1, 1 << 63, u64::MAX - 1];
        for (word, edge) in words.iter_mut().zip(edges) {
            *word = edge;
        }
        words
    }

    fn big(x: u64) -> u128 {
        u128::from(x)
    }

    /// Runs `work` on every path over all moduli and lengths and compares with `expected`, place by place.
    fn everywhere(
        work: impl Fn(Path, Modulus, &mut [u64], &[u64], &[u64]),
        expected: impl Fn(u128, u128, u128, u128) -> u128,
    ) {
        for q in MODULI.map(modulus) {
            for length in LENGTHS {
                let (a, b) = (residues(q, length, 0), residues(q, length, 1));
                let start = residues(q, length, 2);
                let right: Vec<u64> = (0..length)
                    .map(|at| {
                        let operands = (big(start[at]), big(a[at]), big(b[at]));
                        let (c, a, b) = operands;
                        (expected(c, a, b, big(q.value())) % big(q.value())) as u64
                    })
                    .collect();
                for path in Path::available() {
                    let mut out = start.clone();
                    work(path, q, &mut out, &a, &b);
                    assert_eq!(out, right, "{path:?} {} {length}", q.value());
                }
            }
        }
    }

    #[test]
    fn sums_are_those_of_whole_numbers() {
        everywhere(
            |path, q, out, a, _| add_assign_with(path, q, out, a),
            |c, a, _, _| c + a,
        );
        everywhere(
            |path, q, out, a, _| sub_assign_with(path, q, out, a),
            |c, a, _, q| c + q - a,
        );
        everywhere(
            |path, q, out, _, _| neg_assign_with(path, q, out),
            |c, _, _, q| q - c,
        );
    }

    #[test]
    fn products_are_those_of_whole_numbers() {
        everywhere(
            |path, q, out, a, _| mul_assign_with(path, q, out, a),
            |c, a, _, _| c * a,
        );
        everywhere(mul_to_with, |_, a, b, _| a * b);
        everywhere(mul_add_assign_with, |c, a, b, _| c + a * b);
    }

    #[test]
    fn products_with_a_factor_are_those_of_whole_numbers() {
        let factors: [fn(u128) -> u128; 5] = [|_| 0, |_| 1, |q| q / 2, |q| q - 1, |q| q * 5 / 7];
        for factor in factors {
            let w = |q: Modulus| factor(big(q.value())) as u64;
            everywhere(
                |path, q, out, _, _| mul_scalar_assign_with(path, q, out, w(q)),
                |c, _, _, q| c * factor(q),
            );
            everywhere(
                |path, q, out, a, _| mul_scalar_add_assign_with(path, q, out, a, w(q)),
                |c, a, _, q| c + a * factor(q),
            );
            everywhere(
                |path, q, out, a, _| sub_mul_scalar_assign_with(path, q, out, a, w(q)),
                |c, a, _, q| (c + q - a) * factor(q),
            );
            everywhere(
                |path, q, out, a, b| sub_mul_scalar_to_with(path, q, out, a, b, w(q)),
                |_, a, b, q| (a + q - b) * factor(q),
            );
        }
    }

    #[test]
    fn sums_of_products_are_those_of_whole_numbers() {
        for count in [0, 1, 2, 15, 16, 17, 33, 100] {
            everywhere(
                |path, q, out, a, b| dot_with(path, q, out, &vec![(a, b); count]),
                |_, a, b, q| a * b % q * count as u128,
            );
        }
    }

    #[test]
    fn two_sums_of_products_are_each_the_one_sum() {
        for q in MODULI.map(modulus) {
            for length in LENGTHS {
                let all: Vec<Vec<u64>> = (0..60).map(|index| residues(q, length, index)).collect();
                for count in [0, 1, 3, 16, 17, 20] {
                    let triples: Vec<[&[u64]; 3]> = all.as_chunks::<3>().0[..count]
                        .iter()
                        .map(|three| three.each_ref().map(Vec::as_slice))
                        .collect();
                    let pairs = |half: usize| -> Vec<(&[u64], &[u64])> {
                        triples
                            .iter()
                            .map(|three| (three[0], three[half]))
                            .collect()
                    };
                    let mut right = [vec![0; length], vec![0; length]];
                    dot_with(Path::Scalar, q, &mut right[0], &pairs(1));
                    dot_with(Path::Scalar, q, &mut right[1], &pairs(2));
                    for path in Path::available() {
                        let [mut first, mut second] = [vec![1; length], vec![1; length]];
                        dot_two_with(path, q, &mut first, &mut second, &triples);
                        assert_eq!([first, second], right, "{path:?} {} {count}", q.value());
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_sum_of_products_does_not_overflow() {
        for q in MODULI.map(modulus) {
            let top = [q.value() - 1; 24];
            for count in [16, 32, MOST_PAIRS] {
                let right = q.reduce(count as u64);
                for path in Path::available() {
                    let mut out = vec![0; 24];
                    dot_with(path, q, &mut out, &vec![(&top[..], &top[..]); count]);
                    assert_eq!(out, vec![right; 24], "{path:?} {} {count}", q.value());
                }
            }
        }
    }

    #[test]
    fn any_word_is_reduced() {
        for q in MODULI.map(modulus) {
            for length in LENGTHS {
                let words = words(length);
                let right: Vec<u64> = words.iter().map(|word| word % q.value()).collect();
                for path in Path::available() {
                    let (mut inside, mut out) = (words.clone(), vec![0; length]);
                    reduce_assign_with(path, q, &mut inside);
                    reduce_to_with(path, q, &mut out, &words);
                    assert_eq!(inside, right, "{path:?} {}", q.value());
                    assert_eq!(out, right, "{path:?} {}", q.value());
                }
            }
        }
    }

    #[test]
    fn centred_numbers_keep_their_sign_under_another_modulus() {
        for from in MODULI.map(modulus) {
            for q in MODULI.map(modulus) {
                let mut values = residues(from, 100, 0);
                values.push(from.value() / 2);
                values.push(from.value() / 2 + 1);
                let right: Vec<u64> = values
                    .iter()
                    .map(|&x| {
                        let high = x > from.value() / 2;
                        let centred =
                            i128::from(x) - i128::from(if high { from.value() } else { 0 });
                        centred.rem_euclid(i128::from(q.value())) as u64
                    })
                    .collect();
                for path in Path::available() {
                    let mut out = vec![0; values.len()];
                    lift_centred_to_with(path, q, &mut out, &values, from);
                    assert_eq!(out, right, "{path:?} {} {}", from.value(), q.value());
                }
            }
        }
    }

    #[test]
    fn small_signed_numbers_become_residues() {
        let small: Vec<i8> = (i8::MIN..=i8::MAX).chain([-1, 0, 1]).collect();
        for q in MODULI.map(modulus) {
            let right: Vec<u64> = small
                .iter()
                .map(|&x| i64::from(x).rem_euclid(q.value() as i64) as u64)
                .collect();
            for path in Path::available() {
                let mut out = vec![0; small.len()];
                from_small_with(path, q, &small, &mut out);
                assert_eq!(out, right);
            }
        }
    }

    #[test]
    fn slices_of_other_lengths_and_factors_too_large_are_refused() {
        let q = modulus(12_289);
        let refused = |work: &dyn Fn(&mut [u64], &[u64])| {
            let work = std::panic::AssertUnwindSafe(|| work(&mut [0; 8], &[0; 9]));
            assert!(std::panic::catch_unwind(work).is_err());
        };
        for path in Path::available() {
            refused(&|a, b| add_assign_with(path, q, a, b));
            refused(&|a, b| sub_assign_with(path, q, a, b));
            refused(&|a, b| mul_assign_with(path, q, a, b));
            refused(&|a, b| mul_to_with(path, q, a, b, b));
            refused(&|a, b| mul_add_assign_with(path, q, a, b, b));
            refused(&|a, b| dot_with(path, q, a, &[(b, b)]));
            refused(&|a, b| dot_two_with(path, q, a, &mut [0; 8], &[[b, b, b]]));
            refused(&|a, _| dot_two_with(path, q, a, &mut [0; 9], &[]));
            refused(&|a, b| sub_mul_scalar_assign_with(path, q, a, b, 1));
            refused(&|a, b| reduce_to_with(path, q, a, b));
            refused(&|a, b| lift_centred_to_with(path, q, a, b, q));
            refused(&|a, _| mul_scalar_assign_with(path, q, a, 12_289));
            refused(&|a, _| from_small_with(path, q, &[0; 9], a));
        }
    }
}
