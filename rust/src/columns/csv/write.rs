//! Arrow columns of text as CSV.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeStringArray, RecordBatch, StringArray};
use arrow_schema::DataType;

use crate::columns::fault::Fault;
use crate::columns::texts::Texts;

/// A column that is written: text that anyone wrote, or values that we made, which need no quotes.
pub enum Column<'a> {
    Narrow(&'a StringArray),
    Large(&'a LargeStringArray),
    Made(&'a Texts),
}

impl<'a> Column<'a> {
    /// A column of text; the fault `unsupported-type` where it is not.
    pub fn of(array: &'a ArrayRef) -> Result<Self, Fault> {
        match array.data_type() {
            DataType::Utf8 => Ok(Self::Narrow(array.as_string())),
            DataType::LargeUtf8 => Ok(Self::Large(array.as_string())),
            _ => Err(Fault::new("unsupported-type")),
        }
    }

    fn rows_bytes(&self) -> usize {
        match self {
            Self::Narrow(array) => {
                let offsets = array.value_offsets();
                (offsets[array.len()] - offsets[0]) as usize
            }
            Self::Large(array) => {
                let offsets = array.value_offsets();
                (offsets[array.len()] - offsets[0]) as usize
            }
            Self::Made(texts) => texts.len(),
        }
    }
}

/// Whether a field must be quoted so that every reader gives back the same text. A `#` that begins
/// a line begins a comment to AWS's client.
fn needs_quotes(text: &str) -> bool {
    text.bytes()
        .any(|byte| byte <= b' ' || byte == b',' || byte == b'"')
        || text.starts_with('#')
        || (!text.is_ascii() && text.chars().any(char::is_whitespace))
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

/// What is written where there is nothing to write.
pub struct Blanks {
    null: Vec<u8>,
    empty: &'static [u8],
}

impl Blanks {
    /// `null` is written for NULL; the empty text is `""`, or blank where `null` is `""`. A record
    /// of one field is never blank: readers, AWS's too, take an empty line for no record.
    pub fn of(null: &str, columns: usize) -> Self {
        let mut field = Vec::new();
        if null == "\"\"" || (null.is_empty() && columns == 1) {
            field.extend_from_slice(b"\"\"");
        } else {
            push_field(&mut field, null);
        }
        let blank = null == "\"\"" && columns > 1;
        Self {
            null: field,
            empty: if blank { b"" } else { b"\"\"" },
        }
    }
}

/// Appends `rows` rows of text columns as records.
pub fn write_into(columns: &[Column<'_>], rows: usize, blanks: &Blanks, out: &mut Vec<u8>) {
    let size: usize = columns.iter().map(Column::rows_bytes).sum();
    out.reserve(size + size / 16 + rows * (columns.len() + 1));
    for row in 0..rows {
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let text = match column {
                Column::Made(texts) => {
                    out.extend_from_slice(texts.get(row).unwrap_or(&blanks.null));
                    continue;
                }
                Column::Narrow(array) => array.is_valid(row).then(|| array.value(row)),
                Column::Large(array) => array.is_valid(row).then(|| array.value(row)),
            };
            match text {
                None => out.extend_from_slice(&blanks.null),
                Some("") => out.extend_from_slice(blanks.empty),
                Some(text) => push_field(out, text),
            }
        }
        out.push(b'\n');
    }
}

/// The rows of a batch of text columns.
pub fn write(batch: &RecordBatch, null: &str) -> Result<Vec<u8>, Fault> {
    let columns = batch
        .columns()
        .iter()
        .enumerate()
        .map(|(index, array)| Column::of(array).map_err(|fault| fault.of(index)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut out = Vec::new();
    let blanks = Blanks::of(null, columns.len());
    write_into(&columns, batch.num_rows(), &blanks, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn quotes_where_they_are_needed_only() {
        let texts = ["a", "b c", "d\"e", "f,g", "h\u{a0}i", "\n", "#j", "k#", "é"];
        let mut out = Vec::new();
        for text in texts {
            push_field(&mut out, text);
            out.push(b';');
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a;\"b c\";\"d\"\"e\";\"f,g\";\"h\u{a0}i\";\"\n\";\"#j\";k#;é;"
        );
    }

    #[test]
    fn null_and_the_empty_text_stay_apart() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![None, Some(""), Some("a")]));
        let fixed: ArrayRef = Arc::new(StringArray::from(vec!["x", "x", "x"]));
        let batch = RecordBatch::try_from_iter([("c", column), ("d", fixed)]).unwrap();
        let text = |null| String::from_utf8(write(&batch, null).unwrap()).unwrap();
        assert_eq!(text(""), ",x\n\"\",x\na,x\n");
        assert_eq!(text("\"\""), "\"\",x\n,x\na,x\n");
        assert_eq!(text("NA"), "NA,x\n\"\",x\na,x\n");
        assert_eq!(text("N A"), "\"N A\",x\n\"\",x\na,x\n");
    }

    #[test]
    fn a_record_is_never_an_empty_line() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![None, Some(""), Some("a")]));
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        for null in ["", "\"\""] {
            assert_eq!(write(&batch, null).unwrap(), b"\"\"\n\"\"\na\n");
        }
    }
}
