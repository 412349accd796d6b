//! Large vectors on all cores, small ones at once.
//!
//! Threads are those of `ring::parallel::pool`: they never wait for a neighbour, so parties in one process may
//! share them.

use std::sync::Arc;

use rayon::ThreadPool;
use rayon::prelude::*;
use zerocopy::FromBytes;

use crate::ring::fault::Fault;
use crate::ring::pages::prefer_huge;
use crate::ring::parallel::pool;
use crate::shares::word::{Word, bytes_of_mut};

/// From so many bytes on threads share the work.
const PARALLEL: usize = 1 << 18;
/// Bytes that a thread takes at a time; divisible by every word and by a cipher's block.
const SHARE: usize = 1 << 16;

/// What writes a part of a vector: the row where it begins, and the part.
type Write<'a, W> = dyn Fn(usize, &mut [W]) + Send + Sync + 'a;

/// The threads of one party.
#[derive(Clone)]
pub struct Workers(Arc<ThreadPool>);

impl Workers {
    /// As many threads as there are cores.
    pub fn new() -> Result<Self, Fault> {
        pool(std::thread::available_parallelism().map_or(1, usize::from)).map(Self)
    }

    /// Runs `work` where rayon's parallel iterators use these threads.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.install(work)
    }

    /// Has `write` write every part of `out`: it gets the row where the part begins, and the part. Parts begin
    /// at multiples of 16 bytes.
    pub fn write<W: Word>(&self, out: &mut [W], write: impl Fn(usize, &mut [W]) + Send + Sync) {
        self.spread(out, &write);
    }

    /// As `write`; one for each word and not for each closure, since what rayon makes of one is large.
    fn spread<W: Word>(&self, out: &mut [W], write: &Write<'_, W>) {
        if size_of_val(out) < PARALLEL || self.0.current_num_threads() == 1 {
            return write(0, out);
        }
        let rows = SHARE / W::BYTES;
        self.0.install(|| {
            out.par_chunks_mut(rows)
                .enumerate()
                .for_each(|(place, part)| write(place * rows, part));
        });
    }

    /// A new vector of `rows` words that `write` writes as in `Workers::write`.
    pub fn make<W: Word>(
        &self,
        rows: usize,
        write: impl Fn(usize, &mut [W]) + Send + Sync,
    ) -> Vec<W> {
        let mut out = fresh(rows);
        self.write(&mut out, write);
        out
    }

    /// Both, at the same time where `bytes` (of each) is much.
    pub fn both<A: Send, B: Send>(
        &self,
        bytes: usize,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        if bytes < PARALLEL {
            return (a(), b());
        }
        let (mut left, mut right) = (None, None);
        let (mut a, mut b) = (Some(a), Some(b));
        self.join(&mut || left = a.take().map(|a| a()), &mut || {
            right = b.take().map(|b| b())
        });
        match (left, right) {
            (Some(left), Some(right)) => (left, right),
            _ => unreachable!("both have run"),
        }
    }

    /// As `both`, once for all closures.
    fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        self.0.join(a, b);
    }
}

/// Zeroes, on large pages where they are many.
pub fn fresh<W: Word>(rows: usize) -> Vec<W> {
    let mut out = vec![W::ZERO; rows];
    let words = size_of_val(out.as_slice()) / 8;
    if let Ok((words, _)) =
        <[u64]>::mut_from_prefix_with_elems(bytes_of_mut(out.as_mut_slice()), words)
    {
        prefer_huge(words);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Workers, fresh};

    #[test]
    fn every_row_is_written_once() {
        let workers = Workers::new().unwrap();
        for rows in [0, 1, 1000, 300_001] {
            let out: Vec<u32> = workers.make(rows, |start, part| {
                for (row, value) in part.iter_mut().enumerate() {
                    *value = (start + row) as u32 + 1;
                }
            });
            assert!(
                out.iter()
                    .enumerate()
                    .all(|(row, value)| *value == row as u32 + 1)
            );
        }
    }

    #[test]
    fn fresh_words_are_zero() {
        assert!(fresh::<u8>((8 << 20) + 5).iter().all(|word| *word == 0));
        assert!(fresh::<u128>(0).is_empty());
    }
}
