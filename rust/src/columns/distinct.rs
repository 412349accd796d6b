//! Finds whether a fingerprint stands twice in a column, in bounded memory.
//!
//! The first 16 bytes of every fingerprint go to the partition that their first bits name; each
//! partition is then sorted alone. Two different HMACs that agree in 128 bits are not to be met.

use std::path::PathBuf;

use arrow_array::StringArray;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::{Fault, SpillError};
use super::fingerprint::{LENGTH, PREFIX};
use super::spill::Spill;

pub struct Distinct {
    partitions: usize,
    spill: Spill,
}

impl Distinct {
    pub fn new(
        columns: usize,
        partitions: usize,
        memory: usize,
        directory: PathBuf,
    ) -> Result<Self, Fault> {
        let partitions = partitions.max(1);
        Ok(Self {
            partitions,
            spill: Spill::new(columns * partitions, memory, directory)?,
        })
    }

    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Remembers the fingerprints of a batch of a column; NULLs are not counted.
    pub fn push(&self, column: usize, fingerprints: &StringArray) -> Result<(), SpillError> {
        let mut parts = vec![Vec::new(); self.partitions];
        let mut digest = [0; 33];
        for text in fingerprints.iter().flatten() {
            if text.len() != LENGTH {
                return Err(Fault::new("internal").into());
            }
            STANDARD
                .decode_slice(&text.as_bytes()[PREFIX.len()..], &mut digest)
                .map_err(|_| Fault::new("internal"))?;
            let lead = usize::from(digest[0]) << 8 | usize::from(digest[1]);
            parts[(lead * self.partitions) >> 16].extend_from_slice(&digest[..16]);
        }
        for (partition, part) in parts.iter().enumerate() {
            self.spill
                .append(column * self.partitions + partition, part)?;
        }
        Ok(())
    }

    /// Whether a partition of a column holds one fingerprint twice. Empties the partition.
    pub fn repeats(&self, column: usize, partition: usize) -> Result<bool, SpillError> {
        let bytes = self.spill.take(column * self.partitions + partition)?;
        let mut keys: Vec<u128> = bytes
            .chunks_exact(16)
            .map(|chunk| {
                let mut word = [0; 16];
                word.copy_from_slice(chunk);
                u128::from_be_bytes(word)
            })
            .collect();
        drop(bytes);
        keys.sort_unstable();
        Ok(keys.windows(2).any(|pair| pair[0] == pair[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::fingerprint::fingerprint;
    use arrow_array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    #[test]
    fn one_repeat_among_many_is_found() {
        for (last, expected) in [(20_000, false), (7, true)] {
            let numbers: ArrayRef =
                Arc::new(Int64Array::from_iter_values((0..20_000).chain([last])));
            let made = fingerprint(&numbers, &[1; 32], true).unwrap();
            let distinct = Distinct::new(2, 7, 0, std::env::temp_dir()).unwrap();
            distinct.push(1, &made).unwrap();
            let found = (0..7).any(|part| distinct.repeats(1, part).unwrap());
            assert_eq!(found, expected);
            assert!(!(0..7).any(|part| distinct.repeats(0, part).unwrap()));
        }
    }
}
