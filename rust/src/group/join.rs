//! The join of two lists of tags, each with the group its record is in (protocol message 4, at A).
//!
//! Tags are doubly masked, so equal tags are equal ids and nothing else is to be seen in them. Both
//! lists must hold a tag once: a repeated one would count a person twice, and is refused.
//!
//! A list can be joined in ranges of its tags' bytes 1 to 7, one range a shard: those are pseudorandom,
//! so a shard says nothing of ids. The counts of the shards are added up.
//!
//! Secret: which rows match, and how many: the counts carry the other party's noise only where its
//! dummies are among the tags. They are wiped when dropped.

use std::ops::Range;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::parallel::pool;
use super::point::TAG;
use crate::columns::fault::Fault;

/// More cells than this are not counted in one table.
const MOST_CELLS: usize = 1 << 24;

/// One list: a tag and a group a record.
pub struct Side<'a> {
    tags: &'a [[u8; TAG]],
    groups: &'a [u16],
    count: usize,
}

impl<'a> Side<'a> {
    /// `count` is how many groups there are; every group's number is below it.
    pub fn new(tags: &'a [u8], groups: &'a [u16], count: usize) -> Result<Self, Fault> {
        let (tags, rest) = tags.as_chunks();
        if !rest.is_empty() || tags.len() != groups.len() {
            return Err(Fault::new("uneven-columns"));
        }
        if tags.len() > u32::MAX as usize {
            return Err(Fault::new("too-many-records"));
        }
        if let Some(row) = groups.iter().position(|&group| usize::from(group) >= count) {
            return Err(Fault::at("bad-group", row));
        }
        // The lowest bit of an encoding is clear (see `point.rs`): anything else is no tag.
        if let Some(row) = tags.iter().position(|tag| tag[0] & 1 == 1) {
            return Err(Fault::at("not-a-tag", row));
        }
        Ok(Self {
            tags,
            groups,
            count,
        })
    }

    /// The tags of one range in order, each with its row in the lowest 32 bits.
    fn entries(&self, (part, parts): (u32, u32)) -> Result<Zeroizing<Vec<u128>>, Fault> {
        let mut entries: Zeroizing<Vec<u128>> = Zeroizing::new(
            self.tags
                .par_iter()
                .zip(0u32..self.tags.len() as u32)
                .filter(|(tag, _)| parts == 1 || part_of(tag, parts) == part)
                .map(|(tag, row)| {
                    let mut word = [0; 16];
                    word[..TAG].copy_from_slice(tag);
                    word[TAG..].copy_from_slice(&row.to_be_bytes());
                    u128::from_be_bytes(word)
                })
                .collect(),
        );
        entries.par_sort_unstable();
        // Rows of equal tags stand in order, so the second of two is the later one.
        let repeated = entries
            .par_windows(2)
            .filter(|pair| pair[0] >> 32 == pair[1] >> 32)
            .map(|pair| pair[1] as u32)
            .min();
        match repeated {
            Some(row) => Err(Fault::at("repeated", row as usize)),
            None => Ok(entries),
        }
    }
}

/// Which of `parts` equal ranges a tag is in.
#[inline]
fn part_of(tag: &[u8; TAG], parts: u32) -> u32 {
    let mut word = [0; 8];
    word[1..].copy_from_slice(&tag[1..8]);
    ((u128::from(u64::from_be_bytes(word)) * u128::from(parts)) >> 56) as u32
}

/// What was found: for every cell `left group * right groups + right group`, the right list's rows.
pub struct Matches {
    ends: Zeroizing<Vec<usize>>,
    rows: Zeroizing<Vec<u32>>,
}

impl Matches {
    pub fn cells(&self) -> usize {
        self.ends.len()
    }

    fn cell(&self, cell: usize) -> Range<usize> {
        let start = if cell == 0 { 0 } else { self.ends[cell - 1] };
        start..self.ends[cell]
    }

    /// How many matched, cell by cell.
    pub fn counts(&self) -> Vec<u64> {
        (0..self.cells())
            .map(|cell| self.cell(cell).len() as u64)
            .collect()
    }

    /// Matched rows of the right list, cell by cell, in rising order within a cell.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Where in `rows` those of a cell stand that are in a range of rows.
    pub fn within(&self, cell: usize, rows: &Range<usize>) -> Range<usize> {
        let all = self.cell(cell);
        let part = &self.rows[all.clone()];
        let before = |limit: usize| part.partition_point(|&row| (row as usize) < limit);
        all.start + before(rows.start)..all.start + before(rows.end)
    }
}

/// Joins one range, `(0, 1)` being all, of two lists. A fault's column tells the list: 0 left, 1 right.
pub fn join(
    left: &Side<'_>,
    right: &Side<'_>,
    part: (u32, u32),
    threads: usize,
) -> Result<Matches, Fault> {
    if part.0 >= part.1 {
        return Err(Fault::new("bad-part"));
    }
    let cells = left
        .count
        .checked_mul(right.count)
        .filter(|&cells| cells <= MOST_CELLS)
        .ok_or_else(|| Fault::new("too-many-cells"))?;
    let found = pool(threads)?.install(|| {
        let ours = left.entries(part).map_err(|fault| fault.of(0))?;
        let theirs = right.entries(part).map_err(|fault| fault.of(1))?;
        // A cell's number in the upper half, the right row in the lower.
        let mut found = Zeroizing::new(Vec::with_capacity(ours.len().min(theirs.len())));
        let (mut a, mut b) = (0, 0);
        while let (Some(one), Some(other)) = (ours.get(a), theirs.get(b)) {
            match (one >> 32).cmp(&(other >> 32)) {
                std::cmp::Ordering::Less => a += 1,
                std::cmp::Ordering::Greater => b += 1,
                std::cmp::Ordering::Equal => {
                    let row = *other as u32;
                    let cell = usize::from(left.groups[*one as u32 as usize]) * right.count
                        + usize::from(right.groups[row as usize]);
                    found.push((cell as u64) << 32 | u64::from(row));
                    a += 1;
                    b += 1;
                }
            }
        }
        found.par_sort_unstable();
        Ok::<_, Fault>(found)
    })?;
    let mut ends = Zeroizing::new(vec![0; cells]);
    for entry in found.iter() {
        ends[(entry >> 32) as usize] += 1;
    }
    let mut total = 0;
    for end in ends.iter_mut() {
        total += *end;
        *end = total;
    }
    Ok(Matches {
        ends,
        rows: Zeroizing::new(found.iter().map(|&entry| entry as u32).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn tags(numbers: &[u32]) -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| {
                let mut tag = [0; TAG];
                tag[1..5].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
                tag[8..].copy_from_slice(&number.to_be_bytes());
                tag
            })
            .collect()
    }

    fn groups(numbers: &[u32], of: u32) -> Vec<u16> {
        numbers
            .iter()
            .map(|number| (number / 7 % of) as u16)
            .collect()
    }

    #[test]
    fn counts_and_rows_are_those_of_a_hash_table_in_one_part_and_in_many() {
        let left: Vec<u32> = (0..5_000).rev().collect();
        let right: Vec<u32> = (2_500..9_000).map(|number| number ^ 5).collect();
        let (left_tags, right_tags) = (tags(&left), tags(&right));
        let (left_groups, right_groups) = (groups(&left, 4), groups(&right, 5));
        let place: HashMap<u32, usize> = left.iter().copied().zip(0..).collect();
        let mut expected = vec![Vec::new(); 20];
        for (row, number) in right.iter().enumerate() {
            if let Some(&at) = place.get(number) {
                let cell = usize::from(left_groups[at]) * 5 + usize::from(right_groups[row]);
                expected[cell].push(row as u32);
            }
        }
        let ours = Side::new(&left_tags, &left_groups, 4).unwrap();
        let theirs = Side::new(&right_tags, &right_groups, 5).unwrap();
        for parts in [1, 2, 7] {
            let mut found = vec![Vec::new(); 20];
            for part in 0..parts {
                let matches = join(&ours, &theirs, (part, parts), 2).unwrap();
                assert!(matches.rows().len() < 3_000 || parts == 1);
                for (cell, count) in matches.counts().into_iter().enumerate() {
                    let within = matches.within(cell, &(0..right.len()));
                    assert_eq!(within.len() as u64, count);
                    found[cell].extend_from_slice(&matches.rows()[within]);
                }
            }
            found.iter_mut().for_each(|rows| rows.sort_unstable());
            assert_eq!(found, expected, "{parts}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused_with_its_row() {
        let numbers = [1, 2, 3, 4, 3, 2];
        let bytes = tags(&numbers);
        let repeated = Side::new(&bytes, &[0; 6], 1).unwrap();
        let good = Side::new(&bytes[..48], &[0; 4], 1).unwrap();
        let fault = |left, right| join(left, right, (0, 1), 1).err().unwrap();
        assert_eq!(fault(&repeated, &good), Fault::at("repeated", 4).of(0));
        assert_eq!(fault(&good, &repeated), Fault::at("repeated", 4).of(1));
        assert!(join(&good, &good, (1, 1), 1).is_err());
        assert!(join(&good, &good, (0, 0), 1).is_err());
        assert!(Side::new(&bytes, &[0; 5], 1).is_err());
        assert!(Side::new(&bytes[..7], &[], 1).is_err());
        let bad_group = Side::new(&bytes, &[0, 0, 1, 0, 0, 0], 1).err().unwrap();
        assert_eq!(bad_group, Fault::at("bad-group", 2));
        let mut odd = bytes.clone();
        odd[TAG] |= 1;
        assert_eq!(
            Side::new(&odd, &[0; 6], 1).err().unwrap(),
            Fault::at("not-a-tag", 1)
        );
        let wide = |count| Side::new(&bytes[..48], &[0; 4], count).unwrap();
        assert!(join(&wide(1 << 13), &wide(1 << 13), (0, 1), 1).is_err());
        assert!(join(&wide(usize::MAX), &wide(2), (0, 1), 1).is_err());
    }

    #[test]
    fn nothing_matches_nothing() {
        let none = Side::new(&[], &[], 3).unwrap();
        let some = tags(&[5]);
        let one = Side::new(&some, &[0], 1).unwrap();
        assert_eq!(join(&none, &one, (0, 1), 1).unwrap().counts(), [0, 0, 0]);
        assert_eq!(join(&one, &one, (0, 1), 1).unwrap().counts(), [1]);
    }
}
