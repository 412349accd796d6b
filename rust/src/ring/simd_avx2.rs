//! The transform by AVX2 and FMA: four residues at a time, as doubles that hold integers exactly.
//!
//! AVX2 cannot multiply 64-bit words, but a fused multiply-add gives both halves of a product of doubles
//! (van der Hoeven, Lecerf, Quintin, "Modular SIMD arithmetic in Mathemagix", 2016, section 4; FLINT's
//! transform does so too). Values are signed; rounding is to nearest, the processor's default.
//!
//! # Why the numbers fit
//! *Product.* For an integer |x| < 2^52, an integer |w| <= q / 2 and v = w / q rounded, let
//! c = rint(x v), h + l = x w exactly (h rounded, |l| <= |x w| / 2^53 <= q / 4). Then |c - x w / q| is at
//! most 1/2 + |x| / 2^54 <= 3/4, so |x w - c q| <= 3q/4; h - c q is an integer below q in magnitude, exact
//! in a double, and so is its sum with l. Adding and taking away 3 2^51 rounds |x v| < 2^51 to an integer.
//! *Reduction.* x - rint(x / q) q is within q/2 + 1.
//! *Bounds*, in units of q, with `cap` = floor(2^52 / q) >= 4: forward, a stage adds 3/4 (counted as 1), and
//! where the next stages would pass `cap` the sums' first terms are reduced. Inverse, two stages
//! multiply a sum by four; with `cap` >= 8 inputs are within 2 and one of the four results of two stages is
//! reduced, otherwise inputs are within 1 and both sums are.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::modulus::Modulus;

/// Values in a block that is finished before the next is begun: 32 KiB, within a core's first cache.
const BLOCK: usize = 4_096;
/// Pairs of stages at most: 2^17 has 15 before the last two.
const MOST_PASSES: usize = 8;
/// 2^52: under it, a double's low bits are those of an integer.
const UNIT: f64 = 4_503_599_627_370_496.0;

/// The roots of one direction, by node: centred, and divided by q.
#[derive(Debug)]
pub struct Roots {
    roots: Vec<f64>,
    quotients: Vec<f64>,
}

impl Roots {
    pub fn new(modulus: Modulus, roots: impl Fn(usize) -> u64, n: usize) -> Self {
        assert!(n >= 16 && n.is_power_of_two());
        let roots: Vec<f64> = (0..n).map(|node| centred(modulus, roots(node))).collect();
        let q = modulus.value() as f64;
        Self {
            quotients: roots.iter().map(|root| root / q).collect(),
            roots,
        }
    }
}

fn centred(modulus: Modulus, w: u64) -> f64 {
    modulus.centred(w) as f64
}

/// Where a forward transform reduces.
struct Plan {
    passes: [bool; MOST_PASSES],
    tail: bool,
}

impl Plan {
    fn new(cap: u64, passes: usize, tail_stages: u64) -> Self {
        let mut bound = 1;
        let mut plan = Self {
            passes: [false; MOST_PASSES],
            tail: false,
        };
        // A stage that reduces leaves 3/4 + 3/4.
        let mut next = |stages: u64| {
            let reduce = bound + stages > cap;
            bound = if reduce { 2 } else { bound + stages };
            reduce
        };
        for pass in &mut plan.passes[..passes] {
            *pass = next(2);
        }
        plan.tail = next(tail_stages);
        plan
    }
}

/// The modulus in every lane, and the arithmetic on doubles that `simd_avx2_vector` shares.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub(super) q: __m256d,
    pub(super) inverse: __m256d,
    rounder: __m256d,
    unit: __m256d,
}

/// A factor and its quotient by q, in every lane or one a lane.
type Factor = [__m256d; 2];

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn new(modulus: Modulus) -> Self {
        let q = modulus.value() as f64;
        Self {
            q: _mm256_set1_pd(q),
            inverse: _mm256_set1_pd(1.0 / q),
            rounder: _mm256_set1_pd(1.5 * UNIT),
            unit: _mm256_set1_pd(UNIT),
        }
    }

    /// Words below 2^52 as doubles.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn enter(&self, x: __m256i) -> __m256d {
        let bits = _mm256_or_si256(x, _mm256_castpd_si256(self.unit));
        _mm256_sub_pd(_mm256_castsi256_pd(bits), self.unit)
    }

    /// Integers within q of zero as residues.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn leave(&self, x: __m256d) -> __m256i {
        let negative = _mm256_cmp_pd::<_CMP_LT_OQ>(x, _mm256_setzero_pd());
        let residue = _mm256_add_pd(x, _mm256_and_pd(negative, self.q));
        let bits = _mm256_castpd_si256(_mm256_add_pd(residue, self.unit));
        _mm256_xor_si256(bits, _mm256_castpd_si256(self.unit))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn times(&self, x: __m256d, [w, quotient]: Factor) -> __m256d {
        let high = _mm256_mul_pd(x, w);
        let multiple = _mm256_sub_pd(_mm256_fmadd_pd(x, quotient, self.rounder), self.rounder);
        let low = _mm256_fmsub_pd(x, w, high);
        _mm256_add_pd(_mm256_fnmadd_pd(multiple, self.q, high), low)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn reduce(&self, x: __m256d) -> __m256d {
        let multiple = _mm256_sub_pd(_mm256_fmadd_pd(x, self.inverse, self.rounder), self.rounder);
        _mm256_fnmadd_pd(multiple, self.q, x)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn forward<const REDUCE: bool>(&self, x: &mut __m256d, y: &mut __m256d, w: Factor) {
        let start = if REDUCE { self.reduce(*x) } else { *x };
        let turned = self.times(*y, w);
        *x = _mm256_add_pd(start, turned);
        *y = _mm256_sub_pd(start, turned);
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn inverse<const REDUCE: bool>(&self, x: &mut __m256d, y: &mut __m256d, w: Factor) {
        let sum = _mm256_add_pd(*x, *y);
        let less = _mm256_sub_pd(*x, *y);
        *x = if REDUCE { self.reduce(sum) } else { sum };
        *y = self.times(less, w);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(from: &[u64; 4]) -> __m256i {
    // SAFETY: four words; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(to: &mut [u64; 4], lanes: __m256i) {
    // SAFETY: four words; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), lanes) }
}

/// Between the first stage and the last the words hold doubles.
#[inline]
#[target_feature(enable = "avx2")]
fn load_double(from: &[u64; 4]) -> __m256d {
    _mm256_castsi256_pd(load(from))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_double(to: &mut [u64; 4], lanes: __m256d) {
    store(to, _mm256_castpd_si256(lanes));
}

#[inline]
#[target_feature(enable = "avx2")]
fn node(roots: &Roots, at: usize) -> Factor {
    [
        _mm256_set1_pd(roots.roots[at]),
        _mm256_set1_pd(roots.quotients[at]),
    ]
}

/// The roots of nodes at, at + 1, each for two lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn two_nodes(roots: &Roots, at: usize) -> Factor {
    [&roots.roots, &roots.quotients].map(|from| {
        let two: &[f64; 2] = from[at..at + 2].try_into().expect("two roots");
        // SAFETY: two doubles; the load needs no alignment.
        let two = unsafe { _mm_loadu_pd(two.as_ptr()) };
        _mm256_permute4x64_pd::<0b01_01_00_00>(_mm256_castpd128_pd256(two))
    })
}

/// The roots of the four nodes from `at`.
#[inline]
#[target_feature(enable = "avx2")]
fn four_nodes(roots: &Roots, at: usize) -> Factor {
    [&roots.roots, &roots.quotients].map(|from| {
        let four: &[f64; 4] = from[at..at + 4].try_into().expect("four roots");
        // SAFETY: four doubles; the load needs no alignment.
        unsafe { _mm256_loadu_pd(four.as_ptr()) }
    })
}

type Four<'a> = &'a mut [u64; 4];

/// The four quarters side by side, four words of each.
#[inline(always)]
fn quarters(values: &mut [u64]) -> impl Iterator<Item = (Four<'_>, Four<'_>, Four<'_>, Four<'_>)> {
    let quarter = values.len() / 4;
    let (low, high) = values.split_at_mut(2 * quarter);
    let (p0, p1) = low.split_at_mut(quarter);
    let (p2, p3) = high.split_at_mut(quarter);
    let fours = |part| <[u64]>::as_chunks_mut::<4>(part).0.iter_mut();
    fours(p0)
        .zip(fours(p1))
        .zip(fours(p2).zip(fours(p3)))
        .map(|((a, b), (c, d))| (a, b, c, d))
}

/// Coefficients to values; everything a residue, before and after.
///
/// # Panics
/// If the processor lacks AVX2 or FMA, or `values` is not of the length the roots are for.
pub fn forward(modulus: Modulus, roots: &Roots, values: &mut [u64]) {
    assert!(super::ntt::Path::Avx2.is_available());
    assert_eq!(values.len(), roots.roots.len());
    // SAFETY: the processor has what `forward_lanes` is compiled for.
    unsafe { forward_lanes(modulus, roots, values) }
}

/// Values to coefficients; everything a residue, before and after. `last` are 1 / N and the last stage's
/// root over N.
///
/// # Panics
/// If the processor lacks AVX2 or FMA, or `values` is not of the length the roots are for.
pub fn inverse(modulus: Modulus, roots: &Roots, last: [u64; 2], values: &mut [u64]) {
    assert!(super::ntt::Path::Avx2.is_available());
    assert_eq!(values.len(), roots.roots.len());
    // SAFETY: the processor has what `inverse_lanes` is compiled for.
    unsafe { inverse_lanes(modulus, roots, last, values) }
}

#[target_feature(enable = "avx2,fma")]
fn forward_lanes(modulus: Modulus, roots: &Roots, values: &mut [u64]) {
    let lanes = Lanes::new(modulus);
    let stages = values.len().trailing_zeros() as usize - 2;
    let cap = (1 << 52) / modulus.value();
    let plan = Plan::new(cap, stages / 2, 2 + (stages as u64 & 1));
    forward_block(&lanes, &plan, roots, values, 1, 0);
}

/// All stages below `at` over its values, in pairs of stages; a block that fits the cache is finished
/// before the next.
#[target_feature(enable = "avx2,fma")]
fn forward_block(
    lanes: &Lanes,
    plan: &Plan,
    roots: &Roots,
    values: &mut [u64],
    at: usize,
    pass: usize,
) {
    if values.len() > BLOCK {
        forward_pass(lanes, plan.passes[pass], roots, values, at);
        let quarter = values.len() / 4;
        for (child, part) in values.chunks_exact_mut(quarter).enumerate() {
            forward_block(lanes, plan, roots, part, 4 * at + child, pass + 1);
        }
        return;
    }
    let (mut size, mut first, mut pass) = (values.len(), at, pass);
    while size >= 16 {
        for (index, part) in values.chunks_exact_mut(size).enumerate() {
            forward_pass(lanes, plan.passes[pass], roots, part, first + index);
        }
        size /= 4;
        first *= 4;
        pass += 1;
    }
    match (plan.tail, size == 8) {
        (false, false) => forward_tail::<false, false>(lanes, roots, values, at),
        (false, true) => forward_tail::<false, true>(lanes, roots, values, at),
        (true, false) => forward_tail::<true, false>(lanes, roots, values, at),
        (true, true) => forward_tail::<true, true>(lanes, roots, values, at),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn forward_pass(lanes: &Lanes, reduce: bool, roots: &Roots, values: &mut [u64], at: usize) {
    match (reduce, at == 1) {
        // Nothing is reduced in the first pass: residues leave room for two stages.
        (_, true) => forward_pair::<false, true>(lanes, roots, values, at),
        (false, false) => forward_pair::<false, false>(lanes, roots, values, at),
        (true, false) => forward_pair::<true, false>(lanes, roots, values, at),
    }
}

/// Two stages: of halves of length / 2 and length / 4.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn forward_pair<const REDUCE: bool, const FIRST: bool>(
    lanes: &Lanes,
    roots: &Roots,
    values: &mut [u64],
    at: usize,
) {
    let whole = node(roots, at);
    let lower = node(roots, 2 * at);
    let upper = node(roots, 2 * at + 1);
    for (p0, p1, p2, p3) in quarters(values) {
        let enter = |from: &[u64; 4]| {
            if FIRST {
                lanes.enter(load(from))
            } else {
                load_double(from)
            }
        };
        let (mut a, mut b, mut c, mut d) = (enter(p0), enter(p1), enter(p2), enter(p3));
        lanes.forward::<REDUCE>(&mut a, &mut c, whole);
        lanes.forward::<REDUCE>(&mut b, &mut d, whole);
        lanes.forward::<REDUCE>(&mut a, &mut b, lower);
        lanes.forward::<REDUCE>(&mut c, &mut d, upper);
        store_double(p0, a);
        store_double(p1, b);
        store_double(p2, c);
        store_double(p3, d);
    }
}

/// The last two stages, or three where the stages before come in an odd number, and the reduction.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn forward_tail<const REDUCE: bool, const THREE: bool>(
    lanes: &Lanes,
    roots: &Roots,
    values: &mut [u64],
    at: usize,
) {
    let eights = values.len() / 8;
    let parts = values.as_chunks_mut::<4>().0.as_chunks_mut::<2>().0;
    for (index, [first, second]) in parts.iter_mut().enumerate() {
        let eight = eights * at + index;
        let (mut x, mut y) = (load_double(first), load_double(second));
        if THREE {
            lanes.forward::<REDUCE>(&mut x, &mut y, node(roots, eight));
        }
        let mut a = _mm256_permute2f128_pd::<0x20>(x, y);
        let mut b = _mm256_permute2f128_pd::<0x31>(x, y);
        lanes.forward::<REDUCE>(&mut a, &mut b, two_nodes(roots, 2 * eight));
        let mut even = _mm256_unpacklo_pd(a, b);
        let mut odd = _mm256_unpackhi_pd(a, b);
        lanes.forward::<REDUCE>(&mut even, &mut odd, four_nodes(roots, 4 * eight));
        let even = lanes.leave(lanes.reduce(even));
        let odd = lanes.leave(lanes.reduce(odd));
        let low = _mm256_unpacklo_epi64(even, odd);
        let high = _mm256_unpackhi_epi64(even, odd);
        store(first, _mm256_permute2x128_si256::<0x20>(low, high));
        store(second, _mm256_permute2x128_si256::<0x31>(low, high));
    }
}

#[target_feature(enable = "avx2,fma")]
fn inverse_lanes(modulus: Modulus, roots: &Roots, last: [u64; 2], values: &mut [u64]) {
    let lanes = Lanes::new(modulus);
    let last = last.map(|w| {
        let w = centred(modulus, w);
        [
            _mm256_set1_pd(w),
            _mm256_set1_pd(w / modulus.value() as f64),
        ]
    });
    let cap = (1u64 << 52) / modulus.value();
    if cap >= 8 {
        inverse_block::<true>(&lanes, roots, last, values, 1);
    } else {
        inverse_block::<false>(&lanes, roots, last, values, 1);
    }
}

#[target_feature(enable = "avx2,fma")]
fn inverse_block<const LAZY: bool>(
    lanes: &Lanes,
    roots: &Roots,
    last: [Factor; 2],
    values: &mut [u64],
    at: usize,
) {
    if values.len() > BLOCK {
        let quarter = values.len() / 4;
        for (child, part) in values.chunks_exact_mut(quarter).enumerate() {
            inverse_block::<LAZY>(lanes, roots, last, part, 4 * at + child);
        }
        inverse_pass::<LAZY>(lanes, roots, last, values, at);
        return;
    }
    let three = values.len().trailing_zeros() & 1 == 1;
    if three {
        inverse_tail::<true>(lanes, roots, values, at);
    } else {
        inverse_tail::<false>(lanes, roots, values, at);
    }
    let mut size = if three { 32 } else { 16 };
    while size <= values.len() {
        let first = at * (values.len() / size);
        for (index, part) in values.chunks_exact_mut(size).enumerate() {
            inverse_pass::<LAZY>(lanes, roots, last, part, first + index);
        }
        size *= 4;
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn inverse_pass<const LAZY: bool>(
    lanes: &Lanes,
    roots: &Roots,
    last: [Factor; 2],
    values: &mut [u64],
    at: usize,
) {
    if at == 1 {
        inverse_pair::<LAZY, true>(lanes, roots, last, values, at);
    } else {
        inverse_pair::<LAZY, false>(lanes, roots, last, values, at);
    }
}

/// Two stages: of halves of length / 4 and length / 2. The last one of all divides by N.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn inverse_pair<const LAZY: bool, const LAST: bool>(
    lanes: &Lanes,
    roots: &Roots,
    [scale, turned]: [Factor; 2],
    values: &mut [u64],
    at: usize,
) {
    let whole = node(roots, at);
    let lower = node(roots, 2 * at);
    let upper = node(roots, 2 * at + 1);
    for (p0, p1, p2, p3) in quarters(values) {
        let (mut a, mut b) = (load_double(p0), load_double(p1));
        let (mut c, mut d) = (load_double(p2), load_double(p3));
        lanes.inverse::<false>(&mut a, &mut b, lower);
        lanes.inverse::<false>(&mut c, &mut d, upper);
        if LAST {
            for ((x, y), (low, high)) in [((a, c), (p0, p2)), ((b, d), (p1, p3))] {
                let sum = lanes.times(_mm256_add_pd(x, y), scale);
                let less = lanes.times(_mm256_sub_pd(x, y), turned);
                store(low, lanes.leave(sum));
                store(high, lanes.leave(less));
            }
            continue;
        }
        lanes.inverse::<true>(&mut a, &mut c, whole);
        if LAZY {
            lanes.inverse::<false>(&mut b, &mut d, whole);
        } else {
            lanes.inverse::<true>(&mut b, &mut d, whole);
        }
        store_double(p0, a);
        store_double(p1, b);
        store_double(p2, c);
        store_double(p3, d);
    }
}

/// The first two stages, or three where the stages after come in an odd number. Residues in; within q out.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn inverse_tail<const THREE: bool>(lanes: &Lanes, roots: &Roots, values: &mut [u64], at: usize) {
    let eights = values.len() / 8;
    let parts = values.as_chunks_mut::<4>().0.as_chunks_mut::<2>().0;
    for (index, [first, second]) in parts.iter_mut().enumerate() {
        let eight = eights * at + index;
        let (x, y) = (load(first), load(second));
        let low = _mm256_permute2x128_si256::<0x20>(x, y);
        let high = _mm256_permute2x128_si256::<0x31>(x, y);
        let mut even = lanes.enter(_mm256_unpacklo_epi64(low, high));
        let mut odd = lanes.enter(_mm256_unpackhi_epi64(low, high));
        lanes.inverse::<false>(&mut even, &mut odd, four_nodes(roots, 4 * eight));
        let mut a = _mm256_unpacklo_pd(even, odd);
        let mut b = _mm256_unpackhi_pd(even, odd);
        lanes.inverse::<true>(&mut a, &mut b, two_nodes(roots, 2 * eight));
        let mut x = _mm256_permute2f128_pd::<0x20>(a, b);
        let mut y = _mm256_permute2f128_pd::<0x31>(a, b);
        if THREE {
            lanes.inverse::<true>(&mut x, &mut y, node(roots, eight));
        }
        store_double(first, x);
        store_double(second, y);
    }
}
