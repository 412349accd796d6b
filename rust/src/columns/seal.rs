//! Sealed values: AES-256-GCM under a key of their row, padded, readable by whoever holds the secret.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::random::OsRandom;
use super::value::Cells;

/// What every sealed value begins with; it is also the authenticated data.
pub const PREFIX: &[u8] = b"02:enc:";
pub const NONCE: usize = 32;
pub const IV: usize = 12;
pub const TAG: usize = 16;

/// One column to seal: its cells, its target header and the length its values are padded to.
pub struct Sealing<'a> {
    pub array: &'a ArrayRef,
    pub header: &'a str,
    pub pad_to: Option<usize>,
}

/// The key that the sealed values of one row share: SHA-256(root || nonce).
pub fn row_key(root: &[u8; 32], nonce: &[u8; NONCE]) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(root);
    hash.update(nonce);
    Zeroizing::new(hash.finalize().into())
}

/// The initialisation vector of a value: the first 12 bytes of SHA-256(header || nonce).
#[inline]
fn value_iv(header: &[u8], nonce: &[u8; NONCE]) -> [u8; IV] {
    let mut hash = Sha256::new();
    hash.update(header);
    hash.update(nonce);
    let digest = hash.finalize();
    let mut iv = [0; IV];
    iv.copy_from_slice(&digest[..IV]);
    iv
}

/// Characters of a sealed value whose metadata and value, padded, have `length` bytes.
fn sealed_len(length: usize) -> usize {
    PREFIX.len() + (NONCE + IV + 1 + length + 2 + TAG).div_ceil(3) * 4
}

/// One column while it is sealed: where its text goes.
struct Output<'a> {
    cells: Cells<'a>,
    header: &'a [u8],
    pad_to: Option<usize>,
    nulls: Option<NullBuffer>,
    keeps_nulls: bool,
    offsets: Vec<i32>,
    text: Vec<u8>,
}

impl<'a> Output<'a> {
    fn new(column: &Sealing<'a>, index: usize, preserve_nulls: bool) -> Result<Self, Fault> {
        let cells = Cells::of(column.array).map_err(|fault| fault.of(index))?;
        let keeps_nulls = preserve_nulls && column.array.null_count() > 0;
        let rows = column.array.len();
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0i32);
        let mut total = 0usize;
        for row in 0..rows {
            if !(keeps_nulls && cells.is_null(row)) {
                let length = cells.encoded_len(row);
                let padded = match column.pad_to {
                    None => length,
                    Some(target) if length <= target => target,
                    Some(_) => return Err(Fault::at("value-too-long", row).of(index)),
                };
                // The padding length is two bytes of the format.
                if padded - length > usize::from(u16::MAX) {
                    return Err(Fault::at("pad-too-long", row).of(index));
                }
                total += sealed_len(padded);
            }
            let end = i32::try_from(total).map_err(|_| Fault::new("batch-too-large").of(index))?;
            offsets.push(end);
        }
        Ok(Self {
            cells,
            header: column.header.as_bytes(),
            pad_to: column.pad_to,
            nulls: if keeps_nulls {
                column.array.nulls().cloned()
            } else {
                None
            },
            keeps_nulls,
            offsets,
            text: vec![0; total],
        })
    }

    #[inline]
    fn skips(&self, row: usize) -> bool {
        self.keeps_nulls && self.cells.is_null(row)
    }

    /// Seals one cell straight into the column's text; `scratch` is reused from cell to cell.
    #[inline]
    fn seal(
        &mut self,
        row: usize,
        cipher: &Aes256Gcm,
        nonce: &[u8; NONCE],
        scratch: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let iv = value_iv(self.header, nonce);
        scratch.clear();
        scratch.extend_from_slice(nonce);
        scratch.extend_from_slice(&iv);
        scratch.push(self.cells.type_index() << 1 | u8::from(self.cells.is_null(row)));
        self.cells.encode(row, scratch);
        let length = scratch.len() - NONCE - IV - 1;
        let pad = self.pad_to.map_or(0, |target| target - length);
        scratch.resize(scratch.len() + pad, 0);
        scratch.extend_from_slice(&(pad as u16).to_be_bytes());
        let tag = cipher
            .encrypt_inout_detached(
                &Nonce::from(iv),
                PREFIX,
                (&mut scratch[NONCE + IV..]).into(),
            )
            .map_err(|_| Fault::at("internal", row))?;
        scratch.extend_from_slice(&tag);
        let slot = &mut self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize];
        slot[..PREFIX.len()].copy_from_slice(PREFIX);
        STANDARD
            .encode_slice(&scratch, &mut slot[PREFIX.len()..])
            .map_err(|_| Fault::at("internal", row))?;
        Ok(())
    }

    fn finish(self) -> Result<StringArray, Fault> {
        StringArray::try_new(
            OffsetBuffer::new(ScalarBuffer::from(self.offsets)),
            Buffer::from_vec(self.text),
            self.nulls,
        )
        .map_err(|_| Fault::new("internal"))
    }
}

/// Seals several columns of one batch. The nonce and the key schedule of a row serve all of them.
pub fn seal(
    columns: &[Sealing<'_>],
    root: &[u8; 32],
    preserve_nulls: bool,
) -> Result<Vec<StringArray>, Fault> {
    let rows = columns.first().map_or(0, |column| column.array.len());
    if columns.iter().any(|column| column.array.len() != rows) {
        return Err(Fault::new("uneven-columns"));
    }
    let mut outputs = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        outputs.push(Output::new(column, index, preserve_nulls)?);
    }
    let mut random = OsRandom::new();
    let mut scratch = Zeroizing::new(Vec::with_capacity(16 * 1024));
    for row in 0..rows {
        if outputs.iter().all(|output| output.skips(row)) {
            continue;
        }
        let nonce: [u8; NONCE] = random.bytes()?;
        let cipher = Aes256Gcm::new((&*row_key(root, &nonce)).into());
        for output in &mut outputs {
            if !output.skips(row) {
                output.seal(row, &cipher, &nonce, &mut scratch)?;
            }
        }
    }
    outputs.into_iter().map(Output::finish).collect()
}

/// The longest encoded cell of a column, and the first row whose cell is longer than `limit`.
pub fn longest(array: &ArrayRef, limit: usize) -> Result<(usize, Option<usize>), Fault> {
    let cells = Cells::of(array)?;
    let mut most = 0;
    let mut over = None;
    for row in 0..array.len() {
        let length = cells.encoded_len(row);
        most = most.max(length);
        if length > limit && over.is_none() {
            over = Some(row);
        }
    }
    Ok((most, over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::unseal::open_text;
    use std::sync::Arc;

    #[test]
    fn what_is_sealed_opens_again_whatever_the_padding() {
        let root = [3; 32];
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("né"), None, Some("")]));
        for pad_to in [None, Some(3), Some(12_000)] {
            let columns = [Sealing {
                array: &text,
                header: "city",
                pad_to,
            }];
            let sealed = seal(&columns, &root, false).unwrap().remove(0);
            let (opened, fingerprints) = open_text(&sealed, &root).unwrap();
            assert_eq!(fingerprints, 0);
            assert_eq!(
                opened.iter().collect::<Vec<_>>(),
                vec![Some("né"), None, Some("")]
            );
        }
    }

    #[test]
    fn a_value_longer_than_its_padding_is_named() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "abc"]));
        let columns = [Sealing {
            array: &text,
            header: "h",
            pad_to: Some(2),
        }];
        assert_eq!(
            seal(&columns, &[0; 32], false).unwrap_err(),
            Fault::at("value-too-long", 1).of(0)
        );
    }

    #[test]
    fn padded_values_have_one_length() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("abc"), None]));
        let columns = [Sealing {
            array: &text,
            header: "h",
            pad_to: Some(8),
        }];
        let sealed = seal(&columns, &[0; 32], false).unwrap().remove(0);
        assert!(
            (0..3).all(|row| sealed.value(row).len() == sealed_len(8)),
            "NULLs too"
        );
    }
}
