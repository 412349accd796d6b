//! Records in pieces over threads.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::columns::fault::Fault;

/// Records worked on at a time: enough to share an inversion, few enough to stay in the core's cache.
pub const CHUNK: usize = 256;
const MOST_THREADS: usize = 1_024;

/// Threads of one call's own: they survive no call, so a process may fork between two of them.
pub fn pool(threads: usize) -> Result<ThreadPool, Fault> {
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(Fault::new("bad-threads"));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|_| Fault::new("no-threads"))
}

/// Fills `WIDTH` bytes for each of `rows` rows. Of several faults the first row's is told.
pub fn fill<const WIDTH: usize>(
    rows: usize,
    threads: usize,
    work: impl Fn(Range<usize>, &mut [[u8; WIDTH]]) -> Result<(), Fault> + Sync,
) -> Result<Vec<u8>, Fault> {
    let size = rows
        .checked_mul(WIDTH)
        .ok_or_else(|| Fault::new("too-many-records"))?;
    let mut out = Vec::new();
    out.try_reserve_exact(size)
        .map_err(|_| Fault::new("no-memory"))?;
    out.resize(size, 0);
    let places = out.as_chunks_mut::<WIDTH>().0;
    let piece = |(index, part): (usize, &mut [[u8; WIDTH]])| {
        let start = index * CHUNK;
        work(start..start + part.len(), part).err()
    };
    let fault = if threads == 1 || rows <= CHUNK {
        pool_is_valid(threads)?;
        places.chunks_mut(CHUNK).enumerate().find_map(piece)
    } else {
        pool(threads)?.install(|| {
            places
                .par_chunks_mut(CHUNK)
                .enumerate()
                .find_map_first(piece)
        })
    };
    fault.map_or(Ok(out), Err)
}

/// The first fault that any piece of `rows` has.
pub fn check(
    rows: usize,
    threads: usize,
    work: impl Fn(Range<usize>) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    let pieces = rows.div_ceil(CHUNK);
    let piece = |index: usize| work(index * CHUNK..rows.min((index + 1) * CHUNK)).err();
    let fault = if threads == 1 || pieces <= 1 {
        pool_is_valid(threads)?;
        (0..pieces).find_map(piece)
    } else {
        pool(threads)?.install(|| (0..pieces).into_par_iter().find_map_first(piece))
    };
    fault.map_or(Ok(()), Err)
}

fn pool_is_valid(threads: usize) -> Result<(), Fault> {
    if (1..=MOST_THREADS).contains(&threads) {
        Ok(())
    } else {
        Err(Fault::new("bad-threads"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_order_and_the_first_fault_is_told() {
        for threads in [1, 2, 3] {
            let out = fill::<4>(10_000, threads, |rows, places| {
                for (row, place) in rows.zip(places) {
                    *place = (row as u32).to_le_bytes();
                }
                Ok(())
            });
            let expected: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
            assert_eq!(out.unwrap(), expected);
            let faulty = |rows: Range<usize>| match rows.clone().find(|row| row % 3_000 == 2_999) {
                Some(row) => Err(Fault::at("test", row)),
                None => Ok(()),
            };
            let fault = fill::<1>(10_000, threads, |rows, _| faulty(rows)).unwrap_err();
            assert_eq!(fault, Fault::at("test", 2_999));
            assert_eq!(check(10_000, threads, faulty).unwrap_err(), fault);
        }
    }

    #[test]
    fn a_senseless_number_of_threads_is_a_fault() {
        for threads in [0, 1_025, usize::MAX] {
            assert!(fill::<1>(10_000, threads, |_, _| Ok(())).is_err());
            assert!(check(1, threads, |_| Ok(())).is_err());
        }
    }
}
