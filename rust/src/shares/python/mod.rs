//! The door to Python: takes numpy arrays and bytes as they lie, lets other threads run, gives vectors back.

mod dispatch;
mod listener;
mod local;
mod order;
mod party;
mod rounds;
mod values;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::shares::channel::{Broken, NOBODY};

pub use listener::SharesListener;
pub use order::SharesOrder;
pub use party::SharesParty;
pub use values::SharesVector;

create_exception!(
    hitoku._core,
    SharesError,
    PyException,
    "A step that cannot be done; `code` says why, `peer` (0, 1, 2 or None) whom it concerns."
);

/// Why an operation was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The call is wrong; nothing was sent, and the party goes on.
    Misuse(&'static str),
    /// The party cannot go on.
    Broken(Broken),
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Refusal> for PyErr {
    fn from(refusal: Refusal) -> Self {
        let (code, peer) = match refusal {
            Refusal::Misuse(code) => (code, NOBODY),
            Refusal::Broken(broken) => (broken.code, broken.peer),
        };
        Python::attach(|py| {
            let error = SharesError::new_err(code);
            let value = error.value(py);
            let peer = (peer != NOBODY).then_some(peer);
            match value
                .setattr("code", code)
                .and_then(|()| value.setattr("peer", peer))
            {
                Ok(()) => error,
                Err(other) => other,
            }
        })
    }
}

impl From<Broken> for PyErr {
    fn from(broken: Broken) -> Self {
        Refusal::Broken(broken).into()
    }
}

/// Adds everything of this folder to the extension module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("SharesError", m.py().get_type::<SharesError>())?;
    m.add_class::<SharesVector>()?;
    m.add_class::<SharesOrder>()?;
    m.add_class::<SharesParty>()?;
    m.add_class::<SharesListener>()?;
    m.add_function(wrap_pyfunction!(order::shares_permutation_split, m)?)?;
    m.add_function(wrap_pyfunction!(values::shares_split, m)?)?;
    m.add_function(wrap_pyfunction!(values::shares_expand, m)?)
}
