//! A uniformly random order for more rows than memory holds: scatter over buckets, permute each.
//!
//! Every row picks its bucket independently and uniformly, and every bucket is then permuted
//! uniformly; read one after the other, the buckets are a uniform permutation of all rows.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::fault::{Fault, SpillError};
use super::random::OsRandom;
use super::rows::RowFormat;
use super::spill::Spill;

pub struct Shuffle {
    format: Arc<RowFormat>,
    spill: Spill,
}

impl Shuffle {
    pub fn new(
        format: Arc<RowFormat>,
        buckets: usize,
        memory: usize,
        directory: PathBuf,
    ) -> Result<Self, Fault> {
        Ok(Self {
            format,
            spill: Spill::new(buckets.max(1), memory, directory)?,
        })
    }

    pub fn spill(&self) -> &Spill {
        &self.spill
    }

    /// Scatters the rows of a batch.
    pub fn push(&self, batch: &RecordBatch) -> Result<(), SpillError> {
        let writer = self.format.writer(batch)?;
        let mut random = OsRandom::new();
        let buckets = self.spill.slots();
        // A counting sort of the rows by bucket, so that each bucket's part is written in one piece
        // of one buffer: a vector a bucket would leave the heap in splinters.
        let mut ends = vec![0usize; buckets];
        let mut chosen = Vec::with_capacity(batch.num_rows());
        for _ in 0..batch.num_rows() {
            let bucket = random.below(buckets)?;
            ends[bucket] += 1;
            chosen.push(bucket as u32);
        }
        let mut next = vec![0usize; buckets];
        let mut total = 0;
        for (start, count) in next.iter_mut().zip(&mut ends) {
            *start = total;
            total += *count;
            *count = total;
        }
        let mut order = vec![0u32; total];
        for (row, bucket) in chosen.iter().enumerate() {
            let place = &mut next[*bucket as usize];
            order[*place] = row as u32;
            *place += 1;
        }
        let mut part = Vec::new();
        let mut from = 0;
        for (bucket, end) in ends.into_iter().enumerate() {
            part.clear();
            for row in &order[from..end] {
                writer.write(*row as usize, &mut part)?;
            }
            self.spill.append(bucket, &part)?;
            from = end;
        }
        Ok(())
    }

    /// Scatters one bucket again, over `ways` buckets, where it is too large for memory.
    pub fn split(&self, bucket: usize, ways: usize) -> Result<Self, SpillError> {
        let finer = Self::new(
            Arc::clone(&self.format),
            ways,
            self.spill.memory(),
            self.spill.directory(),
        )?;
        let mut random = OsRandom::new();
        self.spill.each_piece(bucket, |bytes| {
            let mut starts = self.format.index(bytes)?;
            starts.push(bytes.len());
            for pair in starts.windows(2) {
                let part = random.below(ways)?;
                finer.spill.append(part, &bytes[pair[0]..pair[1]])?;
            }
            Ok(())
        })?;
        self.spill.clear(bucket);
        Ok(finer)
    }

    /// Takes a bucket out, in a uniformly random order.
    pub fn take(&self, bucket: usize) -> Result<Bucket, SpillError> {
        let bytes = self.spill.take(bucket)?;
        let starts = self.format.index(&bytes)?;
        let order = OsRandom::new().permutation(starts.len())?;
        Ok(Bucket {
            format: Arc::clone(&self.format),
            starts: order.iter().map(|&row| starts[row as usize]).collect(),
            bytes,
        })
    }
}

/// One bucket's rows in their final order.
pub struct Bucket {
    format: Arc<RowFormat>,
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Bucket {
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Rows `from..from + count` as a batch.
    pub fn slice(&self, from: usize, count: usize) -> Result<RecordBatch, Fault> {
        let end = from.saturating_add(count).min(self.starts.len());
        self.format
            .read(&self.bytes, &self.starts[from.min(end)..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, Int32Array};
    use arrow_schema::{DataType, Field, Schema};

    fn shuffled(rows: i32, buckets: usize, memory: usize, split: bool) -> Vec<i32> {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, false)]));
        let format = Arc::new(RowFormat::new(Arc::clone(&schema)).unwrap());
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
        let shuffle = Shuffle::new(format, buckets, memory, std::env::temp_dir()).unwrap();
        shuffle.push(&batch).unwrap();
        let mut out = Vec::new();
        let mut drain = |from: &Shuffle, bucket| {
            let bucket = from.take(bucket).unwrap();
            let batch = bucket.slice(0, bucket.rows()).unwrap();
            out.extend_from_slice(batch.column(0).as_primitive::<Int32Type>().values());
        };
        for bucket in 0..buckets {
            if split {
                let finer = shuffle.split(bucket, 4).unwrap();
                (0..4).for_each(|part| drain(&finer, part));
            } else {
                drain(&shuffle, bucket);
            }
        }
        out
    }

    #[test]
    fn every_row_comes_out_once_in_another_order() {
        for (memory, split) in [(1 << 30, false), (0, false), (0, true)] {
            let mut out = shuffled(30_000, 5, memory, split);
            let sorted: Vec<i32> = (0..30_000).collect();
            assert_ne!(out, sorted);
            out.sort_unstable();
            assert_eq!(out, sorted);
        }
    }

    #[test]
    fn all_orders_of_three_rows_are_equally_likely() {
        let mut seen = std::collections::HashMap::new();
        for _ in 0..6_000 {
            *seen.entry(shuffled(3, 2, 1 << 20, false)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|&count| (800..1200).contains(&count)));
    }
}
