//! Decryption: c0 + c1 s + c2 s^2 ..., which is the plaintext with its noise.
//!
//! Of a CKKS ciphertext this is nothing to show to others: see `ckks/mod.rs`.

use crate::ring::fault::Fault;
use crate::ring::keys::SecretKey;
use crate::ring::parallel;
use crate::ring::vector;

/// Ciphertexts `[count][parts][level][N]` to plaintexts `[count][level][N]`.
pub fn decrypt(
    secret: &SecretKey,
    ciphertexts: &[u64],
    parts: usize,
    level: usize,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let params = secret.params();
    let (n, size) = (params.n(), level * params.n());
    let rows = ciphertexts.len() / (parts * size);
    parallel::fill(rows, size, threads, |row, out| {
        let row = &ciphertexts[row * parts * size..][..parts * size];
        for (component, place) in out.chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(component);
            // Horner's rule from the last part.
            for part in (0..parts).rev() {
                if part + 1 < parts {
                    vector::mul_assign(modulus, place, secret.residues(component));
                }
                vector::add_assign(modulus, place, &row[part * size + component * n..][..n]);
            }
        }
        Ok(())
    })
}
