//! The plaintext of a sealed value: type, metadata, value; its text and its Arrow type.

use std::str::from_utf8;

use super::calendar::{date_text, timestamp_text};
use super::fault::Fault;
use super::value::{
    BIGINT, BOOLEAN, CHAR, DATE, DECIMAL, DOUBLE, FLOAT, INT, MICROS, MILLIS, NANOS, SMALLINT,
    STRING, TIMESTAMP, VARCHAR,
};

/// One opened value. `meta` is precision and scale, or zone and unit; empty for other types.
pub struct Opened<'a> {
    pub kind: u8,
    pub null: bool,
    meta: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> Opened<'a> {
    /// Takes a decrypted plaintext apart and checks every length.
    pub fn parse(plain: &'a [u8]) -> Result<Self, Fault> {
        let malformed = || Fault::new("malformed");
        let (&type_byte, rest) = plain.split_first().ok_or_else(malformed)?;
        let cut = rest.len().checked_sub(2).ok_or_else(malformed)?;
        let pad = usize::from(u16::from_be_bytes([rest[cut], rest[cut + 1]]));
        let body = &rest[..cut.checked_sub(pad).ok_or_else(malformed)?];
        let kind = type_byte >> 1;
        let null = type_byte & 1 == 1;
        if !(STRING..=VARCHAR).contains(&kind) {
            return Err(Fault::new("unknown-type"));
        }
        if null {
            return Ok(Self {
                kind,
                null,
                meta: &[],
                value: &[],
            });
        }
        let split = match kind {
            DECIMAL => 8,
            TIMESTAMP => 5,
            VARCHAR => 4,
            _ => 0,
        };
        if body.len() < split {
            return Err(malformed());
        }
        let (meta, value) = body.split_at(split);
        let width = match kind {
            SMALLINT => Some(2),
            INT | DATE | FLOAT => Some(4),
            BIGINT | DOUBLE | TIMESTAMP => Some(8),
            BOOLEAN => Some(1),
            _ => None,
        };
        if width.is_some_and(|width| width != value.len()) {
            return Err(malformed());
        }
        if kind == BOOLEAN && value[0] > 1 {
            return Err(malformed());
        }
        Ok(Self {
            kind,
            null,
            meta,
            value,
        })
    }

    /// Whether the value is text as it stands.
    pub fn is_text(&self) -> bool {
        matches!(self.kind, STRING | CHAR | VARCHAR)
    }

    /// The value as a big-endian signed number of its own width; `parse` has checked that.
    pub fn integer(&self) -> i64 {
        let negative = self.value.first().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        let take = self.value.len().min(8);
        wide[8 - take..].copy_from_slice(&self.value[..take]);
        i64::from_be_bytes(wide)
    }

    /// A double, whatever the width it was written in.
    pub fn double(&self) -> f64 {
        match *self.value {
            [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
            _ => f64::from_bits(self.integer() as u64),
        }
    }

    fn meta_word(&self, at: usize) -> i32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.meta[at..at + 4]);
        i32::from_be_bytes(word)
    }

    /// Precision and scale of a decimal.
    pub fn decimal(&self) -> (i32, i32) {
        (self.meta_word(0), self.meta_word(4))
    }

    /// Whether a timestamp is in UTC, and its unit.
    pub fn timestamp(&self) -> Result<(bool, i32), Fault> {
        let unit = self.meta_word(1);
        if self.meta[0] > 1 || ![MILLIS, MICROS, NANOS].contains(&unit) {
            return Err(Fault::new("malformed"));
        }
        Ok((self.meta[0] == 1, unit))
    }

    /// The value as the text of a CSV field.
    pub fn to_text(&self) -> Result<String, Fault> {
        let malformed = || Fault::new("malformed");
        Ok(match self.kind {
            BOOLEAN => (if self.value[0] == 1 { "true" } else { "false" }).to_string(),
            SMALLINT | INT | BIGINT => self.integer().to_string(),
            DATE => date_text(self.integer()),
            FLOAT => {
                let mut bytes = [0; 4];
                bytes.copy_from_slice(self.value);
                f32::from_be_bytes(bytes).to_string()
            }
            DOUBLE => self.double().to_string(),
            TIMESTAMP => {
                let (utc, unit) = self.timestamp()?;
                timestamp_text(self.integer(), unit, utc)
            }
            _ => from_utf8(self.value).map_err(|_| malformed())?.to_string(),
        })
    }

    /// The Arrow type's name; None where a NULL leaves it open.
    pub fn type_name(&self) -> Result<Option<String>, Fault> {
        if self.null && matches!(self.kind, DECIMAL | TIMESTAMP) {
            return Ok(None);
        }
        Ok(Some(match self.kind {
            SMALLINT => "int16".to_string(),
            INT => "int32".to_string(),
            BIGINT => "int64".to_string(),
            BOOLEAN => "bool".to_string(),
            DATE => "date32".to_string(),
            FLOAT => "float32".to_string(),
            DOUBLE => "float64".to_string(),
            DECIMAL => {
                let (precision, scale) = self.decimal();
                format!("decimal:{precision}:{scale}")
            }
            TIMESTAMP => {
                let (utc, unit) = self.timestamp()?;
                let unit = ["ms", "us", "ns"][unit as usize];
                format!("timestamp:{unit}:{}", if utc { "UTC" } else { "" })
            }
            _ => "string".to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_checked() {
        for bad in [
            &[][..],
            &[BIGINT << 1][..],
            &[BIGINT << 1, 1, 2, 3, 0, 0][..],
            &[STRING << 1, 65, 0, 9][..],
            &[BOOLEAN << 1, 2, 0, 0][..],
            &[DECIMAL << 1, 0, 0, 0][..],
            &[99 << 1, 0, 0][..],
        ] {
            assert!(Opened::parse(bad).is_err());
        }
    }

    #[test]
    fn text_of_every_type() {
        let text = |plain: &[u8]| Opened::parse(plain).unwrap().to_text().unwrap();
        assert_eq!(text(&[SMALLINT << 1, 0xff, 0xfe, 0, 0]), "-2");
        assert_eq!(text(&[DATE << 1, 0, 0, 0, 1, 0, 0]), "1970-01-02");
        assert_eq!(text(&[BOOLEAN << 1, 1, 0, 0]), "true");
        let stamp = [&[TIMESTAMP << 1, 1, 0, 0, 0, 0][..], &[0; 10]].concat();
        assert_eq!(text(&stamp), "1970-01-01T00:00:00.000Z");
    }
}
