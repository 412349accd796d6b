//! Sorting more records than memory holds, group by group.
//!
//! Every group's records are spread over slots by the beginning of their bytes; the slots, sorted one
//! after the other, are the sorted group. What does not fit memory waits in an encrypted temporary file
//! without a name (`spill.rs`). Points are uniformly random, so slots are even; records that are not,
//! and would fill one slot with more than `SKEW` times its share, are refused rather than let grow.
//!
//! The sizes of the groups are public and agreed upon beforehand: exactly so many records are taken,
//! and nothing is given out before every group is whole. A group sorted in parts would not be shuffled.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::order::sort;
use crate::columns::fault::{Fault, SpillError};
use crate::columns::spill::Spill;

/// Bytes that a slot is meant to hold.
const SLOT_BYTES: u64 = 4 * 1024 * 1024;
const MOST_SLOTS: usize = 1 << 16;
/// How many times its share (and a good bit, since shares may be small) a slot may hold.
const SKEW: u64 = 4;
pub const MOST_WIDTH: usize = 4_096;

struct Group {
    slots: Range<usize>,
    size: u64,
}

pub struct Sorter {
    width: usize,
    groups: Vec<Group>,
    pushed: Mutex<Vec<u64>>,
    spill: Spill,
}

/// Which of `count` slots a record is in, by its first four bytes; rising with the record's order.
#[inline]
fn slot_of(record: &[u8], count: usize) -> usize {
    let mut word = [0; 4];
    let length = record.len().min(4);
    word[..length].copy_from_slice(&record[..length]);
    ((u64::from(u32::from_be_bytes(word)) * count as u64) >> 32) as usize
}

impl Sorter {
    /// For records of `width` bytes; `sizes` are how many each group has. About `memory` bytes are kept
    /// out of the temporary file.
    pub fn new(
        width: usize,
        sizes: &[u64],
        memory: usize,
        directory: PathBuf,
    ) -> Result<Self, Fault> {
        if !(1..=MOST_WIDTH).contains(&width) {
            return Err(Fault::new("bad-width"));
        }
        let mut groups = Vec::with_capacity(sizes.len());
        let mut next = 0;
        for &size in sizes {
            let bytes = size
                .checked_mul(width as u64)
                .ok_or_else(|| Fault::new("too-many-records"))?;
            let count = bytes.div_ceil(SLOT_BYTES).max(1);
            let end = usize::try_from(count)
                .ok()
                .and_then(|count| count.checked_add(next))
                .filter(|&end| end <= MOST_SLOTS)
                .ok_or_else(|| Fault::new("too-many-records"))?;
            groups.push(Group {
                slots: next..end,
                size,
            });
            next = end;
        }
        Ok(Self {
            width,
            pushed: Mutex::new(vec![0; groups.len()]),
            groups,
            spill: Spill::new(next, memory, directory)?,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn spilled(&self) -> bool {
        self.spill.spilled()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes records, each of the group that `groups` tells, or all of group 0. Several threads may.
    pub fn push(&self, bytes: &[u8], groups: Option<&[u16]>) -> Result<(), SpillError> {
        if !bytes.len().is_multiple_of(self.width) {
            return Err(Fault::new("bad-width").into());
        }
        let rows = bytes.len() / self.width;
        if groups.is_some_and(|groups| groups.len() != rows) {
            return Err(Fault::new("uneven-columns").into());
        }
        let group_of = |row: usize| groups.map_or(0, |groups| usize::from(groups[row]));
        {
            // All or nothing: a batch is counted before any of it is kept.
            let mut pushed = self.counts();
            let mut after = pushed.clone();
            for row in 0..rows {
                let group = group_of(row);
                let (Some(group), Some(count)) = (self.groups.get(group), after.get_mut(group))
                else {
                    return Err(Fault::at("bad-group", row).into());
                };
                *count += 1;
                if *count > group.size {
                    return Err(Fault::at("too-many-records", row).into());
                }
            }
            *pushed = after;
        }
        let slot = |row: usize| {
            let slots = &self.groups[group_of(row)].slots;
            slots.start + slot_of(&bytes[row * self.width..][..self.width], slots.len())
        };
        let mut order: Vec<(u32, u32)> = (0..rows)
            .map(|row| (slot(row) as u32, row as u32))
            .collect();
        order.sort_unstable();
        let mut part = Vec::new();
        for run in order.chunk_by(|a, b| a.0 == b.0) {
            part.clear();
            for (_, row) in run {
                part.extend_from_slice(&bytes[*row as usize * self.width..][..self.width]);
            }
            self.spill.append(run[0].0 as usize, &part)?;
        }
        Ok(())
    }

    /// Whether every group has all its records.
    pub fn whole(&self) -> bool {
        self.counts()
            .iter()
            .zip(&self.groups)
            .all(|(count, group)| *count == group.size)
    }

    /// The slots of a group, to be taken in this order.
    pub fn slots(&self, group: usize) -> Result<Range<usize>, Fault> {
        let group = self
            .groups
            .get(group)
            .ok_or_else(|| Fault::new("bad-group"))?;
        Ok(group.slots.clone())
    }

    /// Takes the sorted records of a slot out; it is empty afterwards. The fault `incomplete` if any
    /// group lacks records.
    pub fn take(&self, slot: usize, threads: usize) -> Result<Vec<u8>, SpillError> {
        if !self.whole() {
            return Err(Fault::new("incomplete").into());
        }
        if slot >= self.spill.slots() {
            return Err(Fault::new("bad-group").into());
        }
        if self.spill.bytes(slot) > SKEW * SLOT_BYTES {
            return Err(Fault::new("skewed-records").into());
        }
        let bytes = self.spill.take(slot)?;
        Ok(sort(&bytes, self.width, threads)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32) -> [u8; 12] {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        out[4..8].copy_from_slice(&number.to_le_bytes());
        out
    }

    fn sorter(sizes: &[u64], memory: usize) -> Sorter {
        Sorter::new(12, sizes, memory, std::env::temp_dir()).unwrap()
    }

    fn code(result: Result<impl Sized, SpillError>) -> &'static str {
        match result {
            Err(SpillError::Fault(fault)) => fault.code,
            _ => panic!("a fault was expected"),
        }
    }

    #[test]
    fn groups_come_out_sorted_and_whole_from_memory_and_from_the_file() {
        const ROWS: u32 = 900_000;
        for memory in [1 << 30, 0] {
            let in_group = |number: &u32| number.is_multiple_of(9);
            let numbers: Vec<u32> = (0..ROWS).collect();
            let small = numbers.iter().filter(|n| in_group(n)).count();
            let sorter = sorter(&[(ROWS as usize - small) as u64, small as u64], memory);
            for part in numbers.chunks(70_000) {
                let bytes: Vec<u8> = part.iter().copied().flat_map(record).collect();
                let groups: Vec<u16> = part.iter().map(|n| u16::from(in_group(n))).collect();
                assert!(!sorter.whole());
                sorter.push(&bytes, Some(&groups)).unwrap();
            }
            assert_eq!(sorter.spilled(), memory == 0);
            for group in 0..2u16 {
                let slots = sorter.slots(usize::from(group)).unwrap();
                assert_eq!(slots.len(), if group == 0 { 3 } else { 1 });
                let out: Vec<u8> = slots
                    .flat_map(|slot| sorter.take(slot, 2).unwrap())
                    .collect();
                let mut expected: Vec<[u8; 12]> = numbers
                    .iter()
                    .filter(|n| u16::from(in_group(n)) == group)
                    .copied()
                    .map(record)
                    .collect();
                expected.sort_unstable();
                assert!(out == expected.concat());
            }
        }
    }

    #[test]
    fn nothing_comes_out_before_all_is_in_and_no_more_goes_in() {
        let sorter = sorter(&[2, 1], 1 << 20);
        let two = [record(1), record(2)].concat();
        assert_eq!(code(sorter.take(0, 1)), "incomplete");
        sorter.push(&two, None).unwrap();
        assert_eq!(code(sorter.take(0, 1)), "incomplete");
        assert_eq!(code(sorter.push(&two, None)), "too-many-records");
        assert_eq!(code(sorter.push(&two, Some(&[1, 1]))), "too-many-records");
        assert_eq!(code(sorter.push(&two, Some(&[1, 2]))), "bad-group");
        assert_eq!(code(sorter.push(&two, Some(&[1]))), "uneven-columns");
        assert_eq!(code(sorter.push(&two[1..], None)), "bad-width");
        sorter.push(&record(3), Some(&[1])).unwrap();
        assert_eq!(sorter.take(1, 1).unwrap(), record(3));
        assert_eq!(sorter.take(0, 1).unwrap().len(), 24);
        assert_eq!(code(sorter.take(2, 1)), "bad-group");
        assert!(sorter.slots(2).is_err());
    }

    #[test]
    fn records_that_are_all_alike_do_not_grow_a_slot_without_end() {
        let rows = (6 * SLOT_BYTES / 12) as usize;
        let sorter = sorter(&[rows as u64], 1 << 20);
        sorter.push(&[7; 12].repeat(rows), None).unwrap();
        let full = slot_of(&[7; 12], 7);
        assert_eq!(code(sorter.take(full, 1)), "skewed-records");
    }

    #[test]
    fn senseless_sizes_are_refused() {
        for (width, sizes) in [
            (0, &[1][..]),
            (4_097, &[1]),
            (12, &[u64::MAX]),
            (12, &[1 << 50]),
        ] {
            assert!(Sorter::new(width, sizes, 0, std::env::temp_dir()).is_err());
        }
    }
}
