//! What leaves to the key's holder, as Python asks for it.

use numpy::PyArrayDyn;
use pyo3::prelude::*;

use super::arrays::{self, Words};
use super::keys::PyPublicKey;
use crate::ring::release;

/// Re-randomised and flooded results, of the shape they had.
#[pyfunction]
fn ring_release<'py>(
    py: Python<'py>,
    key: &PyPublicKey,
    x: Words<'py>,
    bits: u32,
    threads: usize,
) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
    let (words, shape) = arrays::ciphertexts(&key.0.params, &x)?;
    let made = py.detach(|| release::release(&key.0, words, shape, bits, threads))?;
    arrays::array(py, made, &[shape.count, shape.parts, shape.level, shape.n])
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(ring_release, m)?)
}
