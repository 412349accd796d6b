//! Feature values as bins: bin b holds e_(b-1) <= v < e_b, the last bin missing values.

use super::{MOST_BINS, MOST_ROWS, jobs};
use crate::learning::fault::Fault;

/// Rows that a thread takes at a time.
const PART: usize = 4_096;

/// The edges of every feature, one list after another.
pub struct Edges<'a> {
    lists: Vec<&'a [f32]>,
    missing: u8,
}

impl<'a> Edges<'a> {
    /// `starts` says where each feature's edges begin, and at last where they end.
    ///
    /// # Errors
    /// `bad-bins`, `bad-length`, `bad-edges`.
    pub fn new(edges: &'a [f32], starts: &[i64], bins: usize) -> Result<Self, Fault> {
        if !(2..=MOST_BINS).contains(&bins) {
            return Err(Fault::new("bad-bins"));
        }
        let bad = Fault::new("bad-length");
        let lists = starts
            .windows(2)
            .map(|pair| {
                let from = usize::try_from(pair[0]).map_err(|_| bad)?;
                let to = usize::try_from(pair[1]).map_err(|_| bad)?;
                edges.get(from..to).ok_or(bad)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rise = |list: &&[f32]| {
            list.len() <= bins - 2
                && list.iter().all(|edge| !edge.is_nan())
                && list.windows(2).all(|pair| pair[0] < pair[1])
        };
        if !lists.iter().all(rise) {
            return Err(Fault::new("bad-edges"));
        }
        Ok(Self {
            lists,
            missing: (bins - 1) as u8,
        })
    }

    /// The bin of a value of one feature.
    fn bin(&self, list: &[f32], value: f32) -> u8 {
        if value.is_nan() {
            self.missing
        } else {
            list.partition_point(|edge| *edge <= value) as u8
        }
    }

    /// The bins of `features` (row after row), into `out` of the same shape.
    ///
    /// # Errors
    /// `bad-length`, `bad-rows`, `bad-threads`, `no-threads`.
    pub fn fill(&self, features: &[f32], out: &mut [u8], threads: usize) -> Result<(), Fault> {
        let width = self.lists.len();
        if width == 0 || features.len() / width > MOST_ROWS {
            return Err(Fault::new("bad-rows"));
        }
        if features.len() != out.len() || !features.len().is_multiple_of(width) {
            return Err(Fault::new("bad-length"));
        }
        let size = PART * width;
        let parts = features.chunks(size).zip(out.chunks_mut(size)).collect();
        jobs::each(parts, threads, |(features, out): (&[f32], &mut [u8])| {
            for (column, list) in self.lists.iter().enumerate() {
                let values = features[column..].iter().step_by(width);
                let places = out[column..].iter_mut().step_by(width);
                for (value, place) in values.zip(places) {
                    *place = self.bin(list, *value);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Edges;

    #[test]
    fn a_bin_is_the_number_of_edges_that_are_not_above() {
        let edges = [0.0f32, 1.0, 5.0];
        let edges = Edges::new(&edges, &[0, 3, 3], 5).unwrap();
        let nan = f32::NAN;
        let values = [
            -0.5,
            1.0,
            0.0,
            nan,
            -0.0,
            2.0,
            0.999,
            0.0,
            1.0,
            9.0,
            5.0,
            -9.0,
            f32::INFINITY,
            0.0,
            nan,
            f32::NEG_INFINITY,
        ];
        let mut out = [9u8; 16];
        edges.fill(&values, &mut out, 2).unwrap();
        let first: Vec<u8> = out.iter().copied().step_by(2).collect();
        let second: Vec<u8> = out.iter().copied().skip(1).step_by(2).collect();
        assert_eq!(first, [0, 1, 1, 1, 2, 3, 3, 4]);
        assert_eq!(second, [0, 4, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn edges_that_do_not_rise_are_refused() {
        let code = |edges: &[f32], starts: &[i64], bins| {
            Edges::new(edges, starts, bins)
                .err()
                .map(|fault| fault.code)
        };
        assert_eq!(code(&[1.0, 1.0], &[0, 2], 8), Some("bad-edges"));
        assert_eq!(code(&[1.0, f32::NAN], &[0, 2], 8), Some("bad-edges"));
        assert_eq!(code(&[1.0, 2.0], &[0, 2], 3), Some("bad-edges"));
        assert_eq!(code(&[1.0, 2.0], &[0, 2], 4), None);
        assert_eq!(code(&[1.0, 2.0], &[0, 3], 4), Some("bad-length"));
        assert_eq!(code(&[1.0, 2.0], &[-1, 2], 4), Some("bad-length"));
        assert_eq!(code(&[1.0, 2.0], &[2, 0], 4), Some("bad-length"));
        assert_eq!(code(&[], &[0, 0], 257), Some("bad-bins"));
        assert_eq!(code(&[], &[0, 0], 1), Some("bad-bins"));
    }
}
