//! Threshold sums, as Python asks for them: packed bytes in, packed bytes out.

use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use super::keys::{PyPublicKey, PySecretKey};
use crate::ring::fault::Fault;
use crate::ring::keys::SecretKey;
use crate::ring::threshold::{self, LEAST_SMUDGING, Packing};

type Bytes<'py> = PyReadonlyArray1<'py, u8>;
type Made<'py> = Bound<'py, PyArray1<u8>>;

fn slice<'a>(bytes: &'a Bytes<'_>) -> Result<&'a [u8], Fault> {
    bytes.as_slice().map_err(|_| Fault::new("not-contiguous"))
}

fn seed(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| Fault::new("bad-seed"))
}

/// (values a coefficient, bits of a value, bits between values, bits below, bits of smudging).
type Shape = (usize, u32, u32, u32, u32);

fn packing((per, width, stride, scale, smudging): Shape) -> Packing {
    Packing {
        per,
        width,
        stride,
        scale,
        smudging,
    }
}

/// Of a ring: its primes, the bits its product surely has room for, the noise bound of so many members.
#[pyfunction]
fn threshold_ring(log_n: u32, members: usize) -> PyResult<(Vec<u64>, u32, u128)> {
    let params = threshold::ring(log_n)?;
    if !(1..=threshold::MOST_MEMBERS).contains(&members) {
        return Err(Fault::new("bad-packing").into());
    }
    let noise = threshold::fresh_noise(&params, members);
    Ok((params.primes.clone(), params.bits() - 1, noise))
}

/// Whether sums in this packing are exact and hidden, or a fault.
#[pyfunction]
fn threshold_check(log_n: u32, shape: Shape, members: usize) -> PyResult<()> {
    let params = threshold::ring(log_n)?;
    Ok(packing(shape).check(&params, members)?)
}

#[pyfunction]
fn threshold_secret(py: Python<'_>, log_n: u32) -> PyResult<PySecretKey> {
    let made = py.detach(|| SecretKey::generate(&threshold::ring(log_n)?))?;
    Ok(PySecretKey::new(made))
}

#[pyfunction]
fn threshold_share<'py>(
    py: Python<'py>,
    secret: &PySecretKey,
    common: &[u8],
) -> PyResult<Made<'py>> {
    let (secret, common) = (secret.key()?, seed(common)?);
    let made = py.detach(|| threshold::share(&secret, common))?;
    Ok(PyArray1::from_vec(py, made))
}

#[pyfunction]
fn threshold_joint(
    py: Python<'_>,
    log_n: u32,
    common: &[u8],
    shares: Vec<Bytes<'_>>,
) -> PyResult<PyPublicKey> {
    let common = seed(common)?;
    let shares = shares.iter().map(slice).collect::<Result<Vec<_>, _>>()?;
    let made = py.detach(|| threshold::joint(&threshold::ring(log_n)?, common, &shares))?;
    Ok(PyPublicKey(Arc::new(made)))
}

#[pyfunction]
fn threshold_encrypt<'py>(
    py: Python<'py>,
    key: &PyPublicKey,
    shape: Shape,
    members: usize,
    values: PyReadonlyArray1<'py, u64>,
    coefficients: usize,
    threads: usize,
) -> PyResult<(Made<'py>, Made<'py>)> {
    let values = values
        .as_slice()
        .map_err(|_| Fault::new("not-contiguous"))?;
    let shape = packing(shape);
    let (first, second) =
        py.detach(|| threshold::encrypt(&key.0, &shape, members, values, coefficients, threads))?;
    Ok((
        PyArray1::from_vec(py, first),
        PyArray1::from_vec(py, second),
    ))
}

#[pyfunction]
fn threshold_add<'py>(
    py: Python<'py>,
    log_n: u32,
    coefficients: usize,
    halves: Vec<Bytes<'py>>,
    second: bool,
    threads: usize,
) -> PyResult<Made<'py>> {
    let halves = halves.iter().map(slice).collect::<Result<Vec<_>, _>>()?;
    let made = py.detach(|| {
        threshold::add(
            &*threshold::ring(log_n)?,
            coefficients,
            &halves,
            second,
            threads,
        )
    })?;
    Ok(PyArray1::from_vec(py, made))
}

/// `[check][prime]` of the first and of the second halves; zeroes for what is not given.
#[pyfunction]
fn threshold_hash<'py>(
    py: Python<'py>,
    log_n: u32,
    key: &[u8],
    coefficients: usize,
    first: Option<Bytes<'py>>,
    second: Option<Bytes<'py>>,
    threads: usize,
) -> PyResult<(Vec<u64>, Vec<u64>)> {
    let key = seed(key)?;
    let first = first.as_ref().map(slice).transpose()?;
    let second = second.as_ref().map(slice).transpose()?;
    let [first, second] = py.detach(|| {
        threshold::hash(
            &*threshold::ring(log_n)?,
            &key,
            coefficients,
            first,
            second,
            threads,
        )
    })?;
    Ok((first, second))
}

#[pyfunction]
fn threshold_partial<'py>(
    py: Python<'py>,
    secret: &PySecretKey,
    shape: Shape,
    members: usize,
    second: Bytes<'py>,
    coefficients: usize,
    threads: usize,
) -> PyResult<Made<'py>> {
    let (secret, shape, second) = (secret.key()?, packing(shape), slice(&second)?);
    let made =
        py.detach(|| threshold::partial(&secret, &shape, members, second, coefficients, threads))?;
    Ok(PyArray1::from_vec(py, made))
}

#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn threshold_finish<'py>(
    py: Python<'py>,
    secret: &PySecretKey,
    shape: Shape,
    members: usize,
    first: Bytes<'py>,
    second: Bytes<'py>,
    coefficients: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let (secret, shape) = (secret.key()?, packing(shape));
    let (first, second) = (slice(&first)?, slice(&second)?);
    let made = py.detach(|| {
        threshold::finish(
            &secret,
            &shape,
            members,
            first,
            second,
            coefficients,
            threads,
        )
    })?;
    Ok(PyArray1::from_vec(py, made))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("THRESHOLD_LEAST_SMUDGING", LEAST_SMUDGING)?;
    m.add_function(wrap_pyfunction!(threshold_ring, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_check, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_secret, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_share, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_joint, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_encrypt, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_add, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_hash, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_partial, m)?)?;
    m.add_function(wrap_pyfunction!(threshold_finish, m)?)?;
    Ok(())
}
