//! Kernels of learning together: masks that cancel in a sum, and histograms for boosted trees.
//!
//! Policy, protocol and models are Python's; here are the loops over vectors and rows.

pub mod fault;
pub mod masks;
pub mod python;
pub mod trees;
