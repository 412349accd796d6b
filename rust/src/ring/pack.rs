//! Residues at the width of their prime: what travels and what is kept on disk.
//!
//! A residue modulo q takes w = bits of (q - 1) bits, lowest first, one after the other; eight residues
//! take w bytes exactly, so a polynomial (N is a multiple of 8) leaves no bit over. The form is
//! canonical: each list of residues has one encoding, and a number not below q is refused.

use crate::ring::fault::Fault;
use crate::ring::modulus::Modulus;

/// Bits that a residue takes.
pub fn width(q: Modulus) -> usize {
    (u64::BITS - (q.value() - 1).leading_zeros()) as usize
}

/// Bytes that `count` residues take, a multiple of 8.
pub fn size(q: Modulus, count: usize) -> Option<usize> {
    if count.is_multiple_of(8) {
        (count / 8).checked_mul(width(q))
    } else {
        None
    }
}

/// Writes residues into exactly their bytes.
pub fn pack(q: Modulus, residues: &[u64], out: &mut [u8]) -> Result<(), Fault> {
    if size(q, residues.len()) != Some(out.len()) {
        return Err(Fault::new("wrong-size"));
    }
    let mut most = 0;
    let width = width(q);
    for (eight, bytes) in residues.chunks_exact(8).zip(out.chunks_exact_mut(width)) {
        // Eight residues have at most 400 bits: seven words, and one that is only ever written zeroes.
        let mut words = [0u64; 8];
        for (place, &x) in eight.iter().enumerate() {
            most = most.max(x);
            let (word, shift) = (place * width / 64, place * width % 64);
            words[word] |= x << shift;
            // The second shift is split: it may be by 64.
            words[word + 1] |= x >> 1 >> (63 - shift);
        }
        for (bytes, word) in bytes.chunks_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
        }
    }
    // Checked last: a faulty array's bytes are not used.
    if most >= q.value() {
        return Err(Fault::new("residue-too-large"));
    }
    Ok(())
}

/// Reads residues from exactly their bytes.
pub fn unpack(q: Modulus, bytes: &[u8], out: &mut [u64]) -> Result<(), Fault> {
    if size(q, out.len()) != Some(bytes.len()) {
        return Err(Fault::new("wrong-size"));
    }
    let width = width(q);
    let mask = (1u64 << width) - 1;
    let mut most = 0;
    for (eight, bytes) in out.chunks_exact_mut(8).zip(bytes.chunks_exact(width)) {
        let mut words = [0u64; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        for (place, x) in eight.iter_mut().enumerate() {
            let (word, shift) = (place * width / 64, place * width % 64);
            *x = (words[word] >> shift | words[word + 1] << 1 << (63 - shift)) & mask;
            most = most.max(*x);
        }
    }
    if most >= q.value() {
        return Err(Fault::new("residue-too-large"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moduli() -> impl Iterator<Item = Modulus> {
        // Any odd number does here, of every width.
        (2..=50).flat_map(|bits: u32| {
            [(1u64 << (bits - 1)) + 1, (1 << bits) - 1]
                .into_iter()
                .filter_map(Modulus::new)
        })
    }

    #[test]
    fn residues_come_back_and_each_bit_counts() {
        for q in moduli() {
            let mut x = 1u64;
            let residues: Vec<u64> = (0..64)
                .map(|place| {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    if place % 9 == 0 {
                        q.value() - 1
                    } else {
                        x % q.value()
                    }
                })
                .collect();
            let mut bytes = vec![0; size(q, 64).unwrap()];
            pack(q, &residues, &mut bytes).unwrap();
            let mut expected = vec![0u8; bytes.len()];
            for (place, residue) in residues.iter().enumerate() {
                for bit in 0..width(q) {
                    let at = place * width(q) + bit;
                    expected[at / 8] |= ((residue >> bit & 1) as u8) << (at % 8);
                }
            }
            assert_eq!(bytes, expected);
            let mut back = vec![0; 64];
            unpack(q, &bytes, &mut back).unwrap();
            assert_eq!(back, residues);
        }
    }

    #[test]
    fn only_residues_and_exact_sizes_are_taken() {
        for q in moduli() {
            let mut bytes = vec![0; width(q)];
            let mut residues = vec![0; 8];
            for place in 0..8 {
                residues.fill(0);
                residues[place] = q.value();
                assert!(pack(q, &residues, &mut bytes).is_err());
                // The least number that is no residue, in the place's bits.
                bytes.fill(0);
                for bit in (0..width(q)).filter(|bit| q.value() >> bit & 1 == 1) {
                    let at = place * width(q) + bit;
                    bytes[at / 8] |= 1 << (at % 8);
                }
                assert!(unpack(q, &bytes, &mut residues).is_err());
                residues.fill(0);
                assert!(pack(q, &residues, &mut bytes).is_ok());
            }
            for wrong in [0, 1, width(q) - 1, width(q) + 1, 2 * width(q)] {
                let mut bytes = vec![0; wrong];
                assert!(pack(q, &residues, &mut bytes).is_err());
                assert!(unpack(q, &bytes, &mut residues).is_err());
            }
            assert!(pack(q, &residues[..7], &mut bytes[..width(q) - 1]).is_err());
        }
    }
}
