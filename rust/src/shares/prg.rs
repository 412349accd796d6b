//! Random words that exactly two parties can make: AES-128 in counter mode under the key the pair shares.
//!
//! Counter block (little-endian): operation 8 bytes, purpose 1 byte, index of the share 1 byte, block 6 bytes.
//! Operations are numbered, an operation takes each purpose at most once for a share, so no block is ever made
//! twice under a key for two uses: under the assumption that AES is a pseudorandom permutation the streams are
//! independent random ones but for the distance of a permutation from a function, about q^2 / 2^129 for q
//! blocks under a key (2^40 blocks, 16 TB: 2^-49).

use std::sync::Arc;

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::shares::word::{Word, bytes_of_mut};

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
const BLOCK: usize = 16;
/// Bytes that are made at a time: they stay in the nearest cache.
const RUN: usize = 4096;
/// From so many bytes on several threads make them.
const PARALLEL: usize = 1 << 19;

/// A key, expanded. Both holders of share `share` have it.
#[derive(Clone)]
pub struct Key {
    cipher: Arc<Aes128Enc>,
    share: u8,
}

impl Key {
    /// The key of the holders of share `share`.
    pub fn new(key: &Zeroizing<[u8; KEY_BYTES]>, share: u8) -> Self {
        Self {
            cipher: Arc::new(Aes128Enc::new(&Array(**key))),
            share,
        }
    }

    /// The stream of one purpose of one operation.
    pub fn stream(&self, operation: u64, purpose: u8) -> Stream {
        Stream {
            cipher: Arc::clone(&self.cipher),
            base: u128::from(operation) | u128::from(purpose) << 64 | u128::from(self.share) << 72,
        }
    }
}

/// Random words, by their place.
#[derive(Clone)]
pub struct Stream {
    cipher: Arc<Aes128Enc>,
    base: u128,
}

impl Stream {
    /// The words from place `start` on; `start` words must fill whole blocks of 16 bytes.
    ///
    /// # Panics
    /// Where they do not, or where the stream's 2^48 blocks do not reach.
    pub fn fill<W: Word>(&self, start: usize, out: &mut [W]) {
        if out.is_empty() {
            return;
        }
        let offset = start * W::BYTES;
        assert!(offset.is_multiple_of(BLOCK), "a stream begins at a block");
        self.bytes(offset / BLOCK, bytes_of_mut(out));
    }

    /// As `fill`, with all threads of the pool this is called in.
    pub fn fill_parallel<W: Word>(&self, start: usize, out: &mut [W]) {
        if out.len() * W::BYTES < PARALLEL {
            return self.fill(start, out);
        }
        let rows = PARALLEL / 4 / W::BYTES;
        out.par_chunks_mut(rows)
            .enumerate()
            .for_each(|(place, chunk)| self.fill(start + place * rows, chunk));
    }

    /// `rows` words from the beginning.
    pub fn words<W: Word>(&self, rows: usize) -> Vec<W> {
        let mut out = vec![W::ZERO; rows];
        self.fill_parallel(0, &mut out);
        out
    }

    fn bytes(&self, first: usize, out: &mut [u8]) {
        let blocks = out.len().div_ceil(BLOCK);
        assert!(
            (first + blocks) as u64 <= 1 << 48,
            "a stream has 2^48 blocks"
        );
        let mut block = first as u128;
        for run in out.chunks_mut(RUN) {
            let (whole, rest) = Array::slice_as_chunks_mut(run);
            for counter in whole.iter_mut() {
                counter.0 = (self.base | block << 80).to_le_bytes();
                block += 1;
            }
            self.cipher.encrypt_blocks(whole);
            if !rest.is_empty() {
                let mut last = Array((self.base | block << 80).to_le_bytes());
                block += 1;
                self.cipher.encrypt_block(&mut last);
                rest.copy_from_slice(&last.0[..rest.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::Key;

    fn key(byte: u8, share: u8) -> Key {
        Key::new(&Zeroizing::new([byte; 16]), share)
    }

    #[test]
    fn a_stream_is_counter_mode() {
        // AES-128 of the zero block under the zero key (NIST SP 800-38A style check, value from FIPS 197 tools).
        let words: Vec<u8> = key(0, 0).stream(0, 0).words(16);
        let known = [
            0x66, 0xe9, 0x4b, 0xd4, 0xef, 0x8a, 0x2c, 0x3b, 0x88, 0x4c, 0xfa, 0x59, 0xca, 0x34,
            0x2b, 0x2e,
        ];
        assert_eq!(words, known);
    }

    #[test]
    fn any_place_gives_the_same_words() {
        let stream = key(3, 1).stream(9, 2);
        let all: Vec<u32> = stream.words(300_001);
        let mut part = vec![0u32; 4097];
        stream.fill(1024, &mut part);
        assert_eq!(part, all[1024..1024 + 4097]);
    }

    #[test]
    fn domains_differ() {
        let first = key(3, 1).stream(9, 2).words::<u64>(2);
        for other in [
            key(3, 1).stream(10, 2),
            key(3, 1).stream(9, 3),
            key(3, 2).stream(9, 2),
            key(4, 1).stream(9, 2),
        ] {
            assert_ne!(first, other.words::<u64>(2));
        }
    }
}
