//! Encrypted columns: the kernels of the file format of AWS C3R, and what moves rows around them.

mod calendar;
pub mod csv;
mod distinct;
pub(crate) mod fault;
mod fingerprint;
pub(crate) mod hash;
mod opened;
mod protect;
mod python;
pub(crate) mod random;
mod rows;
mod seal;
mod shuffle;
pub(crate) mod spill;
mod texts;
mod typed;
mod unseal;
mod value;

pub use python::register;
