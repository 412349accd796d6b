//! Slices of residues by AVX-512 IFMA. `vector` checks lengths, operands and that the processor has it.
//!
//! # Why the numbers fit
//! With s = bits and residues a, b < q < 2^s <= 2^50: `a 2^(52-s)` and `2 b` are below 2^52, and the upper
//! half of their product is floor(a b / 2^(s-1)) =: h < 2^(s+1). With m = floor(2^(s+51) / q) < 2^52 the
//! quotient e = floor(h m / 2^52) is short of a b / q by less than 2.5 (see `Modulus::reduce_product`), so
//! a b - e q is below 3q < 2^52 and can be taken modulo 2^52. With a third residue added it is below 4q.
//! A factor that serves a whole slice is multiplied by Shoup's method instead (see `simd_avx512`).
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::automorphism::Eight;
use super::modulus::Modulus;

const MASK: u64 = (1 << 52) - 1;
/// Products whose upper halves' sum stays below 2^52; see `dot_batch`.
const BATCH: usize = 16;

/// The modulus in every lane.
#[derive(Clone, Copy)]
struct Lanes {
    modulus: Modulus,
    q: __m512i,
    twice: __m512i,
    /// 2^52 - q.
    minus: __m512i,
    /// floor(2^(bits + 51) / q).
    product_inverse: __m512i,
    /// floor(2^52 / q).
    short_inverse: __m512i,
    /// 52 - bits.
    up: __m128i,
    mask: __m512i,
}

/// A residue that multiplies a whole slice.
#[derive(Clone, Copy)]
struct Factor {
    w: __m512i,
    quotient: __m512i,
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(modulus: Modulus) -> Self {
        let q = modulus.value();
        Self {
            modulus,
            q: all(q),
            twice: all(2 * q),
            minus: all((1 << 52) - q),
            product_inverse: all(modulus.product_inverse()),
            short_inverse: all(modulus.word_inverse() >> 12),
            up: _mm_cvtsi64_si128(i64::from(52 - modulus.bits())),
            mask: all(MASK),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn factor(&self, w: u64) -> Factor {
        Factor {
            w: all(w),
            quotient: all(self.modulus.shoup(w) >> 12),
        }
    }

    /// x or x - q, whichever is not negative; x < 2q.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn once(&self, x: __m512i) -> __m512i {
        _mm512_min_epu64(x, _mm512_sub_epi64(x, self.q))
    }

    /// The same from x < 4q.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn settle(&self, x: __m512i) -> __m512i {
        self.once(_mm512_min_epu64(x, _mm512_sub_epi64(x, self.twice)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add(&self, a: __m512i, b: __m512i) -> __m512i {
        self.once(_mm512_add_epi64(a, b))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sub(&self, a: __m512i, b: __m512i) -> __m512i {
        let less = _mm512_sub_epi64(a, b);
        _mm512_min_epu64(less, _mm512_add_epi64(less, self.q))
    }

    /// a b + c.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul_add(&self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        let zero = _mm512_setzero_si512();
        let high =
            _mm512_madd52hi_epu64(zero, _mm512_sll_epi64(a, self.up), _mm512_add_epi64(b, b));
        let low = _mm512_madd52lo_epu64(c, a, b);
        let quotient = _mm512_madd52hi_epu64(zero, high, self.product_inverse);
        let rest = _mm512_madd52lo_epu64(low, quotient, self.minus);
        self.settle(_mm512_and_si512(rest, self.mask))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul(&self, a: __m512i, b: __m512i) -> __m512i {
        self.mul_add(a, b, _mm512_setzero_si512())
    }

    /// y w + c below 3q, for y < 2^52 and c a residue.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn scale_add(&self, y: __m512i, factor: Factor, c: __m512i) -> __m512i {
        let high = _mm512_madd52hi_epu64(_mm512_setzero_si512(), y, factor.quotient);
        let low = _mm512_madd52lo_epu64(c, y, factor.w);
        let rest = _mm512_madd52lo_epu64(low, high, self.minus);
        _mm512_and_si512(rest, self.mask)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn scale(&self, y: __m512i, factor: Factor) -> __m512i {
        self.once(self.scale_add(y, factor, _mm512_setzero_si512()))
    }

    /// A residue from x < 2^52. The quotient is short by less than 2.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce_short(&self, x: __m512i) -> __m512i {
        let quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), x, self.short_inverse);
        let rest = _mm512_madd52lo_epu64(x, quotient, self.minus);
        self.once(_mm512_and_si512(rest, self.mask))
    }

    /// A residue from x < 2^64, with Shoup's quotient of 2^52 mod q.
    ///
    /// x is 2^52 u + v with u < 2^12: 2^52 u below 2q by Shoup, v below 2q by Barrett.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(&self, x: __m512i, carry: Factor) -> __m512i {
        self.reduce_halves(_mm512_srli_epi64::<52>(x), x, carry)
    }

    /// 2^52 high + (low modulo 2^52), for high < 2^52.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce_halves(&self, high: __m512i, low: __m512i, carry: Factor) -> __m512i {
        let zero = _mm512_setzero_si512();
        let upper = self.scale_add(high, carry, zero);
        let quotient = _mm512_madd52hi_epu64(zero, low, self.short_inverse);
        let rest = _mm512_madd52lo_epu64(low, quotient, self.minus);
        self.settle(_mm512_add_epi64(upper, _mm512_and_si512(rest, self.mask)))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all(word: u64) -> __m512i {
    _mm512_set1_epi64(word as i64)
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

/// The words of a slice's last, incomplete eight, with zeros after them.
fn padded(rest: &[u64]) -> [u64; 8] {
    let mut eight = [0; 8];
    eight[..rest.len()].copy_from_slice(rest);
    eight
}

/// `out := work(out, a, b)` eight words at a time.
#[inline]
#[target_feature(enable = "avx512f")]
fn over(
    out: &mut [u64],
    a: &[u64],
    b: &[u64],
    work: impl Fn(__m512i, __m512i, __m512i) -> __m512i,
) {
    let (places, rest) = out.as_chunks_mut::<8>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for ((place, a), b) in places.iter_mut().zip(a).zip(b) {
        store(place, work(load(place), load(a), load(b)));
    }
    if !rest.is_empty() {
        let mut last = padded(rest);
        let result = work(load(&last), load(&padded(a_rest)), load(&padded(b_rest)));
        store(&mut last, result);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// `out := work(out, a)`.
#[inline]
#[target_feature(enable = "avx512f")]
fn over_two(out: &mut [u64], a: &[u64], work: impl Fn(__m512i, __m512i) -> __m512i) {
    let (places, rest) = out.as_chunks_mut::<8>();
    let (a, a_rest) = a.as_chunks::<8>();
    for (place, a) in places.iter_mut().zip(a) {
        store(place, work(load(place), load(a)));
    }
    if !rest.is_empty() {
        let mut last = padded(rest);
        let result = work(load(&last), load(&padded(a_rest)));
        store(&mut last, result);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// `out := work(out)`.
#[inline]
#[target_feature(enable = "avx512f")]
fn over_one(out: &mut [u64], work: impl Fn(__m512i) -> __m512i) {
    let (places, rest) = out.as_chunks_mut::<8>();
    for place in places {
        store(place, work(load(place)));
    }
    if !rest.is_empty() {
        let mut last = padded(rest);
        let result = work(load(&last));
        store(&mut last, result);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// A function that checks the processor and calls its body compiled for AVX-512.
macro_rules! kernel {
    ($name:ident($q:ident $(, $argument:ident: $kind:ty)*) |$lanes:ident| $body:block) => {
        pub fn $name($q: Modulus $(, $argument: $kind)*) {
            #[target_feature(enable = "avx512f,avx512ifma")]
            fn inside($q: Modulus $(, $argument: $kind)*) {
                let $lanes = Lanes::new($q);
                $body
            }
            assert!(super::ntt::Path::Avx512.is_available());
            // SAFETY: the processor has what `inside` is compiled for.
            unsafe { inside($q $(, $argument)*) }
        }
    };
}

kernel!(add_assign(q, a: &mut [u64], b: &[u64]) |lanes| {
    over_two(a, b, |x, y| lanes.add(x, y));
});

kernel!(sub_assign(q, a: &mut [u64], b: &[u64]) |lanes| {
    over_two(a, b, |x, y| lanes.sub(x, y));
});

kernel!(neg_assign(q, a: &mut [u64]) |lanes| {
    over_one(a, |x| lanes.sub(_mm512_setzero_si512(), x));
});

kernel!(mul_assign(q, a: &mut [u64], b: &[u64]) |lanes| {
    over_two(a, b, |x, y| lanes.mul(x, y));
});

kernel!(mul_to(q, out: &mut [u64], a: &[u64], b: &[u64]) |lanes| {
    over(out, a, b, |_, x, y| lanes.mul(x, y));
});

kernel!(mul_add_assign(q, sum: &mut [u64], a: &[u64], b: &[u64]) |lanes| {
    over(sum, a, b, |sum, x, y| lanes.mul_add(x, y, sum));
});

kernel!(mul_scalar_assign(q, a: &mut [u64], w: u64) |lanes| {
    let factor = lanes.factor(w);
    over_one(a, |x| lanes.scale(x, factor));
});

kernel!(mul_scalar_add_assign(q, sum: &mut [u64], a: &[u64], w: u64) |lanes| {
    let factor = lanes.factor(w);
    over_two(sum, a, |sum, x| lanes.settle(lanes.scale_add(x, factor, sum)));
});

kernel!(sub_mul_scalar_assign(q, a: &mut [u64], b: &[u64], w: u64) |lanes| {
    let factor = lanes.factor(w);
    over_two(a, b, |x, y| {
        // Below 2q: what Shoup's factor takes need not be a residue.
        let less = _mm512_sub_epi64(_mm512_add_epi64(x, lanes.q), y);
        lanes.scale(less, factor)
    });
});

kernel!(sub_mul_scalar_to(q, out: &mut [u64], a: &[u64], b: &[u64], w: u64) |lanes| {
    let factor = lanes.factor(w);
    over(out, a, b, |_, x, y| {
        let less = _mm512_sub_epi64(_mm512_add_epi64(x, lanes.q), y);
        lanes.scale(less, factor)
    });
});

kernel!(reduce_assign(q, a: &mut [u64]) |lanes| {
    let carry = lanes.factor(q.reduce(1 << 52));
    over_one(a, |x| lanes.reduce(x, carry));
});

kernel!(reduce_to(q, out: &mut [u64], a: &[u64]) |lanes| {
    let carry = lanes.factor(q.reduce(1 << 52));
    over_two(out, a, |_, x| lanes.reduce(x, carry));
});

// x and then the residue of x - from where x is over from / 2: x < 2^50.
kernel!(lift_centred_to(q, out: &mut [u64], a: &[u64], from: Modulus) |lanes| {
    let half = all(from.value() / 2);
    let shift = all(q.reduce(from.value()));
    over_two(out, a, |_, x| {
        let above = _mm512_cmpgt_epu64_mask(x, half);
        let less = _mm512_maskz_mov_epi64(above, shift);
        lanes.sub(lanes.reduce_short(x), less)
    });
});

kernel!(from_small(q, a: &[i8], out: &mut [u64]) |lanes| {
    let (places, rest) = out.as_chunks_mut::<8>();
    let (a, a_rest) = a.as_chunks::<8>();
    for (place, a) in places.iter_mut().zip(a) {
        let bytes = _mm_cvtsi64_si128(i64::from_le_bytes(a.map(|x| x as u8)));
        let wide = _mm512_cvtepi8_epi64(bytes);
        // A negative number is a huge word: adding q makes it the smaller of the two.
        store(place, _mm512_min_epu64(wide, _mm512_add_epi64(wide, lanes.q)));
    }
    for (place, &x) in rest.iter_mut().zip(a_rest) {
        *place = lanes.modulus.reduce_signed(i64::from(x));
    }
});

kernel!(dot(q, out: &mut [u64], pairs: &[(&[u64], &[u64])]) |lanes| {
    let carry = lanes.factor(q.reduce(1 << 52));
    let mut batches = pairs.chunks(BATCH);
    match batches.next() {
        Some(batch) => dot_batch::<false>(&lanes, carry, out, batch),
        None => out.fill(0),
    }
    for batch in batches {
        dot_batch::<true>(&lanes, carry, out, batch);
    }
});

kernel!(dot_two(q, first: &mut [u64], second: &mut [u64], triples: &[[&[u64]; 3]]) |lanes| {
    let carry = lanes.factor(q.reduce(1 << 52));
    let mut batches = triples.chunks(BATCH);
    match batches.next() {
        Some(batch) => dot_two_batch::<false>(&lanes, carry, first, second, batch),
        None => {
            first.fill(0);
            second.fill(0);
        }
    }
    for batch in batches {
        dot_two_batch::<true>(&lanes, carry, first, second, batch);
    }
});

/// The lower and the upper 52 bits of products, summed apart.
///
/// As (q - 1)^2 < 2^100 - 2^51, an upper half is at most 2^48 - 1; `BATCH` of them and the lower sum's carry
/// of at most `BATCH - 1` are below 2^52.
#[derive(Clone, Copy)]
struct Halves {
    low: __m512i,
    high: __m512i,
}

impl Halves {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        Self {
            low: _mm512_setzero_si512(),
            high: _mm512_setzero_si512(),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_product(&mut self, x: __m512i, y: __m512i) {
        self.low = _mm512_madd52lo_epu64(self.low, x, y);
        self.high = _mm512_madd52hi_epu64(self.high, x, y);
    }

    /// The sum's residue, plus what stands in `place` already.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn put<const ADD: bool>(self, lanes: &Lanes, carry: Factor, place: &mut [u64; 8]) {
        let high = _mm512_add_epi64(self.high, _mm512_srli_epi64::<52>(self.low));
        let sum = lanes.reduce_halves(high, self.low, carry);
        store(
            place,
            if ADD {
                lanes.add(load(place), sum)
            } else {
                sum
            },
        );
    }
}

/// At most `BATCH` pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn dot_batch<const ADD: bool>(
    lanes: &Lanes,
    carry: Factor,
    out: &mut [u64],
    pairs: &[(&[u64], &[u64])],
) {
    for (index, place) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let mut sum = Halves::new();
        for (a, b) in pairs {
            sum.add_product(eight(a, index), eight(b, index));
        }
        sum.put::<ADD>(lanes, carry, place);
    }
    for place in out.len() / 8 * 8..out.len() {
        let before = if ADD { out[place] } else { 0 };
        let products = pairs.iter().map(|(a, b)| (a[place], b[place]));
        out[place] = rest(lanes.modulus, before, products);
    }
}

/// At most `BATCH` triples.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn dot_two_batch<const ADD: bool>(
    lanes: &Lanes,
    carry: Factor,
    first: &mut [u64],
    second: &mut [u64],
    triples: &[[&[u64]; 3]],
) {
    let places = first.as_chunks_mut::<8>().0.iter_mut();
    let places = places.zip(second.as_chunks_mut::<8>().0);
    for (index, (first, second)) in places.enumerate() {
        let (mut one, mut two) = (Halves::new(), Halves::new());
        for [x, a, b] in triples {
            let x = eight(x, index);
            one.add_product(x, eight(a, index));
            two.add_product(x, eight(b, index));
        }
        one.put::<ADD>(lanes, carry, first);
        two.put::<ADD>(lanes, carry, second);
    }
    for (out, half) in [(first, 1), (second, 2)] {
        for place in out.len() / 8 * 8..out.len() {
            let before = if ADD { out[place] } else { 0 };
            let products = triples
                .iter()
                .map(|triple| (triple[0][place], triple[half][place]));
            out[place] = rest(lanes.modulus, before, products);
        }
    }
}

/// One place of a sum of products, for what is left beyond whole eights.
fn rest(q: Modulus, before: u64, products: impl Iterator<Item = (u64, u64)>) -> u64 {
    products.fold(before, |sum, (a, b)| q.mul_add(a, b, sum))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn eight(from: &[u64], index: usize) -> __m512i {
    load(&from.as_chunks::<8>().0[index])
}

/// Moves whole eights and permutes within them.
///
/// # Panics
/// If an eight is read from beyond `src`.
pub(super) fn permute(eights: &[Eight], src: &[[u64; 8]], dst: &mut [[u64; 8]]) {
    #[target_feature(enable = "avx512f")]
    fn inside(eights: &[Eight], src: &[[u64; 8]], dst: &mut [[u64; 8]]) {
        for (place, eight) in dst.iter_mut().zip(eights) {
            let bytes = _mm_cvtsi64_si128(i64::from_le_bytes(eight.lanes));
            let lanes = _mm512_cvtepu8_epi64(bytes);
            store(
                place,
                _mm512_permutexvar_epi64(lanes, load(&src[eight.from as usize])),
            );
        }
    }
    assert!(super::ntt::Path::Avx512.is_available());
    // SAFETY: the processor has what `inside` is compiled for.
    unsafe { inside(eights, src, dst) }
}
