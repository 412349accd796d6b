//! Random polynomials from a seed, by XChaCha20.
//!
//! A stream is named by seed, label and index and is the XChaCha20 key stream of (key = seed,
//! nonce = label || index): 16 bytes of label, zero-padded, and 8 bytes of index, little-endian. Labels hold
//! no zero byte, so two names never meet in one nonce. XChaCha20 being a pseudorandom function of its
//! nonce (Bernstein, "Extending the Salsa20 nonce", section 3), streams of one secret seed look independent.
//!
//! **The bytes are a format**: a ciphertext or key that travels as a seed is expanded again by its reader,
//! so what `uniform` draws must never change. The samplers of secrets take a fixed number of bytes and do
//! the same steps for all of them: no branch and no address depends on what is drawn.

use chacha20::XChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::modulus::Modulus;

/// Coin pairs of the centred binomial: variance 21 / 2, sigma 3.24.
pub const COIN_PAIRS: u32 = 21;
/// The largest error that `binomial` draws.
pub const MOST_ERROR: i8 = COIN_PAIRS as i8;
pub const LABEL_BYTES: usize = 16;
/// The cipher's block.
const BLOCK_BYTES: usize = 64;
/// Candidates fetched at once; the bytes drawn do not depend on it.
const CHUNK: usize = 1_024;

/// 32 bytes from which polynomials are expanded. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl Seed {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh seed of the operating system's randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Self([0; 32]);
        getrandom::fill(&mut seed.0)?;
        Ok(seed)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One named stream of a seed. Its state is wiped on drop.
pub struct Expander(XChaCha20);

impl Drop for Expander {
    /// The cipher wipes its key; its buffer would keep the last block. Byte by byte, the next block goes
    /// through the buffer: one that nothing was drawn from.
    fn drop(&mut self) {
        for _ in 0..=BLOCK_BYTES {
            // At a stream's very end the buffer stays; nobody draws 256 GiB.
            let _ = self.0.try_apply_keystream(&mut [0]);
        }
    }
}

impl Expander {
    /// The stream of (seed, label, index).
    ///
    /// # Panics
    /// If the label is empty, longer than [`LABEL_BYTES`] or holds a zero byte: labels are constants.
    pub fn new(seed: &Seed, label: &[u8], index: u64) -> Self {
        assert!((1..=LABEL_BYTES).contains(&label.len()) && !label.contains(&0));
        let mut nonce = [0u8; 24];
        nonce[..label.len()].copy_from_slice(label);
        nonce[16..].copy_from_slice(&index.to_le_bytes());
        Self(XChaCha20::new(&seed.0.into(), &nonce.into()))
    }

    /// The next bytes of the stream.
    ///
    /// # Panics
    /// After 256 GiB, the end of a stream.
    pub fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
        self.0.apply_keystream(out);
    }

    /// Uniform residues, for what is public (its buffer is not wiped).
    ///
    /// A candidate is the next ceil(bits / 8) bytes, little-endian, with what is above `bits` bits cleared;
    /// candidates of q or more are passed over. (Whether one is tells nothing of the others.)
    pub fn uniform(&mut self, modulus: Modulus, out: &mut [u64]) {
        let width = modulus.bits().div_ceil(8) as usize;
        let mask = u64::MAX >> (u64::BITS - modulus.bits());
        let mut bytes = [0u8; 8 * CHUNK + 8];
        let mut filled = 0;
        while filled < out.len() {
            // Never more than are missing: so the stream stands right behind the last one taken.
            let count = CHUNK.min(out.len() - filled);
            self.fill(&mut bytes[..count * width]);
            for candidate in 0..count {
                let at = candidate * width;
                let word: [u8; 8] = bytes[at..at + 8].try_into().expect("eight bytes");
                let value = u64::from_le_bytes(word) & mask;
                out[filled] = value;
                filled += usize::from(value < modulus.value());
            }
        }
    }

    /// Uniform over {-1, 0, 1} but for a distance of less than 2^-96 in every twenty.
    ///
    /// A 16-byte number u stands for the fraction u / 2^128; its first 20 digits to base 3 are taken. A
    /// prefix of digits has probability within 2^-128 of 3^-20.
    pub fn ternary(&mut self, out: &mut [i8]) {
        const DIGITS: usize = 20;
        let mut bytes = Zeroizing::new([0u8; 16 * 64]);
        for part in out.chunks_mut(DIGITS * 64) {
            let words = part.len().div_ceil(DIGITS);
            self.fill(&mut bytes[..16 * words]);
            for (digits, word) in part.chunks_mut(DIGITS).zip(bytes.as_chunks::<16>().0) {
                let whole = u128::from_le_bytes(*word);
                let (mut high, mut low) = ((whole >> 64) as u64, whole as u64);
                for digit in digits {
                    let tripled_low = 3 * u128::from(low);
                    let tripled = 3 * u128::from(high) + (tripled_low >> 64);
                    low = tripled_low as u64;
                    high = tripled as u64;
                    *digit = (tripled >> 64) as i8 - 1;
                }
            }
        }
    }

    /// The centred binomial of [`COIN_PAIRS`] pairs of coins, six bytes each.
    ///
    /// Heads of 21 coins less heads of 21 others is heads of the first and tails of the others, less 21; and
    /// tails are as likely as heads. So: the ones among 42 bits, less 21.
    pub fn binomial(&mut self, out: &mut [i8]) {
        const MASK: u64 = (1 << (2 * COIN_PAIRS)) - 1;
        let mut bytes = Zeroizing::new([0u8; 6 * CHUNK + 2]);
        for part in out.chunks_mut(CHUNK) {
            self.fill(&mut bytes[..6 * part.len()]);
            // Two bytes of the next coins come with each word and are masked away.
            let words = bytes.windows(8).step_by(6);
            for (error, coins) in part.iter_mut().zip(words) {
                let coins = u64::from_le_bytes(coins.try_into().expect("eight bytes"));
                *error = (coins & MASK).count_ones() as i8 - MOST_ERROR;
            }
        }
    }

    /// Uniform over `-2^bits .. 2^bits`, for up to 126 bits. Sixteen bytes each.
    ///
    /// # Panics
    /// If `bits` is over 126.
    pub fn very_wide(&mut self, bits: u32, out: &mut [i128]) {
        self.long(bits, out, |word| word >> (127 - bits));
    }

    /// Noise that floods and has the mean zero: as `very_wide`, and then one more or not, as a coin falls. Both
    /// ends, which the coin brings in, are half as likely as the rest.
    ///
    /// A uniform interval of whole numbers that has as many of them as a power of two has its middle at -1/2.
    /// That is little in a coefficient, but N coefficients that are all shifted one way add up in the slots whose
    /// roots are near 1, by 2 N / pi times the shift, and times s where the noise meets the secret.
    ///
    /// # Panics
    /// If `bits` is over 126.
    pub fn flood(&mut self, bits: u32, out: &mut [i128]) {
        // The top bits + 1 are the number, the lowest bit is not among them: it is the coin.
        self.long(bits, out, |word| (word >> (127 - bits)) + (word & 1));
    }

    fn long(&mut self, bits: u32, out: &mut [i128], of: impl Fn(i128) -> i128) {
        assert!(bits <= 126);
        let mut bytes = Zeroizing::new([0u8; 16 * CHUNK]);
        for part in out.chunks_mut(CHUNK) {
            self.fill(&mut bytes[..16 * part.len()]);
            for (value, word) in part.iter_mut().zip(bytes.as_chunks::<16>().0) {
                *value = of(i128::from_le_bytes(*word));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(label: &[u8], index: u64) -> Expander {
        Expander::new(&Seed::new(std::array::from_fn(|at| at as u8)), label, index)
    }

    /// Sum of place times value, from 1: one number that any change of the values changes.
    fn weighted<T: Copy + Into<i128>>(values: &[T]) -> i128 {
        (1..)
            .zip(values)
            .map(|(place, &value)| place * value.into())
            .sum()
    }

    #[test]
    fn the_stream_is_xchacha20() {
        // draft-arciszewski-xchacha-03, appendix A.2: the key stream from its second block on.
        let seed = Seed::new(std::array::from_fn(|at| 0x80 + at as u8));
        let label: [u8; 16] = std::array::from_fn(|at| 0x40 + at as u8);
        let index = u64::from_le_bytes(*b"PQRSTUVX");
        let mut bytes = [0; 80];
        Expander::new(&seed, &label, index).fill(&mut bytes);
        let expected = 0x29624b4b1b140ace53740e405b216854_u128.to_be_bytes();
        assert_eq!(bytes[64..], expected);
    }

    // The numbers below were made by another program from RFC 8439 and this module's description. They are
    // a format: seeds that were sent expand to them.
    #[test]
    fn seeds_expand_to_what_they_always_did() {
        let mut bytes = [0; 16];
        stream(b"known answer", 7).fill(&mut bytes);
        assert_eq!(bytes, 0x7b5deb673cb020497b0c51801c0dbc68_u128.to_be_bytes());
        let cases: [(u64, [u64; 4], u64, u64); 3] = [
            (12_289, [7_547, 10_219, 2_336, 3_195], 6_909, 27_380_191_130),
            (
                (1 << 40) - 87,
                [
                    259_441_515_899,
                    53_607_997_616,
                    807_673_823_313,
                    970_131_784_040,
                ],
                575_079_972_493,
                2_444_825_863_736_118_159,
            ),
            (
                3 << 48 | 1,
                [
                    193_773_488_004_475,
                    312_812_417_874_761,
                    811_303_690_135_740,
                    736_330_683_205_185,
                ],
                277_751_337_279_092,
                198_443_321_726_103_329,
            ),
        ];
        for (q, first, last, sum) in cases {
            let q = Modulus::new(q).unwrap();
            let mut whole = vec![0; 3_000];
            stream(b"known answer", 7).uniform(q, &mut whole);
            assert_eq!((&whole[..4], whole[2_999]), (&first[..], last));
            assert_eq!(weighted(&whole) as u64, sum);
            // However the values are asked for, the stream is the same.
            let mut pieces = vec![0; 3_000];
            let mut expander = stream(b"known answer", 7);
            for piece in pieces.chunks_mut(7) {
                expander.uniform(q, piece);
            }
            assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn samplers_draw_what_they_always_did() {
        let mut small = vec![0; 3_000];
        stream(b"known answer", 7).ternary(&mut small);
        assert_eq!(small[..12], [0, -1, 1, -1, -1, 0, -1, 1, -1, 1, -1, -1]);
        assert_eq!(weighted(&small), 27_659);
        stream(b"known answer", 7).binomial(&mut small);
        assert_eq!(small[..12], [5, -6, -5, -1, 0, 1, -2, 5, -3, -1, -3, 3]);
        assert_eq!(weighted(&small), -273_884);
        let mut wide = vec![0i128; 3_000];
        stream(b"known answer", 7).very_wide(40, &mut wide);
        assert_eq!(
            (wide[0], weighted(&wide)),
            (899_663_149_312, -29_691_931_079_949_311)
        );
        stream(b"known answer", 7).flood(40, &mut wide);
        assert_eq!(
            (wide[0], weighted(&wide)),
            (899_663_149_313, -29_691_931_077_814_103)
        );
    }

    #[test]
    fn streams_of_other_names_differ() {
        let drawn = |label: &[u8], index: u64| {
            let mut bytes = [0; 32];
            stream(label, index).fill(&mut bytes);
            bytes
        };
        let names: [(&[u8], u64); 5] =
            [(b"a", 0), (b"a", 1), (b"b", 0), (b"aa", 0), (b"a", 1 << 63)];
        for (place, &(label, index)) in names.iter().enumerate() {
            for &(other, at) in &names[..place] {
                assert_ne!(drawn(label, index), drawn(other, at));
            }
        }
        let mut other = [0; 32];
        Expander::new(&Seed::generate().unwrap(), b"a", 0).fill(&mut other);
        assert_ne!(drawn(b"a", 0), other);
    }

    #[test]
    fn labels_that_could_collide_are_refused() {
        for label in [&b""[..], b"seventeen letters", b"zero\0"] {
            assert!(std::panic::catch_unwind(|| stream(label, 0)).is_err());
        }
    }

    /// Pearson's statistic against equal frequencies; its mean is cells - 1, its variance twice that.
    fn chi_squared(counts: &[u64], chances: impl Fn(usize) -> f64) -> f64 {
        let total: u64 = counts.iter().sum();
        counts
            .iter()
            .enumerate()
            .map(|(cell, &count)| {
                let expected = total as f64 * chances(cell);
                (count as f64 - expected).powi(2) / expected
            })
            .sum()
    }

    /// Six standard deviations above the mean; seeds are fixed, so a test never fails by chance.
    fn usual(statistic: f64, cells: usize) -> bool {
        let degrees = cells as f64 - 1.0;
        (statistic - degrees).abs() < 6.0 * (2.0 * degrees).sqrt()
    }

    #[test]
    fn uniform_residues_are_uniform() {
        for (index, q) in [257, 12_289, 3 << 48 | 1, (1 << 50) - 27]
            .into_iter()
            .enumerate()
        {
            let q = Modulus::new(q).unwrap();
            let mut values = vec![0; 1 << 17];
            stream(b"uniform", index as u64).uniform(q, &mut values);
            // By size, and by the low bits.
            for cell in [
                &|x: u64| (u128::from(x) * 64 / u128::from(q.value())) as usize,
                &|x: u64| (x % 64) as usize,
            ] as [&dyn Fn(u64) -> usize; 2]
            {
                let mut counts = [0; 64];
                let mut sizes = [0u64; 64];
                for &value in &values {
                    assert!(value < q.value());
                    counts[cell(value)] += 1;
                }
                if q.value() < 1 << 16 {
                    (0..q.value()).for_each(|value| sizes[cell(value)] += 1);
                } else {
                    sizes.fill(q.value() / 64);
                }
                let statistic = chi_squared(&counts, |at| sizes[at] as f64 / q.value() as f64);
                assert!(usual(statistic, 64), "{} {statistic}", q.value());
            }
        }
    }

    #[test]
    fn ternary_digits_are_uniform_and_do_not_follow_each_other() {
        let mut values = vec![0; 1 << 18];
        stream(b"ternary", 0).ternary(&mut values);
        // All triples of digits, at all offsets, within and across the numbers they are taken of.
        for distance in [1, 3, 19, 20] {
            let mut counts = [0; 27];
            for start in (0..values.len() - 2 * distance).step_by(2 * distance + 1) {
                let digit = |at: usize| (values[start + at * distance] + 1) as usize;
                counts[9 * digit(0) + 3 * digit(1) + digit(2)] += 1;
            }
            let statistic = chi_squared(&counts, |_| 1.0 / 27.0);
            assert!(usual(statistic, 27), "{distance}: {statistic}");
        }
    }

    #[test]
    fn errors_are_binomial() {
        let mut values = vec![0i8; 1 << 18];
        stream(b"binomial", 0).binomial(&mut values);
        let coins = 2 * COIN_PAIRS as usize;
        // Choose(42, k) / 2^42.
        let mut chances = vec![0.5f64.powi(coins as i32)];
        for k in 0..coins {
            chances.push(chances[k] * (coins - k) as f64 / (k + 1) as f64);
        }
        // -10 ..= 10, and both tails as one cell each.
        let cell = |value: i8| (value.clamp(-11, 11) + 11) as usize;
        let mut counts = [0u64; 23];
        values.iter().for_each(|&value| counts[cell(value)] += 1);
        let tail: f64 = chances[..=10].iter().sum();
        let statistic = chi_squared(&counts, |at| match at {
            0 | 22 => tail,
            _ => chances[at + 10],
        });
        assert!(usual(statistic, 23), "{statistic}");
        let square: i64 = values.iter().map(|&value| i64::from(value).pow(2)).sum();
        let variance = square as f64 / values.len() as f64;
        assert!((variance - 10.5).abs() < 0.15, "{variance}");
        assert!(values.iter().all(|value| value.abs() <= MOST_ERROR));
        let follow: i64 = values
            .windows(2)
            .map(|pair| i64::from(pair[0]) * i64::from(pair[1]))
            .sum();
        assert!((follow as f64 / values.len() as f64).abs() < 0.15);
    }

    #[test]
    fn wide_noise_fills_its_range_evenly() {
        for bits in [5, 20, 40, 64, 126] {
            let mut values = vec![0i128; 1 << 16];
            stream(b"long", u64::from(bits)).very_wide(bits, &mut values);
            let mut counts = [0; 64];
            for value in values {
                // Cells of 2^(bits - 5): -32 .. 32.
                let cell = value >> (bits - 5);
                assert!((-32..32).contains(&cell));
                counts[(cell + 32) as usize] += 1;
            }
            let statistic = chi_squared(&counts, |_| 1.0 / 64.0);
            assert!(usual(statistic, 64), "{bits}: {statistic}");
        }
        let refused = |work: fn(&mut Expander)| {
            let work = std::panic::AssertUnwindSafe(|| work(&mut stream(b"wide", 0)));
            assert!(std::panic::catch_unwind(work).is_err());
        };
        refused(|stream| stream.very_wide(127, &mut [0]));
        refused(|stream| stream.flood(127, &mut [0]));
    }

    #[test]
    fn floods_have_no_side_that_they_prefer() {
        for bits in [0, 1, 4, 40, 126] {
            let (mut drawn, mut plain) = (vec![0i128; 1 << 16], vec![0i128; 1 << 16]);
            stream(b"flood", u64::from(bits)).flood(bits, &mut drawn);
            stream(b"flood", u64::from(bits)).very_wide(bits, &mut plain);
            assert!(
                drawn
                    .iter()
                    .zip(&plain)
                    .all(|(a, b)| matches!(a - b, 0 | 1))
            );
            let count = drawn.len() as f64;
            let mean = drawn.iter().map(|&x| x as f64).sum::<f64>() / count;
            // The variance of an even interval of 2^(bits + 1), and of the coin with it.
            let square = 4f64.powi(bits as i32) / 3.0 + 1.0 / 6.0;
            assert!(mean.abs() < 5.0 * (square / count).sqrt(), "{bits}: {mean}");
            let found = drawn.iter().map(|&x| (x as f64).powi(2)).sum::<f64>() / count;
            assert!((found / square - 1.0).abs() < 0.03, "{bits}: {found}");
            if bits <= 4 {
                let bound = 1i128 << bits;
                let inner = count / (2 * bound) as f64;
                let mut counts = vec![0; 2 * bound as usize + 1];
                for x in drawn {
                    counts[(x + bound) as usize] += 1;
                }
                let last = counts.len() - 1;
                let statistic = chi_squared(&counts, |at| {
                    let all = if at == 0 || at == last { 0.5 } else { 1.0 };
                    all * inner / count
                });
                assert!(usual(statistic, last + 1), "{bits}: {statistic}");
            }
        }
    }
}
