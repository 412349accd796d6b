//! The same calls of the curve library as the group's kernels make, one after the other, and nothing else.
//!
//! `cargo run --release --example bare_group [points]` prints microseconds a call on one core, the best
//! of several rounds; a kernel's time over that is what its bookkeeping costs.

use std::hint::black_box;
use std::time::Instant;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;

const ROUNDS: usize = 20;

fn least(calls: usize, mut work: impl FnMut()) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() / calls as f64 * 1e6
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(256);
    let wide: Vec<[u8; 64]> = (0..count)
        .map(|number: usize| std::array::from_fn(|at| (number * 31 + at * 7) as u8))
        .collect();
    let scalars: Vec<Scalar> = wide.iter().map(Scalar::from_bytes_mod_order_wide).collect();
    let points: Vec<RistrettoPoint> = wide
        .iter()
        .map(RistrettoPoint::from_uniform_bytes)
        .collect();
    let encoded: Vec<CompressedRistretto> = points.iter().map(RistrettoPoint::compress).collect();
    let map = least(count, || {
        for bytes in &wide {
            black_box(RistrettoPoint::from_uniform_bytes(bytes));
        }
    });
    let multiply = least(count, || {
        for point in &points {
            black_box(point * scalars[0]);
        }
    });
    let base = least(count, || {
        for scalar in &scalars {
            black_box(RistrettoPoint::mul_base(scalar));
        }
    });
    let decode = least(count, || {
        for bytes in &encoded {
            black_box(bytes.decompress());
        }
    });
    let encode = least(count, || {
        black_box(RistrettoPoint::double_and_compress_batch(&points));
    });
    println!(
        "{{\"map\": {map:.3}, \"multiply\": {multiply:.3}, \"base\": {base:.3}, \
         \"decode\": {decode:.3}, \"encode\": {encode:.3}}}"
    );
}
