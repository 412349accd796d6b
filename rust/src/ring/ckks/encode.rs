//! Vectors of reals to polynomials and back. A real is an integer divided by the scale.

use crate::ring::ckks::crt::Crt;
use crate::ring::fault::Fault;
use crate::ring::params::{MOST_PRIMES, Params};

/// Room for one vector's coefficients, to be used again.
pub struct Room {
    re: Vec<f64>,
    im: Vec<f64>,
    residues: Vec<u64>,
}

impl Room {
    pub fn new(params: &Params) -> Self {
        Self {
            re: vec![0.0; params.slots()],
            im: vec![0.0; params.slots()],
            residues: Vec::new(),
        }
    }
}

/// Rounds `values * scale` to a polynomial and writes its `level` residues in NTT form.
///
/// Faults: `not-finite`, and `too-large` where a coefficient is not below half the modulus, so that
/// it would wrap.
pub fn encode(
    params: &Params,
    values: &[f64],
    scale: f64,
    level: usize,
    room: &mut Room,
    out: &mut [u64],
) -> Result<(), Fault> {
    let slots = params.slots();
    for (&at, &value) in params.embedding.order().iter().zip(values) {
        room.re[at as usize] = value;
    }
    room.im.fill(0.0);
    params.embedding.inverse(&mut room.re, &mut room.im);
    let factor = scale / slots as f64;
    let mut most = 0.0f64;
    for x in room.re.iter_mut().chain(room.im.iter_mut()) {
        *x = (*x * factor).round_ties_even();
        // A NaN would be lost in `max`.
        most = if x.is_finite() {
            most.max(x.abs())
        } else {
            f64::INFINITY
        };
        if most == f64::INFINITY {
            return Err(Fault::new("not-finite"));
        }
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
    let narrow = most < 2f64.powi(62);
    for (component, place) in out.chunks_exact_mut(params.n()).enumerate() {
        let modulus = params.modulus(component);
        let coefficients = room.re.iter().chain(&room.im);
        if narrow {
            for (place, &x) in place.iter_mut().zip(coefficients) {
                *place = modulus.reduce_signed(x as i64);
            }
        } else {
            for (place, &x) in place.iter_mut().zip(coefficients) {
                *place = modulus.reduce_signed_wide(x as i128);
            }
        }
        params.table(component).forward(place);
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
    let crt = Crt::new(params, level);
    let mut digits = [0; MOST_PRIMES];
    for i in 0..n {
        crt.digits(|component| room.residues[component * n + i], &mut digits);
        let negative = crt.centre(&mut digits);
        let value = crt.to_float(&digits) / scale;
        let value = if negative { -value } else { value };
        if i < slots {
            room.re[i] = value;
        } else {
            room.im[i - slots] = value;
        }
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
