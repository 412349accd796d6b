//! How a matrix is multiplied: which rows go together, how residues are cut into limbs, and after
//! how many entries a sum must be carried over.
//!
//! **Sums in 52 bits.** The AVX-512 instruction `vpmadd52luq` adds the low 52 bits of a product of two
//! 52-bit numbers to a 64-bit word. A negative weight w is written 2^52 - |w|, so a word holds, modulo
//! 2^52, the signed sum S of the products (carries above bit 51 do not matter: 2^52 divides 2^64). S is
//! read back as a signed 52-bit number, which is right while |S| < 2^51. All partial sums of a
//! *segment* of entries lie between -M x and P x, where x is the largest factor, P the sum of the
//! segment's positive weights and M that of its negative weights' magnitudes; a segment ends before
//! max(P, M) x would reach 2^51. The AVX2 path adds the same products in doubles, where integers
//! below 2^53 are exact; the scalar path in i64. So one plan serves all paths.
//!
//! **Sums of segments.** At a segment's end S is added to a signed 64-bit total. Of a total only the
//! bound is tracked: the sum of max(P, M) x over its segments. Before that passes 2^62 - 2^50 the total
//! is replaced by its residue (below 2^50), so that |total| < 2^62 always.
//!
//! **Limbs.** Where a weight times a whole residue passes 2^51, or segments would be too short, the
//! residue is cut into two or three limbs of `limb_bits`, each summed apart; the limbs' residues are put
//! together at the end. Three limbs of 17 bits take any weight of 32 bits: 2^17 2^31 < 2^51.

use super::field::Field;
use super::sparse::Sparse;
use crate::ring::modulus::MOST_BITS;
use crate::ring::ntt::Path;

const SEGMENT: u64 = (1 << 51) - 1;
const TOTAL: u64 = (1 << 62) - (1 << MOST_BITS);

/// Rows of a group at most: six sums of four AVX-512 registers leave room for the factors.
pub const WIDTH: usize = 6;
/// Neighbours looked at for rows that share their columns.
const WINDOW: usize = 48;

/// Where the sums of a group are carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// One past the last entry.
    pub end: usize,
    /// Whether the total is replaced by its residue here.
    pub reduce: bool,
}

/// Rows that are summed together over the union of their columns.
#[derive(Debug, Clone)]
pub struct Group {
    pub rows: Vec<u32>,
    columns: Vec<u32>,
    reach: usize,
    /// `[column][row]`, as the path's instructions take them: bits of doubles for AVX2, else of i64.
    pub words: Vec<u64>,
    pub segments: Vec<Segment>,
}

/// A matrix made ready for primes of one greatest size.
#[derive(Debug, Clone)]
pub struct Plan {
    pub limbs: usize,
    pub limb_bits: u32,
    pub inputs: usize,
    pub outputs: usize,
    pub groups: Vec<Group>,
}

impl Plan {
    /// A plan for `matrix` over all of `fields`.
    pub fn new(matrix: &Sparse, fields: &[Field], path: Path) -> Self {
        let most = fields
            .iter()
            .map(|field| field.modulus.value())
            .max()
            .unwrap_or(1);
        let (limbs, limb_bits) = (1..=3)
            .filter_map(|limbs| Some((cost(matrix, limbs, most)?, limbs)))
            .min()
            .map_or((3, bits_of(3, most)), |(_, limbs)| {
                (limbs, bits_of(limbs, most))
            });
        let factor = largest_factor(limbs, most);
        let groups = together(matrix, WIDTH)
            .into_iter()
            .map(|rows| Group::new(matrix, rows, factor, path))
            .collect();
        Self {
            limbs,
            limb_bits,
            inputs: matrix.inputs(),
            outputs: matrix.outputs(),
            groups,
        }
    }
}

/// Bits of a limb; of the highest one the largest prime decides.
fn bits_of(limbs: usize, most: u64) -> u32 {
    let bits = 64 - (most - 1).leading_zeros();
    bits.div_ceil(limbs as u32)
}

fn largest_factor(limbs: usize, most: u64) -> u64 {
    if limbs == 1 {
        most - 1
    } else {
        (1 << bits_of(limbs, most)) - 1
    }
}

/// Multiplications and carries, or nothing where a single weight is too large.
fn cost(matrix: &Sparse, limbs: usize, most: u64) -> Option<u64> {
    let limit = SEGMENT / largest_factor(limbs, most);
    if matrix.largest() > limit {
        return None;
    }
    let segments: u64 = (0..matrix.outputs())
        .map(|row| {
            let sum: u64 = matrix
                .weights(row)
                .iter()
                .map(|w| u64::from(w.unsigned_abs()))
                .sum();
            sum / limit + 1
        })
        .sum();
    // A carry takes three instructions and its own loads; limbs are cut out of each factor.
    let cut = if limbs == 1 { 6 } else { 7 };
    Some(limbs as u64 * cut * (matrix.entries() as u64 + 6 * segments))
}

/// Rows that share most of their columns, in groups of at most `width`.
fn together(matrix: &Sparse, width: usize) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..matrix.outputs() as u32).collect();
    order.sort_by_key(|&row| {
        let columns = matrix.columns(row as usize);
        let middle = columns.get(columns.len() / 2).copied();
        (
            middle,
            columns.first().copied(),
            columns.last().copied(),
            row,
        )
    });
    let mut taken = vec![false; order.len()];
    let mut groups = Vec::new();
    for at in 0..order.len() {
        if taken[at] {
            continue;
        }
        taken[at] = true;
        let mut rows = vec![order[at]];
        let mut union: Vec<u32> = matrix.columns(order[at] as usize).to_vec();
        let mut entries = union.len();
        for next in at + 1..order.len().min(at + WINDOW) {
            if rows.len() == width {
                break;
            }
            if taken[next] {
                continue;
            }
            let columns = matrix.columns(order[next] as usize);
            let both = merged(&union, columns);
            // An eighth of multiplications by zero is less than what sharing the loads saves.
            if 8 * both.len() * (rows.len() + 1) <= 9 * (entries + columns.len()) {
                taken[next] = true;
                rows.push(order[next]);
                entries += columns.len();
                union = both;
            }
        }
        rows.sort_unstable();
        groups.push(rows);
    }
    groups
}

fn merged(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        out.push(a[i].min(b[j]));
        let (left, right) = (a[i] <= b[j], b[j] <= a[i]);
        i += usize::from(left);
        j += usize::from(right);
    }
    out.extend_from_slice(&a[i..]);
    out.extend_from_slice(&b[j..]);
    out
}

impl Group {
    /// The columns, rising.
    pub fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// The greatest column; 0 where there is none. Unsafe code rests on it: it is set once, below.
    pub fn reach(&self) -> usize {
        self.reach
    }

    fn new(matrix: &Sparse, rows: Vec<u32>, factor: u64, path: Path) -> Self {
        let columns = rows.iter().fold(Vec::new(), |union, &row| {
            merged(&union, matrix.columns(row as usize))
        });
        let mut weights = vec![0i32; columns.len() * rows.len()];
        for (place, &row) in rows.iter().enumerate() {
            let row = row as usize;
            let mut at = 0;
            for (&column, &weight) in matrix.columns(row).iter().zip(matrix.weights(row)) {
                while columns[at] != column {
                    at += 1;
                }
                weights[at * rows.len() + place] = weight;
            }
        }
        let segments = segments(&weights, rows.len(), factor);
        let word = |&weight: &i32| match path {
            Path::Avx2 => f64::from(weight).to_bits(),
            Path::Scalar | Path::Avx512 => i64::from(weight) as u64,
        };
        Self {
            rows,
            reach: columns.iter().copied().max().unwrap_or(0) as usize,
            columns,
            words: weights.iter().map(word).collect(),
            segments,
        }
    }
}

/// Ends of segments by the bounds at the top of this file.
fn segments(weights: &[i32], width: usize, factor: u64) -> Vec<Segment> {
    let limit = SEGMENT / factor;
    let most_total = TOTAL / factor;
    let mut segments: Vec<Segment> = Vec::new();
    let mut sums = vec![[0u64; 2]; width];
    let mut totals = vec![0u64; width];
    let mut close = |end: usize, sums: &mut Vec<[u64; 2]>| {
        let reach = |sum: &[u64; 2]| sum[0].max(sum[1]);
        let over = totals
            .iter()
            .zip(sums.iter())
            .any(|(total, sum)| total + reach(sum) > most_total);
        if over {
            if let Some(last) = segments.last_mut() {
                last.reduce = true;
            }
            totals.fill(0);
        }
        for (total, sum) in totals.iter_mut().zip(sums.iter_mut()) {
            *total += reach(sum);
            *sum = [0, 0];
        }
        segments.push(Segment { end, reduce: false });
    };
    let entries = weights.chunks_exact(width);
    let count = entries.len();
    for (at, entry) in entries.enumerate() {
        let side = |weight: i32| usize::from(weight < 0);
        let full = entry
            .iter()
            .zip(&sums)
            .any(|(&weight, sum)| sum[side(weight)] + u64::from(weight.unsigned_abs()) > limit);
        if full {
            close(at, &mut sums);
        }
        for (&weight, sum) in entry.iter().zip(&mut sums) {
            sum[side(weight)] += u64::from(weight.unsigned_abs());
        }
    }
    close(count, &mut sums);
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(rows: usize, columns: usize, weight: impl Fn(usize, usize) -> i64) -> Sparse {
        let starts: Vec<u64> = (0..=rows).map(|row| (row * columns) as u64).collect();
        let all: Vec<u32> = (0..rows).flat_map(|_| 0..columns as u32).collect();
        let weights: Vec<i64> = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| weight(row, column))
            .collect();
        Sparse::new(columns, &starts, &all, &weights).unwrap()
    }

    /// Every segment and every total within its bound, summed anew from the weights.
    fn check(plan: &Plan, q: u64) {
        let factor = u128::from(largest_factor(plan.limbs, q));
        for group in &plan.groups {
            let width = group.rows.len();
            for place in 0..width {
                let (mut start, mut total) = (0, 0u128);
                for segment in &group.segments {
                    let of = |positive: bool| -> u128 {
                        (start..segment.end)
                            .map(|at| i128::from(group.words[at * width + place] as i64))
                            .filter(|&w| (w > 0) == positive)
                            .map(|w| w.unsigned_abs())
                            .sum::<u128>()
                    };
                    let reach = of(true).max(of(false)) * factor;
                    assert!(reach < 1 << 51);
                    total += reach;
                    assert!(total < 1 << 62);
                    if segment.reduce {
                        total = u128::from(q);
                    }
                    start = segment.end;
                }
                assert_eq!(start, group.columns.len());
            }
        }
        let mut rows: Vec<u32> = plan.groups.iter().flat_map(|g| g.rows.clone()).collect();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..plan.outputs as u32));
    }

    #[test]
    fn sums_stay_within_their_bounds() {
        let cases: [(u64, i64); 6] = [
            ((1 << 50) - 27, 1),
            ((1 << 50) - 27, i64::from(i32::MAX)),
            (1_099_511_480_321, 127),
            (1_099_511_480_321, 32_767),
            ((1 << 30) - 35, i64::from(i32::MAX)),
            (12_289, 127),
        ];
        for (q, most) in cases {
            let field = Field::new(q).unwrap();
            for sign in 0..3 {
                let matrix = dense(9, 400, |row, column| match sign {
                    0 => most,
                    1 => -most,
                    _ => (1 - 2 * ((row + column) as i64 & 1)) * (most - (column as i64 & 1)),
                });
                check(&Plan::new(&matrix, &[field], Path::Scalar), q);
            }
        }
    }

    #[test]
    fn a_total_is_reduced_before_it_passes_62_bits() {
        // 50-bit prime, weights of 2^30: each limb's total grows by 2^47 an entry.
        let q = (1 << 50) - 27;
        let matrix = dense(2, 70_000, |_, _| i64::from(i32::MAX));
        let plan = Plan::new(&matrix, &[Field::new(q).unwrap()], Path::Scalar);
        assert!(plan.groups[0].segments.iter().any(|s| s.reduce));
        check(&plan, q);
    }

    #[test]
    fn rows_of_the_same_columns_go_together() {
        // Five maps of a convolution: rows r, r + 20, r + 40, ... share columns.
        let (mut starts, mut columns, mut weights) = (vec![0u64], vec![], vec![]);
        for _map in 0..5 {
            for position in 0..20u32 {
                for tap in 0..9 {
                    columns.push(2 * position + tap * 3);
                    weights.push(i64::from(tap) + 1);
                }
                starts.push(columns.len() as u64);
            }
        }
        let matrix = Sparse::new(100, &starts, &columns, &weights).unwrap();
        let plan = Plan::new(&matrix, &[Field::new(12_289).unwrap()], Path::Scalar);
        assert_eq!(plan.groups.len(), 20);
        assert!(
            plan.groups
                .iter()
                .all(|g| g.rows.len() == 5 && g.columns.len() == 9)
        );
    }
}
