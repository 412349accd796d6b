//! Permutations as tables that one party knows, and uniformly random ones from a stream.
//!
//! **Uniform, exactly.** Up to `DIRECT` rows: Fisher-Yates (Knuth, TAOCP vol. 2, sec. 3.4.2, algorithm P), with
//! indices below a bound from 32-bit words by multiplication and rejection (Lemire, "Fast random integer
//! generation in an interval", ACM TOMACS 2019, sec. 4), which has no bias. More rows: every row takes one of B
//! buckets, independently and uniformly; every bucket is permuted by Fisher-Yates; the buckets follow one another
//! (Rao, "Generation of random permutation of given number of elements using random sampling numbers", Sankhya
//! 1961; Sandelius, "A simple randomization procedure", J. R. Stat. Soc. B 1962). Given the buckets' sizes
//! n_1..n_B, rows are spread in each of n! / (n_1! ... n_B!) ways equally often, and each way is followed by one
//! of n_1! ... n_B! orders equally often: every permutation has probability 1 / n!. Buckets fit a core's cache,
//! and threads take one each. "Uniform" is of truly random streams; with AES it is indistinguishable from that.

use rayon::prelude::*;

use crate::shares::prg::Stream;
use crate::shares::word::Word;
use crate::shares::workers::{Workers, fresh};

/// Up to so many rows Fisher-Yates works on all of them at once: their table fits a core's cache.
const DIRECT: usize = 1 << 17;
/// Rows of a bucket, about.
const BUCKET: usize = 1 << 15;
const MOST_BUCKETS: usize = 256;
/// Words drawn at a time.
const DRAWN: usize = 1024;
/// 32-bit words of a stream that one bucket may draw: 2^40 bytes.
const REGION: usize = 1 << 38;

/// Which way a permutation is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Row k of the result is row `table[k]`.
    Forward,
    /// Row `table[k]` of the result is row k.
    Back,
}

/// A permutation of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permutation {
    table: Vec<u32>,
}

impl Permutation {
    /// Every row stays.
    pub fn identity(rows: usize) -> Self {
        Self {
            table: (0..rows as u32).collect(),
        }
    }

    /// The permutation with this table; None where the table has a number twice or one that is no row.
    pub fn from_table(table: Vec<u32>) -> Option<Self> {
        let mut seen = vec![0u64; table.len().div_ceil(64)];
        for row in &table {
            let row = *row as usize;
            if row >= table.len() {
                return None;
            }
            let bit = 1 << (row % 64);
            let word = &mut seen[row / 64];
            if *word & bit != 0 {
                return None;
            }
            *word |= bit;
        }
        Some(Self { table })
    }

    /// A uniformly random one. Uses the stream up. Who has the stream gets the same permutation.
    pub fn random(workers: &Workers, stream: &Stream, rows: usize) -> Self {
        if rows <= DIRECT {
            let mut table: Vec<u32> = (0..rows as u32).collect();
            fisher_yates(&mut table, &mut Draws::new(stream, 0));
            return Self { table };
        }
        let buckets = rows.div_ceil(BUCKET).next_power_of_two().min(MOST_BUCKETS);
        Self::bucketed(workers, stream, rows, buckets)
    }

    /// By way of so many buckets, a power of two of at most `MOST_BUCKETS`.
    fn bucketed(workers: &Workers, stream: &Stream, rows: usize, buckets: usize) -> Self {
        let mut chosen: Vec<u8> = workers.make(rows, |start, part| stream.fill(start, part));
        let mut sizes = [0usize; MOST_BUCKETS];
        for bucket in &mut chosen {
            *bucket &= (buckets - 1) as u8;
            sizes[usize::from(*bucket)] += 1;
        }
        let mut next = [0usize; MOST_BUCKETS];
        let mut start = 0;
        for (place, size) in next.iter_mut().zip(&sizes) {
            *place = start;
            start += size;
        }
        let mut table = fresh::<u32>(rows);
        for (row, bucket) in chosen.iter().enumerate() {
            let place = &mut next[usize::from(*bucket)];
            table[*place] = row as u32;
            *place += 1;
        }
        drop(chosen);
        let mut parts = Vec::with_capacity(buckets);
        let mut rest = table.as_mut_slice();
        for size in &sizes[..buckets] {
            let (part, after) = rest.split_at_mut(*size);
            parts.push(part);
            rest = after;
        }
        workers.install(|| {
            parts
                .into_par_iter()
                .enumerate()
                .for_each(|(bucket, part)| fisher_yates(part, &mut Draws::new(stream, bucket + 1)));
        });
        Self { table }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Row k of the result of `Forward` is row `table[k]`.
    pub fn table(&self) -> &[u32] {
        &self.table
    }

    /// The other way round.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut table = fresh(self.table.len());
        for (place, row) in self.table.iter().enumerate() {
            table[*row as usize] = place as u32;
        }
        Self { table }
    }

    /// The rows, moved.
    pub fn moved<W: Word>(&self, workers: &Workers, way: Way, rows: &[W]) -> Vec<W> {
        assert_eq!(
            rows.len(),
            self.table.len(),
            "as many rows as the permutation has"
        );
        let mut out = fresh(rows.len());
        match way {
            Way::Forward => workers.write(&mut out, |start, part| {
                for (out, row) in part.iter_mut().zip(&self.table[start..]) {
                    *out = rows[*row as usize];
                }
            }),
            Way::Back => {
                for (place, row) in self.table.iter().zip(rows) {
                    out[*place as usize] = *row;
                }
            }
        }
        out
    }

    /// First this, then the other, both one way: one permutation to be used that way.
    #[must_use]
    pub fn then(&self, workers: &Workers, other: &Self, way: Way) -> Self {
        let (outer, inner) = match way {
            // out[k] = in[self[other[k]]]
            Way::Forward => (self, other),
            // out[other[self[k]]] = in[k]
            Way::Back => (other, self),
        };
        Self {
            table: inner.moved(workers, Way::Forward, outer.table()),
        }
    }
}

/// Numbers below a bound, from one region of a stream.
struct Draws<'a> {
    stream: &'a Stream,
    next: usize,
    words: [u32; DRAWN],
    used: usize,
}

impl<'a> Draws<'a> {
    fn new(stream: &'a Stream, region: usize) -> Self {
        Self {
            stream,
            next: region * REGION,
            words: [0; DRAWN],
            used: DRAWN,
        }
    }

    #[inline]
    fn word(&mut self) -> u32 {
        if self.used == DRAWN {
            self.stream.fill(self.next, &mut self.words);
            self.next += DRAWN;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Uniform below `bound`, which is not 0.
    #[inline]
    fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.word()) * u64::from(bound);
        if (product as u32) < bound {
            let least = bound.wrapping_neg() % bound;
            while (product as u32) < least {
                product = u64::from(self.word()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }
}

fn fisher_yates(table: &mut [u32], draws: &mut Draws) {
    for last in (1..table.len()).rev() {
        let chosen = draws.below(last as u32 + 1);
        table.swap(last, chosen as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use zeroize::Zeroizing;

    use super::{Draws, Permutation, Way};
    use crate::shares::prg::{Key, Stream};
    use crate::shares::testing::chi_square;
    use crate::shares::workers::Workers;

    fn stream(number: u64) -> Stream {
        Key::new(&Zeroizing::new([7; 16]), 0).stream(number, 0)
    }

    fn tables(make: impl Fn(u64) -> Permutation, times: u64) -> HashMap<Vec<u32>, usize> {
        let mut seen = HashMap::new();
        for number in 0..times {
            *seen.entry(make(number).table().to_vec()).or_default() += 1;
        }
        seen
    }

    #[test]
    fn every_permutation_is_drawn_equally_often() {
        let workers = Workers::new().unwrap();
        for buckets in [0, 2, 4] {
            let seen = tables(
                |number| match buckets {
                    0 => Permutation::random(&workers, &stream(number), 4),
                    _ => Permutation::bucketed(&workers, &stream(number), 4, buckets),
                },
                24_000,
            );
            assert_eq!(seen.len(), 24);
            let counts: Vec<usize> = seen.into_values().collect();
            assert!(chi_square(&counts, 24_000.0 / 24.0), "{buckets} buckets");
        }
    }

    #[test]
    fn draws_reach_every_number_below_the_bound() {
        let (stream, bound) = (stream(0), 3 << 30);
        let mut draws = Draws::new(&stream, 0);
        let mut thirds = [0; 3];
        for _ in 0..30_000 {
            let drawn = draws.below(bound);
            assert!(drawn < bound);
            thirds[(drawn >> 30) as usize] += 1;
        }
        // Without rejection one third would be drawn twice as often.
        assert!(chi_square(&thirds, 10_000.0));
    }

    #[test]
    fn many_rows_are_permuted_the_same_on_any_number_of_threads() {
        let workers = Workers::new().unwrap();
        for rows in [0, 1, 2, 1000, 300_001] {
            let one = Permutation::random(&workers, &stream(5), rows);
            let again = workers.install(|| Permutation::random(&workers, &stream(5), rows));
            assert_eq!(one, again);
            assert!(Permutation::from_table(one.table().to_vec()).is_some());
        }
    }

    #[test]
    fn there_and_back_and_one_after_the_other() {
        let workers = Workers::new().unwrap();
        for rows in [0usize, 1, 9, 200_000] {
            let a = Permutation::random(&workers, &stream(1), rows);
            let b = Permutation::random(&workers, &stream(2), rows);
            let words: Vec<u64> = (0..rows as u64).map(|row| row * row).collect();
            for way in [Way::Forward, Way::Back] {
                let other = if way == Way::Back {
                    Way::Forward
                } else {
                    Way::Back
                };
                let moved = a.moved(&workers, way, &words);
                assert_eq!(a.moved(&workers, other, &moved), words);
                assert_eq!(a.inverse().moved(&workers, other, &words), moved);
                let both = a.then(&workers, &b, way);
                assert_eq!(
                    both.moved(&workers, way, &words),
                    b.moved(&workers, way, &moved)
                );
            }
        }
    }

    #[test]
    fn a_table_that_is_no_permutation_is_refused() {
        for table in [vec![0, 0], vec![1], vec![0, 1, 3], vec![2, 1, 2]] {
            assert!(Permutation::from_table(table).is_none());
        }
        assert!(Permutation::from_table(vec![2, 0, 1]).is_some());
        assert!(Permutation::from_table(Vec::new()).is_some());
    }
}
