//! How an owner shares a column, and how servers make the shares that they need not be sent.
//!
//! x_0 = F(seed_a, label), x_1 = F(seed_b, label), x_2 = x - x_0 - x_1 in the column's algebra. P_0 gets both
//! seeds, P_1 gets seed_b and x_2, P_2 gets seed_a and x_2. So each has its two shares, of which at least one is
//! pseudorandom to it: **P_0** sees two seeds and nothing of x; **P_1** sees x - F(seed_a) - x_1 and does not know
//! seed_a; **P_2** likewise without seed_b. Simulator: draw seeds and x_2 at random. A seed is used for one upload
//! (one run, one table); a label, which is bound to the key that a column's stream is made with, for one column.
//!
//! F: AES-128 in counter mode (`prg.rs`) under the first 16 bytes of SHA-256("hitoku/shares-upload/1" || seed ||
//! label as 8 bytes, little-endian).

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::shares::algebra::Algebra;
use crate::shares::prg::{KEY_BYTES, Key};
use crate::shares::word::Word;
use crate::shares::workers::{Workers, fresh};

/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;
const DOMAIN: &[u8] = b"hitoku/shares-upload/1";
const UPLOAD: u8 = 255;

/// The key of one column.
pub fn column_key(seed: &[u8; SEED_BYTES], label: u64) -> Key {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(seed);
    hash.update(label.to_le_bytes());
    let digest = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    key.copy_from_slice(&digest[..KEY_BYTES]);
    Key::new(&key, UPLOAD)
}

/// F(seed, label): `rows` words.
pub fn expand<W: Word>(
    workers: &Workers,
    rows: usize,
    seed: &[u8; SEED_BYTES],
    label: u64,
) -> Vec<W> {
    let stream = column_key(seed, label).stream(0, 0);
    workers.make(rows, |start, part| stream.fill(start, part))
}

/// x - F(seed_a, label) - F(seed_b, label): the explicit share.
pub fn split<A: Algebra, W: Word>(
    workers: &Workers,
    values: &[W],
    seed_a: &[u8; SEED_BYTES],
    seed_b: &[u8; SEED_BYTES],
    label: u64,
) -> Vec<W> {
    let streams = [seed_a, seed_b].map(|seed| column_key(seed, label).stream(0, 0));
    let mut out: Vec<W> = fresh(values.len());
    workers.write(&mut out, |start, part| {
        let mut mask = vec![W::ZERO; part.len().min(4096)];
        let mut row = start;
        for run in part.chunks_mut(4096) {
            run.copy_from_slice(&values[row..row + run.len()]);
            for stream in &streams {
                let mask = &mut mask[..run.len()];
                stream.fill(row, mask);
                for (out, mask) in run.iter_mut().zip(mask) {
                    *out = A::sub(*out, *mask);
                }
            }
            row += run.len();
        }
    });
    out
}
