//! Encoding, decoding, expanding and checking of arrays, as Python calls them.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::{self, Reals, Words};
use super::held;
use super::params::PyParams;
use crate::ring::ckks::encode::{self, Room};
use crate::ring::fault::Fault;
use crate::ring::params::Params;
use crate::ring::{encrypt, parallel};

/// Reals `[count][slots]` to plaintexts `[count][level][N]`.
#[pyfunction]
fn ring_encode<'py>(
    py: Python<'py>,
    params: &PyParams,
    values: Reals<'py>,
    scale: f64,
    level: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
    let params: &Params = &params.0;
    let [count, slots] = *values.shape() else {
        return Err(Fault::new("bad-shape").into());
    };
    if slots != params.slots() || !(1..=params.levels()).contains(&level) {
        return Err(Fault::new("bad-shape").into());
    }
    if !(scale.is_finite() && scale > 0.0) {
        return Err(Fault::new("bad-scale").into());
    }
    let values = arrays::slice(&values)?;
    let made = py.detach(|| {
        let mut out = parallel::words(count, level * params.n())?;
        let room = || Room::new(params);
        parallel::each_with(
            &mut out,
            level * params.n(),
            threads,
            room,
            |room, row, out| {
                let values = &values[row * slots..][..slots];
                encode::encode(params, values, scale, level, room, out)
                    .map_err(|fault| Fault::at(fault.code, row))
            },
        )?;
        Ok::<_, Fault>(out)
    })?;
    arrays::array(py, made, &[count, level, params.n()])
}

/// Plaintexts `[count][level][N]` to reals `[count][slots]`.
#[pyfunction]
fn ring_decode<'py>(
    py: Python<'py>,
    params: &PyParams,
    plain: Words<'py>,
    scale: f64,
    threads: usize,
) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
    let params: &Params = &params.0;
    let (words, shape) = arrays::plaintexts(params, &plain)?;
    if !(scale.is_finite() && scale > 0.0) {
        return Err(Fault::new("bad-scale").into());
    }
    let slots = params.slots();
    let made = py.detach(|| {
        let mut out = parallel::reals(shape.count, slots)?;
        let room = || Room::new(params);
        parallel::each_with(&mut out, slots, threads, room, |room, row, out| {
            let poly = &words[row * shape.poly()..][..shape.poly()];
            encode::decode(params, poly, scale, shape.level, room, out);
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    arrays::array(py, made, &[shape.count, slots])
}

/// First halves `[count][level][N]` and a seed to ciphertexts `[count][2][level][N]`.
#[pyfunction]
fn ring_expand<'py>(
    py: Python<'py>,
    params: &PyParams,
    first: Words<'py>,
    seed: &[u8],
    threads: usize,
) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
    let params: &Params = &params.0;
    let (words, shape) = arrays::plaintexts(params, &first)?;
    let seed: [u8; 32] = seed.try_into().map_err(|_| Fault::new("bad-seed"))?;
    let poly = shape.poly();
    let made = py.detach(|| {
        parallel::fill(shape.count, 2 * poly, threads, |row, out| {
            let (first, second) = out.split_at_mut(poly);
            first.copy_from_slice(&words[row * poly..][..poly]);
            encrypt::expand(params, &seed, row, shape.level, second);
            Ok(())
        })
    })?;
    held::array(py, made, &[shape.count, 2, shape.level, shape.n])
}

/// Refuses residues that are not below their primes; the last two axes are level and N.
#[pyfunction]
fn ring_check(py: Python<'_>, params: &PyParams, words: Words<'_>, threads: usize) -> PyResult<()> {
    let params: &Params = &params.0;
    let (level, n) = match *words.shape() {
        [.., level, n] => (level, n),
        _ => return Err(Fault::new("bad-shape").into()),
    };
    if n != params.n() || !(1..=params.levels()).contains(&level) {
        return Err(Fault::new("bad-shape").into());
    }
    let words = arrays::slice(&words)?;
    py.detach(|| {
        parallel::check(words.len() / n, threads, |row| {
            let prime = params.primes[row % level];
            let most = words[row * n..][..n].iter().copied().fold(0, u64::max);
            if most < prime {
                Ok(())
            } else {
                Err(Fault::new("not-reduced"))
            }
        })
    })?;
    Ok(())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(ring_encode, m)?)?;
    m.add_function(wrap_pyfunction!(ring_decode, m)?)?;
    m.add_function(wrap_pyfunction!(ring_expand, m)?)?;
    m.add_function(wrap_pyfunction!(ring_check, m)?)?;
    Ok(())
}
