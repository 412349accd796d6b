//! Parameters, as Python holds them.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::ring::fault::Fault;
use crate::ring::ntt::Path;
use crate::ring::params::{Params, SECURITY, Scheme};
use crate::ring::primes;

/// A checked set of parameters with its tables; see `params.rs`.
#[pyclass(name = "RingParams", module = "hitoku._core", frozen)]
pub struct PyParams(pub Arc<Params>);

#[pymethods]
impl PyParams {
    /// `plain_modulus` makes it BGV, without it is CKKS.
    #[new]
    fn new(
        py: Python<'_>,
        degree: usize,
        primes: Vec<u64>,
        special: u64,
        plain_modulus: Option<u64>,
    ) -> PyResult<Self> {
        if !degree.is_power_of_two() {
            return Err(Fault::new("bad-degree").into());
        }
        let scheme = plain_modulus.map_or(Scheme::Ckks, Scheme::Bgv);
        let log_n = degree.trailing_zeros();
        Ok(Self(
            py.detach(|| Params::new(scheme, log_n, &primes, special))?,
        ))
    }

    #[getter]
    fn bits(&self) -> u32 {
        self.0.bits()
    }
}

/// The standard's table: (N, most bits of the product of all primes) of 128 bits of security.
#[pyfunction]
fn ring_security() -> Vec<(usize, u32)> {
    SECURITY
        .iter()
        .map(|&(log_n, bits)| (1 << log_n, bits))
        .collect()
}

/// The largest primes of a bit length that are 1 modulo 2N, but for those to avoid.
#[pyfunction]
fn ring_primes(bits: u32, degree: u64, count: usize, avoid: Vec<u64>) -> Vec<u64> {
    primes::ntt_primes(bits, degree, count, &avoid)
}

/// The primes nearest to a number that are 1 modulo 2N, but for those to avoid.
#[pyfunction]
fn ring_nearest_primes(target: u64, degree: u64, count: usize, avoid: Vec<u64>) -> Vec<u64> {
    primes::nearest(target, degree, count, &avoid)
}

/// The kernels that this processor runs.
#[pyfunction]
fn ring_backend() -> &'static str {
    Path::best().name()
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyParams>()?;
    m.add_function(wrap_pyfunction!(ring_security, m)?)?;
    m.add_function(wrap_pyfunction!(ring_primes, m)?)?;
    m.add_function(wrap_pyfunction!(ring_nearest_primes, m)?)?;
    m.add_function(wrap_pyfunction!(ring_backend, m)?)?;
    Ok(())
}
