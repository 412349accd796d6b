//! Sorting records by their bytes. Sorting a list of points that look random IS the shuffle.
//!
//! Masked points are uniformly random to whoever lacks the mask, so their sorted order says nothing
//! of the order they came in. It must be the order of a whole group: a batch sorted alone would tie
//! its points to the batch. Ciphertexts travel with their points as one record.

use rayon::prelude::*;

use super::parallel::pool;
use crate::columns::fault::Fault;

/// Fewer records than this are sorted faster than threads start.
const FEW: usize = 8_192;

/// The beginning of a record as a number of the same order.
#[inline]
fn lead(record: &[u8]) -> u64 {
    let mut word = [0; 8];
    let length = record.len().min(8);
    word[..length].copy_from_slice(&record[..length]);
    u64::from_be_bytes(word)
}

fn checked(bytes: &[u8], width: usize) -> Result<usize, Fault> {
    if width == 0 || !bytes.len().is_multiple_of(width) {
        return Err(Fault::new("bad-width"));
    }
    let rows = bytes.len() / width;
    if rows > u32::MAX as usize {
        return Err(Fault::new("too-many-records"));
    }
    Ok(rows)
}

/// The rows in the order of their records' bytes, each with its lead.
fn order(bytes: &[u8], width: usize, threads: usize) -> Result<Vec<(u64, u32)>, Fault> {
    let rows = checked(bytes, width)?;
    let record = |row: u32| &bytes[row as usize * width..][..width];
    let mut order: Vec<(u64, u32)> = bytes
        .chunks_exact(width)
        .zip(0..)
        .map(|(record, row)| (lead(record), row))
        .collect();
    let compare = |a: &(u64, u32), b: &(u64, u32)| {
        a.0.cmp(&b.0)
            .then_with(|| record(a.1).cmp(record(b.1)))
            .then(a.1.cmp(&b.1))
    };
    if threads == 1 || rows < FEW {
        order.sort_unstable_by(compare);
    } else {
        pool(threads)?.install(|| order.par_sort_unstable_by(compare));
    }
    Ok(order)
}

/// The records in the order of their bytes.
pub fn sort(bytes: &[u8], width: usize, threads: usize) -> Result<Vec<u8>, Fault> {
    let order = order(bytes, width, threads)?;
    let mut out = Vec::with_capacity(bytes.len());
    for (_, row) in order {
        out.extend_from_slice(&bytes[row as usize * width..][..width]);
    }
    Ok(out)
}

/// The first row, in the order of rows, whose first `length` bytes an earlier one has too, or None.
pub fn first_repeat(
    bytes: &[u8],
    width: usize,
    length: usize,
    threads: usize,
) -> Result<Option<usize>, Fault> {
    if length == 0 || length > width {
        return Err(Fault::new("bad-width"));
    }
    let kept = |row: u32| &bytes[row as usize * width..][..length];
    Ok(order(bytes, width, threads)?
        .chunk_by(|a, b| kept(a.1) == kept(b.1))
        .filter(|alike| alike.len() > 1)
        .filter_map(|alike| {
            let first = alike.iter().map(|pair| pair.1).min()?;
            alike
                .iter()
                .map(|pair| pair.1)
                .filter(|&row| row != first)
                .min()
        })
        .min()
        .map(|row| row as usize))
}

/// The first row that is not above the one before it, by its first `length` bytes, or None.
pub fn first_disorder(bytes: &[u8], width: usize, length: usize) -> Result<Option<usize>, Fault> {
    let rows = checked(bytes, width)?;
    if length == 0 || length > width {
        return Err(Fault::new("bad-width"));
    }
    let kept = |row: usize| &bytes[row * width..][..length];
    Ok((1..rows).find(|&row| kept(row - 1) >= kept(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random, a few of them alike.
    fn bytes(count: usize, of: u64) -> Vec<u8> {
        let mut state = of;
        (0..count)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) as u8
            })
            .collect()
    }

    #[test]
    fn every_width_is_sorted_as_slices_are() {
        for width in [1, 2, 7, 8, 9, 12, 32, 96] {
            for rows in [0, 1, 5, 20_000] {
                let made = bytes(width * rows, 3);
                let mut expected: Vec<&[u8]> = made.chunks(width).collect();
                expected.sort();
                for threads in [1, 2] {
                    assert_eq!(sort(&made, width, threads).unwrap(), expected.concat());
                }
            }
        }
    }

    #[test]
    fn records_alike_in_their_beginning_are_told_apart() {
        let mut made = vec![9; 32 * 20_000];
        for (row, record) in made.chunks_mut(32).enumerate() {
            record[20..24].copy_from_slice(&(row as u32).wrapping_mul(2_654_435_761).to_be_bytes());
        }
        let mut expected: Vec<&[u8]> = made.chunks(32).collect();
        expected.sort();
        assert_eq!(sort(&made, 32, 2).unwrap(), expected.concat());
        assert_eq!(first_repeat(&made, 32, 32, 2).unwrap(), None);
        assert_eq!(first_repeat(&made, 32, 20, 2).unwrap(), Some(1));
    }

    #[test]
    fn the_first_repeat_and_the_first_disorder_are_found() {
        let made = sort(&bytes(32 * 10_000, 5), 32, 2).unwrap();
        assert_eq!(first_repeat(&made, 32, 32, 2).unwrap(), None);
        assert_eq!(first_disorder(&made, 32, 32).unwrap(), None);
        for (from, to) in [(0, 9_999), (5_000, 4_000), (7, 8)] {
            let mut spoilt = made.clone();
            spoilt.copy_within(from * 32..from * 32 + 32, to * 32);
            let later = Some(from.max(to));
            assert_eq!(first_repeat(&spoilt, 32, 32, 2).unwrap(), later);
            assert!(first_disorder(&spoilt, 32, 32).unwrap().is_some());
        }
        assert_eq!(first_disorder(b"aabb", 1, 1).unwrap(), Some(1));
        assert_eq!(first_disorder(b"abca", 1, 1).unwrap(), Some(3));
        // Rows 1 and 3 begin alike, and so does 2, which is sorted between neither.
        assert_eq!(first_repeat(b"zzaaacab", 2, 1, 1).unwrap(), Some(2));
        for (width, length) in [(0, 0), (3, 1), (4, 5), (4, 0)] {
            assert!(first_repeat(&[0; 8], width, length, 1).is_err());
            assert!(first_disorder(&[0; 8], width, length).is_err());
        }
    }
}
