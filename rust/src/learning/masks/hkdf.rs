//! HKDF with SHA-256 (RFC 5869).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a pseudorandom key, and of SHA-256.
pub const KEY_BYTES: usize = 32;

/// A key, wiped when it is dropped.
pub type Key = Zeroizing<[u8; KEY_BYTES]>;

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(hmac) => hmac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

/// HKDF-Extract (sec. 2.2).
pub fn extract(salt: &[u8], input: &[u8]) -> Key {
    let mut hmac = hmac(salt);
    hmac.update(input);
    Zeroizing::new(hmac.finalize().into_bytes().into())
}

/// HKDF-Expand (sec. 2.3) of the pieces of `info`, one after another.
///
/// # Panics
/// For more than 255 blocks of 32 bytes.
pub fn expand_into(key: &[u8], info: &[&[u8]], out: &mut [u8]) {
    assert!(out.len() <= 255 * KEY_BYTES, "HKDF gives 255 blocks");
    let mut last: Option<Key> = None;
    for (number, part) in out.chunks_mut(KEY_BYTES).enumerate() {
        let mut hmac = hmac(key);
        if let Some(last) = &last {
            hmac.update(&**last);
        }
        for piece in info {
            hmac.update(piece);
        }
        hmac.update(&[number as u8 + 1]);
        let block: Key = Zeroizing::new(hmac.finalize().into_bytes().into());
        part.copy_from_slice(&block[..part.len()]);
        last = Some(block);
    }
}

/// HKDF-Expand to one key.
pub fn expand(key: &[u8], info: &[&[u8]]) -> Key {
    let mut out = Key::default();
    expand_into(key, info, &mut *out);
    out
}

#[cfg(test)]
mod tests {
    use super::{expand_into, extract};

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    fn check(input: &str, salt: &str, info: &str, key: &str, output: &str) {
        let made = extract(&bytes(salt), &bytes(input));
        assert_eq!(made.to_vec(), bytes(key));
        let expected = bytes(output);
        let mut out = vec![0; expected.len()];
        let info = bytes(info);
        let (left, right) = info.split_at(info.len() / 2);
        expand_into(&*made, &[left, right], &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn the_rfc_s_examples() {
        // RFC 5869, appendix A.1.
        check(
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        );
        // Appendix A.2: longer than a block of everything.
        let run = |from: u8, to: u8| -> String {
            (from..=to).map(|byte| format!("{byte:02x}")).collect()
        };
        check(
            &run(0x00, 0x4f),
            &run(0x60, 0xaf),
            &run(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
                .replace(' ', "")
                .as_str(),
        );
        // Appendix A.3: no salt, no info.
        check(
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "",
            "",
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        );
    }
}
