//! Why a kernel of the ring refuses to go on: a code word; the sentence for people is Python's.

/// What is wrong, and in which row or prime, if that can be told. Never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: &'static str,
    pub at: Option<usize>,
}

impl Fault {
    pub fn new(code: &'static str) -> Self {
        Self { code, at: None }
    }

    pub fn at(code: &'static str, place: usize) -> Self {
        Self {
            code,
            at: Some(place),
        }
    }
}

impl From<getrandom::Error> for Fault {
    fn from(_: getrandom::Error) -> Self {
        Self::new("no-randomness")
    }
}
