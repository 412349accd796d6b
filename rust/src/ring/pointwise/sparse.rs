//! A public integer matrix as rows of (column, weight).

use crate::ring::fault::Fault;

/// Rows, columns and nonzero entries a matrix may have.
pub const MOST_ENTRIES: usize = 1 << 28;

/// Compressed rows, checked: columns rise in each row, no weight is zero.
#[derive(Debug, Clone)]
pub struct Sparse {
    inputs: usize,
    starts: Vec<usize>,
    columns: Vec<u32>,
    weights: Vec<i32>,
}

impl Sparse {
    /// A matrix of `starts.len() - 1` rows and `inputs` columns: row r has the entries
    /// `starts[r]..starts[r + 1]`. Zero weights are left out.
    pub fn new(
        inputs: usize,
        starts: &[u64],
        columns: &[u32],
        weights: &[i64],
    ) -> Result<Self, Fault> {
        let Some((&first, rest)) = starts.split_first() else {
            return Err(Fault::new("matrix-without-rows"));
        };
        if columns.len() != weights.len() || columns.len() > MOST_ENTRIES {
            return Err(Fault::new("matrix-entries"));
        }
        if first != 0 || starts.last().copied() != Some(columns.len() as u64) {
            return Err(Fault::new("matrix-rows"));
        }
        if rest.is_empty() || rest.len() > MOST_ENTRIES || inputs > MOST_ENTRIES {
            return Err(Fault::new("matrix-shape"));
        }
        let mut matrix = Self {
            inputs,
            starts: vec![0],
            columns: Vec::with_capacity(columns.len()),
            weights: Vec::with_capacity(columns.len()),
        };
        for ends in starts.windows(2) {
            if ends[0] > ends[1] || ends[1] > columns.len() as u64 {
                return Err(Fault::new("matrix-rows"));
            }
            let row = ends[0] as usize..ends[1] as usize;
            if !columns[row.clone()].is_sorted_by(|a, b| a < b) {
                return Err(Fault::new("matrix-columns"));
            }
            for (&column, &weight) in columns[row.clone()].iter().zip(&weights[row]) {
                if column as usize >= inputs {
                    return Err(Fault::new("matrix-columns"));
                }
                let weight = i32::try_from(weight).map_err(|_| Fault::new("matrix-weight"))?;
                if weight == i32::MIN {
                    return Err(Fault::new("matrix-weight"));
                }
                if weight != 0 {
                    matrix.columns.push(column);
                    matrix.weights.push(weight);
                }
            }
            matrix.starts.push(matrix.columns.len());
        }
        Ok(matrix)
    }

    /// One row of ones: the sum of all inputs.
    pub fn ones(inputs: usize) -> Result<Self, Fault> {
        let columns: Vec<u32> =
            (0..u32::try_from(inputs).map_err(|_| Fault::new("matrix-shape"))?).collect();
        Self::new(inputs, &[0, inputs as u64], &columns, &vec![1; inputs])
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn entries(&self) -> usize {
        self.columns.len()
    }

    pub fn columns(&self, row: usize) -> &[u32] {
        &self.columns[self.starts[row]..self.starts[row + 1]]
    }

    pub fn weights(&self, row: usize) -> &[i32] {
        &self.weights[self.starts[row]..self.starts[row + 1]]
    }

    /// The largest magnitude of a weight.
    pub fn largest(&self) -> u64 {
        let most = self.weights.iter().map(|w| w.unsigned_abs()).max();
        u64::from(most.unwrap_or(0))
    }
}
