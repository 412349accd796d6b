//! Small discrete logarithms: `v` from `vG` for `v` in a known range (baby-step giant-step).
//!
//! A table holds `2jG` for `j` below some `t`; the point, less the range's lower end, is then searched
//! at strides of `t`. Doubles, because their encodings share inversions (see `mask.rs`), and an encoding
//! is what can be looked up. A table's place keeps 32 bits of the encoding; what it finds is checked
//! with a multiplication, so a chance agreement costs time and no error.
//!
//! **Nothing ends early.** Every search takes all its steps and every cell is searched, so the time
//! tells nothing of the sums: the other party sees when an answer comes, and a sum that it must only
//! see with this party's noise must not show in that. (Cache lines are touched by value, on this
//! machine.)
//!
//! Secret: the points and what is found. Public: the table, which is of the range alone.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;

use super::parallel::pool;
use super::point::{POINT, encode_doubles};
use crate::columns::fault::Fault;

/// Steps that share an inversion.
const STRIDE: u64 = 1_024;
/// Bytes of a table's place: 32 bits of the encoding and `j + 1`; 0 is empty.
const PLACE: u64 = 8;
/// A table's places are numbered with 32 bits, and half of them are empty.
const MOST_BABIES: u64 = 1 << 31;

/// What a range costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub low: i64,
    /// Values in the range, its ends included.
    pub range: u64,
    /// Points of the table.
    pub table: u64,
    /// Bytes of the table.
    pub bytes: u64,
    /// Steps of one search.
    pub steps: u64,
}

impl Plan {
    /// The least work for `cells` searches in `low..=high` with a table of at most `memory` bytes:
    /// `sqrt(range * cells)` points where memory allows.
    pub fn new(low: i64, high: i64, cells: usize, memory: u64) -> Result<Self, Fault> {
        let range = u64::try_from(i128::from(high) - i128::from(low) + 1)
            .ok()
            .filter(|&range| range > 0 && range <= i64::MAX as u64)
            .ok_or_else(|| Fault::new("bad-range"))?;
        // At most half of the places are taken, and their number is a power of two.
        let places = (memory / PLACE)
            .checked_ilog2()
            .map_or(0, |bits| 1u64 << bits);
        let most = (places / 2).min(MOST_BABIES);
        if most == 0 {
            return Err(Fault::new("no-memory-for-table"));
        }
        let best = (u128::from(range) * cells.max(1) as u128).isqrt();
        let table = u64::try_from(best)
            .unwrap_or(u64::MAX)
            .clamp(1, most)
            .min(range);
        Ok(Self {
            low,
            range,
            table,
            bytes: PLACE * (2 * table).next_power_of_two(),
            steps: range.div_ceil(table),
        })
    }
}

/// A table for one range.
pub struct DiscreteLog {
    low: i64,
    range: u64,
    table: u64,
    steps: u64,
    places: Vec<u64>,
}

/// The place where a search begins, and the bits that are kept. Byte 0 has a bit that is always clear.
#[inline]
fn key(encoded: &[u8; POINT]) -> (u32, u32) {
    let [_, a, b, c, d, e, f, g, h, ..] = *encoded;
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

fn signed(value: i64) -> Scalar {
    let size = Scalar::from(value.unsigned_abs());
    if value < 0 { -size } else { size }
}

impl DiscreteLog {
    pub fn new(plan: &Plan, threads: usize) -> Result<Self, Fault> {
        let mut places = Vec::new();
        let count = usize::try_from(plan.bytes / PLACE).map_err(|_| Fault::new("no-memory"))?;
        places
            .try_reserve_exact(count)
            .map_err(|_| Fault::new("no-memory-for-table"))?;
        places.resize(count, 0);
        let mut made = Self {
            low: plan.low,
            range: plan.range,
            table: plan.table,
            steps: plan.steps,
            places,
        };
        let pool = pool(threads)?;
        let together = 16 * STRIDE * threads as u64;
        for start in (0..plan.table).step_by(together as usize) {
            let end = plan.table.min(start + together);
            let pieces: Vec<Vec<(u32, u32)>> = pool.install(|| {
                (start..end)
                    .step_by(STRIDE as usize)
                    .collect::<Vec<_>>()
                    .into_par_iter()
                    .map(|from| {
                        let count = (end - from).min(STRIDE);
                        let first = RistrettoPoint::mul_base(&Scalar::from(from));
                        keys(first, RISTRETTO_BASEPOINT_POINT, count)
                    })
                    .collect()
            });
            for (number, found) in (start..).zip(pieces.into_iter().flatten()) {
                made.insert(found, number);
            }
        }
        Ok(made)
    }

    fn insert(&mut self, (at, kept): (u32, u32), number: u64) {
        let mask = self.places.len() - 1;
        let mut at = at as usize & mask;
        while self.places[at] != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = (u64::from(kept) << 32) | (number + 1);
    }

    fn candidates(&self, (at, kept): (u32, u32)) -> impl Iterator<Item = u64> {
        let mask = self.places.len() - 1;
        (at as usize..)
            .map(move |at| self.places[at & mask])
            .take_while(|&place| place != 0)
            .filter(move |&place| (place >> 32) as u32 == kept)
            .map(|place| (place & u64::from(u32::MAX)) - 1)
    }

    /// The logarithm of every point; the fault `out-of-range` names the first that is not in the range.
    pub fn find(&self, points: &[RistrettoPoint], threads: usize) -> Result<Vec<i64>, Fault> {
        let stride = RistrettoPoint::mul_base(&Scalar::from(self.table));
        let lowest = RistrettoPoint::mul_base(&signed(self.low));
        let parts = self.steps.div_ceil(STRIDE);
        let all = (points.len() as u64)
            .checked_mul(parts)
            .ok_or_else(|| Fault::new("too-many-steps"))?;
        let found: Vec<(usize, i64)> = pool(threads)?.install(|| {
            (0..all)
                .into_par_iter()
                .flat_map_iter(|index| {
                    let (row, from) = ((index / parts) as usize, index % parts * STRIDE);
                    let point = points[row];
                    let skipped = Scalar::from(from) * Scalar::from(self.table);
                    let first = point - lowest - RistrettoPoint::mul_base(&skipped);
                    let count = (self.steps - from).min(STRIDE);
                    (from..)
                        .zip(keys(first, -stride, count))
                        .flat_map(|(step, key)| self.candidates(key).map(move |baby| (step, baby)))
                        .filter_map(move |(step, baby)| {
                            let above = step.checked_mul(self.table)?.checked_add(baby)?;
                            let value = self.low.checked_add_unsigned(above)?;
                            let right = above < self.range
                                && RistrettoPoint::mul_base(&signed(value)) == point;
                            right.then_some((row, value))
                        })
                })
                .collect()
        });
        let mut out = vec![None; points.len()];
        for (row, value) in found {
            out[row] = Some(value);
        }
        out.into_iter()
            .enumerate()
            .map(|(row, value)| value.ok_or_else(|| Fault::at("out-of-range", row)))
            .collect()
    }
}

/// The keys of the doubles of `first`, `first + step`, `first + 2 step`, ...
fn keys(first: RistrettoPoint, step: RistrettoPoint, count: u64) -> Vec<(u32, u32)> {
    let mut point = first;
    let points: Vec<RistrettoPoint> = (0..count)
        .map(|_| {
            let this = point;
            point += step;
            this
        })
        .collect();
    let mut encoded = vec![[0; POINT]; points.len()];
    encode_doubles(&points, &mut encoded);
    encoded.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(value: i64) -> RistrettoPoint {
        RISTRETTO_BASEPOINT_POINT * signed(value)
    }

    fn log(low: i64, high: i64, cells: usize, memory: u64) -> DiscreteLog {
        DiscreteLog::new(&Plan::new(low, high, cells, memory).unwrap(), 2).unwrap()
    }

    #[test]
    fn every_value_of_small_ranges_is_found_and_none_beside_them() {
        for (low, high) in [
            (0, 0),
            (-7, 12),
            (5, 6),
            (-300, -1),
            (i64::MAX - 9, i64::MAX),
        ] {
            for memory in [16, 64, 1 << 20] {
                let log = log(low, high, 1, memory);
                let values: Vec<i64> = (low..=high).collect();
                let points: Vec<_> = values.iter().copied().map(point).collect();
                assert_eq!(
                    log.find(&points, 2).unwrap(),
                    values,
                    "{low} {high} {memory}"
                );
                for outside in [low - 1, high.wrapping_add(1)] {
                    assert_eq!(
                        log.find(&[points[0], point(outside)], 1).unwrap_err(),
                        Fault::at("out-of-range", 1)
                    );
                }
            }
        }
    }

    #[test]
    fn a_large_range_has_its_ends_and_its_seams() {
        let (low, high) = (-1_000_000, 20_000_000_000);
        let log = log(low, high, 10, 1 << 22);
        assert!(log.steps > 2 * STRIDE && log.table > 2 * STRIDE);
        let table = log.table as i64;
        let stretch = table * STRIDE as i64;
        let values = [
            low,
            low + 1,
            low + table - 1,
            low + table,
            low + stretch - 1,
            low + stretch,
            -1,
            0,
            1,
            high - 1,
            high,
        ];
        let points: Vec<_> = values.iter().copied().map(point).collect();
        assert_eq!(log.find(&points, 2).unwrap(), values);
        assert_eq!(
            log.find(&[point(high + 1)], 1).unwrap_err(),
            Fault::at("out-of-range", 0)
        );
    }

    #[test]
    fn a_plan_keeps_to_its_memory_and_covers_its_range() {
        for (low, high, cells, memory) in [
            (0, 1_000, 100, 1 << 20),
            (0, 0, 1, 16),
            (-5, 1_000_000_000_000, 10_000, 1 << 24),
            (0, i64::MAX - 1, 1, u64::MAX),
        ] {
            let plan = Plan::new(low, high, cells, memory).unwrap();
            assert!(plan.bytes <= memory);
            assert!(u128::from(plan.table) * u128::from(plan.steps) >= u128::from(plan.range));
            assert!(plan.bytes >= 2 * PLACE * plan.table);
        }
        for (low, high, memory) in [(1, 0, 1 << 20), (i64::MIN, i64::MAX, 1 << 20), (0, 9, 15)] {
            assert!(Plan::new(low, high, 1, memory).is_err());
        }
    }
}
