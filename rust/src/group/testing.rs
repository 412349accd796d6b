//! What the tests of this folder share.

/// Bytes of a hexadecimal text.
pub fn hex<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    assert_eq!(text.len(), 2 * N);
    for (place, at) in out.iter_mut().zip((0..).step_by(2)) {
        *place = u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    }
    out
}
