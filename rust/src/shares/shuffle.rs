//! Shuffling shared rows by one uniformly random permutation that no party knows.
//!
//! The three permutations of `passes.rs` are drawn fresh, each from a stream of its key. Whatever one party
//! learns, the permutation it lacks is uniform and independent of it, and so is the product of the three: even
//! if rows of the result are opened afterwards, nobody can tell which rows of the input they were, beyond what
//! the opened values say themselves. The permutations are forgotten at the end.

use crate::shares::channel::Broken;
use crate::shares::party::Party;
use crate::shares::passes::{Route, permute, random_parts};
use crate::shares::permutation::Way;
use crate::shares::vector::Shared;

/// The vectors, all of one length, with their rows in one random order. 4 words a row and word; 2 rounds.
///
/// # Panics
/// Where vectors differ in length.
pub fn shuffle(party: &mut Party, vectors: &[&Shared]) -> Result<Vec<Shared>, Broken> {
    let rows = vectors.first().map_or(0, |vector| vector.len());
    assert!(
        vectors.iter().all(|vector| vector.len() == rows),
        "vectors of one length"
    );
    let parts = random_parts(party, rows, &[0, 1, 2])?;
    permute(party, Route([1, 0, 2]), Way::Forward, &parts, vectors)
}
