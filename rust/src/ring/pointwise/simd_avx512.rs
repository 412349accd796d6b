//! The hot loops with AVX-512 IFMA. `plan` has the proofs of the matrix's bounds, `field` of reduction.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::field::Field;
use super::kernels::{self, STEP};
use super::plan::{Group, Plan};
use crate::ring::modulus::Modulus;
use crate::ring::ntt::Path;

/// Registers of eight residues in a step.
const LANES: usize = STEP / 8;
const LOW: i64 = (1 << 52) - 1;

type Row = [__m512i; LANES];

/// Constants of a prime in every lane.
#[derive(Clone, Copy)]
struct Wide {
    modulus: Modulus,
    q: __m512i,
    offset: __m512i,
    word_inverse: __m512i,
    product_inverse: __m512i,
    /// bits - 1 and 53 - bits
    down: __m128i,
    up: __m128i,
    low: __m512i,
}

/// All parts of a matrix product; sizes as `kernels::matrix` has checked them.
pub fn matrix(field: Field, plan: &Plan, x: &[u64], out: &mut [u64], block: usize) {
    assert!(Path::Avx512.is_available());
    // SAFETY: the processor has the features, as was just asserted.
    unsafe { matrix_wide(field, plan, x, out, block) }
}

/// The three parts of squares; all slices are of one length, a multiple of 8.
pub fn square(q: Modulus, x: [&[u64]; 2], out: [&mut [u64]; 3]) {
    assert!(Path::Avx512.is_available());
    // SAFETY: as above.
    unsafe { square_wide(q, x, out) }
}

/// Copies words and gives the largest; both slices are of one length, a multiple of 8.
pub fn copy(from: &[u64], out: &mut [u64]) -> u64 {
    assert!(Path::Avx512.is_available());
    // SAFETY: as above.
    unsafe { copy_wide(from, out) }
}

/// Asks for words that will be read soon.
pub fn prefetch(x: &[u64]) {
    for line in x.chunks(8) {
        // SAFETY: every x86-64 processor has the instruction, and it may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

#[target_feature(enable = "avx512f")]
fn copy_wide(from: &[u64], out: &mut [u64]) -> u64 {
    let mut most = _mm512_setzero_si512();
    let places = out.as_chunks_mut::<8>().0.iter_mut();
    for (from, out) in from.as_chunks::<8>().0.iter().zip(places) {
        let x = load_one(from);
        most = _mm512_max_epu64(most, x);
        store_one(x, out);
    }
    _mm512_reduce_max_epu64(most)
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn matrix_wide(field: Field, plan: &Plan, x: &[u64], out: &mut [u64], block: usize) {
    let wide = Wide::new(field);
    for group in &plan.groups {
        for (x, out) in kernels::parts_of(plan, x, out, block) {
            match (group.rows.len(), plan.limbs > 1) {
                (1, false) => rows::<1, false>(wide, plan, group, x, out, block),
                (2, false) => rows::<2, false>(wide, plan, group, x, out, block),
                (3, false) => rows::<3, false>(wide, plan, group, x, out, block),
                (4, false) => rows::<4, false>(wide, plan, group, x, out, block),
                (5, false) => rows::<5, false>(wide, plan, group, x, out, block),
                (6, false) => rows::<6, false>(wide, plan, group, x, out, block),
                (1, true) => rows::<1, true>(wide, plan, group, x, out, block),
                (2, true) => rows::<2, true>(wide, plan, group, x, out, block),
                (3, true) => rows::<3, true>(wide, plan, group, x, out, block),
                (4, true) => rows::<4, true>(wide, plan, group, x, out, block),
                (5, true) => rows::<5, true>(wide, plan, group, x, out, block),
                (6, true) => rows::<6, true>(wide, plan, group, x, out, block),
                (width, _) => unreachable!("a group of {width} rows"),
            }
        }
    }
}

/// All rows of a group at once: each factor is loaded once for G rows.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn rows<const G: usize, const CUT: bool>(
    wide: Wide,
    plan: &Plan,
    group: &Group,
    x: &[u64],
    out: &mut [u64],
    block: usize,
) {
    assert!(group.reach() < plan.inputs && plan.inputs * block <= x.len());
    let unit = wide.modulus.reduce(1 << plan.limb_bits);
    let words = group.words.as_chunks::<G>().0;
    let zero = [[_mm512_setzero_si512(); LANES]; G];
    let unit = _mm512_set1_epi64(unit as i64);
    let mask = _mm512_set1_epi64((1 << plan.limb_bits) - 1);
    // `block` is a multiple of `STEP`.
    for offset in (0..block).step_by(STEP) {
        let mut result = zero;
        for limb in (0..plan.limbs as u32).rev() {
            let shift = _mm_cvtsi64_si128(i64::from(limb * plan.limb_bits));
            let mut total = zero;
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
                        // The low 52 bits as a signed number.
                        let sum = _mm512_srai_epi64::<12>(_mm512_slli_epi64::<12>(sum));
                        *total = _mm512_add_epi64(*total, sum);
                        if segment.reduce {
                            *total = wide.reduce(*total);
                        }
                    }
                }
            }
            for (results, totals) in result.iter_mut().zip(&total) {
                for (result, &total) in results.iter_mut().zip(totals) {
                    let residue = wide.reduce(total);
                    *result = if CUT {
                        wide.once(_mm512_add_epi64(wide.mul(*result, unit), residue))
                    } else {
                        residue
                    };
                }
            }
        }
        for (&row, results) in group.rows.iter().zip(&result) {
            let at = row as usize * block + offset;
            store(results, &mut out[at..at + STEP]);
        }
    }
}

/// The sums of a segment, of which only the low 52 bits mean something.
///
/// # Safety
/// 32 words must be readable at `x + column * block` for every column.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn sums<const G: usize, const CUT: bool>(
    x: *const u64,
    block: usize,
    columns: &[u32],
    words: &[[u64; G]],
    shift: __m128i,
    mask: __m512i,
) -> [Row; G] {
    let mut sums = [[_mm512_setzero_si512(); LANES]; G];
    for (&column, weights) in columns.iter().zip(words) {
        // SAFETY: the caller's promise; the product fits, being an offset into a slice.
        let x = unsafe { x.add((column as usize).wrapping_mul(block)) };
        let mut factors = [_mm512_setzero_si512(); LANES];
        for (lane, factor) in factors.iter_mut().enumerate() {
            // SAFETY: as above; no alignment is asked for.
            *factor = unsafe { _mm512_loadu_si512(x.add(8 * lane).cast()) };
            if CUT {
                *factor = _mm512_and_si512(_mm512_srl_epi64(*factor, shift), mask);
            }
        }
        for row in 0..G {
            // The instruction reads the low 52 bits: |w|, or 2^52 - |w| of a negative w.
            let weight = _mm512_set1_epi64(weights[row] as i64);
            for lane in 0..LANES {
                sums[row][lane] = _mm512_madd52lo_epu64(sums[row][lane], factors[lane], weight);
            }
        }
    }
    sums
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn square_wide(q: Modulus, x: [&[u64]; 2], out: [&mut [u64]; 3]) {
    let wide = Wide::of(q);
    let [first, cross, last] = out.map(|part| part.as_chunks_mut::<8>().0.iter_mut());
    let [x0, x1] = x.map(|part| part.as_chunks::<8>().0.iter());
    for (((first, cross), last), (x0, x1)) in first.zip(cross).zip(last).zip(x0.zip(x1)) {
        let (x0, x1) = (load_one(x0), load_one(x1));
        store_one(wide.mul(x0, x0), first);
        let half = wide.mul(x0, x1);
        store_one(wide.once(_mm512_add_epi64(half, half)), cross);
        store_one(wide.mul(x1, x1), last);
    }
}

impl Wide {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn new(field: Field) -> Self {
        Self {
            offset: _mm512_set1_epi64(field.offset as i64),
            ..Self::of(field.modulus)
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn of(q: Modulus) -> Self {
        Self {
            modulus: q,
            q: _mm512_set1_epi64(q.value() as i64),
            offset: _mm512_setzero_si512(),
            word_inverse: _mm512_set1_epi64(q.word_inverse() as i64),
            product_inverse: _mm512_set1_epi64(q.product_inverse() as i64),
            down: _mm_cvtsi64_si128(i64::from(q.bits() - 1)),
            up: _mm_cvtsi64_si128(i64::from(53 - q.bits())),
            low: _mm512_set1_epi64(LOW),
        }
    }

    /// x or x - q, x < 2q.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn once(self, x: __m512i) -> __m512i {
        _mm512_min_epu64(x, _mm512_sub_epi64(x, self.q))
    }

    /// `Field::reduce`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn reduce(self, sum: __m512i) -> __m512i {
        let zero = _mm512_setzero_si512();
        let v = _mm512_add_epi64(sum, self.offset);
        let e = _mm512_madd52hi_epu64(zero, _mm512_srli_epi64::<12>(v), self.word_inverse);
        let taken = _mm512_madd52lo_epu64(zero, e, self.q);
        let rest = _mm512_and_si512(_mm512_sub_epi64(v, taken), self.low);
        self.once(self.once(rest))
    }

    /// `Modulus::reduce_product` of the product of two residues, which has the proof.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn mul(self, a: __m512i, b: __m512i) -> __m512i {
        let zero = _mm512_setzero_si512();
        let low = _mm512_madd52lo_epu64(zero, a, b);
        let high = _mm512_madd52hi_epu64(zero, a, b);
        let u = _mm512_or_si512(
            _mm512_sll_epi64(high, self.up),
            _mm512_srl_epi64(low, self.down),
        );
        let e = _mm512_madd52hi_epu64(zero, u, self.product_inverse);
        let taken = _mm512_madd52lo_epu64(zero, e, self.q);
        let rest = _mm512_and_si512(_mm512_sub_epi64(low, taken), self.low);
        self.once(self.once(rest))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_one(x: &[u64; 8]) -> __m512i {
    // SAFETY: 64 bytes are readable there; no alignment is asked for.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_one(x: __m512i, out: &mut [u64; 8]) {
    // SAFETY: 64 bytes are writable there; no alignment is asked for.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), x) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(row: &Row, out: &mut [u64]) {
    for (&row, out) in row.iter().zip(out.as_chunks_mut::<8>().0) {
        store_one(row, out);
    }
}
