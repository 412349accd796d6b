//! Rows back into columns.

use arrow_array::{ArrayRef, make_array};
use arrow_buffer::{BooleanBufferBuilder, Buffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use super::Layout;
use crate::columns::fault::Fault;

/// Gathers the cells of one column.
pub struct ColumnReader {
    pub layout: Layout,
    validity: BooleanBufferBuilder,
    null_count: usize,
    values: Vec<u8>,
    bits: BooleanBufferBuilder,
    offsets: Vec<i64>,
}

impl ColumnReader {
    pub fn new(layout: Layout, rows: usize) -> Self {
        let bits = if layout == Layout::Bit { rows } else { 0 };
        let values = match layout {
            Layout::Fixed(width) => rows * width,
            _ => 0,
        };
        let mut offsets = Vec::new();
        if matches!(layout, Layout::Text | Layout::LargeText) {
            offsets.reserve(rows + 1);
            offsets.push(0);
        }
        Self {
            layout,
            validity: BooleanBufferBuilder::new(rows),
            null_count: 0,
            values: Vec::with_capacity(values),
            bits: BooleanBufferBuilder::new(bits),
            offsets,
        }
    }

    pub fn push(&mut self, valid: bool, cell: &[u8]) {
        self.validity.append(valid);
        self.null_count += usize::from(!valid);
        match self.layout {
            Layout::Bit => self.bits.append(cell.first() == Some(&1)),
            Layout::Fixed(width) if !valid => self.values.resize(self.values.len() + width, 0),
            Layout::Fixed(_) => self.values.extend_from_slice(cell),
            Layout::Text | Layout::LargeText => {
                self.values.extend_from_slice(cell);
                self.offsets.push(self.values.len() as i64);
            }
        }
    }

    pub fn finish(mut self, kind: &DataType, rows: usize) -> Result<ArrayRef, Fault> {
        let mut builder = ArrayData::builder(kind.clone()).len(rows);
        builder = match self.layout {
            Layout::Bit => builder.add_buffer(self.bits.finish().into_inner()),
            // Copied by `aligned` below where the type wants more than a byte's alignment.
            Layout::Fixed(_) => builder.add_buffer(Buffer::from(self.values.as_slice())),
            Layout::LargeText => builder
                .add_buffer(Buffer::from_vec(self.offsets))
                .add_buffer(Buffer::from_vec(self.values)),
            Layout::Text => {
                let narrow = self
                    .offsets
                    .iter()
                    .map(|offset| i32::try_from(*offset))
                    .collect::<Result<Vec<i32>, _>>()
                    .map_err(|_| Fault::new("batch-too-large"))?;
                builder
                    .add_buffer(Buffer::from_vec(narrow))
                    .add_buffer(Buffer::from_vec(self.values))
            }
        };
        if self.null_count > 0 {
            builder = builder.null_bit_buffer(Some(self.validity.finish().into_inner()));
        }
        builder
            .align_buffers(true)
            .build()
            .map(make_array)
            .map_err(|_| Fault::new("bad-spill"))
    }
}
