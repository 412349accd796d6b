//! Randomness of the operating system, fetched in blocks because a system call a row is too slow.

use zeroize::Zeroizing;

use super::fault::Fault;

const BLOCK: usize = 16 * 1024;

/// A buffered source of operating-system randomness. Bytes are used once and wiped on drop.
pub struct OsRandom {
    block: Zeroizing<Vec<u8>>,
    used: usize,
}

impl OsRandom {
    pub fn new() -> Self {
        Self {
            block: Zeroizing::new(vec![0; BLOCK]),
            used: BLOCK,
        }
    }

    /// The next `N` random bytes; `N` is at most 64.
    #[inline]
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        if self.used + N > BLOCK {
            getrandom::fill(&mut self.block)?;
            self.used = 0;
        }
        let mut out = [0; N];
        out.copy_from_slice(&self.block[self.used..self.used + N]);
        self.used += N;
        Ok(out)
    }

    /// A number below `bound`, uniform but for a bias under `bound / 2^64`.
    #[inline]
    pub fn below(&mut self, bound: usize) -> Result<usize, Fault> {
        let word = u64::from_le_bytes(self.bytes()?);
        Ok(((u128::from(word) * bound as u128) >> 64) as usize)
    }

    /// A uniformly random order of `0..length` (Fisher-Yates).
    pub fn permutation(&mut self, length: usize) -> Result<Vec<u32>, Fault> {
        let count = u32::try_from(length).map_err(|_| Fault::new("too-many-rows"))?;
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..length).rev() {
            let chosen = self.below(last + 1)?;
            order.swap(last, chosen);
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = OsRandom::new().permutation(10_000).unwrap();
        assert_ne!(order, (0..10_000).collect::<Vec<u32>>());
        order.sort_unstable();
        assert_eq!(order, (0..10_000).collect::<Vec<u32>>());
    }

    #[test]
    fn all_orders_of_three_are_equally_likely() {
        let mut random = OsRandom::new();
        let mut seen = std::collections::HashMap::new();
        for _ in 0..6_000 {
            *seen.entry(random.permutation(3).unwrap()).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        // Expected 1000 each, standard deviation 29: seven of them.
        assert!(seen.values().all(|&count| (800..1200).contains(&count)));
    }
}
