//! The matrix loop with AVX2 and FMA, in doubles: products and sums of a segment are integers below
//! 2^53 in magnitude (`plan` keeps them below 2^51), so every step is exact.
//!
//! A segment's sum S is reduced by e = round(S / q) in doubles and S - e q with one rounding: the true
//! quotient is below 2^51 / 2^13 and its double is off by less than 1/2 ulp of each step, so e is off by
//! at most 1 and |S - e q| < 2q < 2^51 is exact. Totals of such rests are reduced in the same way after
//! every segment, so they stay below 2q too.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::field::Field;
use super::kernels;
use super::plan::{Group, Plan};
use crate::ring::ntt::Path;

/// Registers of four residues in a step: with six rows the sums take twelve of sixteen registers.
const LANES: usize = 2;
const STEP: usize = 4 * LANES;
/// The bits of 2^52 as a double: the mantissa below them is an integer.
const EXPONENT: i64 = 0x4330_0000_0000_0000;
const TWO_52: f64 = 4_503_599_627_370_496.0;

type Row = [__m256d; LANES];

/// All parts of a matrix product; sizes as `kernels::matrix` has checked them.
pub fn matrix(field: Field, plan: &Plan, x: &[u64], out: &mut [u64], block: usize) {
    assert!(Path::Avx2.is_available());
    // SAFETY: the processor has the features, as was just asserted.
    unsafe { matrix_wide(field, plan, x, out, block) }
}

#[target_feature(enable = "avx2,fma")]
fn matrix_wide(field: Field, plan: &Plan, x: &[u64], out: &mut [u64], block: usize) {
    for group in &plan.groups {
        for (x, out) in kernels::parts_of(plan, x, out, block) {
            match (group.rows.len(), plan.limbs > 1) {
                (1, false) => rows::<1, false>(field, plan, group, x, out, block),
                (2, false) => rows::<2, false>(field, plan, group, x, out, block),
                (3, false) => rows::<3, false>(field, plan, group, x, out, block),
                (4, false) => rows::<4, false>(field, plan, group, x, out, block),
                (5, false) => rows::<5, false>(field, plan, group, x, out, block),
                (6, false) => rows::<6, false>(field, plan, group, x, out, block),
                (1, true) => rows::<1, true>(field, plan, group, x, out, block),
                (2, true) => rows::<2, true>(field, plan, group, x, out, block),
                (3, true) => rows::<3, true>(field, plan, group, x, out, block),
                (4, true) => rows::<4, true>(field, plan, group, x, out, block),
                (5, true) => rows::<5, true>(field, plan, group, x, out, block),
                (6, true) => rows::<6, true>(field, plan, group, x, out, block),
                (width, _) => unreachable!("a group of {width} rows"),
            }
        }
    }
}

/// All rows of a group at once: each factor is loaded and converted once for G rows.
#[target_feature(enable = "avx2,fma")]
fn rows<const G: usize, const CUT: bool>(
    field: Field,
    plan: &Plan,
    group: &Group,
    x: &[u64],
    out: &mut [u64],
    block: usize,
) {
    assert!(group.reach() < plan.inputs && plan.inputs * block <= x.len());
    let q = field.modulus;
    let unit = q.reduce(1 << plan.limb_bits);
    let words = group.words.as_chunks::<G>().0;
    let mask = _mm256_set1_epi64x((1 << plan.limb_bits) - 1);
    let prime = _mm256_set1_pd(q.value() as f64);
    let inverse = _mm256_set1_pd(1.0 / q.value() as f64);
    // `block` is a multiple of `kernels::STEP` and so of this one.
    for offset in (0..block).step_by(STEP) {
        let mut results = [[0u64; STEP]; G];
        for limb in (0..plan.limbs as u32).rev() {
            let shift = _mm_cvtsi64_si128(i64::from(limb * plan.limb_bits));
            let mut total = [[_mm256_setzero_pd(); LANES]; G];
            let mut start = 0;
            for segment in &group.segments {
                let entries = start..segment.end;
                let columns = &group.columns()[entries.clone()];
                // SAFETY: every column is below `plan.inputs` (`Group::reach`), so its strip of `block`
                // words lies in `x`; the step at `offset` lies in the strip.
                let sums = unsafe {
                    let x = x.as_ptr().add(offset);
                    sums::<G, CUT>(x, block, columns, &words[entries], shift, mask)
                };
                start = segment.end;
                for (totals, sums) in total.iter_mut().zip(&sums) {
                    for (total, &sum) in totals.iter_mut().zip(sums) {
                        let rest = reduce(sum, prime, inverse);
                        *total = reduce(_mm256_add_pd(*total, rest), prime, inverse);
                    }
                }
            }
            for (results, totals) in results.iter_mut().zip(&total) {
                finish(field, unit, totals, results);
            }
        }
        for (&row, results) in group.rows.iter().zip(&results) {
            out[row as usize * block + offset..][..STEP].copy_from_slice(results);
        }
    }
}

/// The sums of a segment.
///
/// # Safety
/// 8 words must be readable at `x + column * block` for every column.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn sums<const G: usize, const CUT: bool>(
    x: *const u64,
    block: usize,
    columns: &[u32],
    words: &[[u64; G]],
    shift: __m128i,
    mask: __m256i,
) -> [Row; G] {
    let exponent = _mm256_set1_epi64x(EXPONENT);
    let two_52 = _mm256_set1_pd(TWO_52);
    let mut sums = [[_mm256_setzero_pd(); LANES]; G];
    for (&column, weights) in columns.iter().zip(words) {
        // SAFETY: the caller's promise; the product fits, being an offset into a slice.
        let x = unsafe { x.add((column as usize).wrapping_mul(block)) };
        let mut factors = [_mm256_setzero_pd(); LANES];
        for (lane, factor) in factors.iter_mut().enumerate() {
            // SAFETY: as above; no alignment is asked for.
            let mut words = unsafe { _mm256_loadu_si256(x.add(4 * lane).cast()) };
            if CUT {
                words = _mm256_and_si256(_mm256_srl_epi64(words, shift), mask);
            }
            // 2^52 + x as a double, less 2^52.
            let whole = _mm256_castsi256_pd(_mm256_or_si256(words, exponent));
            *factor = _mm256_sub_pd(whole, two_52);
        }
        for row in 0..G {
            let weight = _mm256_set1_pd(f64::from_bits(weights[row]));
            for lane in 0..LANES {
                sums[row][lane] = _mm256_fmadd_pd(factors[lane], weight, sums[row][lane]);
            }
        }
    }
    sums
}

/// `result := result * unit + total`, for totals of magnitude below 2q.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn finish(field: Field, unit: u64, totals: &Row, results: &mut [u64; STEP]) {
    // 3 * 2^51 + a total lies in 2^52..2^53, where doubles are the integers.
    let shifted = _mm256_set1_pd(1.5 * TWO_52);
    let offset = _mm256_castpd_si256(shifted);
    for (results, &total) in results.as_chunks_mut::<4>().0.iter_mut().zip(totals) {
        let bits = _mm256_castpd_si256(_mm256_add_pd(total, shifted));
        let mut signed = [0u64; 4];
        store(_mm256_sub_epi64(bits, offset), &mut signed);
        for (result, &total) in results.iter_mut().zip(&signed) {
            let residue = field.reduce(total as i64);
            *result = field.modulus.mul_add(*result, unit, residue);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn reduce(sum: __m256d, prime: __m256d, inverse: __m256d) -> __m256d {
    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    let quotient = _mm256_round_pd::<NEAREST>(_mm256_mul_pd(sum, inverse));
    _mm256_fnmadd_pd(quotient, prime, sum)
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(x: __m256i, out: &mut [u64; 4]) {
    // SAFETY: 32 bytes are writable there; no alignment is asked for.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), x) }
}
