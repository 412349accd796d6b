//! Vectors of reals to polynomials and back. A real is an integer divided by the scale.

use zeroize::Zeroize;

use crate::ring::ckks::crt;
use crate::ring::fault::Fault;
use crate::ring::modulus::Modulus;
use crate::ring::params::Params;
use crate::ring::vector;

/// Room for one vector's coefficients, to be used again. Wiped when dropped.
pub struct Room {
    re: Vec<f64>,
    im: Vec<f64>,
    residues: Vec<u64>,
    words: Vec<u64>,
    /// Where all coefficients are small: the modulus whose residues of them stand in `words`.
    narrow: Option<Modulus>,
}

impl Room {
    pub fn new(params: &Params) -> Self {
        Self {
            re: vec![0.0; params.slots()],
            im: vec![0.0; params.slots()],
            residues: Vec::new(),
            words: Vec::new(),
            narrow: None,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.re.zeroize();
        self.im.zeroize();
        self.residues.zeroize();
        self.words.zeroize();
    }
}

/// To the nearest integer, ties to even, as float64 addition does it; not for NaN.
#[inline(always)]
fn round(x: f64) -> f64 {
    const WHOLE: f64 = (1u64 << 52) as f64;
    let shift = WHOLE.copysign(x);
    if x.abs() < WHOLE {
        (x + shift) - shift
    } else {
        x
    }
}

/// An odd number above twice the sizes that take the short way: integers stand as their residues modulo it.
const NARROW: u64 = (1 << 50) - 1;

/// The largest error that `Room::add_error` takes.
const MOST_ERROR: f64 = 127.0;

impl Room {
    /// Rounds `values * scale` to a polynomial's coefficients, which stay here.
    ///
    /// Faults: `not-finite`, and `too-large` where a coefficient is not below half the modulus, so
    /// that it would wrap.
    pub fn round(
        &mut self,
        params: &Params,
        values: &[f64],
        scale: f64,
        level: usize,
    ) -> Result<(), Fault> {
        let (n, slots) = (params.n(), params.slots());
        for (&at, &value) in params.embedding.order().iter().zip(values) {
            self.re[at as usize] = value;
        }
        self.im.fill(0.0);
        params.embedding.inverse(&mut self.re, &mut self.im);
        let factor = scale / slots as f64;
        let (mut most, mut finite) = (0.0f64, true);
        for x in self.re.iter_mut().chain(self.im.iter_mut()) {
            *x = round(*x * factor);
            // A NaN would be lost in `max`.
            finite &= x.is_finite();
            most = most.max(x.abs());
        }
        if !finite {
            return Err(Fault::new("not-finite"));
        }
        let half = params.primes[..level]
            .iter()
            .map(|&p| p as f64)
            .product::<f64>()
            / 2.0;
        // The margin covers the rounding of `half` itself.
        if most >= half * (1.0 - 1e-12) || most >= 2f64.powi(126) {
            return Err(Fault::new("too-large"));
        }
        self.narrow =
            Modulus::new(NARROW).filter(|narrow| most + MOST_ERROR < (narrow.value() / 2) as f64);
        if let Some(narrow) = self.narrow {
            self.words.resize(n, 0);
            let coefficients = self.re.iter().chain(&self.im);
            for (word, &x) in self.words.iter_mut().zip(coefficients) {
                let x = x as i64;
                *word = (x as u64).wrapping_add(narrow.value() & ((x >> 63) as u64));
            }
        }
        Ok(())
    }

    /// Adds small errors to the coefficients, without a branch on them.
    pub fn add_error(&mut self, error: &[i8]) {
        self.residues.resize(error.len(), 0);
        if let Some(narrow) = self.narrow {
            vector::from_small(narrow, error, &mut self.residues);
            vector::add_assign(narrow, &mut self.words, &self.residues);
        } else {
            // Two's complement, to be added to 128-bit numbers.
            for (place, &error) in self.residues.iter_mut().zip(error) {
                *place = i64::from(error) as u64;
            }
        }
    }

    /// The coefficients' residues modulo one component, in NTT form.
    pub fn write(&self, params: &Params, component: usize, out: &mut [u64]) {
        let modulus = params.modulus(component);
        if let Some(narrow) = self.narrow {
            vector::lift_centred_to(modulus, out, &self.words, narrow);
        } else {
            let coefficients = self.re.iter().chain(&self.im);
            let errors = self.residues.iter().copied().chain(std::iter::repeat(0));
            for ((place, &x), error) in out.iter_mut().zip(coefficients).zip(errors) {
                *place = modulus.reduce_signed_wide(x as i128 + i128::from(error as i64));
            }
        }
        params.table(component).forward(out);
    }
}

/// Rounds `values * scale` to a polynomial and writes its `level` residues in NTT form.
pub fn encode(
    params: &Params,
    values: &[f64],
    scale: f64,
    level: usize,
    room: &mut Room,
    out: &mut [u64],
) -> Result<(), Fault> {
    room.round(params, values, scale, level)?;
    room.residues.clear();
    for (component, place) in out.chunks_exact_mut(params.n()).enumerate() {
        room.write(params, component, place);
    }
    Ok(())
}

/// The reals of a polynomial given by its `level` residues in NTT form.
pub fn decode(
    params: &Params,
    poly: &[u64],
    scale: f64,
    level: usize,
    room: &mut Room,
    out: &mut [f64],
) {
    let (n, slots) = (params.n(), params.slots());
    room.residues.clear();
    room.residues.extend_from_slice(&poly[..level * n]);
    for (component, residues) in room.residues.chunks_exact_mut(n).enumerate() {
        params.table(component).inverse(residues);
    }
    crt::balance(params, &mut room.residues, &mut room.words);
    for (at, half) in [(0, &mut room.re), (slots, &mut room.im)] {
        crt::balanced_to_float(params, &room.residues, at, half);
        half.iter_mut().for_each(|x| *x /= scale);
    }
    params.embedding.forward(&mut room.re, &mut room.im);
    for (&at, value) in params.embedding.order().iter().zip(out) {
        *value = room.re[at as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::params::Scheme;
    use crate::ring::params::tests::small;

    #[test]
    fn what_is_encoded_is_decoded_at_every_level_and_scale() {
        let params = small(Scheme::Ckks);
        let mut room = Room::new(&params);
        let slots = params.slots();
        let values: Vec<f64> = (0..slots).map(|i| (i as f64 * 0.37).sin() * 3.0).collect();
        for level in 1..=3 {
            for bits in [10, 15, 22, 60] {
                let scale = 2f64.powi(bits);
                let mut poly = vec![0; level * params.n()];
                let made = encode(&params, &values, scale, level, &mut room, &mut poly);
                if bits == 60 && level < 3 {
                    assert_eq!(made.unwrap_err().code, "too-large");
                    continue;
                }
                made.unwrap();
                let mut back = vec![0.0; slots];
                decode(&params, &poly, scale, level, &mut room, &mut back);
                let worst = values
                    .iter()
                    .zip(&back)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f64::max);
                // Rounding: N coefficients of at most 1/2 each, typically their square root's size.
                assert!(worst < 200.0 / scale + 1e-12, "{level} {bits} {worst}");
            }
        }
    }

    #[test]
    fn rounding_is_that_of_the_standard_library() {
        let whole = (1u64 << 52) as f64;
        for x in [
            0.0,
            0.5,
            1.5,
            2.5,
            0.49999999999999994,
            1e9 + 0.5,
            whole - 0.5,
            whole,
            1e300,
        ] {
            for x in [x, -x, x * 0.7, x * 1.1] {
                assert_eq!(round(x), x.round_ties_even());
            }
        }
    }

    #[test]
    fn the_short_and_the_wide_way_meet() {
        let params = small(Scheme::Ckks);
        let (n, room) = (params.n(), &mut Room::new(&params));
        // Constants just below and above the border between the two.
        let border = (NARROW / 2) as f64;
        for x in [
            border - 3.0,
            border + 3.0,
            3.0 - border,
            -border - 3.0,
            0.0,
            -1.0,
        ] {
            let mut poly = vec![0; 3 * n];
            encode(&params, &vec![x; n / 2], 1.0, 3, room, &mut poly).unwrap();
            for (at, words) in poly.chunks_exact(n).enumerate() {
                let expected = params.modulus(at).reduce_signed(x as i64);
                assert!(words.iter().all(|&word| word == expected), "{x}");
            }
        }
    }

    #[test]
    fn what_cannot_be_written_is_a_fault() {
        let params = small(Scheme::Ckks);
        let mut room = Room::new(&params);
        let mut poly = vec![0; params.n()];
        for (value, code) in [
            (f64::NAN, "not-finite"),
            (f64::INFINITY, "not-finite"),
            (1e6, "too-large"),
        ] {
            let values = vec![value; params.slots()];
            let made = encode(&params, &values, 1024.0, 1, &mut room, &mut poly);
            assert_eq!(made.unwrap_err().code, code);
        }
    }
}
