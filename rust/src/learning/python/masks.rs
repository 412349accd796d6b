//! Keys and secrets that stay in Rust, and masks on arrays.

use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bad_array;
use crate::learning::fault::Fault;
use crate::learning::masks::agree;
use crate::learning::masks::hkdf::{Key, expand};
use crate::learning::masks::scalar::Uniform;
use crate::learning::masks::stream::{Sign, Term, apply};

const DERIVED: &[u8] = b"hitoku/mask-derived/1";
const MOST_CONTEXT: usize = 1 << 16;

fn context(bytes: &[u8]) -> Result<&[u8], Fault> {
    if bytes.len() <= MOST_CONTEXT {
        Ok(bytes)
    } else {
        Err(Fault::new("bad-context"))
    }
}

/// A uniform scalar: behind a mask key or a self-mask. Opaque.
#[pyclass(frozen, module = "hitoku._core")]
pub struct LearningScalar(Uniform);

#[pymethods]
impl LearningScalar {
    #[staticmethod]
    fn random() -> Result<Self, Fault> {
        Uniform::random().map(Self)
    }

    #[staticmethod]
    fn combine(
        py: Python<'_>,
        shares: Vec<PyBackedBytes>,
        threshold: usize,
    ) -> Result<Self, Fault> {
        py.detach(|| Uniform::combine(shares.iter().map(|share| &**share), threshold))
            .map(Self)
    }

    fn shares<'py>(
        &self,
        py: Python<'py>,
        threshold: usize,
        members: usize,
    ) -> Result<Vec<Bound<'py, PyBytes>>, Fault> {
        let shares = py.detach(|| self.0.shares(threshold, members))?;
        let bytes = shares.iter().map(|share| PyBytes::new(py, &**share));
        Ok(bytes.collect())
    }

    fn public<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &agree::public(&self.0.private()))
    }

    fn agree(&self, peer: &[u8], info: &[u8]) -> Result<LearningSecret, Fault> {
        agree::secret(&self.0.private(), peer, context(info)?).map(LearningSecret)
    }

    fn secret(&self, info: &[u8]) -> Result<LearningSecret, Fault> {
        Ok(LearningSecret(self.0.secret(context(info)?)))
    }

    fn commitment<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.commitment())
    }
}

/// What masks are derived from. Opaque.
#[pyclass(frozen, module = "hitoku._core")]
pub struct LearningSecret(Key);

#[pymethods]
impl LearningSecret {
    fn derive<'py>(&self, py: Python<'py>, info: &[u8]) -> Result<Bound<'py, PyBytes>, Fault> {
        let key = expand(&*self.0, &[DERIVED, context(info)?]);
        Ok(PyBytes::new(py, &*key))
    }
}

type Terms<'py> = Vec<(Bound<'py, LearningSecret>, i64)>;

fn streams(terms: &Terms, bytes: &[u8]) -> Result<Vec<Term>, Fault> {
    let bytes = context(bytes)?;
    let term = |(secret, sign): &(Bound<'_, LearningSecret>, i64)| {
        let sign = match sign {
            1 => Sign::Plus,
            -1 => Sign::Minus,
            _ => return Err(Fault::new("bad-sign")),
        };
        Ok(Term::new(&secret.get().0, bytes, sign))
    };
    terms.iter().map(term).collect()
}

/// A new array of the values with the streams applied.
#[pyfunction]
fn learning_mask<'py>(
    py: Python<'py>,
    values: PyReadonlyArray1<'py, u64>,
    terms: Terms<'py>,
    context: &[u8],
    threads: usize,
) -> Result<Bound<'py, PyArray1<u64>>, Fault> {
    let terms = streams(&terms, context)?;
    let values = values.as_slice().map_err(bad_array)?;
    let out = py.detach(|| {
        let mut out = values.to_vec();
        apply(&mut out, &terms, threads).map(|()| out)
    })?;
    Ok(out.into_pyarray(py))
}

/// The same in place.
#[pyfunction]
fn learning_mask_into(
    py: Python<'_>,
    values: &Bound<'_, PyAny>,
    terms: Terms<'_>,
    context: &[u8],
    threads: usize,
) -> Result<(), Fault> {
    let terms = streams(&terms, context)?;
    let values = values.cast::<PyArray1<u64>>().map_err(bad_array)?;
    let mut values = values.try_readwrite().map_err(bad_array)?;
    let values = values.as_slice_mut().map_err(bad_array)?;
    py.detach(|| apply(values, &terms, threads))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<LearningScalar>()?;
    m.add_class::<LearningSecret>()?;
    m.add_function(wrap_pyfunction!(learning_mask, m)?)?;
    m.add_function(wrap_pyfunction!(learning_mask_into, m)?)
}
