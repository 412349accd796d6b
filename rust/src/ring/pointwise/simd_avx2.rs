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
use super::plan::{Group, Plan};
use crate::ring::ntt::Path;

/// Registers of four residues in a step, and rows whose sums stay in registers.
const LANES: usize = 4;
const STEP: usize = 4 * LANES;
const ROWS: usize = 3;
/// The bits of 2^52 as a double: the mantissa below them is an integer.
const EXPONENT: i64 = 0x4330_0000_0000_0000;
const TWO_52: f64 = 4_503_599_627_370_496.0;

type Row = [__m256d; LANES];

/// One part of a matrix product; sizes as `kernels::matrix` has checked them.
pub fn matrix(field: Field, plan: &Plan, x: &[u64], out: &mut [u64], block: usize) {
    assert!(Path::Avx2.is_available());
    // SAFETY: the processor has the features, as was just asserted.
    unsafe { matrix_wide(field, plan, x, out, block) }
}

#[target_feature(enable = "avx2,fma")]
fn matrix_wide(field: Field, plan: &Plan, x: &[u64], out: &mut [u64], block: usize) {
    for group in &plan.groups {
        for first in (0..group.rows.len()).step_by(ROWS) {
            match group.rows.len() - first {
                1 => rows::<1>(field, plan, group, first, x, out, block),
                2 => rows::<2>(field, plan, group, first, x, out, block),
                _ => rows::<ROWS>(field, plan, group, first, x, out, block),
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn rows<const G: usize>(
    field: Field,
    plan: &Plan,
    group: &Group,
    first: usize,
    x: &[u64],
    out: &mut [u64],
    block: usize,
) {
    let q = field.modulus;
    let unit = q.reduce(1 << plan.limb_bits);
    let width = group.rows.len();
    let zero = [[_mm256_setzero_pd(); LANES]; G];
    let mask = _mm256_set1_epi64x((1 << plan.limb_bits) - 1);
    let exponent = _mm256_set1_epi64x(EXPONENT);
    let two_52 = _mm256_set1_pd(TWO_52);
    let prime = _mm256_set1_pd(q.value() as f64);
    let inverse = _mm256_set1_pd(1.0 / q.value() as f64);
    for offset in (0..block).step_by(STEP) {
        let mut results = [[0u64; STEP]; G];
        for limb in (0..plan.limbs as u32).rev() {
            let shift = _mm_cvtsi64_si128(i64::from(limb * plan.limb_bits));
            let mut total = zero;
            let mut start = 0;
            for segment in &group.segments {
                let mut sums = zero;
                for at in start..segment.end {
                    let weights = &group.words[at * width + first..][..G];
                    let place = group.columns()[at] as usize * block + offset;
                    let factors = &x[place..place + STEP];
                    for (lane, four) in factors.as_chunks::<4>().0.iter().enumerate() {
                        let cut = _mm256_and_si256(_mm256_srl_epi64(load(four), shift), mask);
                        let whole = _mm256_castsi256_pd(_mm256_or_si256(cut, exponent));
                        let factor = _mm256_sub_pd(whole, two_52);
                        for (sums, &weight) in sums.iter_mut().zip(weights) {
                            let weight = _mm256_set1_pd(f64::from_bits(weight));
                            sums[lane] = _mm256_fmadd_pd(factor, weight, sums[lane]);
                        }
                    }
                }
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
        for (results, &row) in results.iter().zip(&group.rows[first..]) {
            out[row as usize * block + offset..][..STEP].copy_from_slice(results);
        }
    }
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
fn load(x: &[u64; 4]) -> __m256i {
    // SAFETY: 32 bytes are readable there; no alignment is asked for.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(x: __m256i, out: &mut [u64; 4]) {
    // SAFETY: 32 bytes are writable there; no alignment is asked for.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), x) }
}
