//! An order that an owner of data knows, shared so that it is applied in three passes and no sorting is needed.
//!
//! **Sharing.** The owner knows the permutation s: row k of the result is row s[k]. It draws seeds A and B and makes
//! uniform permutations t_0 of A and t_1 of B (`permutation.rs`), and t_2 with t_2 . t_0 . t_1 = s, that is
//! t_2[t_0[t_1[k]]] = s[k]. P_0 gets A and B; P_1 gets B and t_2; P_2 gets A and t_2: permutation j is with the holders
//! of key k_j, as `passes.rs` wants it. `apply` then moves rows by t_2, t_0, t_1.
//!
//! **Argument.** The owner is honest but curious, and knows s. P_0 has t_0 and t_1, which were drawn without looking at
//! s. P_1 has t_1 and t_2 = s . t_1^-1 . t_0^-1: whatever s and t_1 are, t_0 is uniform and unknown to P_1, so t_2 is a
//! uniform permutation independent of both. P_2 has t_0 and t_2 = s . t_1^-1 . t_0^-1, and t_1 is uniform and unknown to
//! it: likewise. Simulators draw seeds and a uniform permutation. Two servers together learn s, as they learn any
//! shared value. Passes use the permutations only under fresh masks. Nothing is opened: where rows are opened later,
//! they are shuffled first, since who knows s (the owner) would otherwise link them to its rows.
//!
//! An owner that lies can give an order of its own making, or none: what is no permutation is refused ("disagree").
//! That P_1 and P_2 got the same t_2 is checked where uploads are (hash of the owner's manifest).

use crate::shares::channel::{Broken, NOBODY};
use crate::shares::order::Order;
use crate::shares::party::Party;
use crate::shares::passes::{Parts, Route};
use crate::shares::permutation::{Permutation, Way};
use crate::shares::upload::{SEED_BYTES, column_key};
use crate::shares::workers::Workers;

/// The purpose of the streams of permutations; columns of the same label have another.
const PERMUTATION: u8 = 1;

pub(super) fn seeded(
    workers: &Workers,
    rows: usize,
    seed: &[u8; SEED_BYTES],
    label: u64,
) -> Permutation {
    Permutation::random(
        workers,
        &column_key(seed, label).stream(0, PERMUTATION),
        rows,
    )
}

/// The explicit permutation t_2 for P_1 and P_2; `places[k]`: the row that becomes row k (what `argsort` gives). None
/// where this is no permutation. Seeds are fresh, or the label is.
pub fn split_order(
    workers: &Workers,
    places: Vec<u32>,
    seed_a: &[u8; SEED_BYTES],
    seed_b: &[u8; SEED_BYTES],
    label: u64,
) -> Option<Vec<u32>> {
    let places = Permutation::from_table(places)?;
    let first = seeded(workers, places.len(), seed_a, label);
    let second = seeded(workers, places.len(), seed_b, label);
    let both = first.then(workers, &second, Way::Forward);
    Some(both.moved(workers, Way::Back, places.table()))
}

/// An owner's order: `seed_a` at P_0 and P_2, `seed_b` at P_0 and P_1, `explicit` at P_1 and P_2. Nothing is sent.
///
/// # Panics
/// Where a part is given that this party has no use for, or lacks.
pub fn owner_order(
    party: &mut Party,
    rows: usize,
    seed_a: Option<&[u8; SEED_BYTES]>,
    seed_b: Option<&[u8; SEED_BYTES]>,
    explicit: Option<Vec<u32>>,
    label: u64,
) -> Result<Order, Broken> {
    party.begin()?;
    let index = party.index();
    assert!(
        seed_a.is_none() == (index == 1)
            && seed_b.is_none() == (index == 2)
            && explicit.is_none() == (index == 0),
        "each party has two of the three parts"
    );
    let workers = party.workers();
    let mut parts: Parts =
        [seed_a, seed_b, None].map(|seed| seed.map(|seed| seeded(&workers, rows, seed, label)));
    if let Some(table) = explicit {
        let permutation = Permutation::from_table(table).filter(|table| table.len() == rows);
        if permutation.is_none() {
            party.abort();
            return Err(Broken::new("disagree", NOBODY));
        }
        parts[2] = permutation;
    }
    Ok(Order::new(Route([2, 0, 1]), parts, rows))
}
