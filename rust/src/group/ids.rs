//! What identifies a person to ids: HMAC-SHA256 under a key that the owners have in common.
//!
//! Whoever has the key and can guess an identifier recognises its id. So ids stay at their owner: only
//! masked points of them are sent.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use zeroize::Zeroizing;

use super::hash::ID;
use super::parallel::fill;
use crate::columns::fault::Fault;
use crate::columns::hash::Mac;

/// Text or binary, read where it lies.
enum Texts<'a> {
    Short(&'a arrow_array::StringArray),
    Long(&'a arrow_array::LargeStringArray),
    Bytes(&'a arrow_array::BinaryArray),
    LongBytes(&'a arrow_array::LargeBinaryArray),
}

impl<'a> Texts<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self, Fault> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Short(array.as_string()),
            DataType::LargeUtf8 => Self::Long(array.as_string()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::LargeBinary => Self::LongBytes(array.as_binary()),
            _ => return Err(Fault::new("unsupported-type")),
        })
    }

    #[inline]
    fn get(&self, row: usize) -> &'a [u8] {
        match self {
            Self::Short(array) => array.value(row).as_bytes(),
            Self::Long(array) => array.value(row).as_bytes(),
            Self::Bytes(array) => array.value(row),
            Self::LongBytes(array) => array.value(row),
        }
    }
}

/// The code of `prefix || value` for each value of a column of texts, none of which may be NULL.
pub fn hmac(
    column: ArrayData,
    key: &[u8; 32],
    prefix: &[u8],
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    let array = make_array(column);
    let texts = Texts::of(&array)?;
    if let Some(row) =
        (array.null_count() > 0).then(|| (0..array.len()).find(|&r| array.is_null(r)))
    {
        return Err(Fault {
            row,
            ..Fault::new("null")
        });
    }
    let mac = Mac::new(key);
    fill::<ID>(array.len(), threads, |rows, out| {
        let mut message = Zeroizing::new(prefix.to_vec());
        for (place, row) in out.iter_mut().zip(rows) {
            message.truncate(prefix.len());
            message.extend_from_slice(texts.get(row));
            *place = mac.of_whole(&message);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_sliced_column_is_read_from_its_offset_and_nulls_are_refused() {
        let whole: ArrayRef = Arc::new(StringArray::from(vec![None, Some("a"), Some("bc")]));
        let part = hmac(whole.slice(1, 2).to_data(), &[7; 32], b"k\0", 1).unwrap();
        let mac = Mac::new(&[7; 32]);
        assert_eq!(part[..32], mac.of_whole(b"k\0a"));
        assert_eq!(part[32..], mac.of_whole(b"k\0bc"));
        let fault = hmac(whole.to_data(), &[7; 32], b"", 1).unwrap_err();
        assert_eq!((fault.code, fault.row), ("null", Some(0)));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(hmac(numbers.to_data(), &[7; 32], b"", 1).is_err());
    }
}
