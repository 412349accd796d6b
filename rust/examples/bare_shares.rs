//! What the operations on shares cost by themselves: three parties in this process, without lines or Python.
//!
//! `cargo run --release --example bare_shares -- 1000000`: nanoseconds of processor time a row, of all three
//! parties together, and bytes a row that all three send.

use std::fs;
use std::hint::black_box;
use std::thread;

use hitoku_core::shares::algebra::{Additive, Bitwise};
use hitoku_core::shares::channel::Broken;
use hitoku_core::shares::compare::equal;
use hitoku_core::shares::convert::{bit_to_ring, ring_to_words};
use hitoku_core::shares::less::less;
use hitoku_core::shares::local;
use hitoku_core::shares::multiply::product;
use hitoku_core::shares::open::open;
use hitoku_core::shares::party::Party;
use hitoku_core::shares::select::{select_ring, select_words};
use hitoku_core::shares::to_ring::words_to_ring;
use hitoku_core::shares::vector::Pair;
use hitoku_core::shares::word::Word;

/// Processor time of this process in nanoseconds, of all threads.
fn spent() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split(' ').collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // utime and stime, in ticks of a hundredth of a second.
    (ticks(12) + ticks(13)) * 1e7
}

fn vector<W: Word>(party: &Party, rows: usize) -> Pair<W> {
    let values = (0..rows).map(|row| W::cut((row as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    local::public(party.index(), values.collect())
}

fn measure<I: Send>(
    name: &str,
    rows: usize,
    input: impl Fn(&Party) -> I + Sync,
    run: impl Fn(&mut Party, &I) -> Result<(), Broken> + Sync,
) {
    let repeats = (4_000_000 / rows.max(1)).max(2);
    let parties = Party::three(false).expect("random bytes");
    let held: Vec<(Party, I)> = parties
        .into_iter()
        .map(|party| {
            let input = input(&party);
            (party, input)
        })
        .collect();
    let before = spent();
    let sent: u64 = thread::scope(|scope| {
        let threads: Vec<_> = held
            .into_iter()
            .map(|(mut party, input)| {
                let run = &run;
                scope.spawn(move || {
                    for _ in 0..repeats {
                        run(&mut party, &input).expect("goes through");
                    }
                    party.counters().bytes_sent
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    let per = (spent() - before) / (rows * repeats) as f64;
    let bytes = sent as f64 / (rows * repeats) as f64;
    println!("{name:<28}{per:>9.2} ns{bytes:>9.2} B");
}

fn two<W: Word>(party: &Party, rows: usize) -> (Pair<W>, Pair<W>) {
    (vector(party, rows), vector(party, rows))
}

fn main() {
    let rows = std::env::args()
        .nth(1)
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(1_000_000);
    println!("{rows} rows");
    let only = std::env::args().nth(2).unwrap_or_default();
    macro_rules! time {
        ($name:literal, $word:ty, |$party:ident, $a:ident, $b:ident| $run:expr) => {
            if $name.contains(&only) {
                measure(
                    $name,
                    rows,
                    |party| two::<$word>(party, rows),
                    |$party, ($a, $b)| {
                        let _ = ($a, $b);
                        black_box($run);
                        Ok(())
                    },
                );
            }
        };
    }
    time!("add r64", u64, |p, a, b| local::add::<Additive, _>(
        &p.workers(),
        a,
        b
    ));
    time!("prefix_sum r64", u64, |p, a, b| local::prefix_sum::<
        Additive,
        _,
    >(&p.workers(), a));
    time!("mul r32", u32, |p, a, b| product::<Additive, _>(p, a, b)?);
    time!("mul r64", u64, |p, a, b| product::<Additive, _>(p, a, b)?);
    time!("mul r128", u128, |p, a, b| product::<Additive, _>(p, a, b)?);
    time!("and u8", u8, |p, a, b| product::<Bitwise, _>(p, a, b)?);
    time!("open r32", u32, |p, a, b| open::<Additive, _>(p, a)?);
    time!("open r64", u64, |p, a, b| open::<Additive, _>(p, a)?);
    time!("bit_to_ring r32", u8, |p, a, b| bit_to_ring::<u8, u32>(
        p, a, 0
    )?);
    time!("bit_to_ring r64", u8, |p, a, b| bit_to_ring::<u8, u64>(
        p, a, 0
    )?);
    time!("equal 8 bits", u8, |p, a, b| equal(p, a, b, 8)?);
    time!("equal 10 bits", u16, |p, a, b| equal(p, a, b, 10)?);
    time!("equal 32 bits", u32, |p, a, b| equal(p, a, b, 32)?);
    time!("equal 64 bits", u64, |p, a, b| equal(p, a, b, 64)?);
    time!("less 10 bits", u16, |p, a, b| less(p, a, b, 10)?);
    time!("less 32 bits", u32, |p, a, b| less(p, a, b, 32)?);
    time!("less 64 bits", u64, |p, a, b| less(p, a, b, 64)?);
    time!("ring_to_words 32 bits", u32, |p, a, b| ring_to_words(
        p, a, 32
    )?);
    time!("ring_to_words 64 bits", u64, |p, a, b| ring_to_words(
        p, a, 64
    )?);
    time!("words_to_ring 32 bits, r64", u64, |p, a, b| words_to_ring(
        p, a, 32
    )?);
    time!("words_to_ring 8 bits, r64", u64, |p, a, b| words_to_ring(
        p, a, 8
    )?);
    if "select u64".contains(&only) {
        measure(
            "select u64",
            rows,
            |party| (vector::<u8>(party, rows), two::<u64>(party, rows)),
            |party, (bit, (a, b))| select_words(party, bit, a, b).map(|made| drop(black_box(made))),
        );
        measure(
            "select r64",
            rows,
            |party| (vector::<u8>(party, rows), two::<u64>(party, rows)),
            |party, (bit, (a, b))| select_ring(party, bit, a, b).map(|made| drop(black_box(made))),
        );
    }
}
