//! Fingerprints: HMAC-SHA256 of a value and its type, deterministic, joinable, never decrypted.

use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::fault::Fault;
use super::random::OsRandom;
use super::value::Cells;

/// What every fingerprint begins with.
pub const PREFIX: &[u8] = b"02:hmac:";
/// Characters of a fingerprint.
pub const LENGTH: usize = 52;

/// The fingerprints of a column. The key's two hash blocks are computed once, not once a value.
///
/// NULLs stay NULL with `preserve_nulls`; without it each gets a fingerprint of fresh random bytes,
/// so that no two match.
pub fn fingerprint(
    array: &ArrayRef,
    key: &[u8; 32],
    preserve_nulls: bool,
) -> Result<StringArray, Fault> {
    let cells = Cells::of(array)?;
    let type_byte = cells.class_index()? << 1;
    let keyed = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Fault::new("bad-key"))?;
    let mut random = OsRandom::new();
    let rows = array.len();
    let kept = if preserve_nulls {
        rows - array.null_count()
    } else {
        rows
    };
    let total = i32::try_from(kept * LENGTH).map_err(|_| Fault::new("batch-too-large"))?;
    let mut text = vec![0u8; total as usize];
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0i32);
    let mut at = 0usize;
    let has_nulls = array.null_count() > 0;
    for row in 0..rows {
        let null = has_nulls && cells.is_null(row);
        if null && preserve_nulls {
            offsets.push(at as i32);
            continue;
        }
        let mut mac = keyed.clone();
        if null {
            mac.update(&random.bytes::<32>()?);
            mac.update(&[type_byte | 1]);
        } else {
            cells.with_class_bytes(row, |bytes| mac.update(bytes));
            mac.update(&[type_byte]);
        }
        let slot = &mut text[at..at + LENGTH];
        slot[..8].copy_from_slice(PREFIX);
        STANDARD
            .encode_slice(mac.finalize().into_bytes(), &mut slot[8..])
            .map_err(|_| Fault::new("internal"))?;
        at += LENGTH;
        offsets.push(at as i32);
    }
    let nulls = if preserve_nulls {
        array.nulls().cloned()
    } else {
        None
    };
    StringArray::try_new(
        OffsetBuffer::new(ScalarBuffer::from(offsets)),
        Buffer::from_vec(text),
        nulls,
    )
    .map_err(|_| Fault::new("internal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, Int64Array};
    use std::sync::Arc;

    const KEY: [u8; 32] = [7; 32];

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
