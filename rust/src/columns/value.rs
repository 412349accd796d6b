//! Cells of Arrow columns as the bytes of the encrypted-column format (C3R): big-endian, typed.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, LargeStringArray, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow_schema::{DataType, TimeUnit};

use super::fault::Fault;

/// Type indexes of the format.
pub const STRING: u8 = 1;
pub const BIGINT: u8 = 2;
pub const BOOLEAN: u8 = 3;
pub const CHAR: u8 = 4;
pub const DATE: u8 = 5;
pub const DECIMAL: u8 = 6;
pub const DOUBLE: u8 = 7;
pub const FLOAT: u8 = 8;
pub const INT: u8 = 9;
pub const SMALLINT: u8 = 10;
pub const TIMESTAMP: u8 = 11;
pub const VARCHAR: u8 = 12;

/// Units of a timestamp.
pub const MILLIS: i32 = 0;
pub const MICROS: i32 = 1;
pub const NANOS: i32 = 2;

/// One column, typed once so that no cell is dispatched by its Arrow type again.
pub enum Cells<'a> {
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    Small(&'a Int16Array),
    Int(&'a Int32Array),
    Big(&'a Int64Array),
    Bool(&'a BooleanArray),
    Date(&'a Date32Array),
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array),
    WideDecimal(&'a Decimal256Array),
    Millis(&'a TimestampMillisecondArray, bool),
    Micros(&'a TimestampMicrosecondArray, bool),
    Nanos(&'a TimestampNanosecondArray, bool),
}

impl<'a> Cells<'a> {
    /// The cells of a column, or the fault `unsupported-type`.
    pub fn of(array: &'a ArrayRef) -> Result<Self, Fault> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::LargeUtf8 => Self::LargeText(array.as_string()),
            DataType::Int16 => Self::Small(array.as_primitive::<Int16Type>()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Big(array.as_primitive::<Int64Type>()),
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::Float32 => Self::Float(array.as_primitive::<Float32Type>()),
            DataType::Float64 => Self::Double(array.as_primitive::<Float64Type>()),
            DataType::Decimal128(_, _) => Self::Decimal(array.as_primitive::<Decimal128Type>()),
            DataType::Decimal256(_, _) => Self::WideDecimal(array.as_primitive::<Decimal256Type>()),
            DataType::Timestamp(TimeUnit::Millisecond, zone) => Self::Millis(
                array.as_primitive::<TimestampMillisecondType>(),
                zone.is_some(),
            ),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Self::Micros(
                array.as_primitive::<TimestampMicrosecondType>(),
                zone.is_some(),
            ),
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => Self::Nanos(
                array.as_primitive::<TimestampNanosecondType>(),
                zone.is_some(),
            ),
            _ => return Err(Fault::new("unsupported-type")),
        })
    }

    /// The format's type index of the column.
    pub fn type_index(&self) -> u8 {
        match self {
            Self::Text(_) | Self::LargeText(_) => STRING,
            Self::Small(_) => SMALLINT,
            Self::Int(_) => INT,
            Self::Big(_) => BIGINT,
            Self::Bool(_) => BOOLEAN,
            Self::Date(_) => DATE,
            Self::Float(_) => FLOAT,
            Self::Double(_) => DOUBLE,
            Self::Decimal(_) | Self::WideDecimal(_) => DECIMAL,
            Self::Millis(..) | Self::Micros(..) | Self::Nanos(..) => TIMESTAMP,
        }
    }

    /// The type index of the equivalence class that fingerprints of this column belong to.
    pub fn class_index(&self) -> Result<u8, Fault> {
        match self.type_index() {
            STRING => Ok(STRING),
            SMALLINT | INT | BIGINT => Ok(BIGINT),
            BOOLEAN => Ok(BOOLEAN),
            DATE => Ok(DATE),
            _ => Err(Fault::new("no-equivalence-class")),
        }
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Text(a) => *a,
            Self::LargeText(a) => *a,
            Self::Small(a) => *a,
            Self::Int(a) => *a,
            Self::Big(a) => *a,
            Self::Bool(a) => *a,
            Self::Date(a) => *a,
            Self::Float(a) => *a,
            Self::Double(a) => *a,
            Self::Decimal(a) => *a,
            Self::WideDecimal(a) => *a,
            Self::Millis(a, _) => *a,
            Self::Micros(a, _) => *a,
            Self::Nanos(a, _) => *a,
        }
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.array().is_null(row)
    }

    /// Length in bytes of metadata and value of a cell; what padding is measured against.
    #[inline]
    pub fn encoded_len(&self, row: usize) -> usize {
        if self.is_null(row) {
            return 0;
        }
        match self {
            Self::Text(a) => a.value_length(row) as usize,
            Self::LargeText(a) => a.value_length(row) as usize,
            Self::Small(_) => 2,
            Self::Int(_) | Self::Date(_) | Self::Float(_) => 4,
            Self::Big(_) | Self::Double(_) => 8,
            Self::Bool(_) => 1,
            Self::Decimal(a) => 8 + decimal_text(a, row).len(),
            Self::WideDecimal(a) => 8 + wide_decimal_text(a, row).len(),
            Self::Millis(..) | Self::Micros(..) | Self::Nanos(..) => 13,
        }
    }

    /// Appends metadata and value of a cell; a NULL appends nothing.
    #[inline]
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return;
        }
        match self {
            Self::Text(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::LargeText(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::Small(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Int(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Big(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Bool(a) => out.push(u8::from(a.value(row))),
            Self::Date(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Float(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Double(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Self::Decimal(a) => {
                encode_decimal(a.precision(), a.scale(), &decimal_text(a, row), out)
            }
            Self::WideDecimal(a) => {
                encode_decimal(a.precision(), a.scale(), &wide_decimal_text(a, row), out)
            }
            Self::Millis(a, utc) => encode_timestamp(*utc, MILLIS, a.value(row), out),
            Self::Micros(a, utc) => encode_timestamp(*utc, MICROS, a.value(row), out),
            Self::Nanos(a, utc) => encode_timestamp(*utc, NANOS, a.value(row), out),
        }
    }

    /// Hands the bytes of the class representative of a cell (not NULL) to `consume`.
    #[inline]
    pub fn with_class_bytes<R>(&self, row: usize, consume: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Text(a) => consume(a.value(row).as_bytes()),
            Self::LargeText(a) => consume(a.value(row).as_bytes()),
            Self::Small(a) => consume(&i64::from(a.value(row)).to_be_bytes()),
            Self::Int(a) => consume(&i64::from(a.value(row)).to_be_bytes()),
            Self::Big(a) => consume(&a.value(row).to_be_bytes()),
            Self::Bool(a) => consume(&[u8::from(a.value(row))]),
            Self::Date(a) => consume(&a.value(row).to_be_bytes()),
            // `class_index` has refused the others before any cell is read.
            _ => consume(&[]),
        }
    }
}

fn decimal_text(array: &Decimal128Array, row: usize) -> String {
    Decimal128Type::format_decimal(array.value(row), array.precision(), array.scale())
}

fn wide_decimal_text(array: &Decimal256Array, row: usize) -> String {
    Decimal256Type::format_decimal(array.value(row), array.precision(), array.scale())
}

fn encode_decimal(precision: u8, scale: i8, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&i32::from(precision).to_be_bytes());
    out.extend_from_slice(&i32::from(scale).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn encode_timestamp(utc: bool, unit: i32, value: i64, out: &mut Vec<u8>) {
    out.push(u8::from(utc));
    out.extend_from_slice(&unit.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn encoded(array: ArrayRef, row: usize) -> Vec<u8> {
        let cells = Cells::of(&array).unwrap();
        let mut out = Vec::new();
        cells.encode(row, &mut out);
        assert_eq!(out.len(), cells.encoded_len(row));
        out
    }

    #[test]
    fn numbers_are_big_endian() {
        assert_eq!(encoded(Arc::new(Int16Array::from(vec![-2])), 0), [255, 254]);
        assert_eq!(
            encoded(Arc::new(Int32Array::from(vec![258])), 0),
            [0, 0, 1, 2]
        );
        assert_eq!(encoded(Arc::new(BooleanArray::from(vec![true])), 0), [1]);
        assert_eq!(
            encoded(Arc::new(Float32Array::from(vec![1.5])), 0),
            1.5f32.to_be_bytes()
        );
    }

    #[test]
    fn a_decimal_is_precision_scale_and_plain_text() {
        let array = Decimal128Array::from(vec![-5])
            .with_precision_and_scale(9, 2)
            .unwrap();
        assert_eq!(
            encoded(Arc::new(array), 0),
            [&[0, 0, 0, 9, 0, 0, 0, 2], &b"-0.05"[..]].concat()
        );
    }

    #[test]
    fn a_timestamp_is_zone_unit_and_count() {
        let array = TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC");
        assert_eq!(
            encoded(Arc::new(array), 0),
            [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
        );
    }

    #[test]
    fn floats_have_no_equivalence_class() {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        assert_eq!(
            Cells::of(&array).unwrap().class_index(),
            Err(Fault::new("no-equivalence-class"))
        );
    }
}
