//! The transform by AVX-512 IFMA: eight residues at a time, 52-bit Shoup factors.
//!
//! # Why the numbers fit
//! `madd52` multiplies the **low 52 bits** of its operands, so a value is kept modulo 2^52 with whatever
//! carries have left above. What must hold is that the value meant is below 2^52. With a residue w and
//! w' = floor(w 2^52 / q), y w - floor(y w' / 2^52) q is in [0, q (1 + y / 2^52)) and so below 2q for every
//! y < 2^52 (Harvey 2014, section 3). Bounds below are in units of q; `cap` = floor(2^52 / q) >= 4 is what
//! fits.
//!
//! *Forward.* A butterfly (x, y) -> (x + t, x + 2q - t) with t = y w < 2q adds 2 to the bound; where the next
//! stages would pass `cap`, x is first brought below 2q ([`Plan`]).
//!
//! *Inverse.* A butterfly (x, y) -> (x + y, (x + Kq - y) w) doubles the bound of the sum; the product is
//! below 2q. `LAZY` (cap >= 16) takes inputs below 4q and reduces one of the four sums of two stages;
//! otherwise inputs are below 2q and every sum is reduced.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::modulus::Modulus;

/// Values in a block that is finished before the next is begun: 32 KiB, within a core's first cache.
const BLOCK: usize = 4_096;
/// Pairs of stages at most: 2^17 has 14 before the last three.
const MOST_PASSES: usize = 8;
const MASK: u64 = (1 << 52) - 1;

/// Eight words on a cache line of their own.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// The roots in the order in which one direction reads them.
#[derive(Debug)]
pub struct Roots {
    /// Root and 52-bit quotient of node k for the stages whose halves are of 4 and more.
    nodes: Vec<[u64; 2]>,
    /// For each 16 values: eight roots of the stage of pairs, their quotients, and four roots of the stage
    /// before with their quotients.
    tails: Vec<[Line; 3]>,
}

impl Roots {
    /// From `roots[k]` and floor(roots[k] 2^64 / q) of node k.
    pub fn new(roots: impl Fn(usize) -> (u64, u64), n: usize) -> Self {
        assert!(n >= 16 && n.is_power_of_two());
        let short = |node: usize| {
            let (root, quotient) = roots(node);
            [root, quotient >> 12]
        };
        let line =
            |part: usize, from: usize| Line(std::array::from_fn(|lane| short(from + lane)[part]));
        let tails = (0..n / 16).map(|pair| {
            let last = n / 2 + 8 * pair;
            let before = n / 4 + 4 * pair;
            let mixed = std::array::from_fn(|lane| short(before + lane % 4)[lane / 4]);
            [line(0, last), line(1, last), Line(mixed)]
        });
        Self {
            nodes: (0..n / 4).map(short).collect(),
            tails: tails.collect(),
        }
    }
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
        // A stage that reduces leaves 2q + 2q.
        let mut next = |stages: u64| {
            let reduce = bound + 2 * stages > cap;
            bound = if reduce { 4 } else { bound + 2 * stages };
            reduce
        };
        for pass in &mut plan.passes[..passes] {
            *pass = next(2);
        }
        plan.tail = next(tail_stages);
        plan
    }
}

/// The modulus in every lane.
#[derive(Clone, Copy)]
struct Lanes {
    q: __m512i,
    twice: __m512i,
    /// 2^52 - q: adding its multiples subtracts q's, modulo 2^52.
    minus: __m512i,
    /// floor(2^52 / q).
    inverse: __m512i,
    mask: __m512i,
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(modulus: Modulus) -> Self {
        let q = modulus.value();
        Self {
            q: all(q),
            twice: all(2 * q),
            minus: all((1 << 52) - q),
            inverse: all(modulus.word_inverse() >> 12),
            mask: all(MASK),
        }
    }

    /// y w below 2q.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn times(&self, y: __m512i, [w, quotient]: [__m512i; 2]) -> __m512i {
        let zero = _mm512_setzero_si512();
        let high = _mm512_madd52hi_epu64(zero, y, quotient);
        let low = _mm512_madd52lo_epu64(zero, y, w);
        _mm512_madd52lo_epu64(low, high, self.minus)
    }

    /// x below 2q. The quotient by floor(2^52 / q) is short by less than 1 + x / 2^52.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn below_twice(&self, x: __m512i) -> __m512i {
        let quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), x, self.inverse);
        _mm512_madd52lo_epu64(x, quotient, self.minus)
    }

    /// A value below 2q as a residue, without carries above.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn settle(&self, x: __m512i) -> __m512i {
        let clean = _mm512_and_si512(x, self.mask);
        _mm512_min_epu64(clean, _mm512_sub_epi64(clean, self.q))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn forward<const REDUCE: bool>(&self, x: &mut __m512i, y: &mut __m512i, w: [__m512i; 2]) {
        let start = if REDUCE { self.below_twice(*x) } else { *x };
        let turned = self.times(*y, w);
        *x = _mm512_add_epi64(start, turned);
        *y = _mm512_sub_epi64(_mm512_add_epi64(start, self.twice), turned);
    }

    /// (x + y, (x + offset - y) w); `offset` is a multiple of q that is at least y.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn inverse<const REDUCE: bool>(
        &self,
        x: &mut __m512i,
        y: &mut __m512i,
        w: [__m512i; 2],
        offset: __m512i,
    ) {
        let sum = _mm512_add_epi64(*x, *y);
        let less = _mm512_sub_epi64(_mm512_add_epi64(*x, offset), *y);
        *x = if REDUCE { self.below_twice(sum) } else { sum };
        *y = self.times(less, w);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all(word: u64) -> __m512i {
    _mm512_set1_epi64(word as i64)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn node([w, quotient]: [u64; 2]) -> [__m512i; 2] {
    [all(w), all(quotient)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(from: &[u64; 8]) -> __m512i {
    // SAFETY: eight words; the load needs no alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(to: &mut [u64; 8], lanes: __m512i) {
    // SAFETY: eight words; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), lanes) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn line(line: &Line) -> __m512i {
    // SAFETY: a line is eight words on 64 bytes' alignment.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

type Eight<'a> = &'a mut [u64; 8];

/// The four quarters side by side, eight words of each.
#[inline(always)]
fn quarters(
    values: &mut [u64],
) -> impl Iterator<Item = (Eight<'_>, Eight<'_>, Eight<'_>, Eight<'_>)> {
    let quarter = values.len() / 4;
    let (low, high) = values.split_at_mut(2 * quarter);
    let (p0, p1) = low.split_at_mut(quarter);
    let (p2, p3) = high.split_at_mut(quarter);
    let eights = |part| <[u64]>::as_chunks_mut::<8>(part).0.iter_mut();
    eights(p0)
        .zip(eights(p1))
        .zip(eights(p2).zip(eights(p3)))
        .map(|((a, b), (c, d))| (a, b, c, d))
}

/// The roots of the last three stages over 16 values: of halves of 4, 2 and 1.
#[inline]
#[target_feature(enable = "avx512f")]
fn tail_roots(roots: &Roots, pair: usize, groups: usize) -> [[__m512i; 2]; 3] {
    let [last, last_quotients, before] = &roots.tails[pair];
    let before = line(before);
    let two: &[[u64; 2]; 2] = roots.nodes[groups..groups + 2]
        .try_into()
        .expect("two nodes");
    // SAFETY: two nodes are four words; the load needs no alignment.
    let two = _mm512_castsi256_si512(unsafe { _mm256_loadu_si256(two.as_ptr().cast()) });
    let spread = |from: __m512i, lanes: [i64; 8]| {
        let [a, b, c, d, e, f, g, h] = lanes;
        _mm512_permutexvar_epi64(_mm512_setr_epi64(a, b, c, d, e, f, g, h), from)
    };
    [
        [
            spread(two, [0, 0, 0, 0, 2, 2, 2, 2]),
            spread(two, [1, 1, 1, 1, 3, 3, 3, 3]),
        ],
        [
            spread(before, [0, 0, 1, 1, 2, 2, 3, 3]),
            spread(before, [4, 4, 5, 5, 6, 6, 7, 7]),
        ],
        [line(last), line(last_quotients)],
    ]
}

/// Coefficients to values; everything a residue, before and after.
///
/// # Panics
/// If the processor lacks AVX-512 F or IFMA, or `values` is not of the length the roots are for.
pub fn forward(modulus: Modulus, roots: &Roots, values: &mut [u64]) {
    assert!(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma"));
    assert_eq!(values.len(), 16 * roots.tails.len());
    // SAFETY: the processor has what `forward_lanes` is compiled for.
    unsafe { forward_lanes(modulus, roots, values) }
}

/// Values to coefficients; everything a residue, before and after. `last` are 1 / N and the last stage's
/// root over N, with their 64-bit quotients.
///
/// # Panics
/// If the processor lacks AVX-512 F or IFMA, or `values` is not of the length the roots are for.
pub fn inverse(modulus: Modulus, roots: &Roots, last: [(u64, u64); 2], values: &mut [u64]) {
    assert!(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma"));
    assert_eq!(values.len(), 16 * roots.tails.len());
    // SAFETY: the processor has what `inverse_lanes` is compiled for.
    unsafe { inverse_lanes(modulus, roots, last, values) }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn forward_lanes(modulus: Modulus, roots: &Roots, values: &mut [u64]) {
    let lanes = Lanes::new(modulus);
    let stages = values.len().trailing_zeros() as usize - 3;
    let cap = (1 << 52) / modulus.value();
    let plan = Plan::new(cap, stages / 2, 3 + (stages as u64 & 1));
    forward_block(&lanes, &plan, roots, values, 1, 0);
}

/// All stages below `node` over its values, in pairs of stages; a block that fits the cache is finished
/// before the next.
#[target_feature(enable = "avx512f,avx512ifma")]
fn forward_block(
    lanes: &Lanes,
    plan: &Plan,
    roots: &Roots,
    values: &mut [u64],
    node: usize,
    pass: usize,
) {
    if values.len() > BLOCK {
        forward_pass(lanes, plan.passes[pass], roots, values, node);
        let quarter = values.len() / 4;
        for (child, part) in values.chunks_exact_mut(quarter).enumerate() {
            forward_block(lanes, plan, roots, part, 4 * node + child, pass + 1);
        }
        return;
    }
    let (mut size, mut first, mut pass) = (values.len(), node, pass);
    while size >= 32 {
        for (index, part) in values.chunks_exact_mut(size).enumerate() {
            forward_pass(lanes, plan.passes[pass], roots, part, first + index);
        }
        size /= 4;
        first *= 4;
        pass += 1;
    }
    match (plan.tail, size == 16) {
        (false, false) => forward_tail::<false, false>(lanes, roots, values, node),
        (false, true) => forward_tail::<false, true>(lanes, roots, values, node),
        (true, false) => forward_tail::<true, false>(lanes, roots, values, node),
        (true, true) => forward_tail::<true, true>(lanes, roots, values, node),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn forward_pass(lanes: &Lanes, reduce: bool, roots: &Roots, values: &mut [u64], at: usize) {
    if reduce {
        forward_pair::<true>(lanes, roots, values, at);
    } else {
        forward_pair::<false>(lanes, roots, values, at);
    }
}

/// Two stages: of halves of length / 2 and length / 4.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn forward_pair<const REDUCE: bool>(lanes: &Lanes, roots: &Roots, values: &mut [u64], at: usize) {
    let whole = node(roots.nodes[at]);
    let lower = node(roots.nodes[2 * at]);
    let upper = node(roots.nodes[2 * at + 1]);
    for (p0, p1, p2, p3) in quarters(values) {
        let (mut a, mut b, mut c, mut d) = (load(p0), load(p1), load(p2), load(p3));
        lanes.forward::<REDUCE>(&mut a, &mut c, whole);
        lanes.forward::<REDUCE>(&mut b, &mut d, whole);
        lanes.forward::<REDUCE>(&mut a, &mut b, lower);
        lanes.forward::<REDUCE>(&mut c, &mut d, upper);
        store(p0, a);
        store(p1, b);
        store(p2, c);
        store(p3, d);
    }
}

/// The last three stages, or four where the stages before come in an odd number, and the reduction.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn forward_tail<const REDUCE: bool, const FOUR: bool>(
    lanes: &Lanes,
    roots: &Roots,
    values: &mut [u64],
    at: usize,
) {
    let pairs = values.len() / 16;
    // `at` is the block's node: its descendants are counted from at * (number of them).
    let base = pairs * at - roots.tails.len();
    let parts = values.as_chunks_mut::<8>().0.as_chunks_mut::<2>().0;
    for (index, [first, second]) in parts.iter_mut().enumerate() {
        let (mut x, mut y) = (load(first), load(second));
        let groups = 2 * (pairs * at + index);
        let [four, two, one] = tail_roots(roots, base + index, groups);
        if FOUR {
            lanes.forward::<REDUCE>(&mut x, &mut y, node(roots.nodes[groups / 2]));
        }
        let mut a = _mm512_shuffle_i64x2::<0x44>(x, y);
        let mut b = _mm512_shuffle_i64x2::<0xee>(x, y);
        lanes.forward::<REDUCE>(&mut a, &mut b, four);
        let mut c = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), b);
        let mut d = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15), b);
        lanes.forward::<REDUCE>(&mut c, &mut d, two);
        let mut even = _mm512_unpacklo_epi64(c, d);
        let mut odd = _mm512_unpackhi_epi64(c, d);
        lanes.forward::<REDUCE>(&mut even, &mut odd, one);
        let even = lanes.settle(lanes.below_twice(even));
        let odd = lanes.settle(lanes.below_twice(odd));
        let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
        let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
        store(first, _mm512_permutex2var_epi64(even, low, odd));
        store(second, _mm512_permutex2var_epi64(even, high, odd));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_lanes(modulus: Modulus, roots: &Roots, last: [(u64, u64); 2], values: &mut [u64]) {
    let lanes = Lanes::new(modulus);
    let last = last.map(|(w, quotient)| node([w, quotient >> 12]));
    let cap = (1u64 << 52) / modulus.value();
    if cap >= 16 {
        inverse_block::<true>(&lanes, roots, last, values, 1);
    } else {
        inverse_block::<false>(&lanes, roots, last, values, 1);
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_block<const LAZY: bool>(
    lanes: &Lanes,
    roots: &Roots,
    last: [[__m512i; 2]; 2],
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
    let pairs = values.len().trailing_zeros() - 3;
    let four = pairs & 1 == 1;
    if four {
        inverse_tail::<LAZY, true>(lanes, roots, last, values, at);
    } else {
        inverse_tail::<LAZY, false>(lanes, roots, last, values, at);
    }
    let mut size = if four { 64 } else { 32 };
    while size <= values.len() {
        let first = at * (values.len() / size);
        for (index, part) in values.chunks_exact_mut(size).enumerate() {
            inverse_pass::<LAZY>(lanes, roots, last, part, first + index);
        }
        size *= 4;
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_pass<const LAZY: bool>(
    lanes: &Lanes,
    roots: &Roots,
    last: [[__m512i; 2]; 2],
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
#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_pair<const LAZY: bool, const LAST: bool>(
    lanes: &Lanes,
    roots: &Roots,
    last: [[__m512i; 2]; 2],
    values: &mut [u64],
    at: usize,
) {
    let whole = node(roots.nodes[at]);
    let lower = node(roots.nodes[2 * at]);
    let upper = node(roots.nodes[2 * at + 1]);
    let twice = lanes.twice;
    let four = _mm512_add_epi64(twice, twice);
    let eight = _mm512_add_epi64(four, four);
    // Inputs are below 4q, sums of two below 8q; or below 2q and brought back to it.
    let (first, second) = if LAZY { (four, eight) } else { (twice, twice) };
    for (p0, p1, p2, p3) in quarters(values) {
        let (mut a, mut b, mut c, mut d) = (load(p0), load(p1), load(p2), load(p3));
        if LAZY {
            lanes.inverse::<false>(&mut a, &mut b, lower, first);
            lanes.inverse::<false>(&mut c, &mut d, upper, first);
        } else {
            lanes.inverse::<true>(&mut a, &mut b, lower, first);
            lanes.inverse::<true>(&mut c, &mut d, upper, first);
        }
        if LAST {
            finish(lanes, last, &mut a, &mut c, second);
            finish(lanes, last, &mut b, &mut d, twice);
        } else {
            lanes.inverse::<true>(&mut a, &mut c, whole, second);
            if LAZY {
                lanes.inverse::<false>(&mut b, &mut d, whole, twice);
            } else {
                lanes.inverse::<true>(&mut b, &mut d, whole, twice);
            }
        }
        store(p0, a);
        store(p1, b);
        store(p2, c);
        store(p3, d);
    }
}

/// The last stage with the division by N, down to residues.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn finish(
    lanes: &Lanes,
    [scale, turned]: [[__m512i; 2]; 2],
    x: &mut __m512i,
    y: &mut __m512i,
    offset: __m512i,
) {
    let sum = _mm512_add_epi64(*x, *y);
    let less = _mm512_sub_epi64(_mm512_add_epi64(*x, offset), *y);
    *x = lanes.settle(lanes.times(sum, scale));
    *y = lanes.settle(lanes.times(less, turned));
}

/// The first three stages, or four where the stages after come in an odd number. Residues in; below 2q out.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn inverse_tail<const LAZY: bool, const FOUR: bool>(
    lanes: &Lanes,
    roots: &Roots,
    last: [[__m512i; 2]; 2],
    values: &mut [u64],
    at: usize,
) {
    let twice = lanes.twice;
    let wide = if LAZY {
        _mm512_add_epi64(twice, twice)
    } else {
        twice
    };
    let pairs = values.len() / 16;
    let base = pairs * at - roots.tails.len();
    let parts = values.as_chunks_mut::<8>().0.as_chunks_mut::<2>().0;
    for (index, [first, second]) in parts.iter_mut().enumerate() {
        let (x, y) = (load(first), load(second));
        let groups = 2 * (pairs * at + index);
        let [four, two, one] = tail_roots(roots, base + index, groups);
        let mut even =
            _mm512_permutex2var_epi64(x, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), y);
        let mut odd = _mm512_permutex2var_epi64(x, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), y);
        // Residues: the sum is below 2q, and so is the product.
        lanes.inverse::<false>(&mut even, &mut odd, one, lanes.q);
        let mut c = _mm512_unpacklo_epi64(even, odd);
        let mut d = _mm512_unpackhi_epi64(even, odd);
        // Lazily below 4q; otherwise brought back below 2q.
        if LAZY {
            lanes.inverse::<false>(&mut c, &mut d, two, twice);
        } else {
            lanes.inverse::<true>(&mut c, &mut d, two, twice);
        }
        let mut a = _mm512_permutex2var_epi64(c, _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), d);
        let mut b = _mm512_permutex2var_epi64(c, _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15), d);
        lanes.inverse::<true>(&mut a, &mut b, four, wide);
        let mut x = _mm512_shuffle_i64x2::<0x44>(a, b);
        let mut y = _mm512_shuffle_i64x2::<0xee>(a, b);
        if FOUR {
            if groups == 2 {
                finish(lanes, last, &mut x, &mut y, twice);
            } else {
                lanes.inverse::<true>(&mut x, &mut y, node(roots.nodes[groups / 2]), twice);
            }
        }
        store(first, x);
        store(second, y);
    }
}
