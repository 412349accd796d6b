//! Fingerprints: HMAC-SHA256 of a value and its type, deterministic, joinable, never decrypted.

use arrow_array::{Array, ArrayRef};

use super::fault::Fault;
use super::hash::Mac;
use super::random::OsRandom;
use super::texts::Texts;
use super::value::Cells;

/// What every fingerprint begins with.
pub const PREFIX: &[u8] = b"02:hmac:";
/// Characters of a fingerprint.
const LENGTH: usize = 52;

/// Appends the fingerprints of a column to `out`, and hands each one's bytes to `seen`.
///
/// NULLs stay NULL with `preserve_nulls`; without it each gets a fingerprint of fresh random bytes,
/// so that no two match.
pub fn fingerprint_into(
    array: &ArrayRef,
    mac: &Mac,
    preserve_nulls: bool,
    out: &mut Texts,
    mut seen: impl FnMut(&[u8; 32]),
) -> Result<(), Fault> {
    let cells = Cells::of(array)?;
    let type_byte = cells.class_index()? << 1;
    let has_nulls = array.null_count() > 0;
    let rows = array.len();
    out.reserve(rows, rows * LENGTH);
    let mut random = OsRandom::new();
    for row in 0..rows {
        let code = if !(has_nulls && cells.is_null(row)) {
            cells.with_class_bytes(row, |bytes| mac.of(bytes, type_byte))
        } else if preserve_nulls {
            out.push_nothing();
            continue;
        } else {
            mac.of(&random.bytes::<32>()?, type_byte | 1)
        };
        seen(&code);
        out.push(PREFIX, &code)?;
    }
    if preserve_nulls {
        out.nulls = array.nulls().cloned();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, Int64Array, StringArray};
    use std::sync::Arc;

    const KEY: [u8; 32] = [7; 32];

    fn fingerprint(
        array: &ArrayRef,
        key: &[u8; 32],
        preserve_nulls: bool,
    ) -> Result<StringArray, Fault> {
        let mut out = Texts::default();
        fingerprint_into(array, &Mac::new(key), preserve_nulls, &mut out, |_| {})?;
        out.into_array()
    }

    #[test]
    fn int_and_bigint_of_one_number_match() {
        let int: ArrayRef = Arc::new(Int32Array::from(vec![5]));
        let big: ArrayRef = Arc::new(Int64Array::from(vec![5]));
        assert_eq!(
            fingerprint(&int, &KEY, true).unwrap().value(0),
            fingerprint(&big, &KEY, true).unwrap().value(0)
        );
    }

    #[test]
    fn nulls_stay_or_never_match() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![None, Some("a"), None]));
        let kept = fingerprint(&text, &KEY, true).unwrap();
        assert!(kept.is_null(0) && kept.is_valid(1) && kept.is_null(2));
        let hidden = fingerprint(&text, &KEY, false).unwrap();
        assert_eq!(hidden.null_count(), 0);
        assert_ne!(hidden.value(0), hidden.value(2));
    }

    #[test]
    fn a_sliced_array_is_read_from_its_offset() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("a")]));
        let whole = fingerprint(&text, &KEY, true).unwrap();
        let part = fingerprint(&text.slice(1, 2), &KEY, true).unwrap();
        assert!(part.is_null(0));
        assert_eq!(part.value(1), whole.value(2));
    }
}
