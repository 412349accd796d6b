//! Arrow columns of text as CSV.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeStringArray, RecordBatch, StringArray};
use arrow_schema::DataType;

use crate::columns::fault::Fault;

enum Texts<'a> {
    Narrow(&'a StringArray),
    Large(&'a LargeStringArray),
}

impl<'a> Texts<'a> {
    fn of(array: &'a ArrayRef, index: usize) -> Result<Self, Fault> {
        match array.data_type() {
            DataType::Utf8 => Ok(Self::Narrow(array.as_string())),
            DataType::LargeUtf8 => Ok(Self::Large(array.as_string())),
            _ => Err(Fault::new("unsupported-type").of(index)),
        }
    }

    #[inline]
    fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Narrow(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }

    fn byte_len(&self) -> usize {
        match self {
            Self::Narrow(array) => {
                let offsets = array.value_offsets();
                (offsets[array.len()] - offsets[0]) as usize
            }
            Self::Large(array) => {
                let offsets = array.value_offsets();
                (offsets[array.len()] - offsets[0]) as usize
            }
        }
    }
}

/// Whether a field must be quoted so that every reader gives back the same text.
fn needs_quotes(text: &str) -> bool {
    text.bytes()
        .any(|byte| byte <= b' ' || byte == b',' || byte == b'"')
        || text.chars().any(char::is_whitespace)
}

/// Appends one field, quoted where a comma, a quote or any white space is in it.
pub fn push_field(out: &mut Vec<u8>, text: &str) {
    if !needs_quotes(text) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// The rows of a batch of text columns. `null` is written for NULL; the empty text is `""`, or
/// blank where `null` is `""`. Columns marked `plain` hold nothing that could need quotes.
pub fn write(batch: &RecordBatch, null: &str, plain: &[bool]) -> Result<Vec<u8>, Fault> {
    if plain.len() != batch.num_columns() {
        return Err(Fault::new("uneven-columns"));
    }
    let columns = batch
        .columns()
        .iter()
        .enumerate()
        .map(|(index, array)| Texts::of(array, index))
        .collect::<Result<Vec<_>, _>>()?;
    let mut null_field = Vec::new();
    if null == "\"\"" {
        null_field.extend_from_slice(b"\"\"");
    } else {
        push_field(&mut null_field, null);
    }
    let empty: &[u8] = if null == "\"\"" { b"" } else { b"\"\"" };
    let size: usize = columns.iter().map(Texts::byte_len).sum();
    let mut out = Vec::with_capacity(size + size / 16 + batch.num_rows() * (columns.len() + 1));
    for row in 0..batch.num_rows() {
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match column.get(row) {
                None => out.extend_from_slice(&null_field),
                Some("") => out.extend_from_slice(empty),
                Some(text) if plain[index] => out.extend_from_slice(text.as_bytes()),
                Some(text) => push_field(&mut out, text),
            }
        }
        out.push(b'\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn quotes_where_they_are_needed_only() {
        let texts = ["a", "b c", "d\"e", "f,g", "h\u{a0}i", "\n"];
        let mut out = Vec::new();
        for text in texts {
            push_field(&mut out, text);
            out.push(b';');
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a;\"b c\";\"d\"\"e\";\"f,g\";\"h\u{a0}i\";\"\n\";"
        );
    }

    #[test]
    fn null_and_the_empty_text_stay_apart() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![None, Some(""), Some("a")]));
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        let text = |null| String::from_utf8(write(&batch, null, &[false]).unwrap()).unwrap();
        assert_eq!(text(""), "\n\"\"\na\n");
        assert_eq!(text("\"\""), "\"\"\n\na\n");
        assert_eq!(text("NA"), "NA\n\"\"\na\n");
        assert_eq!(text("N A"), "\"N A\"\n\"\"\na\n");
    }
}
