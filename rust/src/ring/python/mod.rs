//! The door to Python: takes numpy arrays as they lie, lets other threads run, gives arrays back.
//!
//! Arrays are C-contiguous. Shapes are checked here against the parameters before anything is read;
//! that residues are below their primes is checked where bytes or foreign arrays come in
//! (`ring_check`, `codec.rs`): residues that are not give wrong results, never a wrong access.

pub mod arrays;
mod bgv;
mod ciphertexts;
mod codec;
mod held;
pub mod keys;
mod operations;
pub mod params;
mod pointwise;
mod release;
mod threshold;
mod transform;

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::ring::fault::Fault;

create_exception!(
    hitoku._core,
    RingFault,
    PyValueError,
    "args: (code, place or None)."
);

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        RingFault::new_err((fault.code, fault.at))
    }
}

/// Adds everything of this folder to the extension module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("RingFault", m.py().get_type::<RingFault>())?;
    params::register(m)?;
    keys::register(m)?;
    ciphertexts::register(m)?;
    bgv::register(m)?;
    codec::register(m)?;
    pointwise::register(m)?;
    release::register(m)?;
    threshold::register(m)?;
    transform::register(m)?;
    operations::register(m)
}
