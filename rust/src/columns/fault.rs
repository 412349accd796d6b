//! What a kernel says when it cannot go on: a code, a row and a column, never a value.

use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyValueError};

pyo3::create_exception!(
    _core,
    CellError,
    PyValueError,
    "A cell or record that a kernel cannot use: args are (code, row or None, column or None)."
);

/// Why a kernel stopped. Rows count from 0 within the batch or chunk that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub code: &'static str,
    pub row: Option<usize>,
    pub column: Option<usize>,
}

impl Fault {
    /// A fault that no single row is to blame for.
    pub fn new(code: &'static str) -> Self {
        Self {
            code,
            row: None,
            column: None,
        }
    }

    /// A fault at a row.
    pub fn at(code: &'static str, row: usize) -> Self {
        Self {
            code,
            row: Some(row),
            column: None,
        }
    }

    /// The same fault, of a column.
    pub fn of(mut self, column: usize) -> Self {
        self.column = Some(column);
        self
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        CellError::new_err((fault.code, fault.row, fault.column))
    }
}

/// Randomness comes from the operating system or the work stops: there is no fallback.
impl From<getrandom::Error> for Fault {
    fn from(_: getrandom::Error) -> Self {
        Self::new("no-randomness")
    }
}

/// What reading and writing temporary files can fail with.
#[derive(Debug)]
pub enum SpillError {
    Io(std::io::Error),
    Fault(Fault),
}

impl From<std::io::Error> for SpillError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for SpillError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<getrandom::Error> for SpillError {
    fn from(error: getrandom::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<SpillError> for PyErr {
    fn from(error: SpillError) -> Self {
        match error {
            // The errno travels (disk full is told from others); the path does not.
            SpillError::Io(error) => match error.raw_os_error() {
                Some(errno) => PyOSError::new_err((errno, error.kind().to_string())),
                None => PyOSError::new_err(error.kind().to_string()),
            },
            SpillError::Fault(fault) => fault.into(),
        }
    }
}
