//! Columns of text that kernels make: encrypted values as base64, one after the other.

use arrow_array::StringArray;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::Fault;

/// A column of text under way; kept from batch to batch, so that its memory is asked for once.
#[derive(Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    pub nulls: Option<NullBuffer>,
}

impl Texts {
    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.nulls = None;
    }

    /// Room for so many rows of so many bytes together.
    pub fn reserve(&mut self, rows: usize, bytes: usize) {
        self.ends.reserve(rows);
        self.bytes.reserve(bytes);
    }

    /// A row without a byte; a NULL where `nulls` says so.
    #[inline]
    pub fn push_nothing(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// A row of `prefix` and the base64 of `value`.
    #[inline]
    pub fn push(&mut self, prefix: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.bytes.extend_from_slice(prefix);
        push_base64(value, &mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// The text of a row; None where it is NULL.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        Some(&self.bytes[start..self.ends[row]])
    }

    /// Bytes of all rows.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn into_array(self) -> Result<StringArray, Fault> {
        i32::try_from(self.bytes.len()).map_err(|_| Fault::new("batch-too-large"))?;
        let offsets: Vec<i32> = std::iter::once(0)
            .chain(self.ends.iter().map(|end| *end as i32))
            .collect();
        StringArray::try_new(
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from_vec(self.bytes),
            self.nulls,
        )
        .map_err(|_| Fault::new("internal"))
    }
}

/// The two characters of every twelve bits.
static PAIRS: [[u8; 2]; 4096] = {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut pairs = [[0; 2]; 4096];
    let mut bits = 0;
    while bits < 4096 {
        pairs[bits] = [letters[bits >> 6], letters[bits & 63]];
        bits += 1;
    }
    pairs
};

/// Appends standard base64 with padding. Twice as fast as a general encoder on values this short;
/// what is encoded is public, so that looking it up in a table tells nobody anything.
#[inline]
fn push_base64(value: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    let (sixes, rest) = value.as_chunks::<6>();
    let (body, tail) = out[start..].split_at_mut(sixes.len() * 8);
    for (six, eight) in sixes.iter().zip(body.as_chunks_mut::<8>().0) {
        let [a, b, c, d, e, f] = six.map(usize::from);
        let pairs = [
            PAIRS[a << 4 | b >> 4],
            PAIRS[(b & 15) << 8 | c],
            PAIRS[d << 4 | e >> 4],
            PAIRS[(e & 15) << 8 | f],
        ];
        eight.copy_from_slice(pairs.as_flattened());
    }
    STANDARD
        .encode_slice(rest, tail)
        .map_err(|_| Fault::new("internal"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_a_general_encoder_at_any_length() {
        let bytes: Vec<u8> = (0..=255)
            .cycle()
            .map(|byte: u8| byte ^ 0x5a)
            .take(600)
            .collect();
        for length in 0..bytes.len() {
            let mut out = b"x".to_vec();
            push_base64(&bytes[..length], &mut out).unwrap();
            assert_eq!(out[1..], *STANDARD.encode(&bytes[..length]).as_bytes());
        }
    }

    #[test]
    fn rows_are_told_apart() {
        let mut texts = Texts::default();
        texts.push_nothing();
        texts.push(b"p:", b"abc").unwrap();
        texts.nulls = Some(NullBuffer::from(vec![false, true]));
        assert_eq!(texts.get(0), None);
        assert_eq!(texts.get(1), Some(&b"p:YWJj"[..]));
        let array = texts.into_array().unwrap();
        assert_eq!(array.iter().collect::<Vec<_>>(), [None, Some("p:YWJj")]);
    }
}
