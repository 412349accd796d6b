//! Reading and writing of parameters, keys and ciphertexts, as Python calls them.

use std::sync::Arc;

use numpy::{PyArrayDyn, PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{self, Words};
use super::held;
use super::keys::{PyPublicKey, PyRelinearisationKey, PyRotationKeys, PySecretKey, RotationKeys};
use super::params::PyParams;
use crate::ring::codec::{self, Kind, SeededKey};
use crate::ring::fault::Fault;
use crate::ring::keys::{PublicKey, SecretKey, SwitchKey};
use crate::ring::params::{Params, Scheme};

type Bytes<'py> = PyResult<Bound<'py, PyBytes>>;
type Read<'py> = (
    Bound<'py, PyArrayDyn<u64>>,
    f64,
    Option<Bound<'py, PyBytes>>,
);
type Told = (usize, Vec<u64>, u64, Option<u64>);

fn kind(name: &str) -> Result<Kind, Fault> {
    match name {
        "ciphertexts" => Ok(Kind::Ciphertexts),
        "seeded ciphertexts" => Ok(Kind::SeededCiphertexts),
        "plaintexts" => Ok(Kind::Plaintexts),
        _ => Err(Fault::new("other-kind")),
    }
}

#[pyfunction]
fn ring_write_parameters<'py>(py: Python<'py>, params: &PyParams) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &codec::header(Kind::Parameters, &params.0))
}

/// Degree, data primes, special prime, plaintext modulus: of the right form, and not checked beyond it.
#[pyfunction]
fn ring_read_parameters(data: &[u8]) -> PyResult<Told> {
    let told = codec::read_parameters(data)?;
    let plain = match told.scheme {
        Scheme::Ckks => None,
        Scheme::Bgv(plain) => Some(plain),
    };
    Ok((1 << told.log_n, told.primes, told.special, plain))
}

/// Ciphertexts `[count][parts][level][N]`, or first halves or plaintexts `[count][level][N]`.
#[pyfunction]
fn ring_write<'py>(
    py: Python<'py>,
    params: &PyParams,
    name: &str,
    residues: Words<'py>,
    scale: f64,
    seed: Option<&[u8]>,
    threads: usize,
) -> Bytes<'py> {
    let params: &Params = &params.0;
    let kind = kind(name)?;
    let shape = match (kind, residues.shape()) {
        (Kind::Ciphertexts, &[count, parts, level, _]) => [count, parts, level],
        (Kind::SeededCiphertexts | Kind::Plaintexts, &[count, level, _]) => [count, 1, level],
        _ => return Err(Fault::new("bad-shape").into()),
    };
    if residues.shape().last() != Some(&params.n()) {
        return Err(Fault::new("bad-shape").into());
    }
    let seed = seed
        .map(<[u8; codec::SEED]>::try_from)
        .transpose()
        .map_err(|_| Fault::new("bad-seed"))?;
    let words = arrays::slice(&residues)?;
    let data =
        py.detach(|| codec::write_polynomials(params, kind, shape, scale, seed, words, threads))?;
    Ok(PyBytes::new(py, &data))
}

/// Residues, scale and seed of a message of this kind.
#[pyfunction]
fn ring_read<'py>(
    py: Python<'py>,
    params: &PyParams,
    name: &str,
    data: &[u8],
    threads: usize,
) -> PyResult<Read<'py>> {
    let params: &Params = &params.0;
    let kind = kind(name)?;
    let all = py.detach(|| codec::read_polynomials(params, kind, data, threads))?;
    let n = params.n();
    let shape = match kind {
        Kind::Ciphertexts => vec![all.count, all.parts, all.level, n],
        _ => vec![all.count, all.level, n],
    };
    let seed = all.seed.map(|seed| PyBytes::new(py, &seed));
    Ok((arrays::array(py, all.residues, &shape)?, all.scale, seed))
}

/// The bytes of an array that may be a view into a longer message.
fn bytes<'a>(data: &'a PyReadonlyArray1<'_, u8>) -> Result<&'a [u8], Fault> {
    data.as_slice().map_err(|_| Fault::new("not-contiguous"))
}

/// Count and level of a message of seeded ciphertexts.
#[pyfunction]
fn ring_seeded_shape(
    params: &PyParams,
    data: PyReadonlyArray1<'_, u8>,
) -> PyResult<(usize, usize)> {
    Ok(codec::seeded_shape(&params.0, bytes(&data)?)?)
}

/// Whole ciphertexts `[count][2][level][N]` and their scale, of a message of seeded ones.
#[pyfunction]
fn ring_read_expanded<'py>(
    py: Python<'py>,
    params: &PyParams,
    data: PyReadonlyArray1<'py, u8>,
    threads: usize,
) -> PyResult<(Bound<'py, PyArrayDyn<u64>>, f64)> {
    let params: &Params = &params.0;
    let data = bytes(&data)?;
    let all = py.detach(|| codec::read_expanded(params, data, threads))?;
    let shape = [all.count, all.parts, all.level, params.n()];
    Ok((held::array(py, all.residues, &shape)?, all.scale))
}

/// For the key's owner alone.
#[pyfunction]
fn ring_write_secret<'py>(py: Python<'py>, key: &PySecretKey) -> Bytes<'py> {
    let key = key.key()?;
    let data = codec::write_secret(key.params(), key.small())?;
    Ok(PyBytes::new(py, &data))
}

#[pyfunction]
fn ring_read_secret(py: Python<'_>, params: &PyParams, data: &[u8]) -> PyResult<PySecretKey> {
    let key = py.detach(|| {
        let small = codec::read_secret(&params.0, data)?;
        SecretKey::from_small(&params.0, small)
    })?;
    Ok(PySecretKey::new(key))
}

#[pyfunction]
fn ring_write_public<'py>(py: Python<'py>, key: &PyPublicKey) -> Bytes<'py> {
    let key = &key.0;
    let data = py
        .detach(|| codec::write_keys(&key.params, Kind::PublicKey, &[(0, &key.seed, &key.b)], 1))?;
    Ok(PyBytes::new(py, &data))
}

/// The only key of a message.
fn one(keys: Vec<SeededKey>) -> Result<SeededKey, Fault> {
    keys.into_iter()
        .next()
        .ok_or_else(|| Fault::new("bad-count"))
}

#[pyfunction]
fn ring_read_public(py: Python<'_>, params: &PyParams, data: &[u8]) -> PyResult<PyPublicKey> {
    let key = py.detach(|| {
        let key = one(codec::read_keys(&params.0, Kind::PublicKey, data, 1)?)?;
        Ok::<_, Fault>(PublicKey::expand(&params.0, key.seed, key.residues))
    })?;
    Ok(PyPublicKey(Arc::new(key)))
}

#[pyfunction]
fn ring_write_relinearisation<'py>(
    py: Python<'py>,
    key: &PyRelinearisationKey,
    threads: usize,
) -> Bytes<'py> {
    let key = &key.0;
    let data = py.detach(|| {
        let keys = [(0, &key.seed, &key.b[..])];
        codec::write_keys(&key.params, Kind::RelinearisationKey, &keys, threads)
    })?;
    Ok(PyBytes::new(py, &data))
}

#[pyfunction]
fn ring_read_relinearisation(
    py: Python<'_>,
    params: &PyParams,
    data: &[u8],
    threads: usize,
) -> PyResult<PyRelinearisationKey> {
    let key = py.detach(|| {
        let key = one(codec::read_keys(
            &params.0,
            Kind::RelinearisationKey,
            data,
            threads,
        )?)?;
        SwitchKey::expand(&params.0, key.seed, key.residues, threads)
    })?;
    Ok(PyRelinearisationKey(Arc::new(key)))
}

#[pyfunction]
fn ring_write_rotations<'py>(
    py: Python<'py>,
    params: &PyParams,
    keys: &PyRotationKeys,
    threads: usize,
) -> Bytes<'py> {
    let params: &Params = &params.0;
    let data = py.detach(|| {
        let mut list = Vec::with_capacity(keys.0.keys.len());
        for (&step, (_, key)) in &keys.0.keys {
            key.fits(params)?;
            list.push((step as u32, &key.seed, &key.b[..]));
        }
        codec::write_keys(params, Kind::RotationKeys, &list, threads)
    })?;
    Ok(PyBytes::new(py, &data))
}

#[pyfunction]
fn ring_read_rotations(
    py: Python<'_>,
    params: &PyParams,
    data: &[u8],
    threads: usize,
) -> PyResult<PyRotationKeys> {
    let keys = py.detach(|| {
        let mut keys = RotationKeys::new(params.0.slots());
        for key in codec::read_keys(&params.0, Kind::RotationKeys, data, threads)? {
            let switch = SwitchKey::expand(&params.0, key.seed, key.residues, threads)?;
            keys.insert(key.step as usize, switch)?;
        }
        Ok::<_, Fault>(keys)
    })?;
    Ok(PyRotationKeys(keys))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(ring_write_parameters, m)?)?;
    m.add_function(wrap_pyfunction!(ring_read_parameters, m)?)?;
    m.add_function(wrap_pyfunction!(ring_write, m)?)?;
    m.add_function(wrap_pyfunction!(ring_read, m)?)?;
    m.add_function(wrap_pyfunction!(ring_seeded_shape, m)?)?;
    m.add_function(wrap_pyfunction!(ring_read_expanded, m)?)?;
    m.add_function(wrap_pyfunction!(ring_write_secret, m)?)?;
    m.add_function(wrap_pyfunction!(ring_read_secret, m)?)?;
    m.add_function(wrap_pyfunction!(ring_write_public, m)?)?;
    m.add_function(wrap_pyfunction!(ring_read_public, m)?)?;
    m.add_function(wrap_pyfunction!(ring_write_relinearisation, m)?)?;
    m.add_function(wrap_pyfunction!(ring_read_relinearisation, m)?)?;
    m.add_function(wrap_pyfunction!(ring_write_rotations, m)?)?;
    m.add_function(wrap_pyfunction!(ring_read_rotations, m)?)?;
    Ok(())
}
