//! Records and fields of CSV text.

use memchr::{memchr, memrchr};

use crate::columns::fault::Fault;

/// Where the last whole record of `bytes` ends; None where there is no whole record.
///
/// `bytes` begins at the beginning of a record. A record that is malformed counts as ended by the
/// last line feed there is: whoever parses it meets the error at its row.
pub fn boundary(bytes: &[u8]) -> Option<usize> {
    let after_last_feed = || memrchr(b'\n', bytes).map(|at| at + 1);
    if memchr(b'"', bytes).is_none() {
        return after_last_feed();
    }
    let mut records = Records::new(bytes);
    let mut fields = Vec::new();
    let mut end = None;
    loop {
        match records.next(&mut fields) {
            // A record at the end of `bytes` without a line feed may go on in the next block.
            Ok(true) if bytes[records.position() - 1] == b'\n' => end = Some(records.position()),
            Ok(_) => return end,
            Err(fault) if fault.code == "open-quote" => return end,
            Err(_) => return after_last_feed(),
        }
    }
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
                self.unquoted(at)
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

    /// A field that no quote begins, where quotes are characters like others; leaves `at` on the
    /// comma, the line feed or the end.
    #[inline]
    fn unquoted(&mut self, start: usize) -> Field {
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b',' | b'\n' => break,
                _ => at += 1,
            }
        }
        self.at = at;
        let mut end = at;
        while end > start && is_blank(self.bytes[end - 1]) {
            end -= 1;
        }
        Field {
            start,
            end,
            quoted: false,
            doubled: false,
        }
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
        for bad in ["\"a\"b", "\"a", "a,\"b\n"] {
            assert!(records(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_quote_inside_an_unquoted_field_is_a_character() {
        let found = records("5\"x,6\"\n").unwrap();
        assert_eq!(
            found,
            [vec![
                ("5\"x".to_string(), false),
                ("6\"".to_string(), false)
            ]]
        );
    }

    #[test]
    fn the_boundary_is_the_last_line_feed_outside_quotes() {
        assert_eq!(boundary(b"a,b\nc"), Some(4));
        assert_eq!(boundary(b"a,\"b\nc"), None);
        assert_eq!(boundary(b"a\n\"b\nc\""), Some(2));
        assert_eq!(boundary(b"\"x\ny\"\n\"\"\"\n"), Some(6));
        assert_eq!(boundary(b""), None);
        assert_eq!(boundary(b"5\"x,6\"\n\"a\nb\"\nc"), Some(13));
        assert_eq!(boundary(b"\"a\"b\nc\nd"), Some(7));
    }
}
