//! Shared permutations of rows, and putting vectors into their order and back.
//!
//! An `Order` is three permutations of which each party lacks one, and the order in which they are used: the
//! shared permutation is their product. Applying it costs three passes (`passes.rs`, where the argument is), 4 words
//! a row and word and 2 rounds; it opens nothing. Where orders come from: `sort.rs` and `owner_order.rs`. In both the
//! permutation that a party lacks is, to this party, uniformly random given the other two, so that the two it has
//! tell nothing about the product.

use crate::shares::channel::Broken;
use crate::shares::party::Party;
use crate::shares::passes::{Parts, Route, permute};
use crate::shares::permutation::{Permutation, Way};
use crate::shares::vector::Shared;

/// A shared permutation.
#[derive(Debug)]
pub struct Order {
    route: Route,
    parts: Parts,
    rows: usize,
}

impl Order {
    /// From permutations that are used forwards, by key, in the route's order.
    pub(super) fn new(route: Route, parts: Parts, rows: usize) -> Self {
        Self { route, parts, rows }
    }

    /// Rows as they are; public.
    pub(super) fn identity(party: &Party, rows: usize) -> Self {
        let mut parts = [0, 1, 2].map(|_| Some(Permutation::identity(rows)));
        parts[(party.index() + 2) % 3] = None;
        Self::new(Route([1, 0, 2]), parts, rows)
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The vectors in this order: fresh shares.
    ///
    /// # Panics
    /// Where vectors have another length.
    pub fn apply(&self, party: &mut Party, vectors: &[&Shared]) -> Result<Vec<Shared>, Broken> {
        self.check(vectors);
        permute(party, self.route, Way::Forward, &self.parts, vectors)
    }

    /// The vectors back from this order: fresh shares.
    ///
    /// # Panics
    /// Where vectors have another length.
    pub fn unapply(&self, party: &mut Party, vectors: &[&Shared]) -> Result<Vec<Shared>, Broken> {
        self.check(vectors);
        permute(
            party,
            self.route.reversed(),
            Way::Back,
            &self.parts,
            vectors,
        )
    }

    /// The tables that this party knows.
    #[cfg(test)]
    pub(super) fn known(&self) -> Vec<Vec<u32>> {
        let parts = self.parts.iter().flatten();
        parts.map(|part| part.table().to_vec()).collect()
    }

    fn check(&self, vectors: &[&Shared]) {
        assert!(
            vectors.iter().all(|vector| vector.len() == self.rows),
            "vectors as long as the order"
        );
    }
}
