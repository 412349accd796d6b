//! Values made known to all three parties.
//!
//! P_i lacks x_{i-1} and gets it from P_{i-1}. **Who learns what.** All learn x, on purpose, and nothing else:
//! the message is x minus the receiver's own two shares, so the simulator of P_i computes it from x and P_i's
//! state. Every opened vector goes into a running hash that `Party::check` compares.

use crate::shares::algebra::Algebra;
use crate::shares::channel::Broken;
use crate::shares::party::{Party, Side};
use crate::shares::vector::Pair;
use crate::shares::word::{Word, bytes_of};
use crate::shares::workers::fresh;

/// The values, at all parties. One round.
pub fn open<A: Algebra, W: Word>(party: &mut Party, a: &Pair<W>) -> Result<Vec<W>, Broken> {
    let operation = party.begin()?;
    let mut values: Vec<W> = fresh(a.len());
    party.pass(Side::Next, &a.first, &mut values)?;
    party.workers().write(&mut values, |start, part| {
        let shares = a.first[start..].iter().zip(&a.second[start..]);
        for (value, (first, second)) in part.iter_mut().zip(shares) {
            *value = A::add(*value, A::add(*first, *second));
        }
    });
    party.note_opened(operation, bytes_of(&values));
    Ok(values)
}
