//! Three parties on three threads, for tests.

use std::thread;

use crate::shares::algebra::Algebra;
use crate::shares::channel::Broken;
use crate::shares::party::Party;
use crate::shares::vector::Pair;
use crate::shares::word::Word;

/// What each of three parties makes of `run`.
pub fn three<R: Send>(run: impl Fn(&mut Party) -> R + Send + Sync) -> [R; 3] {
    let parties = Party::three(true).expect("the system has random bytes");
    thread::scope(|scope| {
        let run = &run;
        parties
            .map(|mut party| scope.spawn(move || run(&mut party)))
            .map(|thread| thread.join().expect("no party panics"))
    })
}

/// A test's own numbers: SplitMix64.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// The next word.
    pub fn word<W: Word>(&mut self) -> W {
        W::cut(u128::from(self.draw()) << 64 | u128::from(self.draw()))
    }

    /// Words of so many bits, the extreme ones first.
    pub fn words<W: Word>(&mut self, rows: usize, bits: u32) -> Vec<W> {
        let edges = [W::ZERO, W::mask(bits), W::ONE, W::ONE.up(bits - 1)];
        (0..rows)
            .map(|row| {
                edges.get(row).copied().unwrap_or_else(|| {
                    let word: W = self.word();
                    // Equal words are wanted as well.
                    let word = if row % 5 == 0 {
                        W::cut(word.wide() % 3)
                    } else {
                        word
                    };
                    word.and(W::mask(bits))
                })
            })
            .collect()
    }
}

/// The shares of all three parties.
pub fn shared<A: Algebra, W: Word>(numbers: &mut Numbers, values: &[W]) -> [Pair<W>; 3] {
    let mut shares: [Vec<W>; 3] = Default::default();
    for value in values {
        let (a, b): (W, W) = (numbers.word(), numbers.word());
        shares[0].push(a);
        shares[1].push(b);
        shares[2].push(A::sub(A::sub(*value, a), b));
    }
    [0, 1, 2].map(|index| Pair {
        first: shares[index].clone(),
        second: shares[(index + 1) % 3].clone(),
    })
}

/// The values of the parties' shares, which must agree where they overlap.
pub fn value<A: Algebra, W: Word>(results: [Result<Pair<W>, Broken>; 3]) -> Vec<W> {
    let pairs = results.map(|result| result.expect("the operation goes through"));
    for index in 0..3 {
        assert_eq!(
            pairs[index].second,
            pairs[(index + 1) % 3].first,
            "overlap of {index}"
        );
    }
    let shares = pairs[0]
        .first
        .iter()
        .zip(&pairs[1].first)
        .zip(&pairs[2].first);
    shares
        .map(|((a, b), c)| A::add(A::add(*a, *b), *c))
        .collect()
}

/// Whether counts that are expected to be equal are: their chi-square statistic is below what it exceeds with
/// a probability of less than 1e-9 (by the Wilson-Hilferty approximation, 6 standard deviations).
pub fn chi_square(counts: &[usize], expected: f64) -> bool {
    let statistic: f64 = counts
        .iter()
        .map(|count| (*count as f64 - expected).powi(2) / expected)
        .sum();
    let freedom = counts.len() as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    statistic < freedom * (1.0 - spread + 6.0 * spread.sqrt()).powi(3)
}
