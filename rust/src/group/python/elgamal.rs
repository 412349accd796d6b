//! ElGamal, as Python calls it.

use arrow_array::types::Int64Type;
use arrow_array::{Array, PrimitiveArray};
use arrow_pyarrow::PyArrowType;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use super::{Arrow, Records, column, values};
use crate::columns::fault::Fault;
use crate::group::dlog::{DiscreteLog, Plan};
use crate::group::elgamal::{self, CIPHERTEXT, KeyPair, Nonces, PublicKey};
use crate::group::secret::Secret;

/// The key of one run; see `elgamal.rs`.
#[pyclass(name = "ElGamalKey", module = "hitoku._core", frozen)]
struct PyKeyPair(KeyPair);

#[pymethods]
impl PyKeyPair {
    #[new]
    fn new(bytes: &[u8]) -> PyResult<Self> {
        Ok(Self(KeyPair::new(Secret::from_bytes(bytes)?)))
    }

    #[staticmethod]
    fn random() -> PyResult<Self> {
        Ok(Self(KeyPair::new(Secret::random()?)))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &*self.0.secret().bytes())
    }

    #[getter]
    fn public<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.public())
    }

    /// With a seed, randomness comes from it, the records' contexts and the column's number; without,
    /// from the system.
    fn encrypt(
        &self,
        py: Python<'_>,
        array: Arrow,
        seed: Option<&[u8]>,
        contexts: Option<Arrow>,
        column_number: u32,
        threads: usize,
    ) -> PyResult<Arrow> {
        let seed: Option<Zeroizing<[u8; 32]>> = seed
            .map(|seed| seed.try_into().map(Zeroizing::new))
            .transpose()
            .map_err(|_| Fault::new("bad-seed"))?;
        let made = py.detach(|| {
            let array = values(array)?;
            let contexts = contexts.map(Records::of).transpose()?;
            let nonces = match (&seed, &contexts) {
                (None, None) => Nonces::Fresh,
                (Some(seed), Some(contexts)) => Nonces::Seeded {
                    seed,
                    contexts: contexts.field(0)?,
                    column: column_number,
                },
                _ => return Err(Fault::new("bad-seed")),
            };
            column(
                self.0.encrypt(array.values(), &nonces, threads)?,
                CIPHERTEXT,
            )
        })?;
        Ok(made)
    }

    fn decrypt(
        &self,
        py: Python<'_>,
        ciphertexts: Arrow,
        log: &PyDiscreteLog,
        threads: usize,
    ) -> PyResult<Arrow> {
        let found = py.detach(|| {
            let ciphertexts = Records::of(ciphertexts)?;
            self.0.decrypt(ciphertexts.field(0)?, &log.0, threads)
        })?;
        let array = PrimitiveArray::<Int64Type>::from(found);
        Ok(PyArrowType(array.into_data()))
    }

    fn __repr__(&self) -> &'static str {
        "ElGamalKey(secret)"
    }
}

/// A table for small discrete logarithms; see `dlog.rs`.
#[pyclass(name = "DiscreteLog", module = "hitoku._core", frozen)]
struct PyDiscreteLog(DiscreteLog);

#[pymethods]
impl PyDiscreteLog {
    #[new]
    fn new(
        py: Python<'_>,
        low: i64,
        high: i64,
        cells: usize,
        memory: u64,
        threads: usize,
    ) -> PyResult<Self> {
        let plan = Plan::new(low, high, cells, memory)?;
        Ok(Self(py.detach(|| DiscreteLog::new(&plan, threads))?))
    }

    /// What a table would be: its points, its bytes, and the steps of one search.
    #[staticmethod]
    fn plan(low: i64, high: i64, cells: usize, memory: u64) -> PyResult<(u64, u64, u64)> {
        let plan = Plan::new(low, high, cells, memory)?;
        Ok((plan.table, plan.bytes, plan.steps))
    }
}

/// Sums with values added, under fresh randomness.
#[pyfunction]
fn elgamal_add_values(
    py: Python<'_>,
    public: &[u8],
    ciphertexts: Arrow,
    array: Arrow,
    threads: usize,
) -> PyResult<Arrow> {
    let public = PublicKey::from_bytes(public)?;
    let made = py.detach(|| {
        let ciphertexts = Records::of(ciphertexts)?;
        let array = values(array)?;
        column(
            public.add_values(ciphertexts.field(0)?, array.values(), threads)?,
            CIPHERTEXT,
        )
    })?;
    Ok(made)
}

/// Two columns of ciphertexts added row by row.
#[pyfunction]
fn elgamal_add(py: Python<'_>, left: Arrow, right: Arrow, threads: usize) -> PyResult<Arrow> {
    let made = py.detach(|| {
        let (left, right) = (Records::of(left)?, Records::of(right)?);
        column(
            elgamal::add(left.field(0)?, right.field(0)?, threads)?,
            CIPHERTEXT,
        )
    })?;
    Ok(made)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyKeyPair>()?;
    m.add_class::<PyDiscreteLog>()?;
    m.add_function(wrap_pyfunction!(elgamal_add_values, m)?)?;
    m.add_function(wrap_pyfunction!(elgamal_add, m)?)?;
    Ok(())
}
