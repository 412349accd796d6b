//! Threads for the kernels: one pool a thread count, kept between calls.
//!
//! A pool is remembered under the process's id. Threads do not survive a fork, so a child finds no
//! pool of its own and makes new ones; its parent's are never touched there, nor dropped (dropping
//! would wait for threads that are not there). A process that forks while another of its threads holds
//! the list finds it locked for ever: it then works with a pool of its own call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::ring::fault::Fault;
use crate::ring::pages::{self, prefer_huge};

/// So many threads a pool has at most.
pub const MOST_THREADS: usize = 1_024;
const TRIES: usize = 10_000;

type Pools = HashMap<(u32, usize), Arc<ThreadPool>>;

static POOLS: Mutex<Option<Pools>> = Mutex::new(None);

/// So many threads as there may be, or one where the work is too `little` to wake others for.
pub fn worth(threads: usize, little: bool) -> Result<usize, Fault> {
    if !(1..=MOST_THREADS).contains(&threads) {
        return Err(Fault::new("bad-threads"));
    }
    Ok(if little { 1 } else { threads })
}

/// The pool of `threads` threads of this process.
pub fn pool(threads: usize) -> Result<Arc<ThreadPool>, Fault> {
    worth(threads, false)?;
    let key = (std::process::id(), threads);
    let Some(mut list) = held() else {
        return build(threads);
    };
    let pools = list.get_or_insert_with(HashMap::new);
    if let Some(pool) = pools.get(&key) {
        return Ok(Arc::clone(pool));
    }
    let pool = build(threads)?;
    pools.insert(key, Arc::clone(&pool));
    Ok(pool)
}

/// The list; none where it stays locked much longer than anybody needs it for.
fn held() -> Option<MutexGuard<'static, Option<Pools>>> {
    for _ in 0..TRIES {
        if let Ok(list) = POOLS.try_lock() {
            return Some(list);
        }
        std::thread::yield_now();
    }
    None
}

fn build(threads: usize) -> Result<Arc<ThreadPool>, Fault> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map(Arc::new)
        .map_err(|_| Fault::new("no-threads"))
}

/// Zeroes for `rows * size` words; a size that does not fit is a fault, not an abort.
pub fn words(rows: usize, size: usize) -> Result<Vec<u64>, Fault> {
    let total = rows
        .checked_mul(size)
        .filter(|total| *total <= isize::MAX as usize / 8)
        .ok_or_else(|| Fault::new("no-memory"))?;
    let mut probe: Vec<u64> = Vec::new();
    probe
        .try_reserve_exact(total)
        .map_err(|_| Fault::new("no-memory"))?;
    drop(probe);
    // Fresh pages come zeroed from the system: this writes nothing.
    let mut out = vec![0; total];
    prefer_huge(&mut out);
    Ok(out)
}

/// As `words`, with whatever a block that is used again had in it: the caller writes every word.
pub fn unwritten(rows: usize, size: usize) -> Result<Vec<u64>, Fault> {
    match rows.checked_mul(size).and_then(pages::take) {
        Some(block) => Ok(block),
        None => words(rows, size),
    }
}

/// Zeroes for `rows * size` reals; a size that does not fit is a fault, not an abort.
pub fn reals(rows: usize, size: usize) -> Result<Vec<f64>, Fault> {
    let total = rows
        .checked_mul(size)
        .ok_or_else(|| Fault::new("no-memory"))?;
    let mut out = Vec::new();
    out.try_reserve_exact(total)
        .map_err(|_| Fault::new("no-memory"))?;
    out.resize(total, 0.0);
    Ok(out)
}

/// Runs `work` on every row that there is; of several faults the first row's is told.
pub fn check(
    rows: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    let pool = pool(threads)?;
    let one = |row: usize| work(row).err();
    let fault = if threads == 1 || rows <= 1 {
        (0..rows).find_map(one)
    } else {
        pool.install(|| (0..rows).into_par_iter().find_map_first(one))
    };
    fault.map_or(Ok(()), Err)
}

/// Fills a new array of `rows` rows of `size` words; of several faults the first row's is told.
pub fn fill(
    rows: usize,
    size: usize,
    threads: usize,
    work: impl Fn(usize, &mut [u64]) -> Result<(), Fault> + Sync,
) -> Result<Vec<u64>, Fault> {
    let mut out = unwritten(rows, size)?;
    if size > 0 {
        each(&mut out, size, threads, |row, place| {
            // While the row is warm: a block that is used again holds what it held.
            place.fill(0);
            work(row, place)
        })?;
    }
    Ok(out)
}

/// Runs `work` on every row of `size` entries of `out`; of several faults the first row's is told.
pub fn each<T: Send>(
    out: &mut [T],
    size: usize,
    threads: usize,
    work: impl Fn(usize, &mut [T]) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    each_with(out, size, threads, || (), |(), row, place| work(row, place))
}

/// As `each`, with rooms that `room` makes and that a thread uses again for its next row.
pub fn each_with<T: Send, R>(
    out: &mut [T],
    size: usize,
    threads: usize,
    room: impl Fn() -> R + Sync,
    work: impl Fn(&mut R, usize, &mut [T]) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    let pool = pool(threads)?;
    let fault = if threads == 1 || out.len() <= size {
        let mut room = room();
        let mut rows = out.chunks_mut(size).enumerate();
        rows.find_map(|(row, place)| work(&mut room, row, place).err())
    } else {
        pool.install(|| {
            let rows = out.par_chunks_mut(size).enumerate();
            rows.map_init(&room, |room, (row, place)| work(room, row, place).err())
                .find_map_first(|fault| fault)
        })
    };
    fault.map_or(Ok(()), Err)
}

/// Runs `work` on every row of `out`, on the pool's threads if there is one.
pub fn rows<T: Send>(
    pool: Option<&ThreadPool>,
    out: &mut [T],
    size: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let one = |(row, place): (usize, &mut [T])| work(row, place);
    match pool {
        None => out.chunks_exact_mut(size).enumerate().for_each(one),
        Some(pool) => {
            pool.install(|| out.par_chunks_exact_mut(size).enumerate().for_each(one));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_order_and_the_first_fault_is_told() {
        for threads in [1, 2, 3] {
            let out = fill(1_000, 2, threads, |row, place| {
                place.fill(row as u64);
                Ok(())
            });
            let expected: Vec<u64> = (0..1_000).flat_map(|row| [row, row]).collect();
            assert_eq!(out.unwrap(), expected);
            let fault = fill(1_000, 2, threads, |row, _| match row % 300 {
                299 => Err(Fault::at("test", row)),
                _ => Ok(()),
            });
            assert_eq!(fault.unwrap_err(), Fault::at("test", 299));
        }
    }

    #[test]
    fn senseless_numbers_are_faults() {
        for threads in [0, 1_025, usize::MAX] {
            assert_eq!(pool(threads).unwrap_err(), Fault::new("bad-threads"));
        }
        assert_eq!(words(usize::MAX, 2).unwrap_err(), Fault::new("no-memory"));
        assert_eq!(words(1 << 59, 1).unwrap_err(), Fault::new("no-memory"));
        assert!(Arc::ptr_eq(&pool(2).unwrap(), &pool(2).unwrap()));
    }
}
