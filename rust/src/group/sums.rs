//! Ciphertexts of matched records added up per cell (protocol message 4, at A).
//!
//! The party that adds holds no key: it sees random points. Which records it adds is its own secret;
//! the work here is not constant time in that.

use std::ops::Range;

use curve25519_dalek::ristretto::RistrettoPoint;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::elgamal::{CIPHERTEXT, Pair, decode_pair, encode_pair};
use super::join::Matches;
use super::parallel::{CHUNK, check, pool};
use super::records::Field;
use crate::columns::fault::Fault;

/// One sum a cell, under way. Records may come in pieces, in any order, each once.
pub struct Sums(Vec<Pair>);

impl Sums {
    pub fn new(cells: usize) -> Self {
        Self(vec![
            (RistrettoPoint::default(), RistrettoPoint::default());
            cells
        ])
    }

    /// Adds the matched ones of the records `start..start + ciphertexts.len()` of the joined list.
    ///
    /// All are decoded, matched or not: a refusal must not tell which match. A fault adds nothing.
    pub fn add(
        &mut self,
        matches: &Matches,
        ciphertexts: Field<'_, CIPHERTEXT>,
        start: usize,
        threads: usize,
    ) -> Result<(), Fault> {
        if self.0.len() != matches.cells() {
            return Err(Fault::new("uneven-cells"));
        }
        let rows = start..start.saturating_add(ciphertexts.len());
        let mut matched = Zeroizing::new(vec![false; ciphertexts.len()]);
        let mut work: Vec<(usize, Range<usize>)> = Vec::new();
        for cell in 0..matches.cells() {
            let found = matches.within(cell, &rows);
            for &row in &matches.rows()[found.clone()] {
                matched[row as usize - start] = true;
            }
            let end = found.end;
            work.extend(
                found
                    .step_by(CHUNK)
                    .map(|from| (cell, from..end.min(from + CHUNK))),
            );
        }
        let partial: Vec<Result<Pair, Fault>> = pool(threads)?.install(|| {
            work.par_iter()
                .map(|(_, found)| {
                    let mut sum = (RistrettoPoint::default(), RistrettoPoint::default());
                    for &row in &matches.rows()[found.clone()] {
                        let row = row as usize - start;
                        let (first, second) = decode_pair(ciphertexts.get(row), row)?;
                        sum.0 += first;
                        sum.1 += second;
                    }
                    Ok(sum)
                })
                .collect()
        });
        let rest = check(ciphertexts.len(), threads, |rows| {
            rows.filter(|&row| !matched[row])
                .try_for_each(|row| decode_pair(ciphertexts.get(row), row).map(|_| ()))
        });
        if let Some(fault) = partial
            .iter()
            .filter_map(|part| part.as_ref().err())
            .chain(rest.as_ref().err())
            .min_by_key(|fault| fault.row)
        {
            return Err(fault.clone());
        }
        for ((cell, _), part) in work.iter().zip(partial.into_iter().flatten()) {
            self.0[*cell].0 += part.0;
            self.0[*cell].1 += part.1;
        }
        Ok(())
    }

    /// The sums so far, 64 bytes a cell; that of nothing is two identities, 64 zero bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(encode_pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::elgamal::{KeyPair, Nonces, decode_sum};
    use crate::group::join::{Side, join};
    use crate::group::secret::Secret;
    use curve25519_dalek::scalar::Scalar;

    fn tag(number: u32) -> [u8; 12] {
        let mut tag = [0; 12];
        tag[1..5].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        tag
    }

    #[test]
    fn sums_are_those_of_a_loop_however_the_records_are_cut() {
        const ROWS: u32 = 3_000;
        let key = KeyPair::new(Secret::random().unwrap());
        let values: Vec<i64> = (0..i64::from(ROWS)).map(|row| row * row).collect();
        let made = key.encrypt(&values, &Nonces::Fresh, 2).unwrap();
        let right: Vec<u8> = (0..ROWS).flat_map(tag).collect();
        let right_groups: Vec<u16> = (0..ROWS).map(|row| (row % 3) as u16).collect();
        // The left side has every second one, in another order, and some of its own.
        let numbers: Vec<u32> = (0..ROWS + 500).rev().filter(|row| row % 2 == 0).collect();
        let left: Vec<u8> = numbers.iter().copied().flat_map(tag).collect();
        let left_groups: Vec<u16> = numbers.iter().map(|row| (row / 1_600) as u16).collect();
        let side = |tags, groups, count| Side::new(tags, groups, count).unwrap();
        let matches = join(
            &side(&left, &left_groups, 4),
            &side(&right, &right_groups, 3),
            (0, 1),
            2,
        )
        .unwrap();
        let mut expected = [0i64; 12];
        for row in (0..ROWS).step_by(2) {
            let cell = (row / 1_600) as usize * 3 + (row % 3) as usize;
            expected[cell] += values[row as usize];
        }
        for cut in [ROWS as usize, 1_000, 7] {
            let mut sums = Sums::new(12);
            for start in (0..ROWS as usize)
                .step_by(cut)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
            {
                let end = made.len().min((start + cut) * CIPHERTEXT);
                let piece = Field::new(&made[start * CIPHERTEXT..end], CIPHERTEXT, 0).unwrap();
                sums.add(&matches, piece, start, 2).unwrap();
            }
            for (cell, bytes) in sums.bytes().as_chunks::<CIPHERTEXT>().0.iter().enumerate() {
                let (first, second) = decode_sum(bytes, cell).unwrap();
                let opened = second - first * key.secret().whole();
                let sum = Scalar::from(expected[cell] as u64);
                assert_eq!(opened, RistrettoPoint::mul_base(&sum), "{cell}");
            }
            if cut == 7 {
                assert!(expected[9..].iter().all(|sum| *sum == 0));
            }
        }
        // Rows 11 and 13 match nothing, and are looked at all the same.
        for (bad, worse) in [(10, 20), (11, 20), (10, 13), (11, 13)] {
            let mut spoilt = made.clone();
            spoilt[64 * bad] ^= 1;
            spoilt[64 * worse..][..32].fill(0);
            let mut sums = Sums::new(12);
            for threads in [1, 2] {
                let spoilt = Field::new(&spoilt, 64, 0).unwrap();
                let fault = sums.add(&matches, spoilt, 0, threads).unwrap_err();
                assert_eq!(fault.row, Some(bad));
            }
            assert_eq!(sums.bytes(), [0; 64 * 12]);
        }
    }
}
