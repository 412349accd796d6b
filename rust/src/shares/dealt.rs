//! Products of what one party knows and what the other two know: 1 element a party and row.
//!
//! Of x = x_0 + x_1 + x_2, dealer P_d knows u = x_d + x_{d+1} and the other two know v = x_{d+2}. So converting
//! between the two algebras takes operations of two operands only:
//!   1. P_d shares u = s_d + s_{d+1}: s_d = F(k_d) (P_{d+2} makes it too); s_{d+1} = u - s_d goes to P_{d+1}.
//!   2. Then f(v) s_d + g(v) falls to P_{d+2}, f(v) s_{d+1} + h(v) to P_{d+1}; each takes off F'(k_d) or
//!      F'(k_{d+1}), sends the rest to the other, and both add the two: that is share d+2. Shares d and d+1 are
//!      F'(k_d) and F'(k_{d+1}), which P_d makes by itself.
//!
//! Parties take turns as dealer, a third of the rows each, so that all send and receive as much.
//!
//! **Who learns what.** P_d receives nothing. P_{d+1} receives u - F(k_d) and f(v) s_d + g(v) - F'(k_d): k_d is
//! not known to it, the streams differ, so both are uniformly random words to it. P_{d+2} receives f(v) s_{d+1} +
//! h(v) - F'(k_{d+1}), and k_{d+1} is not known to it. Simulator: draw what is received uniformly; shares of the
//! result then follow from the state as in the real run (share d+2 is what makes the three add up to the result).
//! This is the two-party-known product of ABY3 (Mohassel and Rindal, CCS 2018, sec. 5.4.1) without oblivious
//! transfer, since here it may take two rounds.

use std::ops::Range;

use crate::shares::channel::Broken;
use crate::shares::party::{Party, Side};
use crate::shares::word::Word;

/// The rows of which each party is the dealer; they begin at whole blocks of every stream.
pub fn thirds(rows: usize) -> [Range<usize>; 3] {
    let third = rows.div_ceil(3).next_multiple_of(64);
    [0, 1, 2].map(|dealer| (dealer * third).min(rows)..((dealer + 1) * third).min(rows))
}

/// A party's rows by its part in them.
#[derive(Debug, Clone)]
pub struct Turns {
    /// It is the dealer.
    pub deal: Range<usize>,
    /// The previous party is: it gets s_{d+1} and knows v as its second share.
    pub after: Range<usize>,
    /// The next party is: it makes s_d itself and knows v as its first share.
    pub before: Range<usize>,
}

impl Turns {
    /// Of a party, for so many rows.
    pub fn new(party: &Party, rows: usize) -> Self {
        let thirds = thirds(rows);
        let of = |dealer: usize| thirds[dealer % 3].clone();
        Self {
            deal: of(party.index()),
            after: of(party.index() + 2),
            before: of(party.index() + 1),
        }
    }
}

/// Step 1: has `deal` write s_{d+1} for the dealer's rows in `out` and sends it; then receives what the previous
/// party deals into `out`. `deal` gets the first row and where to write.
pub fn deal<W: Word>(
    party: &mut Party,
    turns: &Turns,
    out: &mut [W],
    deal: impl Fn(usize, &mut [W]) + Send + Sync,
) -> Result<(), Broken> {
    let workers = party.workers();
    party.round();
    let start = turns.deal.start;
    party.send_made(Side::Next, &mut out[turns.deal.clone()], |offset, piece| {
        workers.write(piece, |within, part| deal(start + offset + within, part));
    })?;
    party.receive(Side::Previous, &mut out[turns.after.clone()])
}

/// Step 2: has `make` write this party's masked summand of share d+2 and sends it to the other that makes it;
/// adds what comes from there with `add`. `second` holds the rows of `after`, `first` those of `before`; `make`
/// gets the first row, where to write, and whether it is of `after`.
pub fn swap<W: Word>(
    party: &mut Party,
    turns: &Turns,
    first: &mut [W],
    second: &mut [W],
    make: impl Fn(bool, usize, &mut [W]) + Send + Sync,
    add: impl Fn(W, W) -> W,
) -> Result<(), Broken> {
    let workers = party.workers();
    party.round();
    let (after, before) = (turns.after.clone(), turns.before.clone());
    party.send_made(Side::Next, &mut second[after.clone()], |offset, piece| {
        let start = after.start + offset;
        workers.write(piece, |within, part| make(true, start + within, part));
    })?;
    party.send_made(
        Side::Previous,
        &mut first[before.clone()],
        |offset, piece| {
            let start = before.start + offset;
            workers.write(piece, |within, part| make(false, start + within, part));
        },
    )?;
    party.receive_with(Side::Next, &mut second[after], &add)?;
    party.receive_with(Side::Previous, &mut first[before], &add)
}
