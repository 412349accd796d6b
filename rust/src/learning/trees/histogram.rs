//! Histograms: sums of (gradient, hessian) by bin, over the rows of a node.
//!
//! Bins lie in blocks of up to 16 features, row after row, so that a row's bins of a block are one short read and
//! the block's table stays in the first cache (16 features x 64 bins x 16 bytes = 16 KiB). A table has a power
//! of two of bins for each feature, so that no index needs a check.
//!
//! Additions wrap, and never do: `Grower::reset` has shown that no sum leaves 64 bits.

use rayon::prelude::*;

use crate::learning::fault::Fault;

/// Features of a block, but for the last.
pub const WIDTH: usize = 16;
/// From so many rows on threads share one table's work.
const PARALLEL: usize = 1 << 14;

/// A gradient and a hessian, or sums of them.
pub type Pair = [i64; 2];

/// Up to 16 features' bins, row after row.
pub struct Block {
    width: usize,
    bins: Vec<u8>,
}

impl Block {
    /// The features from `first` on of `bins` (row after row, `features` each).
    pub fn new(bins: &[u8], features: usize, first: usize) -> Self {
        let used = WIDTH.min(features - first);
        let width = [4, 8, WIDTH]
            .into_iter()
            .find(|width| used <= *width)
            .unwrap_or(WIDTH);
        let mut block = vec![0; bins.len() / features * width];
        for (row, place) in bins
            .chunks_exact(features)
            .zip(block.chunks_exact_mut(width))
        {
            place[..used].copy_from_slice(&row[first..first + used]);
        }
        Self { width, bins: block }
    }

    /// The bin of a row, `feature` counted within the block.
    pub fn bin(&self, row: u32, feature: usize) -> u8 {
        self.bins[row as usize * self.width + feature]
    }

    /// The histograms of `rows` into `out`: [feature][bin][2].
    pub fn fill(
        &self,
        rows: &[u32],
        pairs: &[Pair],
        count: usize,
        out: &mut [i64],
        parallel: bool,
    ) {
        if !parallel || rows.len() < PARALLEL {
            return self.serial(rows, pairs, count, out);
        }
        let size = out.len();
        let sums = rows
            .par_chunks(PARALLEL / 2)
            .map(|part| {
                let mut sums = vec![0; size];
                self.serial(part, pairs, count, &mut sums);
                sums
            })
            .reduce(|| vec![0; size], plus);
        out.copy_from_slice(&sums);
    }

    fn serial(&self, rows: &[u32], pairs: &[Pair], count: usize, out: &mut [i64]) {
        match count.next_power_of_two() {
            ..=16 => self.sized::<16>(rows, pairs, count, out),
            32 => self.sized::<32>(rows, pairs, count, out),
            64 => self.sized::<64>(rows, pairs, count, out),
            128 => self.sized::<128>(rows, pairs, count, out),
            _ => self.sized::<256>(rows, pairs, count, out),
        }
    }

    fn sized<const B: usize>(&self, rows: &[u32], pairs: &[Pair], count: usize, out: &mut [i64]) {
        match self.width {
            4 => table::<B, 4>(&self.bins, rows, pairs, count, out),
            8 => table::<B, 8>(&self.bins, rows, pairs, count, out),
            _ => table::<B, WIDTH>(&self.bins, rows, pairs, count, out),
        }
    }
}

fn plus(mut sums: Vec<i64>, others: Vec<i64>) -> Vec<i64> {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum = sum.wrapping_add(other);
    }
    sums
}

/// At the start of a cache line, so that no pair lies across two.
#[repr(align(64))]
struct Lines<const B: usize, const W: usize>([[Pair; B]; W]);

/// The sums of W features with up to B bins.
fn table<const B: usize, const W: usize>(
    bins: &[u8],
    rows: &[u32],
    pairs: &[Pair],
    count: usize,
    out: &mut [i64],
) {
    let (bins, _) = bins.as_chunks::<W>();
    let mut lines = Lines([[[0; 2]; B]; W]);
    let table = &mut lines.0;
    for row in rows {
        let [gradient, hessian] = pairs[*row as usize];
        let bins = &bins[*row as usize];
        for feature in 0..W {
            let sums = &mut table[feature][usize::from(bins[feature]) % B];
            *sums = [
                sums[0].wrapping_add(gradient),
                sums[1].wrapping_add(hessian),
            ];
        }
    }
    for (sums, place) in table.iter().zip(out.chunks_exact_mut(2 * count)) {
        place.copy_from_slice(sums[..count].as_flattened());
    }
}

/// That no sum over `rows` of these can leave 64 bits: rows x greatest magnitude < 2^63.
///
/// # Errors
/// `overflow` if one could.
pub fn check_bound(values: &[i64], rows: usize) -> Result<(), Fault> {
    let most = values
        .iter()
        .fold(0, |most: u64, value| most.max(value.unsigned_abs()));
    if u128::from(most) * (rows as u128) < 1 << 63 {
        Ok(())
    } else {
        Err(Fault::new("overflow"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, check_bound};

    #[test]
    fn sums_are_exact_whatever_width_bins_and_threads() {
        for (features, count) in [
            (1, 2),
            (4, 16),
            (7, 17),
            (16, 64),
            (20, 65),
            (33, 200),
            (12, 256),
        ] {
            let rows = 20_000usize;
            let bins: Vec<u8> = (0..rows * features)
                .map(|at| ((at * at * 31 + at / 7) % count) as u8)
                .collect();
            let pairs: Vec<[i64; 2]> = (0..rows as i64)
                .map(|row| [row * 1_234_567 - 9_999_999_999, row % 97])
                .collect();
            let chosen: Vec<u32> = (0..rows as u32).filter(|row| row % 5 != 2).collect();
            for first in (0..features).step_by(16) {
                let block = Block::new(&bins, features, first);
                let used = 16.min(features - first);
                let mut expected = vec![0i64; used * count * 2];
                for row in &chosen {
                    for feature in 0..used {
                        let bin = bins[*row as usize * features + first + feature];
                        assert_eq!(bin, block.bin(*row, feature));
                        let place = (feature * count + usize::from(bin)) * 2;
                        expected[place] += pairs[*row as usize][0];
                        expected[place + 1] += pairs[*row as usize][1];
                    }
                }
                for parallel in [false, true] {
                    let mut out = vec![7; expected.len()];
                    block.fill(&chosen, &pairs, count, &mut out, parallel);
                    assert_eq!(out, expected);
                }
            }
        }
    }

    #[test]
    fn what_could_overflow_is_refused() {
        assert!(check_bound(&[1 << 61, -(1 << 61)], 3).is_ok());
        assert!(check_bound(&[1 << 61, -(1 << 61)], 4).is_err());
        assert!(check_bound(&[i64::MIN], 1).is_err());
        assert!(check_bound(&[i64::MAX], 1).is_ok());
        assert!(check_bound(&[], 0).is_ok());
    }
}
