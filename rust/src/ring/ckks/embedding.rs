//! The canonical embedding: between N real coefficients and N/2 slots, in N/2 log N complex steps.
//!
//! Slot j is the polynomial's value at the (3^j)-th power of a primitive 2N-th root of unity, as
//! `automorphism::GENERATOR` has it, so that X -> X^(3^r) rotates the slots by r to the left. Slots
//! are real here: the conjugate half of the values is not stored, and coefficients i and i + N/2
//! travel as one complex number.
//!
//! The transform runs over powers of 5, which are 1 modulo 4 and so halve well. Every 3^j is 5^k or
//! -5^k for one k; the values there are conjugates, hence for reals the same: `order[j]` is that k.

use std::f64::consts::PI;

use crate::ring::automorphism::GENERATOR;

/// Roots of unity for one ring degree, one run of them for each stage.
pub struct Embedding {
    slots: usize,
    /// At `half + j`: the (5^j)-th power of the primitive (8 half)-th root.
    roots: Vec<[f64; 2]>,
    /// Where the transform has slot j.
    order: Vec<u32>,
}

impl Embedding {
    pub fn new(log_n: u32) -> Self {
        let slots = 1usize << (log_n - 1);
        let mut roots = vec![[1.0, 0.0]; slots.max(2)];
        let mut half = 1;
        while half < slots {
            let order = 8 * half;
            let mut power = 1;
            for root in &mut roots[half..2 * half] {
                let angle = 2.0 * PI * (power as f64) / (order as f64);
                *root = [angle.cos(), angle.sin()];
                power = power * 5 % order;
            }
            half *= 2;
        }
        Self {
            slots,
            roots,
            order: slot_order(slots),
        }
    }

    /// Where the transform has slot j.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Values at the roots from coefficients, in place, in the transform's order.
    pub fn forward(&self, re: &mut [f64], im: &mut [f64]) {
        bit_reverse(re);
        bit_reverse(im);
        let mut half = 1;
        while half < self.slots {
            let roots = &self.roots[half..2 * half];
            for (re, im) in re
                .chunks_exact_mut(2 * half)
                .zip(im.chunks_exact_mut(2 * half))
            {
                let (low_re, high_re) = re.split_at_mut(half);
                let (low_im, high_im) = im.split_at_mut(half);
                for j in 0..half {
                    let [cos, sin] = roots[j];
                    let v_re = high_re[j] * cos - high_im[j] * sin;
                    let v_im = high_re[j] * sin + high_im[j] * cos;
                    let (u_re, u_im) = (low_re[j], low_im[j]);
                    (low_re[j], low_im[j]) = (u_re + v_re, u_im + v_im);
                    (high_re[j], high_im[j]) = (u_re - v_re, u_im - v_im);
                }
            }
            half *= 2;
        }
    }

    /// Coefficients from values in the transform's order, in place, each still to be divided by the number of slots.
    pub fn inverse(&self, re: &mut [f64], im: &mut [f64]) {
        let mut half = self.slots / 2;
        while half >= 1 {
            let roots = &self.roots[half..2 * half];
            for (re, im) in re
                .chunks_exact_mut(2 * half)
                .zip(im.chunks_exact_mut(2 * half))
            {
                let (low_re, high_re) = re.split_at_mut(half);
                let (low_im, high_im) = im.split_at_mut(half);
                for j in 0..half {
                    let [cos, sin] = roots[j];
                    let (u_re, u_im) = (low_re[j], low_im[j]);
                    let (v_re, v_im) = (u_re - high_re[j], u_im - high_im[j]);
                    (low_re[j], low_im[j]) = (u_re + high_re[j], u_im + high_im[j]);
                    high_re[j] = v_re * cos + v_im * sin;
                    high_im[j] = v_im * cos - v_re * sin;
                }
            }
            half /= 2;
        }
        bit_reverse(re);
        bit_reverse(im);
    }
}

fn slot_order(slots: usize) -> Vec<u32> {
    let twice = 4 * slots;
    let mut place = vec![0u32; twice];
    let mut power = 1;
    for k in 0..slots {
        place[power] = k as u32;
        place[twice - power] = k as u32;
        power = power * 5 % twice;
    }
    let mut power = 1;
    let mut order = Vec::with_capacity(slots);
    for _ in 0..slots {
        order.push(place[power]);
        power = power * GENERATOR as usize % twice;
    }
    order
}

fn bit_reverse(values: &mut [f64]) {
    let bits = values.len().trailing_zeros();
    for i in 0..values.len() {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_polynomial_at_powers_of_three() {
        let (log_n, n) = (5, 32usize);
        let coefficients: Vec<f64> = (0..n).map(|i| ((i * 7 + 3) % 11) as f64 - 5.0).collect();
        let (mut re, mut im) = (
            coefficients[..n / 2].to_vec(),
            coefficients[n / 2..].to_vec(),
        );
        let embedding = Embedding::new(log_n);
        embedding.forward(&mut re, &mut im);
        let mut power = 1;
        for k in 0..n / 2 {
            let (mut x, mut y) = (0.0, 0.0);
            for (i, c) in coefficients.iter().enumerate() {
                let angle = PI * ((power * i) as f64) / (n as f64);
                x += c * angle.cos();
                y += c * angle.sin();
            }
            let at = embedding.order()[k] as usize;
            assert!((re[at] - x).abs() < 1e-9, "{k}");
            assert!((im[at].abs() - y.abs()).abs() < 1e-9, "{k}");
            power = power * GENERATOR as usize % (2 * n);
        }
        embedding.inverse(&mut re, &mut im);
        for i in 0..n / 2 {
            assert!((re[i] / 16.0 - coefficients[i]).abs() < 1e-12);
            assert!((im[i] / 16.0 - coefficients[i + n / 2]).abs() < 1e-12);
        }
    }
}
