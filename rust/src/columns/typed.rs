//! Opening a sealed column into the Arrow type that its values carry.

use std::str::{FromStr, from_utf8};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, TimestampMicrosecondBuilder,
    TimestampMillisecondBuilder, TimestampNanosecondBuilder,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};

use super::fault::Fault;
use super::opened::Opened;
use super::unseal::{Kind, Opener, kind};
use super::value::{
    BIGINT, BOOLEAN, DATE, DECIMAL, DOUBLE, FLOAT, INT, MICROS, MILLIS, NANOS, SMALLINT, TIMESTAMP,
};

/// A builder of any of the types that a sealed value can have but text.
enum Builder {
    Small(Int16Builder),
    Int(Int32Builder),
    Big(Int64Builder),
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    WideDecimal(Decimal256Builder, u8, i8),
    Millis(TimestampMillisecondBuilder, bool),
    Micros(TimestampMicrosecondBuilder, bool),
    Nanos(TimestampNanosecondBuilder, bool),
}

macro_rules! each {
    ($builder:expr, $b:ident => $body:expr) => {
        match $builder {
            Builder::Small($b) => $body,
            Builder::Int($b) => $body,
            Builder::Big($b) => $body,
            Builder::Bool($b) => $body,
            Builder::Date($b) => $body,
            Builder::Float($b) => $body,
            Builder::Double($b) => $body,
            Builder::Decimal($b, ..) => $body,
            Builder::WideDecimal($b, ..) => $body,
            Builder::Millis($b, _) => $body,
            Builder::Micros($b, _) => $body,
            Builder::Nanos($b, _) => $body,
        }
    };
}

impl Builder {
    fn new(wanted: &DataType) -> Result<Self, Fault> {
        let unsupported = |_| Fault::new("unsupported-type");
        Ok(match wanted {
            DataType::Int16 => Self::Small(Int16Builder::new()),
            DataType::Int32 => Self::Int(Int32Builder::new()),
            DataType::Int64 => Self::Big(Int64Builder::new()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Float32 => Self::Float(Float32Builder::new()),
            DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Decimal128(p, s) => Self::Decimal(
                Decimal128Builder::new()
                    .with_precision_and_scale(*p, *s)
                    .map_err(unsupported)?,
                *p,
                *s,
            ),
            DataType::Decimal256(p, s) => Self::WideDecimal(
                Decimal256Builder::new()
                    .with_precision_and_scale(*p, *s)
                    .map_err(unsupported)?,
                *p,
                *s,
            ),
            DataType::Timestamp(unit, zone) => {
                let utc = zone.is_some();
                let zone = zone.clone();
                match unit {
                    TimeUnit::Millisecond => Self::Millis(
                        TimestampMillisecondBuilder::new().with_timezone_opt(zone),
                        utc,
                    ),
                    TimeUnit::Microsecond => Self::Micros(
                        TimestampMicrosecondBuilder::new().with_timezone_opt(zone),
                        utc,
                    ),
                    TimeUnit::Nanosecond => Self::Nanos(
                        TimestampNanosecondBuilder::new().with_timezone_opt(zone),
                        utc,
                    ),
                    TimeUnit::Second => return Err(Fault::new("unsupported-type")),
                }
            }
            _ => return Err(Fault::new("unsupported-type")),
        })
    }

    fn push_null(&mut self) {
        each!(self, b => b.append_null());
    }

    fn push(&mut self, opened: &Opened<'_>) -> Result<(), Fault> {
        let mixed = || Fault::new("mixed-types");
        let number = opened.integer();
        match (self, opened.kind) {
            (Self::Small(b), SMALLINT) => b.append_value(number as i16),
            (Self::Int(b), INT) => b.append_value(number as i32),
            (Self::Big(b), BIGINT) => b.append_value(number),
            (Self::Bool(b), BOOLEAN) => b.append_value(opened.value[0] == 1),
            (Self::Date(b), DATE) => b.append_value(number as i32),
            (Self::Float(b), FLOAT) => b.append_value(opened.double() as f32),
            (Self::Double(b), DOUBLE) => b.append_value(opened.double()),
            (Self::Decimal(b, p, s), DECIMAL) => {
                if opened.decimal() != (i32::from(*p), i32::from(*s)) {
                    return Err(mixed());
                }
                let unscaled = unscaled(opened.value, *p, *s)?;
                b.append_value(i128::from_str(&unscaled).map_err(|_| Fault::new("bad-decimal"))?);
            }
            (Self::WideDecimal(b, p, s), DECIMAL) => {
                if opened.decimal() != (i32::from(*p), i32::from(*s)) {
                    return Err(mixed());
                }
                let unscaled = unscaled(opened.value, *p, *s)?;
                b.append_value(
                    i256::from_string(&unscaled).ok_or_else(|| Fault::new("bad-decimal"))?,
                );
            }
            (Self::Millis(b, utc), TIMESTAMP) if opened.timestamp()? == (*utc, MILLIS) => {
                b.append_value(number);
            }
            (Self::Micros(b, utc), TIMESTAMP) if opened.timestamp()? == (*utc, MICROS) => {
                b.append_value(number);
            }
            (Self::Nanos(b, utc), TIMESTAMP) if opened.timestamp()? == (*utc, NANOS) => {
                b.append_value(number);
            }
            _ => return Err(mixed()),
        }
        Ok(())
    }

    fn finish(mut self) -> ArrayRef {
        each!(&mut self, b => Arc::new(b.finish()) as ArrayRef)
    }
}

/// The unscaled digits of a plain decimal text, refused where it has more digits than allowed.
fn unscaled(text: &[u8], precision: u8, scale: i8) -> Result<String, Fault> {
    let bad = || Fault::new("bad-decimal");
    let text = from_utf8(text).map_err(|_| bad())?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole
        .bytes()
        .chain(fraction.bytes())
        .all(|b| b.is_ascii_digit())
        || whole.is_empty()
    {
        return Err(bad());
    }
    let joined = if scale >= 0 {
        let scale = scale as usize;
        if fraction.len() > scale {
            return Err(bad());
        }
        format!("{whole}{fraction:0<scale$}")
    } else {
        let drop = usize::from(scale.unsigned_abs());
        match whole.len().checked_sub(drop) {
            _ if !fraction.is_empty() => return Err(bad()),
            Some(keep) if whole[keep..].bytes().all(|b| b == b'0') => whole[..keep].to_string(),
            None if whole.bytes().all(|b| b == b'0') => "0".to_string(),
            _ => return Err(bad()),
        }
    };
    let digits = joined.trim_start_matches('0');
    if digits.len() > usize::from(precision) {
        return Err(bad());
    }
    Ok(if digits.is_empty() {
        "0".to_string()
    } else {
        format!("{sign}{digits}")
    })
}

/// A sealed column opened as `wanted`; every value must be sealed, and carry that very type.
pub fn open_typed(
    array: &StringArray,
    root: &[u8; 32],
    wanted: &DataType,
) -> Result<ArrayRef, Fault> {
    let mut builder = Builder::new(wanted)?;
    let mut opener = Opener::new(root);
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.push_null();
            continue;
        }
        let at = |fault: Fault| Fault {
            row: Some(row),
            ..fault
        };
        if kind(array.value(row)).map_err(at)? != Kind::Sealed {
            return Err(Fault::at("mixed-types", row));
        }
        let opened = opener.open(array.value(row)).map_err(at)?;
        if opened.null {
            builder.push_null();
        } else {
            builder.push(&opened).map_err(at)?;
        }
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unscaled_digits() {
        assert_eq!(unscaled(b"-0.05", 9, 2).unwrap(), "-5");
        assert_eq!(unscaled(b"1", 9, 2).unwrap(), "100");
        assert_eq!(unscaled(b"0.00", 9, 2).unwrap(), "0");
        assert_eq!(unscaled(b"500", 9, -2).unwrap(), "5");
        for bad in [&b"1.234"[..], b"1e5", b"", b".", b"12345678.00", b"--1"] {
            assert!(unscaled(bad, 9, 2).is_err());
        }
    }
}
