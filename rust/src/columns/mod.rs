//! Encrypted columns: the kernels of the file format of AWS C3R, and what moves rows around them.

mod calendar;
pub mod csv;
mod distinct;
mod fault;
mod fingerprint;
mod hash;
mod opened;
mod protect;
mod python;
mod random;
mod rows;
mod seal;
mod shuffle;
mod spill;
mod texts;
mod typed;
mod unseal;
mod value;

pub use python::register;
