//! Chunks of CSV records as Arrow columns of text.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field as ArrowField, Schema};

use super::scan::{Field, Records, is_empty_line};
use crate::columns::fault::Fault;

/// Which fields are NULL.
pub enum NullRule {
    /// Blank and `""` alike.
    Both,
    /// Blank; `""` is the empty text.
    Blank,
    /// `""`; blank is the empty text.
    Quotes,
    /// This text, trimmed; blank and `""` are the empty text.
    Text(String),
}

impl NullRule {
    /// The rule that an input null value of the format stands for.
    pub fn of(text: Option<&str>) -> Self {
        match text.map(str::trim) {
            None => Self::Both,
            Some("") => Self::Blank,
            Some("\"\"") => Self::Quotes,
            Some(other) => Self::Text(other.to_string()),
        }
    }

    #[inline]
    fn is_null(&self, field: &Field, text: &str) -> bool {
        match self {
            Self::Both => field.start == field.end,
            Self::Blank => field.start == field.end && !field.quoted,
            Self::Quotes => field.start == field.end && field.quoted,
            Self::Text(null) => text == null,
        }
    }
}

#[inline]
fn text_of<'a>(chunk: &'a str, field: &Field) -> Cow<'a, str> {
    // Fields begin and end beside ASCII bytes, so these are boundaries of characters.
    let text = &chunk[field.start..field.end];
    if field.doubled {
        Cow::Owned(text.replace("\"\"", "\""))
    } else {
        Cow::Borrowed(text)
    }
}

/// The chunk as text, or the fault `not-utf8` at the record that is not.
fn as_text(chunk: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(chunk).map_err(|error| {
        let mut records = Records::new(chunk);
        let mut fields = Vec::new();
        let mut row = 0;
        while matches!(records.next(&mut fields), Ok(true))
            && records.position() <= error.valid_up_to()
        {
            row += 1;
        }
        Fault::at("not-utf8", row)
    })
}

/// Parses whole records of `width` fields; keeps the fields `wanted`, in that order.
///
/// Empty lines are skipped where a record has more than one field.
pub fn parse(
    chunk: &[u8],
    width: usize,
    wanted: &[usize],
    nulls: &NullRule,
) -> Result<RecordBatch, Fault> {
    if wanted.iter().any(|&index| index >= width) {
        return Err(Fault::new("internal"));
    }
    let text = as_text(chunk)?;
    let mut builders: Vec<StringBuilder> = wanted.iter().map(|_| StringBuilder::new()).collect();
    let mut records = Records::new(chunk);
    let mut fields = Vec::with_capacity(width);
    let mut rows = 0;
    while records.next(&mut fields).map_err(|fault| Fault {
        row: Some(rows),
        ..fault
    })? {
        if fields.len() != width {
            if is_empty_line(&fields) {
                continue;
            }
            return Err(Fault::at("wrong-width", rows));
        }
        for (builder, &index) in builders.iter_mut().zip(wanted) {
            let value = text_of(text, &fields[index]);
            if nulls.is_null(&fields[index], &value) {
                builder.append_null();
            } else {
                builder.append_value(value);
            }
        }
        rows += 1;
    }
    let columns: Vec<ArrayRef> = builders
        .into_iter()
        .map(|mut builder| Arc::new(builder.finish()) as ArrayRef)
        .collect();
    let schema = Schema::new(
        wanted
            .iter()
            .map(|index| ArrowField::new(index.to_string(), DataType::Utf8, true))
            .collect::<Vec<_>>(),
    );
    RecordBatch::try_new_with_options(
        Arc::new(schema),
        columns,
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )
    .map_err(|_| Fault::new("internal"))
}

/// The texts of the first record of a chunk, and where the next begins.
pub fn first_record(chunk: &[u8]) -> Result<(Vec<String>, usize), Fault> {
    let mut records = Records::new(chunk);
    let mut fields = Vec::new();
    records.next(&mut fields)?;
    let end = records.position();
    let text = std::str::from_utf8(&chunk[..end]).map_err(|_| Fault::new("not-utf8"))?;
    Ok((
        fields
            .iter()
            .map(|field| text_of(text, field).into_owned())
            .collect(),
        end,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;

    fn column(text: &str, null: Option<&str>) -> Vec<Option<String>> {
        let batch = parse(text.as_bytes(), 2, &[1], &NullRule::of(null)).unwrap();
        batch
            .column(0)
            .as_string::<i32>()
            .iter()
            .map(|cell| cell.map(str::to_string))
            .collect()
    }

    #[test]
    fn the_four_rules_of_null() {
        let text = "1,\n2,\"\"\n3, NA \n4,\"NA\"\n";
        let some = |text: &str| Some(text.to_string());
        assert_eq!(column(text, None), [None, None, some("NA"), some("NA")]);
        assert_eq!(
            column(text, Some(" ")),
            [None, some(""), some("NA"), some("NA")]
        );
        assert_eq!(
            column(text, Some("\"\"")),
            [some(""), None, some("NA"), some("NA")]
        );
        assert_eq!(column(text, Some(" NA")), [some(""), some(""), None, None]);
    }

    #[test]
    fn faults_name_the_record() {
        let rule = NullRule::Both;
        let fault = |bytes: &[u8]| parse(bytes, 2, &[0], &rule).unwrap_err();
        assert_eq!(fault(b"a,b\n\nc\n"), Fault::at("wrong-width", 1));
        assert_eq!(fault(b"a,b\n\"c,d\n"), Fault::at("open-quote", 1));
        assert_eq!(fault(b"a,b\nc,d\ne,\xff\n"), Fault::at("not-utf8", 2));
        assert_eq!(fault(b"\xff,b\nc,d\n"), Fault::at("not-utf8", 0));
    }
}
