//! Why a kernel of learning refuses to go on: a code word; the sentence for people is Python's.

use crate::{columns, ring};

/// What is wrong. Never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code word.
    pub code: &'static str,
}

impl Fault {
    /// A fault of this code.
    pub const fn new(code: &'static str) -> Self {
        Self { code }
    }
}

impl From<getrandom::Error> for Fault {
    fn from(_: getrandom::Error) -> Self {
        Self::new("no-randomness")
    }
}

impl From<ring::fault::Fault> for Fault {
    fn from(fault: ring::fault::Fault) -> Self {
        Self::new(fault.code)
    }
}

impl From<columns::fault::Fault> for Fault {
    fn from(fault: columns::fault::Fault) -> Self {
        Self::new(fault.code)
    }
}
