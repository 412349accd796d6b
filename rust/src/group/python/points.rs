//! Masks and points, as Python calls them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use super::{Arrow, Records, column};
use crate::columns::fault::Fault;
use crate::group::hash::Hasher;
use crate::group::point::{POINT, TAG};
use crate::group::secret::Secret;
use crate::group::{backend, hash, ids, mask};

/// A secret scalar; see `secret.rs`.
#[pyclass(name = "GroupKey", module = "hitoku._core", frozen)]
pub struct PyKey(pub Secret);

#[pymethods]
impl PyKey {
    #[new]
    fn new(bytes: &[u8]) -> PyResult<Self> {
        Ok(Self(Secret::from_bytes(bytes)?))
    }

    #[staticmethod]
    fn random() -> PyResult<Self> {
        Ok(Self(Secret::random()?))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &*self.0.bytes())
    }

    fn inverse(&self) -> PyResult<Self> {
        Ok(Self(self.0.inverse()?))
    }

    fn __repr__(&self) -> &'static str {
        "GroupKey(secret)"
    }
}

/// Which of the curve library's implementations this process uses.
#[pyfunction]
fn group_backend() -> &'static str {
    backend::name()
}

/// The points of ids, not masked.
#[pyfunction]
fn group_hash(
    py: Python<'_>,
    ids: Arrow,
    domain: &[u8],
    run: &[u8],
    threads: usize,
) -> PyResult<Arrow> {
    let hasher = Hasher::new(domain, run)?;
    let made = py.detach(|| {
        let ids = Records::of(ids)?;
        column(mask::hash(ids.field(0)?, &hasher, threads)?, POINT)
    })?;
    Ok(made)
}

/// The points of ids times a scalar.
#[pyfunction]
fn group_mask(
    py: Python<'_>,
    ids: Arrow,
    domain: &[u8],
    run: &[u8],
    key: &PyKey,
    threads: usize,
) -> PyResult<Arrow> {
    let hasher = Hasher::new(domain, run)?;
    let made = py.detach(|| {
        let ids = Records::of(ids)?;
        column(mask::mask(ids.field(0)?, &hasher, &key.0, threads)?, POINT)
    })?;
    Ok(made)
}

/// The points at `at` of records times a scalar.
#[pyfunction]
fn group_raise(
    py: Python<'_>,
    records: Arrow,
    at: usize,
    key: &PyKey,
    threads: usize,
) -> PyResult<Arrow> {
    let made = py.detach(|| {
        let records = Records::of(records)?;
        let raised = mask::raise::<POINT>(records.field(at)?, &key.0, threads)?;
        column(raised, POINT)
    })?;
    Ok(made)
}

/// The same, of which the first 12 bytes.
#[pyfunction]
fn group_tags(
    py: Python<'_>,
    records: Arrow,
    at: usize,
    key: &PyKey,
    threads: usize,
) -> PyResult<Arrow> {
    let made = py.detach(|| {
        let records = Records::of(records)?;
        column(
            mask::raise::<TAG>(records.field(at)?, &key.0, threads)?,
            TAG,
        )
    })?;
    Ok(made)
}

/// Whether the points at `at` of records are such that another party may send.
#[pyfunction]
fn group_validate(py: Python<'_>, records: Arrow, at: usize, threads: usize) -> PyResult<()> {
    py.detach(|| mask::validate(Records::of(records)?.field(at)?, threads))?;
    Ok(())
}

/// Random points.
#[pyfunction]
fn group_random(py: Python<'_>, count: usize, threads: usize) -> PyResult<Arrow> {
    let made = py.detach(|| {
        if count > u32::MAX as usize {
            return Err(Fault::new("too-many-records"));
        }
        column(mask::random(count, threads)?, POINT)
    })?;
    Ok(made)
}

/// HMAC-SHA256 of a prefix and each text of a column.
#[pyfunction]
fn hmac_records(
    py: Python<'_>,
    texts: Arrow,
    key: &[u8],
    prefix: &[u8],
    threads: usize,
) -> PyResult<Arrow> {
    let key: Zeroizing<[u8; 32]> = key
        .try_into()
        .map(Zeroizing::new)
        .map_err(|_| Fault::new("bad-key"))?;
    let made = py.detach(|| column(ids::hmac(texts.0, &key, prefix, threads)?, hash::ID))?;
    Ok(made)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyKey>()?;
    m.add_function(wrap_pyfunction!(group_backend, m)?)?;
    m.add_function(wrap_pyfunction!(group_hash, m)?)?;
    m.add_function(wrap_pyfunction!(group_mask, m)?)?;
    m.add_function(wrap_pyfunction!(group_raise, m)?)?;
    m.add_function(wrap_pyfunction!(group_tags, m)?)?;
    m.add_function(wrap_pyfunction!(group_validate, m)?)?;
    m.add_function(wrap_pyfunction!(group_random, m)?)?;
    m.add_function(wrap_pyfunction!(hmac_records, m)?)?;
    Ok(())
}
