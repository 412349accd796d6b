//! Sorting: the order of shared keys, as a shared permutation, by radix sort from the least significant digit.
//!
//! **State.** Between digits P_1 and P_2 hold, exclusive or-ed, one word a row: what is left of the keys (low bits)
//! and the row's number in the input (high bits). The route is [1, 0, 2]: P_0 leads. One digit:
//! 1. P_1 and P_2 exchange their parts of the digit, masked by streams y_1 of k_1 and y_0 of k_0: both then know
//!    v = d ^ y_1 ^ y_0, and P_0 knows u = y_1 ^ y_0. P_2 -> P_0: its part of the rest of the state, masked by a
//!    stream of k_2 that P_1 takes away from its own: the state is with P_0 and P_1. (The first digit of a key that
//!    is shared replicated needs neither: u = x_0 ^ x_1, v = x_2.)
//! 2. Destinations of `destination.rs`, with P_0 and P_1 as well.
//! 3. Two passes (`passes.rs`) move states and destinations by b . a, with a (k_1) and b (k_0) fresh.
//! 4. P_1 and P_2 open the moved destinations to each other, and put their parts of the state there.
//!
//! After the last digit the state is the numbers of the rows in sorted order. Two passes with fresh t_1 and t_0,
//! backwards, and opening to P_1 and P_2 give t_2 with t_2 . t_0 . t_1 = the order: a shared permutation
//! (`order.rs`) that moves any vectors in three passes, as often as wanted. Keys of at most two bits need no state:
//! their moved destinations are t_2 already.
//!
//! Keys that are wide go in runs of bits: each run's order is applied to the next run, so that the words that are
//! carried stay narrow; which runs follows from public sizes.
//!
//! **What is opened, and why it says nothing.** Destinations are a permutation p of 0..n (stable sorting has no
//! ties). P_1 and P_2 see p . (b . a)^-1. P_1 has a but not b, which is uniformly random given all P_1 sees
//! otherwise (a stream of k_0 used for nothing else, applied only to masked rows): what it sees is a uniformly random
//! permutation, whatever p is. P_2 has b but not a: likewise. P_0 has both and sees nothing. The numbers of rows in
//! sorted order are a permutation too, and opened under t_1 and t_0 in the same way. Simulator of P_1: draws every
//! received word uniformly, but for the moved destinations: it draws a uniform permutation q and takes q - t_M as
//! the message of P_2. Of P_2: the same with q - t_N. Of P_0: draws the handed over words uniformly. In real views
//! the other messages are masked by streams that the receiver lacks: see `passes.rs` and `destination.rs`; step 1
//! gives P_1 words under y_0, P_2 words under y_1, P_0 words under a stream of k_2.
//!
//! **Sources.** Hamada et al. 2014 and Chida et al. 2019 (radix sort by shuffled and opened destinations), Asharov
//! et al. 2022, sec. 3 and 4 (digits of more bits; see `destination.rs` for titles). That two passes suffice where
//! the lead does not see the destinations follows from the argument above.
//!
//! **Checks.** What is opened must be a permutation, and P_1 and P_2 compare hashes of all of it: else "disagree".
//! This finds faults; it does not make a deviating party harmless.

use sha2::{Digest, Sha256};

use crate::shares::algebra::{Additive, Bitwise};
use crate::shares::channel::Broken;
use crate::shares::destination::destinations;
use crate::shares::order::Order;
use crate::shares::party::{Party, Side, Which};
use crate::shares::passes::{Parts, Plan, Route, random_parts, receive_two, send_two, with_stream};
use crate::shares::permutation::{Permutation, Way};
use crate::shares::sort_bits::{Pick, extract, number_bits, pack, run_bits, runs};
use crate::shares::vector::Shared;
use crate::shares::word::{Word, bytes_of};
use crate::shares::workers::fresh;

/// Purposes of streams within an operation.
const DIGIT: u8 = 4;
const OVER: u8 = 5;
/// In which order destinations are moved and put.
const SORTING: Route = Route([1, 0, 2]);
/// In which order a sorted order is applied.
const SORTED: Route = Route([2, 0, 1]);

/// Rows that can be sorted.
pub const MOST_ROWS: usize = 1 << 31;

/// A key: words, and how many of their low bits count.
pub type SortKey<'a> = (&'a Shared, u32);

/// The stable ascending order of rows by keys, most significant key first.
///
/// # Panics
/// Where keys differ in length, are not words, or have fewer bits than said; beyond 2^31 rows.
pub fn order(party: &mut Party, keys: &[SortKey]) -> Result<Order, Broken> {
    let rows = keys.first().map_or(0, |(key, _)| key.len());
    assert!(rows <= MOST_ROWS, "at most 2^31 rows");
    for (key, bits) in keys {
        assert_eq!(key.len(), rows, "keys of one length");
        let fits = word_bits(key).is_some_and(|width| *bits <= width);
        assert!(fits, "keys are words, with no more bits than these");
    }
    let total: u32 = keys.iter().map(|(_, bits)| bits).sum();
    if rows <= 1 || total == 0 {
        party.begin()?;
        return Ok(Order::identity(party, rows));
    }
    let mut sorting = Sorting {
        party,
        rows,
        opened: Sha256::new(),
    };
    let order = if total <= 2 {
        sorting.at_once(keys, total)?
    } else {
        sorting.in_runs(keys, total)?
    };
    sorting.compare()?;
    Ok(order)
}

/// The bits of a vector's words; None of rings.
pub fn word_bits(key: &Shared) -> Option<u32> {
    match key {
        Shared::U8(_) => Some(8),
        Shared::U16(_) => Some(16),
        Shared::U32(_) => Some(32),
        Shared::U64(_) => Some(64),
        Shared::U128(_) => Some(128),
        _ => None,
    }
}

struct Sorting<'a> {
    party: &'a mut Party,
    rows: usize,
    opened: Sha256,
}

impl Sorting<'_> {
    /// Keys of one or two bits in all.
    fn at_once(&mut self, keys: &[SortKey], bits: u32) -> Result<Order, Broken> {
        let workers = self.party.workers();
        let words: Vec<u8> = extract(&workers, keys, 0, bits, Pick::split(self.party.index()));
        let digits = pack(&workers, &words, bits);
        drop(words);
        let places = destinations(self.party, &digits, bits, self.rows)?;
        let mut parts = random_parts(self.party, self.rows, &[1, 0])?;
        let plan = Plan::new(self.party, SORTING, Way::Forward, &parts);
        let moving = self.send_places(&plan, places)?;
        let places = self.open_places(&plan, moving)?;
        drop(plan);
        parts[2] = places.map(|places| places.inverse());
        Ok(Order::new(SORTING, parts, self.rows))
    }

    fn in_runs(&mut self, keys: &[SortKey], total: u32) -> Result<Order, Broken> {
        let mut low = 0;
        let mut numbers: Option<Vec<u32>> = None;
        for bits in runs(total, self.rows) {
            let narrow = bits.saturating_sub(2) + number_bits(self.rows) <= 32;
            let before = match numbers.take() {
                None => None,
                Some(numbers) => {
                    let order = self.finish(numbers.clone())?;
                    let run = run_bits(&self.party.workers(), keys, low, bits);
                    let moved = order.apply(self.party, &[&run])?;
                    Some((moved, numbers))
                }
            };
            let (keys, low_bits, before) = match &before {
                None => (keys.to_vec(), low, None),
                Some((moved, numbers)) => (vec![(&moved[0], bits)], 0, Some(numbers)),
            };
            numbers = Some(if narrow {
                self.run::<u32>(&keys, low_bits, bits, before)?
            } else {
                self.run::<u64>(&keys, low_bits, bits, before)?
            });
            low += bits;
        }
        self.finish(numbers.unwrap_or_default())
    }

    /// Sorts by one run of bits; `before`: the rows' numbers (P_1, P_2), or rows are numbered as they lie. The
    /// numbers afterwards.
    fn run<W: Word>(
        &mut self,
        keys: &[SortKey],
        low: u32,
        bits: u32,
        before: Option<&Vec<u32>>,
    ) -> Result<Vec<u32>, Broken> {
        let workers = self.party.workers();
        let index = self.party.index();
        let numbers: Vec<u32> = match before {
            Some(numbers) => self.hand_over(numbers.clone())?,
            None if index == 1 => workers.make(self.rows, |start, part: &mut [u32]| {
                for (row, number) in part.iter_mut().enumerate() {
                    *number = (start + row) as u32;
                }
            }),
            None => Vec::new(),
        };
        let key: Vec<u64> = extract(&workers, keys, low, bits, Pick::split(index));
        let mut digit = bits.min(2);
        let mut left = bits - digit;
        let mut digits = pack(&workers, &key, digit);
        let mut state: Vec<W> = fresh(if index == 2 { 0 } else { self.rows });
        workers.write(&mut state, |start, part| {
            for (row, word) in part.iter_mut().enumerate() {
                let row = start + row;
                let number = numbers.get(row).copied().unwrap_or(0);
                let key = key[row] >> digit;
                *word = W::cut(u128::from(key)).or(W::cut(u128::from(number)).up(left));
            }
        });
        drop((key, numbers));
        loop {
            let places = destinations(self.party, &digits, digit, self.rows)?;
            let parts = random_parts(self.party, self.rows, &[1, 0])?;
            let plan = Plan::new(self.party, SORTING, Way::Forward, &parts);
            let operation = self.party.begin()?;
            send_two::<Bitwise, W>(self.party, &plan, operation, state)?;
            let moving = self.send_places(&plan, places)?;
            state = receive_two::<Bitwise, W>(self.party, &plan, operation, self.rows)?;
            if let Some(places) = self.open_places(&plan, moving)? {
                state = places.moved(&workers, Way::Back, &state);
            }
            if left == 0 {
                break;
            }
            digit = left.min(2);
            left -= digit;
            digits = self.exchange_digits(&state, digit)?;
            workers.write(&mut state, |_, part| {
                for word in part {
                    *word = word.down(digit);
                }
            });
            state = self.hand_over(state)?;
        }
        Ok(workers.make(state.len(), |start, part: &mut [u32]| {
            for (number, word) in part.iter_mut().zip(&state[start..]) {
                *number = word.low() as u32;
            }
        }))
    }

    /// From words at P_1 and P_2 to words at P_0 and P_1.
    fn hand_over<W: Word>(&mut self, mut words: Vec<W>) -> Result<Vec<W>, Broken> {
        let operation = self.party.begin()?;
        let workers = self.party.workers();
        self.party.round();
        match self.party.index() {
            0 => {
                words = fresh(self.rows);
                self.party.receive(Side::Previous, &mut words)?;
            }
            1 => {
                let mask = self.party.stream(Which::Next, operation, OVER);
                with_stream(&workers, &mut words, &mask, W::xor);
            }
            _ => {
                let mask = self.party.stream(Which::Own, operation, OVER);
                with_stream(&workers, &mut words, &mask, W::xor);
                self.party.send(Side::Next, &words)?;
                words = Vec::new();
            }
        }
        Ok(words)
    }

    /// u at P_0 and v at P_1 and P_2 of the low bits of words at P_1 and P_2.
    fn exchange_digits<W: Word>(&mut self, words: &[W], bits: u32) -> Result<Vec<u8>, Broken> {
        let operation = self.party.begin()?;
        let workers = self.party.workers();
        self.party.round();
        let mask = if bits == 1 { 0x55 } else { 0xff };
        let masked = |digits: &mut [u8], party: &Party, which: Which| {
            let stream = party.stream(which, operation, DIGIT);
            with_stream(&workers, digits, &stream, |digit, random: u8| {
                digit ^ (random & mask)
            });
        };
        let (which, side) = match self.party.index() {
            0 => {
                let mut digits: Vec<u8> = fresh(self.rows.div_ceil(4));
                masked(&mut digits, self.party, Which::Own);
                masked(&mut digits, self.party, Which::Next);
                return Ok(digits);
            }
            1 => (Which::Own, Side::Next),
            _ => (Which::Next, Side::Previous),
        };
        let mut digits = pack(&workers, words, bits);
        masked(&mut digits, self.party, which);
        self.party.send(side, &digits)?;
        let mut other: Vec<u8> = fresh(digits.len());
        self.party.receive(side, &mut other)?;
        for (digit, other) in digits.iter_mut().zip(other) {
            *digit ^= other;
        }
        Ok(digits)
    }

    /// Sends destinations on their way: the operation.
    fn send_places(&mut self, plan: &Plan, places: Vec<u32>) -> Result<u64, Broken> {
        let operation = self.party.begin()?;
        send_two::<Additive, u32>(self.party, plan, operation, places)?;
        Ok(operation)
    }

    /// What was sent on its way, opened to P_1 and P_2: where each row goes, as a table used backwards.
    fn open_places(&mut self, plan: &Plan, operation: u64) -> Result<Option<Permutation>, Broken> {
        self.party.round();
        let places = receive_two::<Additive, u32>(self.party, plan, operation, self.rows)?;
        self.open(places, u32::wrapping_add)
    }

    /// Opens words at P_1 and P_2 to both, which must be a permutation.
    fn open(
        &mut self,
        mut words: Vec<u32>,
        with: impl Fn(u32, u32) -> u32,
    ) -> Result<Option<Permutation>, Broken> {
        self.party.round();
        let side = match self.party.index() {
            0 => return Ok(None),
            1 => Side::Next,
            _ => Side::Previous,
        };
        self.party.send(side, &words)?;
        let mut other: Vec<u32> = fresh(self.rows);
        self.party.receive(side, &mut other)?;
        for (word, other) in words.iter_mut().zip(other) {
            *word = with(*word, other);
        }
        self.opened.update(bytes_of(&words));
        match Permutation::from_table(words) {
            Some(permutation) => Ok(Some(permutation)),
            None => {
                self.party.abort();
                Err(Broken::new("disagree", self.party.neighbour(side)))
            }
        }
    }

    /// The order of which P_1 and P_2 hold the rows' numbers.
    fn finish(&mut self, numbers: Vec<u32>) -> Result<Order, Broken> {
        let numbers = self.hand_over(numbers)?;
        let mut parts: Parts = random_parts(self.party, self.rows, &[1, 0])?;
        let plan = Plan::new(self.party, SORTING, Way::Back, &parts);
        let operation = self.party.begin()?;
        send_two::<Bitwise, u32>(self.party, &plan, operation, numbers)?;
        self.party.round();
        let moved = receive_two::<Bitwise, u32>(self.party, &plan, operation, self.rows)?;
        drop(plan);
        parts[2] = self.open(moved, |a, b| a ^ b)?;
        Ok(Order::new(SORTED, parts, self.rows))
    }

    /// Compares what P_1 and P_2 saw.
    fn compare(&mut self) -> Result<(), Broken> {
        self.party.begin()?;
        self.party.round();
        let side = match self.party.index() {
            0 => return Ok(()),
            1 => Side::Next,
            _ => Side::Previous,
        };
        let mine: [u8; 32] = self.opened.clone().finalize().into();
        self.party.send(side, &mine)?;
        let mut other = [0; 32];
        self.party.receive(side, &mut other)?;
        if other != mine {
            self.party.abort();
            return Err(Broken::new("disagree", self.party.neighbour(side)));
        }
        Ok(())
    }
}
