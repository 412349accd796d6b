//! How a party sends and receives words: long messages go in pieces, so that sending, receiving and computing
//! overlap, and nobody waits for a peer that is still sending.

use std::ops::Range;

use crate::shares::channel::Broken;
use crate::shares::party::{Party, Side};
use crate::shares::word::{Word, bytes_of, bytes_of_mut};
use crate::shares::workers::fresh;

/// Bytes of a piece of a message; divisible by every word.
pub const PIECE: usize = 1 << 20;
/// So many pieces are under way before the first is received.
const LEAD: usize = 2;

/// Vectors of words, beside one another.
pub type Columns<W> = Vec<Vec<W>>;

impl Party {
    /// Sends words to a neighbour; it calls `receive` for as many. Never waits.
    pub fn send<W: Word>(&mut self, side: Side, words: &[W]) -> Result<(), Broken> {
        for piece in words.chunks(PIECE / W::BYTES) {
            self.send_piece(side, bytes_of(piece).to_vec())?;
        }
        Ok(())
    }

    /// Receives as many words as `out` has from a neighbour.
    pub fn receive<W: Word>(&mut self, side: Side, out: &mut [W]) -> Result<(), Broken> {
        for piece in out.chunks_mut(PIECE / W::BYTES) {
            self.receive_piece(side, bytes_of_mut(piece))?;
        }
        Ok(())
    }

    /// Has `make` write `out` piece by piece (it gets the row where a piece begins), and sends it to a neighbour.
    pub fn send_made<W: Word>(
        &mut self,
        side: Side,
        out: &mut [W],
        mut make: impl FnMut(usize, &mut [W]),
    ) -> Result<(), Broken> {
        let size = PIECE / W::BYTES;
        for (place, piece) in out.chunks_mut(size).enumerate() {
            make(place * size, piece);
            self.send_piece(side, bytes_of(piece).to_vec())?;
        }
        Ok(())
    }

    /// Receives as many words as `out` has and combines them with those: `add(word there, word received)`.
    pub fn receive_with<W: Word>(
        &mut self,
        side: Side,
        out: &mut [W],
        add: impl Fn(W, W) -> W,
    ) -> Result<(), Broken> {
        let size = PIECE / W::BYTES;
        let mut piece = vec![W::ZERO; size.min(out.len())];
        for out in out.chunks_mut(size) {
            let piece = &mut piece[..out.len()];
            self.receive_piece(side, bytes_of_mut(piece))?;
            for (out, word) in out.iter_mut().zip(piece) {
                *out = add(*out, *word);
            }
        }
        Ok(())
    }

    /// Counts a round: called once wherever a party waits for what others send after having received.
    pub fn round(&mut self) {
        self.counters.rounds += 1;
    }

    /// Makes vectors of `rows` words each, piece by piece, and sends them to one side while the like comes from
    /// the other side: (made, received). One round. `make` gets the vector's place, the rows of the piece and
    /// where to write it; a piece begins at a multiple of `PIECE` bytes.
    pub fn relay<W: Word>(
        &mut self,
        to: Side,
        rows: &[usize],
        mut make: impl FnMut(usize, Range<usize>, &mut [W]),
    ) -> Result<(Columns<W>, Columns<W>), Broken> {
        self.round();
        let size = PIECE / W::BYTES;
        let mut made: Vec<Vec<W>> = rows.iter().map(|rows| fresh(*rows)).collect();
        let mut received: Vec<Vec<W>> = rows.iter().map(|rows| fresh(*rows)).collect();
        let mut incoming = received
            .iter_mut()
            .flat_map(|vector| vector.chunks_mut(size));
        let mut under_way = 0;
        for (place, vector) in made.iter_mut().enumerate() {
            for (number, piece) in vector.chunks_mut(size).enumerate() {
                let start = number * size;
                make(place, start..start + piece.len(), piece);
                self.send_piece(to, bytes_of(piece).to_vec())?;
                under_way += 1;
                if under_way > LEAD
                    && let Some(out) = incoming.next()
                {
                    self.receive_piece(to.other(), bytes_of_mut(out))?;
                }
            }
        }
        for out in incoming {
            self.receive_piece(to.other(), bytes_of_mut(out))?;
        }
        Ok((made, received))
    }

    /// Sends words to one side while as many as `incoming` has come from the other side. One round.
    pub fn pass<W: Word>(
        &mut self,
        to: Side,
        outgoing: &[W],
        incoming: &mut [W],
    ) -> Result<(), Broken> {
        self.round();
        let size = PIECE / W::BYTES;
        let mut waiting = incoming.chunks_mut(size);
        for (place, piece) in outgoing.chunks(size).enumerate() {
            self.send_piece(to, bytes_of(piece).to_vec())?;
            if place >= LEAD
                && let Some(out) = waiting.next()
            {
                self.receive_piece(to.other(), bytes_of_mut(out))?;
            }
        }
        for out in waiting {
            self.receive_piece(to.other(), bytes_of_mut(out))?;
        }
        Ok(())
    }

    fn send_piece(&mut self, side: Side, bytes: Vec<u8>) -> Result<(), Broken> {
        self.counters.bytes_sent += bytes.len() as u64;
        self.counters.messages_sent += 1;
        let sent = match side {
            Side::Next => self.next.send(bytes),
            Side::Previous => self.previous.send(bytes),
        };
        sent.inspect_err(|_| self.abort())
    }

    fn receive_piece(&mut self, side: Side, out: &mut [u8]) -> Result<(), Broken> {
        let received = match side {
            Side::Next => self.next.receive(out),
            Side::Previous => self.previous.receive(out),
        };
        if received.is_err() {
            self.abort();
        }
        received?;
        self.counters.bytes_received += out.len() as u64;
        if let Some(record) = &mut self.record {
            record.extend_from_slice(out);
        }
        Ok(())
    }
}
