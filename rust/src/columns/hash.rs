//! SHA-256 of short messages, compressed block by block: what the kernels hash fits one block or two,
//! and the bookkeeping of a general hasher would cost as much as the hash.

use sha2::block_api::compress256;
use zeroize::Zeroizing;

const BLOCK: usize = 64;
/// The initial state of FIPS 180-4, 5.3.3.
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[inline]
fn bytes_of(state: &[u32; 8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (word, place) in state.iter().zip(out.as_chunks_mut::<4>().0) {
        *place = word.to_be_bytes();
    }
    out
}

/// Writes the end of a message of `total` bytes after the `used` bytes that its last blocks hold.
#[inline]
fn close(blocks: &mut [[u8; BLOCK]; 2], used: usize, total: usize) -> usize {
    let count = if used + 9 <= BLOCK { 1 } else { 2 };
    blocks.as_flattened_mut()[used] = 0x80;
    blocks[count - 1][BLOCK - 8..].copy_from_slice(&(8 * total as u64).to_be_bytes());
    count
}

/// HMAC-SHA256 under one key, whose two blocks are hashed once.
pub struct Mac {
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
}

impl Mac {
    pub fn new(key: &[u8; 32]) -> Self {
        let keyed = |mask: u8| {
            let mut block = Zeroizing::new([mask; BLOCK]);
            for (place, byte) in block.iter_mut().zip(key) {
                *place ^= byte;
            }
            let mut state = Zeroizing::new(START);
            compress256(&mut state, std::slice::from_ref(&*block));
            state
        };
        Self {
            inner: keyed(0x36),
            outer: keyed(0x5c),
        }
    }

    /// The code of `message || last`.
    #[inline]
    pub fn of(&self, message: &[u8], last: u8) -> [u8; 32] {
        let (whole, rest) = message.as_chunks::<BLOCK>();
        let mut blocks = [[0; BLOCK]; 2];
        blocks[0][..rest.len()].copy_from_slice(rest);
        blocks[0][rest.len()] = last;
        self.ended(whole, blocks, rest.len() + 1, message.len() + 1)
    }

    /// The code of `message`.
    #[inline]
    pub fn of_whole(&self, message: &[u8]) -> [u8; 32] {
        let (whole, rest) = message.as_chunks::<BLOCK>();
        let mut blocks = [[0; BLOCK]; 2];
        blocks[0][..rest.len()].copy_from_slice(rest);
        self.ended(whole, blocks, rest.len(), message.len())
    }

    /// The code of a message of `length` bytes: whole blocks, and the `used` bytes behind them.
    #[inline]
    fn ended(
        &self,
        whole: &[[u8; BLOCK]],
        mut blocks: [[u8; BLOCK]; 2],
        used: usize,
        length: usize,
    ) -> [u8; 32] {
        let mut state = *self.inner;
        compress256(&mut state, whole);
        let count = close(&mut blocks, used, BLOCK + length);
        compress256(&mut state, &blocks[..count]);
        let mut blocks = [[0; BLOCK]; 2];
        blocks[0][..32].copy_from_slice(&bytes_of(&state));
        close(&mut blocks, 32, BLOCK + 32);
        let mut state = *self.outer;
        compress256(&mut state, &blocks[..1]);
        bytes_of(&state)
    }
}

/// SHA-256 of a fixed beginning followed by 32 bytes that differ every time.
pub struct Prefixed {
    state: Zeroizing<[u32; 8]>,
    blocks: Zeroizing<[[u8; BLOCK]; 2]>,
    at: usize,
    count: usize,
}

impl Prefixed {
    pub fn new(prefix: &[u8]) -> Self {
        let (whole, rest) = prefix.as_chunks::<BLOCK>();
        let mut state = Zeroizing::new(START);
        compress256(&mut state, whole);
        let mut blocks = Zeroizing::new([[0; BLOCK]; 2]);
        blocks[0][..rest.len()].copy_from_slice(rest);
        let count = close(&mut blocks, rest.len() + 32, prefix.len() + 32);
        Self {
            state,
            blocks,
            at: rest.len(),
            count,
        }
    }

    /// The hash of the beginning and `nonce`.
    #[inline]
    pub fn of(&mut self, nonce: &[u8; 32]) -> [u8; 32] {
        self.blocks.as_flattened_mut()[self.at..self.at + 32].copy_from_slice(nonce);
        let mut state = *self.state;
        compress256(&mut state, &self.blocks[..self.count]);
        bytes_of(&state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac as _};
    use sha2::{Digest, Sha256};

    const BYTES: [u8; 300] = [0xa5; 300];

    #[test]
    fn codes_are_those_of_a_general_hmac_at_any_length() {
        let mac = Mac::new(&[7; 32]);
        for length in 0..BYTES.len() {
            let mut general = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
            general.update(&BYTES[..length]);
            general.update(&[3]);
            let expected: [u8; 32] = general.finalize().into_bytes().into();
            assert_eq!(mac.of(&BYTES[..length], 3), expected, "{length}");
            let mut general = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
            general.update(&BYTES[..length]);
            let expected: [u8; 32] = general.finalize().into_bytes().into();
            assert_eq!(mac.of_whole(&BYTES[..length]), expected, "{length}");
        }
    }

    #[test]
    fn hashes_are_those_of_a_general_sha_at_any_length() {
        for length in 0..BYTES.len() {
            let mut prefixed = Prefixed::new(&BYTES[..length]);
            for nonce in [[1; 32], [2; 32]] {
                let expected: [u8; 32] = Sha256::new()
                    .chain_update(&BYTES[..length])
                    .chain_update(nonce)
                    .finalize()
                    .into();
                assert_eq!(prefixed.of(&nonce), expected, "{length}");
            }
        }
    }
}
