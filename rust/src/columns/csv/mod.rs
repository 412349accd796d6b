//! CSV as RFC 4180 has it, with the one thing other readers drop: whether a field was quoted.
//!
//! The encrypted-column format tells `,,` from `,"",` and trims unquoted fields only. Chunks of
//! whole records are cut out of the stream by one thread (`boundary`) and parsed by many (`parse`).

pub mod parse;
pub mod scan;
pub mod write;
