//! Jobs on the threads that the caller gave; on its own thread if there is one.

use rayon::prelude::*;

use crate::learning::fault::Fault;
use crate::ring::parallel::pool;

/// Runs `work` on every item; one thread works in place, so that callers with one thread each do not wait for
/// one another.
pub fn each<T: Send>(
    items: Vec<T>,
    threads: usize,
    work: impl Fn(T) + Sync + Send,
) -> Result<(), Fault> {
    let pool = pool(threads)?;
    if threads == 1 || items.len() < 2 {
        items.into_iter().for_each(work);
    } else {
        pool.install(|| items.into_par_iter().for_each(work));
    }
    Ok(())
}
