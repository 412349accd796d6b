//! Columns of fixed-width records, seen where they lie: a field of each record, without a copy.

use std::ops::Range;

use crate::columns::fault::Fault;

/// `N` bytes at the same place of every record.
#[derive(Clone, Copy)]
pub struct Field<'a, const N: usize> {
    bytes: &'a [u8],
    width: usize,
    at: usize,
}

impl<'a, const N: usize> Field<'a, N> {
    /// Bytes `at..at + N` of records of `width` bytes; the fault `bad-width` if they do not fit.
    pub fn new(bytes: &'a [u8], width: usize, at: usize) -> Result<Self, Fault> {
        let end = at.checked_add(N).ok_or_else(|| Fault::new("bad-width"))?;
        if width == 0 || end > width || !bytes.len().is_multiple_of(width) {
            return Err(Fault::new("bad-width"));
        }
        if bytes.len() / width > u32::MAX as usize {
            return Err(Fault::new("too-many-records"));
        }
        Ok(Self { bytes, width, at })
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    #[inline]
    pub fn get(&self, row: usize) -> &'a [u8; N] {
        let start = row * self.width + self.at;
        self.bytes[start..]
            .first_chunk()
            .expect("`new` has seen that every record holds the field")
    }

    pub fn range(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, &'a [u8; N])> {
        let this = *self;
        rows.map(move |row| (row, this.get(row)))
    }
}

/// Columns of records side by side: one record is the records of all columns, joined.
pub fn interleave(columns: &[(&[u8], usize)]) -> Result<(Vec<u8>, usize), Fault> {
    let Some((first, width)) = columns.first().filter(|(_, width)| *width > 0) else {
        return Err(Fault::new("bad-width"));
    };
    let rows = first.len() / width;
    for (index, (bytes, width)) in columns.iter().enumerate() {
        if *width == 0 || bytes.len() != rows * width {
            return Err(Fault::new("uneven-columns").of(index));
        }
    }
    let whole: usize = columns.iter().map(|(_, width)| width).sum();
    let mut out = Vec::with_capacity(rows * whole);
    for row in 0..rows {
        for (bytes, width) in columns {
            out.extend_from_slice(&bytes[row * width..][..*width]);
        }
    }
    Ok((out, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_place_and_must_fit() {
        let bytes: Vec<u8> = (0..12).collect();
        let field = Field::<2>::new(&bytes, 4, 1).unwrap();
        assert_eq!(field.len(), 3);
        assert_eq!(field.get(2), &[9, 10]);
        for (width, at) in [(4, 3), (0, 0), (5, 0), (4, usize::MAX), (1, 0)] {
            assert!(Field::<2>::new(&bytes, width, at).is_err(), "{width} {at}");
        }
        assert_eq!(Field::<2>::new(&[], 2, 0).unwrap().len(), 0);
    }

    #[test]
    fn columns_lie_side_by_side() {
        let (bytes, width) = interleave(&[(b"abcd", 2), (b"12", 1)]).unwrap();
        assert_eq!((bytes.as_slice(), width), (&b"ab1cd2"[..], 3));
        assert!(interleave(&[(b"abcd", 2), (b"123", 1)]).is_err());
        assert!(interleave(&[]).is_err());
    }
}
