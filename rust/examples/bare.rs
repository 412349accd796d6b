//! The same hash and cipher calls as the kernels make, and nothing else: no Arrow, no Python.
//!
//! `cargo run --release --example bare [values]` prints values a second on one core; a kernel's
//! share of that is what its bookkeeping leaves.

use std::hint::black_box;
use std::time::Instant;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes256Enc;
use aes_gcm::{AesGcm, KeyInit, Nonce};
use sha2::block_api::compress256;

fn rate(values: usize, mut work: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    for value in 0..values {
        work(value);
    }
    values as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let values = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000_000);
    // An HMAC whose key is hashed already: one block inside, one outside.
    let (inner, outer) = ([1u32; 8], [2u32; 8]);
    let mut text = [[0u8; 64]; 1];
    let mut digest = [[0u8; 64]; 1];
    let fingerprints = rate(values, |value| {
        text[0][8..16].copy_from_slice(&(value as u64).to_be_bytes());
        let mut state = inner;
        compress256(&mut state, &text);
        for (word, place) in state.iter().zip(digest[0].as_chunks_mut::<4>().0) {
            *place = word.to_be_bytes();
        }
        let mut state = outer;
        compress256(&mut state, &digest);
        black_box(state);
    });
    // Three sealed values a row share its nonce and its cipher, as in the benchmark's table.
    let rows = values / 3;
    let mut blocks = [[0u8; 64]; 2];
    let mut plain = [0u8; 35];
    let sealed = 3.0
        * rate(rows, |row| {
            blocks[0][..8].copy_from_slice(&(row as u64).to_be_bytes());
            let mut state = inner;
            compress256(&mut state, &blocks);
            let mut key = [0u8; 32];
            for (word, place) in state.iter().zip(key.as_chunks_mut::<4>().0) {
                *place = word.to_be_bytes();
            }
            let cipher = AesGcm::<Aes256Enc, U12>::new(&key.into());
            for header in 1..=3 {
                blocks[0][63] = header;
                let mut state = outer;
                compress256(&mut state, &blocks[..1]);
                let mut iv = [0; 12];
                for (word, place) in state.iter().zip(iv.as_chunks_mut::<4>().0) {
                    *place = word.to_be_bytes();
                }
                black_box(
                    cipher
                        .encrypt_inout_detached(
                            &Nonce::from(iv),
                            b"02:enc:",
                            plain.as_mut_slice().into(),
                        )
                        .expect("35 bytes are not too long"),
                );
            }
        });
    println!("{{\"fingerprints\": {fingerprints:.0}, \"sealed\": {sealed:.0}}}");
}
