//! Slices of residues by AVX2 and FMA. `vector` checks lengths, operands and that the processor has it.
//!
//! # Why the numbers fit
//! Products go through doubles as in `simd_avx2`. Of two residues a, b < q < 2^50: h = a b rounded,
//! h + l = a b exactly, c = rint(h / q) with an error below 1/2 + q / 2^52 <= 3/4, so a b - c q is within
//! 3q/4 and comes out exact as (h - c q) + l. A factor of a whole slice is centred first, as a root is.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::modulus::Modulus;
use super::simd_avx2::{Lanes, load, store};

/// What a product needs beside the transform's lanes.
struct Slices {
    modulus: Modulus,
    lanes: Lanes,
    q: __m256i,
}

impl Slices {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn new(modulus: Modulus) -> Self {
        Self {
            modulus,
            lanes: Lanes::new(modulus),
            q: all(modulus.value()),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn factor(&self, w: u64) -> [__m256d; 2] {
        let centred = self.modulus.centred(w) as f64;
        [
            _mm256_set1_pd(centred),
            _mm256_set1_pd(centred / self.modulus.value() as f64),
        ]
    }

    /// x or x + q, whichever is not negative.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn raise(&self, x: __m256i) -> __m256i {
        let negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), x);
        _mm256_add_epi64(x, _mm256_and_si256(negative, self.q))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&self, a: __m256i, b: __m256i) -> __m256i {
        self.raise(_mm256_sub_epi64(_mm256_add_epi64(a, b), self.q))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sub(&self, a: __m256i, b: __m256i) -> __m256i {
        self.raise(_mm256_sub_epi64(a, b))
    }

    /// The product of two residues, within 3q/4.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn product(&self, a: __m256i, b: __m256i) -> __m256d {
        let (a, b) = (self.lanes.enter(a), self.lanes.enter(b));
        let high = _mm256_mul_pd(a, b);
        let low = _mm256_fmsub_pd(a, b, high);
        // The multiple taken away is that nearest to the rounded product.
        _mm256_add_pd(self.lanes.reduce(high), low)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn mul(&self, a: __m256i, b: __m256i) -> __m256i {
        self.lanes.leave(self.product(a, b))
    }

    /// The residue of any 64-bit word: its upper 32 bits times 2^32, and its lower 32.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn reduce(&self, x: __m256i, carry: [__m256d; 2]) -> __m256i {
        let high = self.lanes.enter(_mm256_srli_epi64::<32>(x));
        let low = self
            .lanes
            .enter(_mm256_and_si256(x, all(u64::from(u32::MAX))));
        let sum = _mm256_add_pd(self.lanes.times(high, carry), low);
        self.lanes.leave(self.lanes.reduce(sum))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn all(word: u64) -> __m256i {
    _mm256_set1_epi64x(word as i64)
}

/// The words of a slice's last, incomplete four, with zeros after them.
fn padded(rest: &[u64]) -> [u64; 4] {
    let mut four = [0; 4];
    four[..rest.len()].copy_from_slice(rest);
    four
}

/// `out := work(out, a, b)` four words at a time.
#[inline]
#[target_feature(enable = "avx2")]
fn over(
    out: &mut [u64],
    a: &[u64],
    b: &[u64],
    work: impl Fn(__m256i, __m256i, __m256i) -> __m256i,
) {
    let (places, rest) = out.as_chunks_mut::<4>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
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
#[target_feature(enable = "avx2")]
fn over_two(out: &mut [u64], a: &[u64], work: impl Fn(__m256i, __m256i) -> __m256i) {
    let (places, rest) = out.as_chunks_mut::<4>();
    let (a, a_rest) = a.as_chunks::<4>();
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
#[target_feature(enable = "avx2")]
fn over_one(out: &mut [u64], work: impl Fn(__m256i) -> __m256i) {
    let (places, rest) = out.as_chunks_mut::<4>();
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

/// A function that checks the processor and calls its body compiled for AVX2.
macro_rules! kernel {
    ($name:ident($q:ident $(, $argument:ident: $kind:ty)*) |$slices:ident| $body:block) => {
        pub fn $name($q: Modulus $(, $argument: $kind)*) {
            #[target_feature(enable = "avx2,fma")]
            fn inside($q: Modulus $(, $argument: $kind)*) {
                let $slices = Slices::new($q);
                $body
            }
            assert!(super::ntt::Path::Avx2.is_available());
            // SAFETY: the processor has what `inside` is compiled for.
            unsafe { inside($q $(, $argument)*) }
        }
    };
}

kernel!(add_assign(q, a: &mut [u64], b: &[u64]) |slices| {
    over_two(a, b, |x, y| slices.add(x, y));
});

kernel!(sub_assign(q, a: &mut [u64], b: &[u64]) |slices| {
    over_two(a, b, |x, y| slices.sub(x, y));
});

kernel!(neg_assign(q, a: &mut [u64]) |slices| {
    over_one(a, |x| slices.sub(_mm256_setzero_si256(), x));
});

kernel!(mul_assign(q, a: &mut [u64], b: &[u64]) |slices| {
    over_two(a, b, |x, y| slices.mul(x, y));
});

kernel!(mul_to(q, out: &mut [u64], a: &[u64], b: &[u64]) |slices| {
    over(out, a, b, |_, x, y| slices.mul(x, y));
});

kernel!(mul_add_assign(q, sum: &mut [u64], a: &[u64], b: &[u64]) |slices| {
    over(sum, a, b, |sum, x, y| slices.add(sum, slices.mul(x, y)));
});

kernel!(mul_scalar_assign(q, a: &mut [u64], w: u64) |slices| {
    let (lanes, factor) = (slices.lanes, slices.factor(w));
    over_one(a, |x| lanes.leave(lanes.times(lanes.enter(x), factor)));
});

kernel!(mul_scalar_add_assign(q, sum: &mut [u64], a: &[u64], w: u64) |slices| {
    let (lanes, factor) = (slices.lanes, slices.factor(w));
    over_two(sum, a, |sum, x| {
        slices.add(sum, lanes.leave(lanes.times(lanes.enter(x), factor)))
    });
});

kernel!(sub_mul_scalar_assign(q, a: &mut [u64], b: &[u64], w: u64) |slices| {
    let (lanes, factor) = (slices.lanes, slices.factor(w));
    over_two(a, b, |x, y| {
        let less = _mm256_sub_pd(lanes.enter(x), lanes.enter(y));
        lanes.leave(lanes.times(less, factor))
    });
});

kernel!(sub_mul_scalar_to(q, out: &mut [u64], a: &[u64], b: &[u64], w: u64) |slices| {
    let (lanes, factor) = (slices.lanes, slices.factor(w));
    over(out, a, b, |_, x, y| {
        let less = _mm256_sub_pd(lanes.enter(x), lanes.enter(y));
        lanes.leave(lanes.times(less, factor))
    });
});

kernel!(reduce_assign(q, a: &mut [u64]) |slices| {
    let carry = slices.factor(q.reduce(1 << 32));
    over_one(a, |x| slices.reduce(x, carry));
});

kernel!(reduce_to(q, out: &mut [u64], a: &[u64]) |slices| {
    let carry = slices.factor(q.reduce(1 << 32));
    over_two(out, a, |_, x| slices.reduce(x, carry));
});

kernel!(lift_centred_to(q, out: &mut [u64], a: &[u64], from: Modulus) |slices| {
    let lanes = slices.lanes;
    let half = _mm256_set1_pd((from.value() / 2) as f64);
    let whole = _mm256_set1_pd(from.value() as f64);
    over_two(out, a, |_, x| {
        let x = lanes.enter(x);
        let above = _mm256_cmp_pd::<_CMP_GT_OQ>(x, half);
        let centred = _mm256_sub_pd(x, _mm256_and_pd(above, whole));
        lanes.leave(lanes.reduce(centred))
    });
});

kernel!(from_small(q, a: &[i8], out: &mut [u64]) |slices| {
    let (places, rest) = out.as_chunks_mut::<4>();
    let (a, a_rest) = a.as_chunks::<4>();
    for (place, a) in places.iter_mut().zip(a) {
        let bytes = _mm_cvtsi32_si128(i32::from_le_bytes(a.map(|x| x as u8)));
        store(place, slices.raise(_mm256_cvtepi8_epi64(bytes)));
    }
    for (place, &x) in rest.iter_mut().zip(a_rest) {
        *place = slices.modulus.reduce_signed(i64::from(x));
    }
});

kernel!(dot(q, out: &mut [u64], pairs: &[(&[u64], &[u64])]) |slices| {
    let lanes = slices.lanes;
    for (index, place) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        // Within q / 2 + 1 after each pair, so never above 5q/4 + 1.
        let mut sum = _mm256_setzero_pd();
        for (a, b) in pairs {
            let (x, y) = (four(a, index), four(b, index));
            sum = lanes.reduce(_mm256_add_pd(sum, slices.product(x, y)));
        }
        store(place, lanes.leave(sum));
    }
    for place in out.len() / 4 * 4..out.len() {
        let sum = pairs.iter().fold(0u128, |sum, (a, b)| {
            sum.wrapping_add(u128::from(a[place]) * u128::from(b[place]))
        });
        out[place] = slices.modulus.reduce_wide(sum);
    }
});

kernel!(dot_two(q, first: &mut [u64], second: &mut [u64], triples: &[[&[u64]; 3]]) |slices| {
    let lanes = slices.lanes;
    let places = first.as_chunks_mut::<4>().0.iter_mut();
    for (index, (first, second)) in places.zip(second.as_chunks_mut::<4>().0).enumerate() {
        let (mut one, mut two) = (_mm256_setzero_pd(), _mm256_setzero_pd());
        for [x, a, b] in triples {
            let x = four(x, index);
            one = lanes.reduce(_mm256_add_pd(one, slices.product(x, four(a, index))));
            two = lanes.reduce(_mm256_add_pd(two, slices.product(x, four(b, index))));
        }
        store(first, lanes.leave(one));
        store(second, lanes.leave(two));
    }
    for (out, half) in [(first, 1), (second, 2)] {
        for place in out.len() / 4 * 4..out.len() {
            let products = triples.iter().map(|triple| (triple[0][place], triple[half][place]));
            out[place] = products.fold(0, |sum, (a, b)| q.mul_add(a, b, sum));
        }
    }
});

#[inline]
#[target_feature(enable = "avx2")]
fn four(from: &[u64], index: usize) -> __m256i {
    load(&from.as_chunks::<4>().0[index])
}
