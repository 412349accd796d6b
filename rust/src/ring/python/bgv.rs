//! BGV's integers in slots, and polynomials in coefficients, as Python calls them.

use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::{self, Words};
use super::params::PyParams;
use crate::ring::bgv::{self, Batch};
use crate::ring::fault::Fault;
use crate::ring::parallel;
use crate::ring::params::Params;

/// Where the slots of one set of parameters lie; made once.
#[pyclass(name = "RingBatch", module = "hitoku._core", frozen)]
pub struct PyBatch(Batch);

#[pymethods]
impl PyBatch {
    #[new]
    fn new(py: Python<'_>, params: &PyParams) -> PyResult<Self> {
        let batch = py.detach(|| Batch::new(&params.0));
        Ok(Self(batch.ok_or_else(|| Fault::new("not-bgv"))?))
    }

    /// Integers `[count][N]`, centred modulo t, to plaintexts `[count][level][N]`.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        params: &PyParams,
        values: PyReadonlyArrayDyn<'py, i64>,
        level: usize,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
        let params: &Params = self.fitting(params)?;
        let n = params.n();
        let [count, slots] = *values.shape() else {
            return Err(Fault::new("bad-shape").into());
        };
        if slots != n || !(1..=params.levels()).contains(&level) {
            return Err(Fault::new("bad-shape").into());
        }
        let values = arrays::slice(&values)?;
        let made = py.detach(|| {
            parallel::fill(count, level * n, threads, |row, out| {
                self.0
                    .encode(params, &values[row * n..][..n], level, out)
                    .map_err(|fault| Fault::at(fault.code, row))
            })
        })?;
        arrays::array(py, made, &[count, level, n])
    }

    /// Plaintexts `[count][level][N]` of this factor to integers `[count][N]`, centred modulo t.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        params: &PyParams,
        plain: Words<'py>,
        factor: u64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<i64>>> {
        let params: &Params = self.fitting(params)?;
        let (words, shape) = arrays::plaintexts(params, &plain)?;
        if !(1..self.0.modulus().value()).contains(&factor) {
            return Err(Fault::new("bad-scale").into());
        }
        let (n, poly) = (params.n(), shape.poly());
        let made = py.detach(|| {
            // Made here, row by row: `parallel` fills words only.
            let out = parallel::fill(shape.count, n, threads, |row, out| {
                let mut slots = vec![0i64; n];
                let words = &words[row * poly..][..poly];
                self.0
                    .decode(params, words, shape.level, factor, &mut slots);
                for (out, slot) in out.iter_mut().zip(slots) {
                    *out = slot as u64;
                }
                Ok(())
            })?;
            Ok::<_, Fault>(out.into_iter().map(|word| word as i64).collect())
        })?;
        arrays::array(py, made, &[shape.count, n])
    }
}

impl PyBatch {
    /// The parameters, if their plaintext ring is this one.
    fn fitting<'a>(&self, params: &'a PyParams) -> Result<&'a Params, Fault> {
        match self.0.fits(&params.0) {
            true => Ok(&params.0),
            false => Err(Fault::new("other-parameters")),
        }
    }
}

/// Coefficients of plaintexts `[count][level][N]`, centred modulo Q, as float64 `[count][N]`.
#[pyfunction]
fn ring_coefficients<'py>(
    py: Python<'py>,
    params: &PyParams,
    plain: Words<'py>,
    threads: usize,
) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
    let params: &Params = &params.0;
    let (words, shape) = arrays::plaintexts(params, &plain)?;
    let (n, poly) = (params.n(), shape.poly());
    let made = py.detach(|| {
        let mut out = parallel::reals(shape.count, n)?;
        parallel::each(&mut out, n, threads, |row, out| {
            bgv::coefficients(params, &words[row * poly..][..poly], shape.level, out);
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    arrays::array(py, made, &[shape.count, n])
}

/// Residues `[..][level][N]` of coefficients to transformed order (`forward`), or back.
#[pyfunction]
fn ring_transform<'py>(
    py: Python<'py>,
    params: &PyParams,
    residues: Words<'py>,
    forward: bool,
    threads: usize,
) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
    let params: &Params = &params.0;
    let [.., level, n] = *residues.shape() else {
        return Err(Fault::new("bad-shape").into());
    };
    if n != params.n() || !(1..=params.levels()).contains(&level) {
        return Err(Fault::new("bad-shape").into());
    }
    let words = arrays::slice(&residues)?;
    let made = py.detach(|| {
        parallel::fill(words.len() / n, n, threads, |row, out| {
            out.copy_from_slice(&words[row * n..][..n]);
            let component = row % level;
            if out.iter().any(|&x| x >= params.primes[component]) {
                return Err(Fault::at("not-reduced", row));
            }
            let table = params.table(component);
            if forward {
                table.forward(out);
            } else {
                table.inverse(out);
            }
            Ok(())
        })
    })?;
    arrays::array(py, made, residues.shape())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyBatch>()?;
    m.add_function(wrap_pyfunction!(ring_coefficients, m)?)?;
    m.add_function(wrap_pyfunction!(ring_transform, m)?)?;
    Ok(())
}
