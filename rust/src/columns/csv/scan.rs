//! Records and fields of CSV text.

use memchr::{memchr, memchr_iter, memrchr2};

use crate::columns::fault::Fault;

/// Where the last whole record of `bytes` ends; None where there is no whole record.
///
/// `bytes` begins at the beginning of a record. A line feed ends a record where an even number of
/// quotes stands before it: doubled quotes inside a field keep the count even, and a quote in an
/// unquoted field, which would break it, is an error that `Fields` reports at its record.
pub fn boundary(bytes: &[u8]) -> Option<usize> {
    let mut quotes = memchr_iter(b'"', bytes).count();
    let mut end = bytes.len();
    while let Some(at) = memrchr2(b'\n', b'"', &bytes[..end]) {
        if bytes[at] == b'"' {
            quotes -= 1;
        } else if quotes.is_multiple_of(2) {
            return Some(at + 1);
        }
        end = at;
    }
    None
}

/// One field of a record: where its text is, without quotes and outer blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub start: usize,
    pub end: usize,
    pub quoted: bool,
    /// Holds doubled quotes, which stand for one.
    pub doubled: bool,
}

/// Reads one record after the other.
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

#[inline]
fn is_blank(byte: u8) -> bool {
    byte <= b' '
}

impl<'a> Records<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next record begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Reads the next record's fields into `fields`; false at the end.
    #[inline]
    pub fn next(&mut self, fields: &mut Vec<Field>) -> Result<bool, Fault> {
        fields.clear();
        if self.at >= self.bytes.len() {
            return Ok(false);
        }
        loop {
            let mut at = self.at;
            while at < self.bytes.len() && is_blank(self.bytes[at]) && self.bytes[at] != b'\n' {
                at += 1;
            }
            let field = if self.bytes.get(at) == Some(&b'"') {
                self.quoted(at)?
            } else {
                self.unquoted(at)?
            };
            fields.push(field);
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(_) => {
                    self.at += 1;
                    return Ok(true);
                }
                None => return Ok(true),
            }
        }
    }

    /// A field without quotes; leaves `at` on the comma, the line feed or the end.
    #[inline]
    fn unquoted(&mut self, start: usize) -> Result<Field, Fault> {
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b',' | b'\n' => break,
                b'"' => return Err(Fault::new("stray-quote")),
                _ => at += 1,
            }
        }
        self.at = at;
        let mut end = at;
        while end > start && is_blank(self.bytes[end - 1]) {
            end -= 1;
        }
        Ok(Field {
            start,
            end,
            quoted: false,
            doubled: false,
        })
    }

    /// A field whose opening quote is at `open`.
    #[inline]
    fn quoted(&mut self, open: usize) -> Result<Field, Fault> {
        let start = open + 1;
        let mut doubled = false;
        let mut at = start;
        let end = loop {
            let Some(step) = memchr(b'"', &self.bytes[at..]) else {
                return Err(Fault::new("open-quote"));
            };
            at += step + 1;
            if self.bytes.get(at) == Some(&b'"') {
                doubled = true;
                at += 1;
            } else {
                break at - 1;
            }
        };
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b',' | b'\n' => break,
                byte if is_blank(byte) => at += 1,
                _ => return Err(Fault::new("stray-quote")),
            }
        }
        self.at = at;
        Ok(Field {
            start,
            end,
            quoted: true,
            doubled,
        })
    }
}

/// Whether a record is an empty line: one unquoted field of no characters.
#[inline]
pub fn is_empty_line(fields: &[Field]) -> bool {
    matches!(fields, [field] if !field.quoted && field.start == field.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Result<Vec<Vec<(String, bool)>>, Fault> {
        let mut reader = Records::new(text.as_bytes());
        let mut fields = Vec::new();
        let mut out = Vec::new();
        while reader.next(&mut fields)? {
            out.push(
                fields
                    .iter()
                    .map(|f| (text[f.start..f.end].to_string(), f.quoted))
                    .collect(),
            );
        }
        Ok(out)
    }

    #[test]
    fn quoted_and_blank_fields_are_told_apart() {
        let found = records("a, b ,\"\",\r\n\" c \" ,\"d,\n\"\"e\",,x").unwrap();
        let field = |text: &str, quoted| (text.to_string(), quoted);
        assert_eq!(
            found,
            [
                vec![
                    field("a", false),
                    field("b", false),
                    field("", true),
                    field("", false)
                ],
                vec![
                    field(" c ", true),
                    field("d,\n\"\"e", true),
                    field("", false),
                    field("x", false)
                ],
            ]
        );
    }

    #[test]
    fn stray_and_open_quotes_are_errors() {
        for bad in ["a\"b", "\"a\"b", "\"a", "a,\"b\n"] {
            assert!(records(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_boundary_is_the_last_line_feed_outside_quotes() {
        assert_eq!(boundary(b"a,b\nc"), Some(4));
        assert_eq!(boundary(b"a,\"b\nc"), None);
        assert_eq!(boundary(b"a\n\"b\nc\""), Some(2));
        assert_eq!(boundary(b"\"x\ny\"\n\"\"\"\n"), Some(6));
        assert_eq!(boundary(b""), None);
    }
}
