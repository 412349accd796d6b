//! Linear maps of the slots, as Python makes and applies them.

use std::sync::Arc;

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::{self, Reals, Words};
use super::keys::PyRotationKeys;
use super::params::PyParams;
use crate::ring::fault::Fault;
use crate::ring::transform::{Place, Transform};

/// A linear map, encoded; see `transform.rs`.
#[pyclass(name = "RingTransform", module = "hitoku._core", frozen)]
pub struct PyTransform(Transform);

#[pymethods]
impl PyTransform {
    /// `places` are (target, source, step to the left below the slots) of the rows of `values`.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        params: &PyParams,
        level: usize,
        scale: f64,
        giant: usize,
        ends: (usize, usize),
        places: Vec<(usize, usize, usize)>,
        values: Reals<'_>,
        threads: usize,
    ) -> PyResult<Self> {
        let places: Vec<Place> = places
            .into_iter()
            .map(|(target, source, step)| Place {
                target,
                source,
                step,
            })
            .collect();
        let values = arrays::slice(&values)?;
        let params = Arc::clone(&params.0);
        let ends = [ends.0, ends.1];
        let made = py.detach(|| {
            Transform::new(&params, level, scale, giant, ends, &places, values, threads)
        })?;
        Ok(Self(made))
    }

    /// The steps that keys are needed for.
    #[getter]
    fn steps(&self) -> Vec<usize> {
        self.0.steps()
    }

    /// Bytes in memory.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.bytes()
    }

    /// Sources `[sources][2][level][N]` to `[targets][2][level][N]`.
    fn apply<'py>(
        &self,
        py: Python<'py>,
        x: Words<'py>,
        keys: &PyRotationKeys,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
        let map = &self.0;
        let n = map.params.n();
        if *x.shape() != [map.sources, 2, map.level, n] {
            return Err(Fault::new("bad-shape").into());
        }
        let words = arrays::slice(&x)?;
        let key = |step: usize| {
            let found = keys.0.get(step as i64)?;
            let same = Arc::ptr_eq(&found.1.params, &map.params)
                || (found.1.params.primes == map.params.primes
                    && found.1.params.special == map.params.special
                    && found.1.params.log_n == map.params.log_n);
            if same {
                Ok(found)
            } else {
                Err(Fault::new("other-parameters"))
            }
        };
        let made = py.detach(|| map.apply(words, key, threads))?;
        arrays::array(py, made, &[map.targets, 2, map.level, n])
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyTransform>()
}
