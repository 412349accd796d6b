//! Key streams added to and taken from vectors modulo 2^64.
//!
//! The stream of (secret, context) is AES-256's in counter mode (NIST SP 800-38A, 6.5): the blocks of 0, 1, 2
//! and so on, each a number of 128 bits, most significant byte first, under the key HKDF-Expand(secret,
//! "hitoku/mask-stream/2" || context), read as little-endian words of 64 bits. The key is used for this stream
//! alone, which is what allows the constant first counter. A stream has 2^35 words, 2^34 blocks: it is told from
//! random words with an advantage of at most 2^-61 (a permutation is no function: q^2 / 2^129 for q blocks) and
//! that of AES-256 as a pseudorandom permutation.

use aes::Aes256Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use rayon::prelude::*;
use zeroize::Zeroize;

use super::hkdf::{Key, expand};
use crate::learning::fault::Fault;
use crate::ring::parallel::{MOST_THREADS, pool};

const DOMAIN: &[u8] = b"hitoku/mask-stream/2";
/// Words of a part of a vector: each stream passes over it while it is in the nearest caches. Whole blocks.
const PART: usize = 1 << 11;
/// Bytes of the cipher's block.
const BLOCK: usize = 16;
/// From so many words (of all streams together) on threads share the work.
const PARALLEL: usize = 1 << 16;
/// Words of a stream.
const MOST_WORDS: u64 = 1 << 35;

/// What a stream does to a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is added.
    Plus,
    /// It is subtracted.
    Minus,
}

/// One stream: the cipher under its key, which the cipher wipes.
pub struct Term {
    cipher: Aes256Enc,
    sign: Sign,
}

impl Term {
    /// The stream of a secret and a context.
    pub fn new(secret: &Key, context: &[u8], sign: Sign) -> Self {
        Self::of(&expand(&**secret, &[DOMAIN, context]), sign)
    }

    fn of(key: &Key, sign: Sign) -> Self {
        Self {
            cipher: Aes256Enc::new(&Array(**key)),
            sign,
        }
    }

    /// Adds or subtracts the words from `start` on, which begin a block, through `room`.
    fn apply(&self, start: usize, part: &mut [u64], room: &mut [u8]) {
        let bytes = &mut room[..(8 * part.len()).next_multiple_of(BLOCK)];
        let (blocks, _) = Array::slice_as_chunks_mut(bytes);
        let first = (8 * start / BLOCK) as u128;
        for (place, block) in blocks.iter_mut().enumerate() {
            block.0 = (first + place as u128).to_be_bytes();
        }
        self.cipher.encrypt_blocks(blocks);
        let (words, _) = bytes.as_chunks::<8>();
        match self.sign {
            Sign::Plus => add(part, words),
            Sign::Minus => subtract(part, words),
        }
    }
}

fn add(part: &mut [u64], words: &[[u8; 8]]) {
    for (value, word) in part.iter_mut().zip(words) {
        *value = value.wrapping_add(u64::from_le_bytes(*word));
    }
}

fn subtract(part: &mut [u64], words: &[[u8; 8]]) {
    for (value, word) in part.iter_mut().zip(words) {
        *value = value.wrapping_sub(u64::from_le_bytes(*word));
    }
}

/// Where a thread writes key streams; wiped when it is done.
struct Room(Vec<u8>);

impl Room {
    fn new() -> Self {
        Self(vec![0; 8 * PART])
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Applies all streams to a vector, in place.
///
/// # Errors
/// `bad-length` for more than 2^35 words; `bad-threads`, `no-threads`.
pub fn apply(values: &mut [u64], terms: &[Term], threads: usize) -> Result<(), Fault> {
    if values.len() as u64 > MOST_WORDS {
        return Err(Fault::new("bad-length"));
    }
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(Fault::new("bad-threads"));
    }
    let one = |room: &mut Room, place: usize, part: &mut [u64]| {
        for term in terms {
            term.apply(place * PART, part, &mut room.0);
        }
    };
    if threads == 1 || values.len().saturating_mul(terms.len()) < PARALLEL {
        let mut room = Room::new();
        for (place, part) in values.chunks_mut(PART).enumerate() {
            one(&mut room, place, part);
        }
    } else {
        pool(threads)?.install(|| {
            values
                .par_chunks_mut(PART)
                .enumerate()
                .for_each_init(Room::new, |room, (place, part)| one(room, place, part));
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aes::Aes256Enc;
    use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
    use zeroize::Zeroizing;

    use super::{PART, Sign, Term, apply};

    fn term(byte: u8, sign: Sign) -> Term {
        Term::of(&Zeroizing::new([byte; 32]), sign)
    }

    fn stream(byte: u8, length: usize, threads: usize) -> Vec<u64> {
        let mut out = vec![0; length];
        apply(&mut out, &[term(byte, Sign::Plus)], threads).unwrap();
        out
    }

    #[test]
    fn the_cipher_is_that_of_the_standard() {
        // FIPS 197, appendix C.3; and AES-256 of the block 0 under the key 0 (CAVP, KeySbox and VarTxt begin so).
        let key: Vec<u8> = (0..32).collect();
        let mut block = Array(std::array::from_fn(|place| 0x11 * place as u8));
        Aes256Enc::new(&Array(key.try_into().unwrap())).encrypt_block(&mut block);
        let shown: String = block.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, "8ea2b7ca516745bfeafc49904b496089");
        let made: String = stream(0, 2, 1)
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(made, "dc95c078a2408989ad48a21492842087");
    }

    #[test]
    fn places_and_threads_change_nothing() {
        let whole = stream(3, 20 * PART + 7, 1);
        assert_eq!(whole, stream(3, 20 * PART + 7, 3));
        let cipher = Aes256Enc::new(&Array([3; 32]));
        for (place, words) in whole.chunks(2).enumerate() {
            let mut block = Array((place as u128).to_be_bytes());
            cipher.encrypt_block(&mut block);
            for (word, bytes) in words.iter().zip(block.0.chunks(8)) {
                assert_eq!(word.to_le_bytes(), bytes);
            }
        }
        for length in [0, 1, 7, 8, 9, PART - 1, PART, PART + 1] {
            assert_eq!(whole[..length], stream(3, length, 2));
        }
    }

    #[test]
    fn signs_cancel_and_wrap() {
        let mut values: Vec<u64> = (0..5000u64).map(|value| value.wrapping_neg()).collect();
        let before = values.clone();
        let terms = [term(1, Sign::Plus), term(2, Sign::Minus)];
        apply(&mut values, &terms, 1).unwrap();
        let expected: Vec<u64> = before
            .iter()
            .zip(stream(1, 5000, 1))
            .zip(stream(2, 5000, 1))
            .map(|((value, plus), minus)| value.wrapping_add(plus).wrapping_sub(minus))
            .collect();
        assert_eq!(values, expected);
        apply(&mut values, &[term(2, Sign::Plus), term(1, Sign::Minus)], 1).unwrap();
        assert_eq!(values, before);
    }

    #[test]
    fn contexts_and_secrets_give_other_streams() {
        let made = |secret: u8, context: &[u8]| {
            let mut out = vec![0u64; 4];
            let term = Term::new(&Zeroizing::new([secret; 32]), context, Sign::Plus);
            apply(&mut out, &[term], 1).unwrap();
            out
        };
        let first = made(1, b"a");
        assert_eq!(first, made(1, b"a"));
        assert_ne!(first, made(1, b"b"));
        assert_ne!(first, made(2, b"a"));
    }
}
