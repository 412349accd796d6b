//! Primes for the number-theoretic transform: p = 1 modulo 2N.

use super::modulus::MOST_BITS;

/// Bases for which Miller and Rabin's test is exact below 2^64 (Sinclair's seven).
const WITNESSES: [u64; 7] = [2, 325, 9_375, 28_178, 450_775, 9_780_504, 1_795_265_022];

fn mul(a: u64, b: u64, n: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(n)) as u64
}

fn pow(base: u64, mut exponent: u64, n: u64) -> u64 {
    let (mut result, mut square) = (1, base % n);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, square, n);
        }
        square = mul(square, square, n);
        exponent >>= 1;
    }
    result
}

/// Whether `n` is prime. Exact for every 64-bit number; not constant-time.
pub fn is_prime(n: u64) -> bool {
    const SMALL: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    for prime in SMALL {
        if n.is_multiple_of(prime) {
            return n == prime;
        }
    }
    if n < 2 {
        return false;
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    WITNESSES.iter().all(|&witness| {
        if witness % n == 0 {
            return true;
        }
        let mut power = pow(witness, odd, n);
        if power == 1 || power == n - 1 {
            return true;
        }
        for _ in 1..twos {
            power = mul(power, power, n);
            if power == n - 1 {
                return true;
            }
        }
        false
    })
}

/// The first `count` primes below `2^bits` that are 1 modulo `2n` and not in `avoid`, largest first.
///
/// All have exactly `bits` bits (`bits <= 50`). Fewer than `count` come back where there are no more.
pub fn ntt_primes(bits: u32, n: u64, count: usize, avoid: &[u64]) -> Vec<u64> {
    let Some(step) = step(n) else {
        return Vec::new();
    };
    if !(2..=MOST_BITS).contains(&bits) {
        return Vec::new();
    }
    let least = 1u64 << (bits - 1);
    let mut found = Vec::new();
    // The largest 1 + k * step below 2^bits.
    let mut candidate = Some((((1u64 << bits) - 2) / step) * step + 1);
    while let Some(number) = candidate {
        if number <= least || found.len() == count {
            break;
        }
        if !avoid.contains(&number) && is_prime(number) {
            found.push(number);
        }
        candidate = number.checked_sub(step);
    }
    found
}

/// The `count` primes nearest to `target` on either side that are 1 modulo `2n`, below 2^50 and not in
/// `avoid`, nearest first (of two equally near ones the smaller first).
pub fn nearest(target: u64, n: u64, count: usize, avoid: &[u64]) -> Vec<u64> {
    let Some(step) = step(n) else {
        return Vec::new();
    };
    let most = 1u64 << MOST_BITS;
    let middle = target.min(most).max(1);
    let mut below = Some((middle - 1) / step * step + 1);
    let mut above = below.map(|number| number + step);
    let mut found = Vec::new();
    while found.len() < count {
        let upward = above.filter(|&number| number < most);
        let downward = below.filter(|&number| number > 1);
        let number = match (downward, upward) {
            (None, None) => break,
            (Some(low), Some(high)) if middle.abs_diff(low) > middle.abs_diff(high) => {
                above = Some(high + step);
                high
            }
            (Some(low), _) => {
                below = low.checked_sub(step);
                low
            }
            (None, Some(high)) => {
                above = Some(high + step);
                high
            }
        };
        if !avoid.contains(&number) && is_prime(number) {
            found.push(number);
        }
    }
    found
}

fn step(n: u64) -> Option<u64> {
    let step = n.checked_mul(2)?;
    (n.is_power_of_two() && step < 1 << MOST_BITS).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primality_is_that_of_a_sieve_and_of_known_numbers() {
        let mut sieve = vec![true; 100_000];
        sieve[..2].fill(false);
        for number in 2..sieve.len() {
            if sieve[number] {
                for multiple in (2 * number..sieve.len()).step_by(number) {
                    sieve[multiple] = false;
                }
            }
        }
        for (number, &expected) in sieve.iter().enumerate() {
            assert_eq!(is_prime(number as u64), expected, "{number}");
        }
        // Mersenne's 2^61 - 1, the largest 64-bit prime, and strong pseudoprimes to many bases
        // (Jaeschke; Jiang and Deng).
        for prime in [(1 << 61) - 1, 18_446_744_073_709_551_557] {
            assert!(is_prime(prime));
        }
        for composite in [
            3_215_031_751,
            3_474_749_660_383,
            341_550_071_728_321,
            3_825_123_056_546_413_051,
            u64::MAX,
        ] {
            assert!(!is_prime(composite), "{composite}");
        }
    }

    #[test]
    fn the_largest_primes_of_a_size_come_first() {
        // The largest 40-bit primes that are 1 modulo 16384, as every SEAL-like library finds them.
        let found = ntt_primes(40, 8_192, 3, &[]);
        assert_eq!(found.len(), 3);
        let mut expected = Vec::new();
        let mut number = (1u64 << 40) - 16_384 + 1;
        while expected.len() < 3 {
            if is_prime(number) {
                expected.push(number);
            }
            number -= 16_384;
        }
        assert_eq!(found, expected);
        assert_eq!(ntt_primes(40, 8_192, 2, &found[..1]), found[1..]);
        assert!(ntt_primes(51, 8_192, 1, &[]).is_empty());
        assert!(ntt_primes(40, 3, 1, &[]).is_empty());
        assert!(ntt_primes(14, 8_192, 4, &[]).is_empty());
        for n in [1_024u64, 32_768] {
            for bits in [17, 20, 30, 50] {
                for prime in ntt_primes(bits, n, 4, &[]) {
                    assert_eq!(prime % (2 * n), 1);
                    assert_eq!(u64::BITS - prime.leading_zeros(), bits);
                }
            }
        }
    }

    #[test]
    fn the_nearest_primes_are_all_there_are_in_their_range() {
        for (target, n) in [
            (1u64 << 26, 1_024u64),
            (12_289, 1_024),
            (1 << 50, 8_192),
            (1, 2_048),
        ] {
            let found = nearest(target, n, 5, &[]);
            assert_eq!(found.len(), 5);
            let far = target.abs_diff(found[4]);
            let (low, high) = (
                target.saturating_sub(far),
                (target + far).min((1 << 50) - 1),
            );
            let first = low / (2 * n) * (2 * n) + 1;
            let all = (first..=high)
                .step_by(2 * n as usize)
                .filter(|&number| number >= low && is_prime(number))
                .count();
            assert!((5..=6).contains(&all), "{target}: {all}");
            assert!(found.is_sorted_by_key(|&prime| target.abs_diff(prime)));
            assert_eq!(nearest(target, n, 4, &found[..1]), found[1..]);
        }
    }
}
