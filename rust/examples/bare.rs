//! The same hash and cipher calls as the kernels make, and nothing else: no Arrow, no Python.
//!
//! `cargo run --release --example bare [values]` prints values a second on one core; a kernel's
//! share of that is what its bookkeeping leaves.

use std::hint::black_box;
use std::time::Instant;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

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
    let keyed = Hmac::<Sha256>::new_from_slice(&[7; 32]).expect("any length is a key");
    let mut text = *b"customer-0000000";
    let fingerprints = rate(values, |value| {
        text[8..].copy_from_slice(&(value as u64).to_be_bytes());
        let mut mac = keyed.clone();
        mac.update(&text);
        mac.update(&[2]);
        black_box(mac.finalize().into_bytes());
    });
    // Three sealed values a row share its nonce and its cipher, as in the benchmark's table.
    let rows = values / 3;
    let mut nonce = [0u8; 32];
    let mut plain = [0u8; 35];
    let sealed = 3.0
        * rate(rows, |row| {
            nonce[..8].copy_from_slice(&(row as u64).to_be_bytes());
            let key = Sha256::new()
                .chain_update([3; 32])
                .chain_update(nonce)
                .finalize();
            let cipher = Aes256Gcm::new(&key);
            for header in ["address", "city", "title"] {
                let digest = Sha256::new()
                    .chain_update(header.as_bytes())
                    .chain_update(nonce)
                    .finalize();
                let mut iv = [0; 12];
                iv.copy_from_slice(&digest[..12]);
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
