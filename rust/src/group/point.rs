//! Points from bytes and back.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use zeroize::Zeroizing;

use crate::columns::fault::Fault;

/// Bytes of an encoded point.
pub const POINT: usize = 32;
/// Bytes of a tag, the beginning of an encoding.
///
/// An encoding is a field element below 2^255 - 19 that is not negative (RFC 9496, 4.3.2): the lowest
/// bit of byte 0 and the highest of byte 31 are always clear. A tag so has 95 bits that look random:
/// among n x m of them two agree by chance with a probability of n m / 2^95 (10M x 10M: 3e-15).
pub const TAG: usize = 12;

/// Points under way, wiped when they are done with: unmasked ones tell ids by trial.
pub type Points = Zeroizing<Vec<RistrettoPoint>>;

/// A point that another party may send: canonical (RFC 9496, 4.3.1) and not the identity.
///
/// The identity must be refused: every scalar leaves it as it is, so that its sender would know the
/// answer's place. The encodings of all other points are unique; there is no second way to write one.
#[inline]
pub fn decode(bytes: &[u8; POINT], row: usize) -> Result<RistrettoPoint, Fault> {
    if *bytes == [0; POINT] {
        return Err(Fault::at("identity", row));
    }
    CompressedRistretto(*bytes)
        .decompress()
        .ok_or_else(|| Fault::at("not-a-point", row))
}

/// A point that this party made by adding: the identity, which an empty sum is, may be among them.
#[inline]
pub fn decode_any(bytes: &[u8; POINT], row: usize) -> Result<RistrettoPoint, Fault> {
    CompressedRistretto(*bytes)
        .decompress()
        .ok_or_else(|| Fault::at("not-a-point", row))
}

/// Writes the encodings of the doubles of `points`, `WIDTH` bytes of each.
#[inline]
pub fn encode_doubles<const WIDTH: usize>(points: &[RistrettoPoint], out: &mut [[u8; WIDTH]]) {
    let encoded = RistrettoPoint::double_and_compress_batch(points);
    for (place, point) in out.iter_mut().zip(&encoded) {
        place.copy_from_slice(&point.as_bytes()[..WIDTH]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::testing::hex;

    /// RFC 9496, A.1: the multiples 0 to 4 of the generator.
    const MULTIPLES: [&str; 5] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
        "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
        "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
        "da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57",
    ];

    /// RFC 9496, A.2: encodings that must be refused, of each kind.
    const REFUSED: [&str; 29] = [
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
        "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
        "c940e5a4404157cfb1628b108db051a8d439e1a421394ec4ebccb9ec92a8ac78",
        "47cfc5497c53dc8e61c91d17fd626ffb1c49e2bca94eed052281b510b1117a24",
        "f1c6165d33367351b0da8f6e4511010c68174a03b6581212c71c0e1d026c3c72",
        "87260f7a2f12495118360f02c26a470f450dadf34a413d21042b43b9d93e1309",
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
        "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
        "de6a7b00deadc788eb6b6c8d20c0ae96c2f2019078fa604fee5b87d6e989ad7b",
        "bcab477be20861e01e4a0e295284146a510150d9817763caf1a6f4b422d67042",
        "2a292df7e32cababbd9de088d1d1abec9fc0440f637ed2fba145094dc14bea08",
        "f4a9e534fc0d216c44b218fa0c42d99635a0127ee2e53c712f70609649fdff22",
        "8268436f8c4126196cf64b3c7ddbda90746a378625f9813dd9b8457077256731",
        "2810e5cbc2cc4d4eece54f61c6f69758e289aa7ab440b3cbeaa21995c2f4232b",
        "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
        "a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220",
        "d483fe813c6ba647ebbfd3ec41adca1c6130c2beeee9d9bf065c8d151c5f396e",
        "8a2e1d30050198c65a54483123960ccc38aef6848e1ec8f5f780e8523769ba32",
        "32888462f8b486c68ad7dd9610be5192bbeaf3b443951ac1a8118419d9fa097b",
        "227142501b9d4355ccba290404bde41575b037693cef1f438c47f8fbf35d1165",
        "5c37cc491da847cfeb9281d407efc41e15144c876e0170b499a96a22ed31e01e",
        "445425117cb8c90edcbc7c1cc0e74f747f2c1efa5630a967c64f287792a48a4b",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    #[test]
    fn multiples_of_the_generator_are_the_rfcs() {
        let mut point = RistrettoPoint::default();
        for (number, text) in MULTIPLES.iter().enumerate() {
            assert_eq!(point.compress().to_bytes(), hex(text), "{number}");
            if number > 0 {
                assert_eq!(decode(&hex(text), 0).unwrap(), point);
            }
            point += curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
        }
    }

    #[test]
    fn bad_encodings_of_the_rfc_are_refused_with_the_row_alone() {
        for text in REFUSED {
            let fault = decode(&hex(text), 7).unwrap_err();
            assert_eq!(fault, Fault::at("not-a-point", 7), "{text}");
        }
        assert_eq!(decode(&[0; 32], 3).unwrap_err(), Fault::at("identity", 3));
        assert_eq!(decode_any(&[0; 32], 3).unwrap(), RistrettoPoint::default());
    }

    #[test]
    fn doubles_are_encoded_as_one_by_one_and_the_identity_spoils_no_neighbour() {
        let base = curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
        let points = [base, RistrettoPoint::default(), base + base];
        let mut out = [[0; POINT]; 3];
        encode_doubles(&points, &mut out);
        for (point, encoded) in points.iter().zip(&out) {
            assert_eq!((point + point).compress().as_bytes(), encoded);
        }
    }
}
