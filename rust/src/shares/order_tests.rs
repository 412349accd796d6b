//! Shuffling, sorting and owners' orders, against the standard library's stable sort.

use std::collections::HashMap;

use crate::shares::algebra::{Additive, Algebra, Bitwise};
use crate::shares::channel::{Broken, Channel, Closer, memory};
use crate::shares::open::open;
use crate::shares::order::Order;
use crate::shares::owner_order::{owner_order, split_order};
use crate::shares::party::Party;
use crate::shares::shuffle::shuffle;
use crate::shares::sort::order;
use crate::shares::testing::{Numbers, chi_square, shared, three, value};
use crate::shares::vector::{Pair, Shared};
use crate::shares::word::Word;
use crate::shares::workers::Workers;

fn ramp<W: Word>(rows: usize) -> Vec<W> {
    (0..rows).map(|row| W::cut(row as u128 * 3 + 1)).collect()
}

/// Opened vectors of every kind, as wide numbers.
fn opened(party: &mut Party, vector: &Shared) -> Vec<u128> {
    fn wide<W: Word>(words: Result<Vec<W>, Broken>) -> Vec<u128> {
        words.unwrap().into_iter().map(Word::wide).collect()
    }
    match vector {
        Shared::U8(pair) => wide(open::<Bitwise, _>(party, pair)),
        Shared::U16(pair) => wide(open::<Bitwise, _>(party, pair)),
        Shared::U32(pair) => wide(open::<Bitwise, _>(party, pair)),
        Shared::U64(pair) => wide(open::<Bitwise, _>(party, pair)),
        Shared::U128(pair) => wide(open::<Bitwise, _>(party, pair)),
        Shared::R32(pair) => wide(open::<Additive, _>(party, pair)),
        Shared::R64(pair) => wide(open::<Additive, _>(party, pair)),
        Shared::R128(pair) => wide(open::<Additive, _>(party, pair)),
    }
}

/// A vector of each kind, by party.
fn all_kinds(rows: usize) -> [Vec<Shared>; 3] {
    fn of<A: Algebra, W: Word>(
        out: &mut [Vec<Shared>; 3],
        rows: usize,
        wrap: fn(Pair<W>) -> Shared,
    ) {
        let pairs = shared::<A, W>(&mut Numbers(rows as u64), &ramp(rows));
        for (out, pair) in out.iter_mut().zip(pairs) {
            out.push(wrap(pair));
        }
    }
    let mut out = [const { Vec::new() }; 3];
    of::<Bitwise, _>(&mut out, rows, Shared::U8);
    of::<Bitwise, _>(&mut out, rows, Shared::U16);
    of::<Bitwise, _>(&mut out, rows, Shared::U32);
    of::<Bitwise, _>(&mut out, rows, Shared::U64);
    of::<Bitwise, _>(&mut out, rows, Shared::U128);
    of::<Additive, _>(&mut out, rows, Shared::R32);
    of::<Additive, _>(&mut out, rows, Shared::R64);
    of::<Additive, _>(&mut out, rows, Shared::R128);
    out
}

fn refs(vectors: &[Shared]) -> Vec<&Shared> {
    vectors.iter().collect()
}

#[test]
fn a_shuffle_moves_vectors_of_all_kinds_alike() {
    for rows in [0usize, 1, 2, 37, 150_000] {
        let vectors = all_kinds(rows);
        let results = three(|party| {
            let moved = shuffle(party, &refs(&vectors[party.index()])).unwrap();
            let values: Vec<_> = moved.iter().map(|vector| opened(party, vector)).collect();
            party.check().unwrap();
            values
        });
        let [values, _, _] = results;
        let mut sorted = values[2].clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            ramp::<u32>(rows)
                .into_iter()
                .map(u128::from)
                .collect::<Vec<_>>()
        );
        for (column, bits) in values.iter().zip([8, 16, 32, 64, 128, 32, 64, 128]) {
            let cut: Vec<u128> = values[2]
                .iter()
                .map(|word| word & u128::mask(bits))
                .collect();
            assert_eq!(*column, cut);
        }
        assert!(rows < 30 || values[2] != sorted, "rows were moved");
    }
}

#[test]
fn every_shuffle_is_equally_likely() {
    const TIMES: usize = 4_800;
    let pairs = shared::<Additive, u32>(&mut Numbers(1), &[0, 1, 2, 3]);
    let [seen, _, _] = three(|party| {
        let vector = Shared::R32(pairs[party.index()].clone());
        let mut seen: HashMap<Vec<u128>, usize> = HashMap::new();
        for _ in 0..TIMES {
            let moved = shuffle(party, &[&vector]).unwrap();
            *seen.entry(opened(party, &moved[0])).or_default() += 1;
        }
        seen
    });
    assert_eq!(seen.len(), 24);
    let counts: Vec<usize> = seen.into_values().collect();
    assert!(chi_square(&counts, TIMES as f64 / 24.0));
}

/// What P_1 and P_2 know of an order of rows is uniform, whatever the keys: both tables that a party has, together.
#[test]
fn what_a_party_knows_of_an_order_is_uniform() {
    const TIMES: usize = 3_600;
    for keys in [[0u8, 0, 0], [3, 1, 2], [200, 100, 7]] {
        let bits = if keys[0] > 3 { 8 } else { 2 };
        let pairs = shared::<Bitwise, u8>(&mut Numbers(2), &keys);
        let known = three(|party| {
            let key = Shared::U8(pairs[party.index()].clone());
            let mut seen: HashMap<Vec<Vec<u32>>, usize> = HashMap::new();
            for _ in 0..TIMES {
                let order = order(party, &[(&key, bits)]).unwrap();
                *seen.entry(order.known()).or_default() += 1;
            }
            seen
        });
        for (index, seen) in known.into_iter().enumerate() {
            assert_eq!(seen.len(), 36, "party {index}");
            let counts: Vec<usize> = seen.into_values().collect();
            assert!(
                chi_square(&counts, TIMES as f64 / 36.0),
                "party {index}, {keys:?}"
            );
        }
    }
}

struct Key {
    values: Vec<u128>,
    shares: [Shared; 3],
    bits: u32,
}

fn key(numbers: &mut Numbers, rows: usize, bits: u32) -> Key {
    // Above the bits that count, words have anything.
    fn of<W: Word>(
        numbers: &mut Numbers,
        rows: usize,
        bits: u32,
        wrap: fn(Pair<W>) -> Shared,
    ) -> Key {
        let words: Vec<W> = numbers.words(rows, bits.max(1));
        Key {
            shares: shared::<Bitwise, W>(numbers, &words).map(wrap),
            values: words
                .into_iter()
                .map(|word| word.and(W::mask(bits)).wide())
                .collect(),
            bits,
        }
    }
    match bits {
        0..=8 => of(numbers, rows, bits, Shared::U8),
        9..=16 => of(numbers, rows, bits, Shared::U16),
        17..=32 => of(numbers, rows, bits, Shared::U32),
        33..=64 => of(numbers, rows, bits, Shared::U64),
        _ => of(numbers, rows, bits, Shared::U128),
    }
}

/// The rows in sorted order, by the standard library.
fn sorted(keys: &[Key], rows: usize) -> Vec<u32> {
    let mut places: Vec<u32> = (0..rows as u32).collect();
    places.sort_by_key(|row| -> Vec<u128> {
        keys.iter().map(|key| key.values[*row as usize]).collect()
    });
    places
}

fn sorts(rows: usize, widths: &[u32], seed: u64) {
    let mut numbers = Numbers(seed);
    let keys: Vec<Key> = widths
        .iter()
        .map(|bits| key(&mut numbers, rows, *bits))
        .collect();
    let row_numbers: Vec<u32> = (0..rows as u32).collect();
    let pairs = shared::<Additive, u32>(&mut numbers, &row_numbers);
    let results = three(|party| {
        let index = party.index();
        let of: Vec<(&Shared, u32)> = keys
            .iter()
            .map(|key| (&key.shares[index], key.bits))
            .collect();
        let order = order(party, &of).unwrap();
        let rows = Shared::R32(pairs[index].clone());
        let moved = order.apply(party, &[&rows, &rows]).unwrap();
        let back = order.unapply(party, &[&moved[1]]).unwrap();
        (pair(&moved[0]), pair(&back[0]))
    });
    let (moved, back): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let of =
        |pairs: Vec<Pair<u32>>| value::<Additive, u32>(<[_; 3]>::try_from(pairs).unwrap().map(Ok));
    assert_eq!(
        of(moved),
        sorted(&keys, rows),
        "{rows} rows of {widths:?} bits"
    );
    assert_eq!(of(back), row_numbers, "{rows} rows of {widths:?} bits");
}

fn pair(shared: &Shared) -> Pair<u32> {
    match shared {
        Shared::R32(pair) => pair.clone(),
        _ => panic!("kind"),
    }
}

#[test]
fn orders_are_those_of_a_stable_sort() {
    for bits in [1, 2, 3, 4, 7, 8, 10, 13, 16, 31, 32, 33, 64, 65, 127, 128] {
        sorts(23, &[bits], u64::from(bits));
    }
    for widths in [
        &[1u32, 1][..],
        &[1, 1, 1],
        &[3, 10],
        &[64, 5, 1],
        &[10, 128, 64],
        &[0, 4],
    ] {
        sorts(50, widths, 99);
    }
    for rows in [0, 1, 2, 3, 4, 5, 64, 257, 2049] {
        for widths in [&[1u32][..], &[2], &[5], &[9, 33]] {
            sorts(rows, widths, rows as u64);
        }
    }
    sorts(5, &[0], 1);
    sorts(200_001, &[5], 3);
    sorts(70_000, &[1], 4);
}

#[test]
#[ignore = "takes a minute: wide keys of many rows, in several runs"]
fn wide_keys_of_many_rows() {
    sorts(300_000, &[64, 3], 8);
    sorts(1_000_000, &[32], 9);
    sorts(100_000, &[128, 128], 10);
}

#[test]
fn an_order_can_be_used_again_for_all_kinds() {
    let rows = 300;
    let vectors = all_kinds(rows);
    let keys = key(&mut Numbers(4), rows, 11);
    let [values, _, _] = three(|party| {
        let mine = &vectors[party.index()];
        let order = order(party, &[(&keys.shares[party.index()], 11)]).unwrap();
        let mut out = Vec::new();
        for _ in 0..2 {
            let moved = order.apply(party, &refs(mine)).unwrap();
            out.extend(moved.iter().map(|vector| opened(party, vector)));
        }
        let back = order.unapply(party, &refs(mine)).unwrap();
        let again = order.apply(party, &refs(&back)).unwrap();
        let same = mine.iter().zip(&again);
        for (one, other) in same {
            assert_eq!(opened(party, one), opened(party, other));
        }
        party.check().unwrap();
        out
    });
    let places = sorted(&[keys], rows);
    for (column, bits) in values
        .iter()
        .zip([8, 16, 32, 64, 128, 32, 64, 128].repeat(2))
    {
        let expected: Vec<u128> = places
            .iter()
            .map(|row| (u128::from(*row) * 3 + 1) & u128::mask(bits))
            .collect();
        assert_eq!(*column, expected);
    }
}

#[test]
fn sizes_and_rounds_depend_on_rows_and_bits_only() {
    let mut seen = Vec::new();
    for seed in 0..3u64 {
        let rows = 1000;
        let words: Vec<u16> = match seed {
            0 => vec![0; rows],
            _ => Numbers(seed).words(rows, 13),
        };
        let pairs = shared::<Bitwise, u16>(&mut Numbers(seed), &words);
        let rounds = three(|party| {
            let key = Shared::U16(pairs[party.index()].clone());
            let order = order(party, &[(&key, 13)]).unwrap();
            let moved = order.apply(party, &[&key]).unwrap();
            shuffle(party, &refs(&moved)).unwrap();
            party.counters()
        });
        assert!(
            rounds
                .iter()
                .all(|counters| counters.rounds == rounds[0].rounds)
        );
        seen.push(rounds);
    }
    assert!(seen.iter().all(|one| *one == seen[0]));
}

#[test]
fn an_owners_order_is_applied() {
    let workers = Workers::new().unwrap();
    let (a, b) = ([1; 32], [2; 32]);
    for rows in [0usize, 1, 2, 50, 200_000] {
        let mut places: Vec<u32> = (0..rows as u32).rev().collect();
        places.rotate_left(rows / 3);
        let explicit = split_order(&workers, places.clone(), &a, &b, 7).unwrap();
        let vectors = all_kinds(rows);
        let [values, _, _] = three(|party| {
            let index = party.index();
            let order = owner_order(
                party,
                rows,
                (index != 1).then_some(&a),
                (index != 2).then_some(&b),
                (index != 0).then(|| explicit.clone()),
                7,
            )
            .unwrap();
            let moved = order.apply(party, &refs(&vectors[index])).unwrap();
            let back = order.unapply(party, &refs(&moved)).unwrap();
            (opened(party, &moved[2]), opened(party, &back[7]))
        });
        let expected: Vec<u128> = places.iter().map(|row| u128::from(*row) * 3 + 1).collect();
        assert_eq!(values.0, expected);
        assert_eq!(values.1, ramp::<u128>(rows));
    }
}

#[test]
fn what_an_owner_sends_is_uniform_whatever_its_order() {
    const TIMES: u64 = 7_200;
    let workers = Workers::new().unwrap();
    for places in [vec![0, 1, 2], vec![2, 0, 1]] {
        for index in [1, 2] {
            let mut seen: HashMap<_, usize> = HashMap::new();
            for label in 0..TIMES {
                let explicit = split_order(&workers, places.clone(), &[1; 32], &[2; 32], label);
                let seed = if index == 1 { [2; 32] } else { [1; 32] };
                let known = super::owner_order::seeded(&workers, 3, &seed, label);
                *seen.entry((known.table().to_vec(), explicit)).or_default() += 1;
            }
            assert_eq!(seen.len(), 36);
            let counts: Vec<usize> = seen.into_values().collect();
            assert!(chi_square(&counts, TIMES as f64 / 36.0));
        }
    }
}

#[test]
fn no_permutation_of_an_owner_is_refused() {
    let workers = Workers::new().unwrap();
    assert!(split_order(&workers, vec![0, 0, 1], &[1; 32], &[2; 32], 0).is_none());
    let results = three(|party| {
        let index = party.index();
        let order: Result<Order, Broken> = owner_order(
            party,
            3,
            (index != 1).then_some(&[1; 32]),
            (index != 2).then_some(&[2; 32]),
            (index != 0).then(|| vec![0, 0, 1]),
            0,
        );
        order.err().map(|broken| broken.code)
    });
    assert_eq!(results, [None, Some("disagree"), Some("disagree")]);
}

/// A line that changes one byte of one message.
struct Faulty {
    line: Box<dyn Channel>,
    message: usize,
}

impl Channel for Faulty {
    fn send(&mut self, mut message: Vec<u8>) -> Result<(), Broken> {
        if self.message == 0 {
            message[0] ^= 1;
        }
        self.message = self.message.wrapping_sub(1);
        self.line.send(message)
    }

    fn receive(&mut self, out: &mut [u8]) -> Result<(), Broken> {
        self.line.receive(out)
    }

    fn closer(&self) -> Closer {
        self.line.closer()
    }
}

#[test]
fn a_destination_that_differs_is_found() {
    // P_1 to P_2 in an order of one bit: flags, moved destinations, opened destinations, hash.
    for message in [2, 3] {
        let keys = [[1; 16], [2; 16], [3; 16]].map(zeroize::Zeroizing::new);
        let [line0, line1, line2] = [(0, 1), (1, 2), (2, 0)].map(|(a, b)| memory(a, b));
        let line = Box::new(Faulty {
            line: line1.0,
            message,
        });
        let parties = [
            Party::new(0, line0.0, line2.1, &keys[0], &keys[1]).unwrap(),
            Party::new(1, line, line0.1, &keys[1], &keys[2]).unwrap(),
            Party::new(2, line2.0, line1.1, &keys[2], &keys[0]).unwrap(),
        ];
        let pairs = shared::<Bitwise, u8>(&mut Numbers(3), &[1; 40]);
        let codes: Vec<Option<&str>> = std::thread::scope(|scope| {
            let threads = parties.map(|mut party| {
                let key = Shared::U8(pairs[party.index()].clone());
                scope.spawn(move || {
                    order(&mut party, &[(&key, 1)])
                        .err()
                        .map(|broken| broken.code)
                })
            });
            threads.map(|thread| thread.join().unwrap()).to_vec()
        });
        assert_eq!(codes[2], Some("disagree"), "message {message}");
    }
}
