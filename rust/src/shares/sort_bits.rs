//! The bits of sort keys: which runs of them are sorted one after the other, and taking them out of shared words.
//!
//! Linear maps over single bits: every party works on its own shares, and nothing is sent.

use crate::any_shared;
use crate::shares::sort::SortKey;
use crate::shares::vector::{Pair, Shared};
use crate::shares::word::Word;
use crate::shares::workers::{Workers, fresh};

/// What a further run of bits costs beside its bytes a row: bytes that a network carries in its rounds.
const ROUNDS: usize = 1 << 17;

/// Bits of the numbers of rows, at least 2.
pub(super) fn number_bits(rows: usize) -> u32 {
    (rows - 1).max(2).ilog2() + 1
}

/// Bits of the runs, least significant first: least bytes a row.
pub(super) fn runs(total: u32, rows: usize) -> Vec<u32> {
    let number = number_bits(rows);
    // Bytes for moving a run's states.
    let moved = |bits: u32| -> usize {
        let mut left = bits.saturating_sub(2);
        let bytes = |left: u32| if left + number <= 32 { 4 } else { 8 };
        let mut sum = 2 * bytes(left);
        while left > 0 {
            left = left.saturating_sub(2);
            sum += 3 * bytes(left);
        }
        sum
    };
    // Bytes for opening the order so far and moving the next run's bits and the numbers.
    let between = |bits: u32| {
        let word = (bits.div_ceil(8) as usize).next_power_of_two();
        5 * 4 + 4 * word + 4 + ROUNDS / rows
    };
    let most = 64 + 2 - number;
    // least[t]: the fewest bytes for t bits, and the last run's bits.
    let mut least: Vec<(usize, u32)> = vec![(0, 0)];
    for bits in 1..=total {
        let best = (1..=bits.min(most))
            // Digits have two bits, but for the most significant one: only the last run may be odd.
            .filter(|run| (bits - run).is_multiple_of(2))
            .map(|run| {
                let first = bits == run;
                let cost = least[(bits - run) as usize].0
                    + moved(run)
                    + if first { 0 } else { between(run) };
                (cost, run)
            })
            .min();
        least.push(best.unwrap_or((usize::MAX / 2, 0)));
    }
    let mut out = Vec::new();
    let mut left = total;
    while left > 0 {
        let run = least[left as usize].1;
        out.push(run);
        left -= run;
    }
    out.reverse();
    out
}

/// Which words of a pair: those of the lead's sum, or x_2.
#[derive(Clone, Copy)]
pub(super) enum Pick {
    First,
    Second,
    Sum,
}

impl Pick {
    /// x_0 ^ x_1 at P_0, x_2 at P_1 and P_2.
    pub fn split(index: usize) -> Self {
        match index {
            0 => Self::Sum,
            1 => Self::Second,
            _ => Self::First,
        }
    }

    #[inline(always)]
    fn of<W: Word>(self, pair: &Pair<W>, row: usize) -> W {
        match self {
            Self::First => pair.first[row],
            Self::Second => pair.second[row],
            Self::Sum => pair.first[row].xor(pair.second[row]),
        }
    }
}

/// Bits `low` to `low + bits` of the keys' bits, which follow one another, the last key's lowest.
pub(super) fn extract<W: Word>(
    workers: &Workers,
    keys: &[SortKey],
    low: u32,
    bits: u32,
    pick: Pick,
) -> Vec<W> {
    let rows = keys.first().map_or(0, |(key, _)| key.len());
    let mut out = fresh::<W>(rows);
    let mut at = 0;
    for (key, width) in keys.iter().rev() {
        let (start, stop) = (low.max(at), (low + bits).min(at + width));
        if start < stop {
            let (down, up, count) = (start - at, start - low, stop - start);
            any_shared!(*key, pair => {
                add_bits(workers, &mut out, |row| pick.of(pair, row), down, up, count);
            });
        }
        at += width;
    }
    out
}

fn add_bits<V: Word, W: Word>(
    workers: &Workers,
    out: &mut [W],
    word: impl Fn(usize) -> V + Send + Sync,
    down: u32,
    up: u32,
    count: u32,
) {
    let mask = V::mask(count);
    workers.write(out, |start, part| {
        for (row, out) in part.iter_mut().enumerate() {
            let bits = word(start + row).down(down).and(mask);
            *out = out.or(W::cut(bits.wide()).up(up));
        }
    });
}

/// The low bits of words, four to a byte.
pub(super) fn pack<W: Word>(workers: &Workers, words: &[W], bits: u32) -> Vec<u8> {
    let mask = u8::mask(bits);
    workers.make(words.len().div_ceil(4), |start, part| {
        for (byte, four) in part.iter_mut().zip(words[start * 4..].chunks(4)) {
            for (place, word) in four.iter().enumerate() {
                *byte |= (word.low() as u8 & mask) << (2 * place);
            }
        }
    })
}

/// Bits of the keys as shares of their own.
pub(super) fn run_bits(workers: &Workers, keys: &[SortKey], low: u32, bits: u32) -> Shared {
    fn pair<W: Word>(workers: &Workers, keys: &[SortKey], low: u32, bits: u32) -> Pair<W> {
        Pair {
            first: extract(workers, keys, low, bits, Pick::First),
            second: extract(workers, keys, low, bits, Pick::Second),
        }
    }
    match bits {
        0..=8 => Shared::U8(pair(workers, keys, low, bits)),
        9..=16 => Shared::U16(pair(workers, keys, low, bits)),
        17..=32 => Shared::U32(pair(workers, keys, low, bits)),
        _ => Shared::U64(pair(workers, keys, low, bits)),
    }
}
