//! What the ring's arithmetic costs by itself, without keys, schemes or Python.
//!
//! `cargo run --release --example bare_ring [log2 of the degree] [bits of the prime]` prints microseconds a
//! call on one core, the best of many rounds, one JSON object for each path the processor can run.

use std::hint::black_box;
use std::time::Instant;

use hitoku_core::ring::automorphism::Galois;
use hitoku_core::ring::modulus::Modulus;
use hitoku_core::ring::ntt::{Path, Tables};
use hitoku_core::ring::primes::ntt_primes;
use hitoku_core::ring::sample::{Expander, Seed};
use hitoku_core::ring::vector;

const ROUNDS: usize = 400;

fn least(mut work: impl FnMut()) -> f64 {
    work();
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e6
        })
        .fold(f64::INFINITY, f64::min)
}

fn argument(place: usize, otherwise: u32) -> u32 {
    std::env::args()
        .nth(place)
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

fn main() {
    let (log_n, bits) = (argument(1, 13), argument(2, 40));
    let n = 1usize << log_n;
    let prime = ntt_primes(bits, n as u64, 1, &[])[0];
    let q = Modulus::new(prime).expect("a prime below 2^50");
    let tables = Tables::new(log_n, q).expect("a prime that is 1 modulo 2N");
    let seed = Seed::new([1; 32]);
    let mut stream = Expander::new(&seed, b"bare", 0);
    let mut draw = || {
        let mut values = vec![0; n];
        stream.uniform(q, &mut values);
        values
    };
    let (mut a, b, c) = (draw(), draw(), draw());
    let pairs: [(&[u64], &[u64]); 4] = [(&b, &c); 4];
    for path in Path::available() {
        let times = [
            (
                "forward",
                least(|| tables.forward_with(path, black_box(&mut a))),
            ),
            (
                "inverse",
                least(|| tables.inverse_with(path, black_box(&mut a))),
            ),
            (
                "add",
                least(|| vector::add_assign_with(path, q, black_box(&mut a), &b)),
            ),
            (
                "mul",
                least(|| vector::mul_assign_with(path, q, black_box(&mut a), &b)),
            ),
            (
                "mul_add",
                least(|| vector::mul_add_assign_with(path, q, black_box(&mut a), &b, &c)),
            ),
            (
                "dot4",
                least(|| vector::dot_with(path, q, black_box(&mut a), &pairs)),
            ),
            (
                "scalar",
                least(|| vector::mul_scalar_assign_with(path, q, black_box(&mut a), 3)),
            ),
            (
                "reduce",
                least(|| vector::reduce_assign_with(path, q, black_box(&mut a))),
            ),
        ];
        print(path.name(), n, bits, &times);
    }
    let galois = Galois::for_step(n, 5).expect("a degree");
    let mut small = vec![0i8; n];
    let mut wide = vec![0i128; n];
    let times = [
        ("permute", least(|| galois.permute(&b, black_box(&mut a)))),
        ("uniform", least(|| stream.uniform(q, black_box(&mut a)))),
        ("ternary", least(|| stream.ternary(black_box(&mut small)))),
        ("binomial", least(|| stream.binomial(black_box(&mut small)))),
        ("flood", least(|| stream.flood(40, black_box(&mut wide)))),
        (
            "from_small",
            least(|| vector::from_small(q, &small, black_box(&mut a))),
        ),
    ];
    print(Path::best().name(), n, bits, &times);
}

fn print(path: &str, n: usize, bits: u32, times: &[(&str, f64)]) {
    let fields: Vec<String> = times
        .iter()
        .map(|(name, time)| format!("\"{name}\": {time:.2}"))
        .collect();
    println!(
        "{{\"path\": \"{path}\", \"n\": {n}, \"bits\": {bits}, {}}}",
        fields.join(", ")
    );
}
