//! Sealed values: AES-256-GCM under a key of their row, padded, readable by whoever holds the secret.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes256Enc;
use aes_gcm::{AesGcm, KeyInit, Nonce};
use arrow_array::{Array, ArrayRef};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::hash::Prefixed;
use super::random::OsRandom;
use super::texts::Texts;
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

/// AES-256-GCM that only seals: no decryption keys are made.
type Cipher = AesGcm<Aes256Enc, U12>;

/// The key that the sealed values of one row share: SHA-256(root || nonce).
pub fn row_key(root: &[u8; 32], nonce: &[u8; NONCE]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Prefixed::new(root).of(nonce))
}

/// Characters of a sealed value whose metadata and value, padded, have `length` bytes.
fn sealed_len(length: usize) -> usize {
    PREFIX.len() + (NONCE + IV + 1 + length + 2 + TAG).div_ceil(3) * 4
}

/// One column while it is sealed: where its text goes.
struct Column<'a> {
    cells: Cells<'a>,
    /// What the first 12 bytes of are a value's initialisation vector: SHA-256(header || nonce).
    header: Prefixed,
    pad_to: Option<usize>,
    keeps_nulls: bool,
    out: &'a mut Texts,
}

impl<'a> Column<'a> {
    fn new(
        column: &Sealing<'a>,
        index: usize,
        preserve_nulls: bool,
        out: &'a mut Texts,
    ) -> Result<Self, Fault> {
        let cells = Cells::of(column.array).map_err(|fault| fault.of(index))?;
        let keeps_nulls = preserve_nulls && column.array.null_count() > 0;
        if keeps_nulls {
            out.nulls = column.array.nulls().cloned();
        }
        let rows = column.array.len();
        let first = if rows > 0 { cells.encoded_len(0) } else { 0 };
        out.reserve(rows, rows * sealed_len(column.pad_to.unwrap_or(first)));
        Ok(Self {
            cells,
            header: Prefixed::new(column.header.as_bytes()),
            pad_to: column.pad_to,
            keeps_nulls,
            out,
        })
    }

    #[inline]
    fn skips(&self, row: usize) -> bool {
        self.keeps_nulls && self.cells.is_null(row)
    }

    /// Appends one cell to the column's text; `scratch` is reused from cell to cell.
    #[inline]
    fn seal(
        &mut self,
        row: usize,
        cipher: &Cipher,
        nonce: &[u8; NONCE],
        scratch: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut iv = [0; IV];
        iv.copy_from_slice(&self.header.of(nonce)[..IV]);
        scratch.clear();
        scratch.extend_from_slice(nonce);
        scratch.extend_from_slice(&iv);
        scratch.push(self.cells.type_index() << 1 | u8::from(self.cells.is_null(row)));
        self.cells.encode(row, scratch);
        let length = scratch.len() - NONCE - IV - 1;
        let pad = match self.pad_to {
            None => 0,
            Some(target) => target
                .checked_sub(length)
                .ok_or_else(|| Fault::at("value-too-long", row))?,
        };
        // The padding's length is two bytes of the format.
        let told = u16::try_from(pad).map_err(|_| Fault::at("pad-too-long", row))?;
        scratch.resize(scratch.len() + pad, 0);
        scratch.extend_from_slice(&told.to_be_bytes());
        let tag = cipher
            .encrypt_inout_detached(
                &Nonce::from(iv),
                PREFIX,
                (&mut scratch[NONCE + IV..]).into(),
            )
            .map_err(|_| Fault::at("internal", row))?;
        scratch.extend_from_slice(&tag);
        self.out.push(PREFIX, scratch)
    }
}

/// Seals several columns of one batch into the texts of `outs`. The nonce and the key schedule of a
/// row serve all of them.
pub fn seal_into(
    columns: &[Sealing<'_>],
    root: &[u8; 32],
    preserve_nulls: bool,
    outs: &mut [Texts],
) -> Result<(), Fault> {
    let rows = columns.first().map_or(0, |column| column.array.len());
    if columns.len() != outs.len() || columns.iter().any(|column| column.array.len() != rows) {
        return Err(Fault::new("uneven-columns"));
    }
    let mut parts = Vec::with_capacity(columns.len());
    for (index, (column, out)) in columns.iter().zip(outs).enumerate() {
        parts.push(Column::new(column, index, preserve_nulls, out)?);
    }
    let mut row_keys = Prefixed::new(root);
    let mut random = OsRandom::new();
    let mut scratch = Zeroizing::new(Vec::with_capacity(16 * 1024));
    for row in 0..rows {
        if parts.iter().all(|part| part.skips(row)) {
            parts.iter_mut().for_each(|part| part.out.push_nothing());
            continue;
        }
        let nonce: [u8; NONCE] = random.bytes()?;
        let key = Zeroizing::new(row_keys.of(&nonce));
        let cipher = Cipher::new((&*key).into());
        for (index, part) in parts.iter_mut().enumerate() {
            if part.skips(row) {
                part.out.push_nothing();
            } else {
                part.seal(row, &cipher, &nonce, &mut scratch)
                    .map_err(|fault| fault.of(index))?;
            }
        }
    }
    Ok(())
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
    use arrow_array::StringArray;
    use std::sync::Arc;

    fn seal(
        columns: &[Sealing<'_>],
        root: &[u8; 32],
        preserve_nulls: bool,
    ) -> Result<Vec<StringArray>, Fault> {
        let mut outs: Vec<Texts> = columns.iter().map(|_| Texts::default()).collect();
        seal_into(columns, root, preserve_nulls, &mut outs)?;
        outs.into_iter().map(Texts::into_array).collect()
    }

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
