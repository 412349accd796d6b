//! Programs over ciphertexts that run block by block, with no array between two operations.
//!
//! In NTT form all of a throughput network's mathematics between two key switches works on each residue
//! by itself: integer matrices, squares, products, sums. So a whole run of layers is done for a few
//! residues of one prime at a time, in memory that stays in the core's second-level cache; only the
//! inputs are read from and only the results written to main memory.
//!
//! `program` is the byte-code and its checks, `sparse` a public integer matrix, `plan` the order of its
//! multiplication with the proofs of its bounds, `run` the loop over blocks and threads, `kernels` the
//! loops over residues: portable ones, and the processor's own in `simd_*`. All paths give the same,
//! fully reduced residues. Residues are public data here (ciphertexts), weights are the server's own;
//! the running time depends on the program and the weights' places and sizes, never on residues.

pub mod field;
pub mod kernels;
pub mod plan;
pub mod program;
pub mod run;
#[cfg(target_arch = "x86_64")]
pub mod simd_avx2;
#[cfg(target_arch = "x86_64")]
pub mod simd_avx512;
pub mod sparse;

#[cfg(test)]
mod tests;
