//! Every operation against clear arithmetic.

use crate::shares::algebra::{Additive, Algebra, Bitwise};
use crate::shares::compare::equal;
use crate::shares::convert::{bit_to_ring, ring_to_words};
use crate::shares::less::less;
use crate::shares::multiply::{dots, product};
use crate::shares::open::open;
use crate::shares::select::{select_ring, select_words};
use crate::shares::testing::{Numbers, shared, three, value};
use crate::shares::to_ring::words_to_ring;
use crate::shares::word::Word;

const SIZES: [usize; 6] = [0, 1, 7, 64, 193, 1000];

fn products<A: Algebra, W: Word>(rows: usize) {
    let mut numbers = Numbers(rows as u64 + W::BYTES as u64);
    let (a, b): (Vec<W>, Vec<W>) = (
        numbers.words(rows, W::BITS),
        numbers.words(rows, W::BITS - 1),
    );
    let (x, y) = (
        shared::<A, W>(&mut numbers, &a),
        shared::<A, W>(&mut numbers, &b),
    );
    let made = three(|party| {
        let at = party.index();
        product::<A, W>(party, &x[at], &y[at])
    });
    let wanted: Vec<W> = a.iter().zip(&b).map(|(a, b)| A::mul(*a, *b)).collect();
    assert_eq!(value::<A, W>(made), wanted);
    let made = three(|party| {
        let (x, y) = (&x[party.index()], &y[party.index()]);
        let mut both = dots::<A, W>(party, &[&[(x, y), (x, x)], &[(y, y)]])?.into_iter();
        let last = both.nth(1).expect("two vectors");
        open::<A, W>(party, &last).map(|seen| (seen, last))
    });
    for party in made {
        let (seen, _) = party.expect("goes through");
        let wanted: Vec<W> = b.iter().map(|b| A::mul(*b, *b)).collect();
        assert_eq!(seen, wanted);
    }
}

#[test]
fn products_of_all_kinds() {
    for rows in SIZES {
        products::<Additive, u32>(rows);
        products::<Additive, u64>(rows);
        products::<Additive, u128>(rows);
        products::<Bitwise, u8>(rows);
        products::<Bitwise, u16>(rows);
        products::<Bitwise, u32>(rows);
        products::<Bitwise, u64>(rows);
        products::<Bitwise, u128>(rows);
    }
    // More than one piece, and threads.
    products::<Additive, u64>(400_003);
}

fn comparisons<W: Word>(rows: usize, bits: u32) {
    let mut numbers = Numbers(rows as u64 * 1000 + u64::from(bits));
    let a: Vec<W> = numbers.words(rows, bits);
    let mut b: Vec<W> = numbers.words(rows, bits);
    b.reverse();
    for row in (0..rows).step_by(3) {
        b[row] = a[row];
    }
    for row in (1..rows).step_by(7) {
        b[row] = a[row].xor(W::ONE.up((row as u32) % bits));
    }
    // Shares have whatever bits above: they must not matter to `less` and `equal`.
    let (x, y) = (
        shared::<Bitwise, W>(&mut numbers, &a),
        shared::<Bitwise, W>(&mut numbers, &b),
    );
    let same = three(|party| equal(party, &x[party.index()], &y[party.index()], bits));
    let wanted: Vec<u8> = a.iter().zip(&b).map(|(a, b)| u8::from(a == b)).collect();
    assert_eq!(
        value::<Bitwise, u8>(same),
        wanted,
        "equal, {bits} bits, {rows} rows"
    );
    let lower = three(|party| less(party, &x[party.index()], &y[party.index()], bits));
    let wanted: Vec<u8> = a.iter().zip(&b).map(|(a, b)| u8::from(a < b)).collect();
    assert_eq!(
        value::<Bitwise, u8>(lower),
        wanted,
        "less, {bits} bits, {rows} rows"
    );
}

#[test]
fn comparisons_of_all_widths() {
    for bits in 1..=8 {
        comparisons::<u8>(101, bits);
    }
    for bits in [1, 3, 8, 9, 15, 16] {
        comparisons::<u16>(101, bits);
    }
    for bits in [2, 8, 11, 17, 31, 32] {
        comparisons::<u32>(101, bits);
    }
    for bits in [5, 16, 20, 33, 63, 64] {
        comparisons::<u64>(101, bits);
    }
    for bits in [7, 60, 64, 65, 127, 128] {
        comparisons::<u128>(101, bits);
    }
    for rows in SIZES {
        comparisons::<u32>(rows, 20);
        comparisons::<u8>(rows, 1);
    }
}

fn conversions<W: Word>(rows: usize) {
    let mut numbers = Numbers(rows as u64 + 77);
    let values: Vec<W> = numbers.words(rows, W::BITS);
    let x = shared::<Additive, W>(&mut numbers, &values);
    for bits in [1, 2, 3, 8, 10, 17, 31, 32, 33, 64, 65, 127, 128] {
        if bits > W::BITS {
            break;
        }
        let words = three(|party| ring_to_words(party, &x[party.index()], bits));
        let wanted: Vec<W> = values
            .iter()
            .map(|value| value.and(W::mask(bits)))
            .collect();
        assert_eq!(
            value::<Bitwise, W>(words),
            wanted,
            "{bits} bits of {}",
            W::BITS
        );
        let y = shared::<Bitwise, W>(&mut numbers, &wanted);
        let ring = three(|party| words_to_ring(party, &y[party.index()], bits));
        assert_eq!(
            value::<Additive, W>(ring),
            wanted,
            "{bits} bits to {}",
            W::BITS
        );
    }
}

#[test]
fn conversions_of_all_kinds() {
    for rows in [0, 1, 65, 200] {
        conversions::<u8>(rows);
        conversions::<u16>(rows);
        conversions::<u32>(rows);
        conversions::<u64>(rows);
        conversions::<u128>(rows);
    }
}

fn bits<W: Word>(rows: usize) {
    let mut numbers = Numbers(rows as u64 + 5);
    let values: Vec<u8> = numbers.words(rows, 1);
    let bit = shared::<Bitwise, u8>(&mut numbers, &values);
    let ring = three(|party| bit_to_ring::<u8, W>(party, &bit[party.index()], 0));
    let wanted: Vec<W> = values.iter().map(|bit| W::cut(u128::from(*bit))).collect();
    assert_eq!(value::<Additive, W>(ring), wanted);
    let (a, b): (Vec<W>, Vec<W>) = (
        numbers.words(rows, W::BITS),
        numbers.words(rows, W::BITS / 2),
    );
    let chosen: Vec<W> = (0..rows)
        .map(|row| if values[row] == 1 { a[row] } else { b[row] })
        .collect();
    let (x, y) = (
        shared::<Additive, W>(&mut numbers, &a),
        shared::<Additive, W>(&mut numbers, &b),
    );
    let made = three(|party| {
        let at = party.index();
        select_ring(party, &bit[at], &x[at], &y[at])
    });
    assert_eq!(value::<Additive, W>(made), chosen);
    let (x, y) = (
        shared::<Bitwise, W>(&mut numbers, &a),
        shared::<Bitwise, W>(&mut numbers, &b),
    );
    let made = three(|party| {
        let at = party.index();
        select_words(party, &bit[at], &x[at], &y[at])
    });
    assert_eq!(value::<Bitwise, W>(made), chosen);
}

#[test]
fn bits_as_numbers_and_choices() {
    for rows in SIZES {
        bits::<u8>(rows);
        bits::<u32>(rows);
        bits::<u64>(rows);
        bits::<u128>(rows);
    }
    bits::<u32>(700_001);
}

#[test]
fn sizes_of_messages_do_not_depend_on_values() {
    let run = |seed: u64| {
        let mut numbers = Numbers(seed);
        let values: Vec<u64> = numbers.words(333, 40);
        let x = shared::<Bitwise, u64>(&mut numbers, &values);
        three(|party| {
            let x = &x[party.index()];
            let bit = less(party, x, x, 40)?;
            let same = equal(party, x, x, 33)?;
            let ring = words_to_ring(party, x, 40)?;
            select_ring(party, &bit, &ring, &ring)?;
            select_words(party, &same, x, x)?;
            party.check().map(|()| party.counters())
        })
        .map(|result| result.expect("goes through"))
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn parties_that_saw_other_values_disagree() {
    let results = three(|party| {
        party.note_opened(1, &[u8::from(party.index() == 2)]);
        party.check().map_err(|broken| broken.code)
    });
    assert!(results.iter().all(Result::is_err));
    assert!(results.contains(&Err("disagree")));
}

#[test]
fn a_party_that_failed_stays_aborted() {
    let results = three(|party| {
        if party.index() == 0 {
            party.abort();
        }
        let first = party.check().map_err(|broken| broken.code);
        let second = party.check().map_err(|broken| broken.code);
        (first, second)
    });
    assert_eq!(results[0].0, Err("aborted"));
    for (first, second) in results {
        assert!(first.is_err());
        assert_eq!(second, Err("aborted"));
    }
}
