//! Kernels of hitoku: the loops over values that Python must not run itself.
//!
//! Every function takes Arrow arrays without copying them, releases the GIL while it works and
//! uses all cores it is given. Which value may be protected how, and who may see it, is decided in
//! Python; nothing here knows a room, a member or a rule.

pub mod columns;
pub mod group;
pub mod learning;
pub mod ring;
pub mod shares;

use pyo3::prelude::*;

/// The extension module `hitoku._core`.
#[pymodule]
#[pyo3(name = "_core")]
fn core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    columns::register(m)?;
    group::register(m)?;
    learning::python::register(m)?;
    ring::register(m)?;
    shares::python::register(m)
}
