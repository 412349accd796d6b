//! Opening sealed values: as text for CSV, or typed for Parquet.

use std::str::from_utf8;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use arrow_array::builder::StringBuilder;
use arrow_array::{Array, StringArray};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::opened::Opened;
use super::seal::{IV, NONCE, PREFIX, TAG, row_key};

/// Bytes around the plaintext, its type byte and its padding length.
const LEAST: usize = NONCE + IV + 1 + 2 + TAG;

/// Whether a text is a sealed value, a fingerprint or neither; told by its bytes 3 and after.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Kind {
    Sealed,
    Fingerprint,
    Plain,
}

/// Recognises a value and checks the version of the format.
#[inline]
pub fn kind(text: &str) -> Result<Kind, Fault> {
    let bytes = text.as_bytes();
    let found = match bytes.get(3..) {
        Some(rest) if rest.starts_with(b"enc:") => Kind::Sealed,
        Some(rest) if rest.starts_with(b"hmac:") => Kind::Fingerprint,
        _ => return Ok(Kind::Plain),
    };
    if bytes.starts_with(b"02:") {
        Ok(found)
    } else {
        Err(Fault::new("unknown-version"))
    }
}

/// Opens values one after the other. Values of one row in a row share the cipher, so it is kept.
pub struct Opener<'a> {
    root: &'a [u8; 32],
    scratch: Zeroizing<Vec<u8>>,
}

impl<'a> Opener<'a> {
    pub fn new(root: &'a [u8; 32]) -> Self {
        Self {
            root,
            scratch: Zeroizing::new(Vec::with_capacity(16 * 1024)),
        }
    }

    /// Opens one sealed value. The plaintext lives in the opener until the next call.
    pub fn open(&mut self, text: &str) -> Result<Opened<'_>, Fault> {
        self.scratch.clear();
        STANDARD
            .decode_vec(&text.as_bytes()[PREFIX.len()..], &mut self.scratch)
            .map_err(|_| Fault::new("bad-base64"))?;
        if self.scratch.len() < LEAST {
            return Err(Fault::new("truncated"));
        }
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&self.scratch[..NONCE]);
        let mut iv = [0; IV];
        iv.copy_from_slice(&self.scratch[NONCE..NONCE + IV]);
        let end = self.scratch.len() - TAG;
        let mut tag = [0; TAG];
        tag.copy_from_slice(&self.scratch[end..]);
        let cipher = Aes256Gcm::new((&*row_key(self.root, &nonce)).into());
        cipher
            .decrypt_inout_detached(
                &Nonce::from(iv),
                PREFIX,
                (&mut self.scratch[NONCE + IV..end]).into(),
                &Tag::from(tag),
            )
            .map_err(|_| Fault::new("not-authentic"))?;
        Opened::parse(&self.scratch[NONCE + IV..end])
    }
}

/// A column with its sealed values opened, as text. Other texts pass through.
///
/// Also tells how many fingerprints passed through.
pub fn open_text(array: &StringArray, root: &[u8; 32]) -> Result<(StringArray, u64), Fault> {
    let mut out = StringBuilder::with_capacity(array.len(), array.len() * 16);
    let mut opener = Opener::new(root);
    let mut fingerprints = 0;
    for row in 0..array.len() {
        if array.is_null(row) {
            out.append_null();
            continue;
        }
        let text = array.value(row);
        let at = |fault: Fault| Fault {
            row: Some(row),
            ..fault
        };
        match kind(text).map_err(at)? {
            Kind::Plain => out.append_value(text),
            Kind::Fingerprint => {
                fingerprints += 1;
                out.append_value(text);
            }
            Kind::Sealed => {
                let opened = opener.open(text).map_err(at)?;
                if opened.null {
                    out.append_null();
                } else if opened.is_text() {
                    out.append_value(
                        from_utf8(opened.value).map_err(|_| Fault::at("bad-text", row))?,
                    );
                } else {
                    out.append_value(opened.to_text().map_err(at)?);
                }
            }
        }
    }
    Ok((out.finish(), fingerprints))
}

/// The type of the first sealed value of a column: its Arrow type's name as `Opened::type_name`
/// gives it; None where the column has no sealed value.
pub fn sealed_type(array: &StringArray, root: &[u8; 32]) -> Result<Option<String>, Fault> {
    let mut opener = Opener::new(root);
    for row in 0..array.len() {
        if array.is_null(row) {
            continue;
        }
        let at = |fault: Fault| Fault {
            row: Some(row),
            ..fault
        };
        if kind(array.value(row)).map_err(at)? == Kind::Sealed {
            let opened = opener.open(array.value(row)).map_err(at)?;
            // A sealed NULL of a decimal or timestamp carries no metadata: look further.
            if let Some(name) = opened.type_name().map_err(at)? {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::seal::{Sealing, seal_into};
    use crate::columns::texts::Texts;
    use arrow_array::ArrayRef;
    use std::sync::Arc;

    fn sealed() -> String {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["planted"]));
        let columns = [Sealing {
            array: &text,
            header: "h",
            pad_to: None,
        }];
        let mut out = [Texts::default()];
        seal_into(&columns, &[9; 32], false, &mut out).unwrap();
        String::from_utf8(out[0].get(0).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let good = STANDARD.decode(&sealed()[7..]).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let text = format!("02:enc:{}", STANDARD.encode(&bad));
            let found = Opener::new(&[9; 32]).open(&text).map(|_| ()).unwrap_err();
            assert_eq!(found, Fault::new("not-authentic"));
        }
    }

    #[test]
    fn truncation_and_other_versions_are_noticed() {
        let text = sealed();
        for cut in (8..text.len()).step_by(4) {
            let found = Opener::new(&[9; 32])
                .open(&text[..cut])
                .map(|_| ())
                .unwrap_err();
            assert!(["truncated", "not-authentic", "bad-base64"].contains(&found.code));
        }
        assert_eq!(kind("03:enc:AA"), Err(Fault::new("unknown-version")));
        assert_eq!(kind("02:"), Ok(Kind::Plain));
    }
}
