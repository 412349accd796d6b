//! Rows of flat Arrow batches as bytes, so that a shuffle can move them one by one.
//!
//! A row is `u32 length | null bits | cells`; a cell is its fixed width, one byte for a boolean, or
//! `u32 length | bytes`; a NULL has no cell. Native byte order: rows never leave the process
//! but into its own temporary file.

mod column;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_data::ArrayData;
use arrow_schema::{DataType, SchemaRef};

use self::column::ColumnReader;
use super::fault::Fault;

/// How the cells of a column lie in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Bit,
    Fixed(usize),
    Text,
    LargeText,
}

impl Layout {
    fn of(kind: &DataType) -> Result<Self, Fault> {
        match kind {
            DataType::Boolean => Ok(Self::Bit),
            DataType::Utf8 | DataType::Binary => Ok(Self::Text),
            DataType::LargeUtf8 | DataType::LargeBinary => Ok(Self::LargeText),
            DataType::FixedSizeBinary(width) => usize::try_from(*width)
                .map(Self::Fixed)
                .map_err(|_| Fault::new("unsupported-type")),
            other => other
                .primitive_width()
                .map(Self::Fixed)
                .ok_or_else(|| Fault::new("unsupported-type")),
        }
    }
}

/// The layouts of a schema's columns.
pub struct RowFormat {
    schema: SchemaRef,
    layouts: Vec<Layout>,
}

impl RowFormat {
    pub fn new(schema: SchemaRef) -> Result<Self, Fault> {
        let layouts = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| Layout::of(field.data_type()).map_err(|f| f.of(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self { schema, layouts })
    }

    fn null_bytes(&self) -> usize {
        self.layouts.len().div_ceil(8)
    }

    /// A writer of the rows of one batch, which must have this very schema.
    pub fn writer(&self, batch: &RecordBatch) -> Result<RowWriter, Fault> {
        let same = batch.num_columns() == self.layouts.len()
            && batch
                .schema_ref()
                .fields()
                .iter()
                .zip(self.schema.fields())
                .all(|(a, b)| a.data_type() == b.data_type());
        if !same {
            return Err(Fault::new("schema-changed"));
        }
        let columns = batch.columns().iter().map(|c| c.to_data());
        Ok(RowWriter {
            columns: self.layouts.iter().copied().zip(columns).collect(),
            null_bytes: self.null_bytes(),
        })
    }

    /// Where each row of a run of rows begins.
    pub fn index(&self, bytes: &[u8]) -> Result<Vec<usize>, Fault> {
        let mut starts = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            starts.push(at);
            at += 4 + word(bytes, at)?;
        }
        if at != bytes.len() {
            return Err(Fault::new("bad-spill"));
        }
        Ok(starts)
    }

    /// The rows that begin at `starts`, in that order, as a batch.
    pub fn read(&self, bytes: &[u8], starts: &[usize]) -> Result<RecordBatch, Fault> {
        let bad = || Fault::new("bad-spill");
        let rows = starts.len();
        let mut columns: Vec<ColumnReader> = self
            .layouts
            .iter()
            .map(|layout| ColumnReader::new(*layout, rows))
            .collect();
        for &start in starts {
            let nulls = start + 4;
            let mut at = nulls + self.null_bytes();
            for (index, column) in columns.iter_mut().enumerate() {
                let flag = bytes.get(nulls + index / 8).ok_or_else(bad)?;
                let valid = flag >> (index % 8) & 1 == 0;
                let length = match (valid, column.layout) {
                    (false, _) => 0,
                    (true, Layout::Bit) => 1,
                    (true, Layout::Fixed(width)) => width,
                    (true, Layout::Text | Layout::LargeText) => {
                        let length = word(bytes, at)?;
                        at += 4;
                        length
                    }
                };
                column.push(valid, bytes.get(at..at + length).ok_or_else(bad)?);
                at += length;
            }
        }
        let arrays = columns
            .into_iter()
            .zip(self.schema.fields())
            .map(|(column, field)| column.finish(field.data_type(), rows))
            .collect::<Result<Vec<ArrayRef>, Fault>>()?;
        // A field may be declared not nullable: rows keep what they were, so that still holds.
        RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            arrays,
            &RecordBatchOptions::new().with_row_count(Some(rows)),
        )
        .map_err(|_| bad())
    }
}

fn word(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let mut word = [0; 4];
    word.copy_from_slice(
        bytes
            .get(at..at + 4)
            .ok_or_else(|| Fault::new("bad-spill"))?,
    );
    Ok(u32::from_ne_bytes(word) as usize)
}

/// Writes rows of one batch.
pub struct RowWriter {
    columns: Vec<(Layout, ArrayData)>,
    null_bytes: usize,
}

impl RowWriter {
    /// Appends one row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        out.resize(start + 4 + self.null_bytes, 0);
        for (index, (layout, data)) in self.columns.iter().enumerate() {
            if data.is_null(row) {
                out[start + 4 + index / 8] |= 1 << (index % 8);
                continue;
            }
            let at = data.offset() + row;
            let values = data.buffers()[0].as_slice();
            match layout {
                Layout::Bit => out.push(values[at / 8] >> (at % 8) & 1),
                Layout::Fixed(width) => {
                    out.extend_from_slice(&values[at * width..(at + 1) * width])
                }
                Layout::Text => {
                    let offsets = data.buffer::<i32>(0);
                    push_text(out, offsets[row] as usize, offsets[row + 1] as usize, data)?;
                }
                Layout::LargeText => {
                    let offsets = data.buffer::<i64>(0);
                    push_text(out, offsets[row] as usize, offsets[row + 1] as usize, data)?;
                }
            }
        }
        let length =
            u32::try_from(out.len() - start - 4).map_err(|_| Fault::new("row-too-long"))?;
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        Ok(())
    }
}

/// `buffer::<i32>(0)` already starts at the array's offset, so `from` and `to` are row + 0 and + 1.
fn push_text(out: &mut Vec<u8>, from: usize, to: usize, data: &ArrayData) -> Result<(), Fault> {
    let bytes = &data.buffers()[1].as_slice()[from..to];
    let length = u32::try_from(bytes.len()).map_err(|_| Fault::new("row-too-long"))?;
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{BooleanArray, Decimal128Array, Int16Array, LargeStringArray, StringArray};
    use arrow_schema::{Field, Schema};

    #[test]
    fn rows_come_back_in_the_order_asked_for() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Boolean, true),
            Field::new("c", DataType::Decimal128(9, 2), true),
            Field::new("d", DataType::LargeUtf8, true),
            Field::new("e", DataType::Int16, true),
        ]));
        let decimals = Decimal128Array::from(vec![Some(1), None, Some(-3), Some(4)])
            .with_precision_and_scale(9, 2)
            .unwrap();
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(StringArray::from(vec![
                    Some("x"),
                    None,
                    Some(""),
                    Some("né"),
                ])),
                Arc::new(BooleanArray::from(vec![
                    Some(true),
                    Some(false),
                    None,
                    Some(true),
                ])),
                Arc::new(decimals),
                Arc::new(LargeStringArray::from(vec!["p", "q", "r", "s"])),
                Arc::new(Int16Array::from(vec![None, Some(1), Some(2), Some(-3)])),
            ],
        )
        .unwrap();
        let part = batch.slice(1, 3);
        let format = RowFormat::new(schema).unwrap();
        let writer = format.writer(&part).unwrap();
        let mut bytes = Vec::new();
        for row in 0..3 {
            writer.write(row, &mut bytes).unwrap();
        }
        let mut starts = format.index(&bytes).unwrap();
        assert_eq!(format.read(&bytes, &starts).unwrap(), part);
        starts.reverse();
        let back = format.read(&bytes, &starts).unwrap();
        assert_eq!(back.slice(0, 1), part.slice(2, 1));
        assert!(format.index(&bytes[..bytes.len() - 1]).is_err());
    }
}
