//! The door to Python: takes numpy arrays as they lie, lets other threads run, gives arrays back.

mod masks;
mod trees;

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::fault::Fault;

create_exception!(hitoku._core, LearningFault, PyValueError, "args: (code,).");

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        LearningFault::new_err((fault.code,))
    }
}

/// What stands for an array that is not as this takes it.
fn bad_array<E>(_: E) -> Fault {
    Fault::new("bad-array")
}

/// Adds everything of this folder to the extension module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("LearningFault", m.py().get_type::<LearningFault>())?;
    masks::register(m)?;
    trees::register(m)
}
