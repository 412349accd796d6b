//! Growing and applying decision trees: bins, histograms, splits, scores. Plain data in, plain data out.

pub mod bins;
pub mod forest;
pub mod grower;
pub mod histogram;
mod jobs;
pub mod spans;

/// Rows are numbered by 32 bits, and numpy's node numbers are signed.
pub const MOST_ROWS: usize = (1 << 31) - 1;
/// Bins of a feature, the missing one included.
pub const MOST_BINS: usize = 256;
