//! Finds whether a fingerprint stands twice in a column, in bounded memory.
//!
//! The first 16 bytes of every fingerprint go to the partition that their first bits name; each
//! partition is then sorted alone. Two different HMACs that agree in 128 bits are not to be met.

use std::path::PathBuf;

use super::fault::{Fault, SpillError};
use super::spill::Spill;

/// What is kept of a fingerprint.
#[inline]
pub fn lead(code: &[u8; 32]) -> u128 {
    let mut word = [0; 16];
    word.copy_from_slice(&code[..16]);
    u128::from_be_bytes(word)
}

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

    /// Remembers fingerprints of a column by their first 16 bytes; empties `codes`.
    pub fn push(&self, column: usize, codes: &mut Vec<u128>) -> Result<(), SpillError> {
        codes.sort_unstable();
        let mut part = Vec::new();
        let of = |code: &u128| ((code >> 112) as usize * self.partitions) >> 16;
        for run in codes.chunk_by(|a, b| of(a) == of(b)) {
            part.clear();
            run.iter()
                .for_each(|code| part.extend_from_slice(&code.to_be_bytes()));
            self.spill
                .append(column * self.partitions + of(&run[0]), &part)?;
        }
        codes.clear();
        Ok(())
    }

    /// Whether a partition of a column holds one fingerprint twice. Empties the partition.
    pub fn repeats(&self, column: usize, partition: usize) -> Result<bool, SpillError> {
        let bytes = self.spill.take(column * self.partitions + partition)?;
        let mut keys: Vec<u128> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|word| u128::from_be_bytes(*word))
            .collect();
        drop(bytes);
        keys.sort_unstable();
        Ok(keys.windows(2).any(|pair| pair[0] == pair[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::hash::Mac;

    #[test]
    fn one_repeat_among_many_is_found() {
        for (last, expected) in [(20_000, false), (7, true)] {
            let mac = Mac::new(&[1; 32]);
            let distinct = Distinct::new(2, 7, 0, std::env::temp_dir()).unwrap();
            let mut codes: Vec<u128> = (0..20_000u32)
                .chain([last])
                .map(|number| lead(&mac.of(&number.to_be_bytes(), 2)))
                .collect();
            distinct.push(1, &mut codes).unwrap();
            assert!(codes.is_empty());
            let found = (0..7).any(|part| distinct.repeats(1, part).unwrap());
            assert_eq!(found, expected);
            assert!(!(0..7).any(|part| distinct.repeats(0, part).unwrap()));
        }
    }
}
