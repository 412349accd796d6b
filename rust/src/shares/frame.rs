//! How messages are cut into pieces, and how pieces are put together again; no input or output here.
//!
//! Every piece but a message's last has `PIECE` bytes. Before each stands a header of four bytes, little-endian:
//! its length, and in the two highest bits "the last of its message" and "the sender aborts" (then nothing
//! follows). Who receives a message knows its size beforehand, so each header has one right value.

/// The longest piece of a message, in bytes.
pub(super) const PIECE: usize = 256 << 10;

const HEADER: usize = 4;
const LAST: u32 = 1 << 31;
const ABORT: u32 = 1 << 30;

/// Part of a message: the first `size` bytes of `bytes`, which may be a longer buffer that is used again.
#[derive(Debug)]
pub(super) struct Piece {
    pub bytes: Vec<u8>,
    pub size: usize,
    pub last: bool,
}

/// A message's pieces and the headers before them.
pub(super) fn pieces(message: &[u8]) -> impl Iterator<Item = ([u8; HEADER], &[u8])> {
    let count = message.len().div_ceil(PIECE);
    message.chunks(PIECE).enumerate().map(move |(at, piece)| {
        let last = if at + 1 == count { LAST } else { 0 };
        // A piece has at most `PIECE` bytes: nothing is cut off.
        ((piece.len() as u32 | last).to_le_bytes(), piece)
    })
}

/// What says that the sender aborts.
pub(super) fn abort() -> [u8; HEADER] {
    ABORT.to_le_bytes()
}

/// Puts pieces together from bytes as they come.
#[derive(Default)]
pub(super) struct Reading {
    header: [u8; HEADER],
    /// How much of the header is here, then how much of the piece.
    have: usize,
    piece: Option<Piece>,
}

impl Reading {
    /// Where the next bytes go; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        match &mut self.piece {
            None => &mut self.header[self.have..],
            Some(piece) => &mut piece.bytes[self.have..piece.size],
        }
    }

    /// `taken` bytes were written to `space`. A piece that is now whole is given out.
    ///
    /// # Errors
    /// "aborted": the peer says so; "size": a header that no message has.
    pub fn advance(
        &mut self,
        taken: usize,
        buffer: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<Piece>, &'static str> {
        self.have += taken;
        if self.have < self.piece.as_ref().map_or(HEADER, |piece| piece.size) {
            return Ok(None);
        }
        self.have = 0;
        if let Some(piece) = self.piece.take() {
            return Ok(Some(piece));
        }
        let header = u32::from_le_bytes(self.header);
        if header == ABORT {
            return Err("aborted");
        }
        let last = header & LAST != 0;
        let size = (header & !LAST) as usize;
        if size == 0 || size > PIECE || (!last && size < PIECE) {
            return Err("size");
        }
        let mut bytes = buffer();
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        self.piece = Some(Piece { bytes, size, last });
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE, Piece, Reading, abort, pieces};

    fn cut(message: &[u8]) -> Vec<u8> {
        pieces(message)
            .flat_map(|(header, piece)| [&header[..], piece].concat())
            .collect()
    }

    /// Feeds `bytes` in portions of at most `portion`.
    fn feed(
        reading: &mut Reading,
        mut bytes: &[u8],
        portion: usize,
    ) -> Result<Vec<Piece>, &'static str> {
        let mut whole = Vec::new();
        while !bytes.is_empty() {
            let space = reading.space();
            assert!(!space.is_empty());
            let taken = space.len().min(portion).min(bytes.len());
            space[..taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            whole.extend(reading.advance(taken, || vec![7; 3])?);
        }
        Ok(whole)
    }

    #[test]
    fn messages_come_back_whole_however_they_are_cut() {
        for size in [1, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5] {
            let message: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            for portion in [1_000_003, 16_384, 997] {
                let mut reading = Reading::default();
                let whole = feed(&mut reading, &cut(&message), portion).unwrap();
                let ends: Vec<_> = whole.iter().map(|piece| piece.last).collect();
                assert_eq!(ends.iter().filter(|last| **last).count(), 1);
                assert_eq!(ends.last(), Some(&true));
                let joined: Vec<u8> = whole
                    .iter()
                    .flat_map(|piece| &piece.bytes[..piece.size])
                    .copied()
                    .collect();
                assert!(joined == message);
            }
        }
    }

    #[test]
    fn two_messages_one_byte_at_a_time() {
        let mut reading = Reading::default();
        let bytes = [cut(&[1, 2, 3]), cut(&[4])].concat();
        let whole = feed(&mut reading, &bytes, 1).unwrap();
        assert_eq!(whole.len(), 2);
        assert_eq!(&whole[0].bytes[..whole[0].size], &[1, 2, 3]);
        assert_eq!(&whole[1].bytes[..whole[1].size], &[4]);
    }

    #[test]
    fn an_abort_ends_it_between_pieces() {
        let mut reading = Reading::default();
        let bytes = [cut(&[1, 2, 3]), abort().to_vec()].concat();
        assert_eq!(feed(&mut reading, &bytes, 2).err(), Some("aborted"));
    }

    #[test]
    fn headers_that_no_message_has_are_refused_before_memory_is_taken() {
        let piece = PIECE as u32;
        for header in [
            0,
            1 << 31, // an empty piece
            5,       // short and not the last
            piece - 1,
            piece + 1,
            (piece + 1) | 1 << 31,
            u32::MAX,
            u32::MAX >> 1,
            1 << 30 | 1, // an abort with a length
            1 << 30 | 1 << 31,
        ] {
            let mut reading = Reading::default();
            assert_eq!(
                feed(&mut reading, &header.to_le_bytes(), 4).err(),
                Some("size"),
                "{header:#x}"
            );
        }
    }

    #[test]
    fn any_bytes_end_in_pieces_or_in_an_error() {
        let mut state = 1_u64;
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    // Small numbers often, so that some headers are right.
                    if state >> 63 == 0 {
                        0
                    } else {
                        (state >> 40) as u8
                    }
                })
                .collect();
            let mut reading = Reading::default();
            if let Ok(whole) = feed(&mut reading, &bytes, 7) {
                assert!(
                    whole
                        .iter()
                        .all(|piece| piece.size <= PIECE && piece.size > 0)
                );
            }
        }
    }
}
