//! Large arrays on huge pages, where the system has them, and used again.
//!
//! A batch of ciphertexts is some hundred megabytes that are written once: with pages of 4 KiB the system
//! spends as long on the first touch of each as the kernels do on their contents. Even with huge ones it
//! must clear every page that it hands out, which takes a third of a request and, on a machine that others
//! share, now half and now twice as long. So blocks that a request is done with are kept for the next one:
//! `MOST_BYTES` at most, for `KEEP` at most, then a thread of ours gives them back to the system.
//!
//! **What was in them** stays in them until they are taken; who takes one clears it or writes every word.
//! Ciphertexts alone are given here (`python/held.rs`): no plaintext, no key.

#![allow(unsafe_code)]

use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// From this size on it pays.
pub const LEAST_BYTES: usize = 8 << 20;
const PAGE: usize = 4096;
/// All blocks that are kept, together.
const MOST_BYTES: usize = 2 << 30;
/// So long a block waits for its next use; the thread looks as often.
const KEEP: Duration = Duration::from_secs(2);

struct Kept {
    blocks: Vec<(Instant, Vec<u64>)>,
    /// The process whose thread gives blocks back; threads do not survive a fork.
    keeper: u32,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    blocks: Vec::new(),
    keeper: 0,
});

/// The blocks; none where another thread holds them, or held them when this process was forked.
fn kept() -> Option<MutexGuard<'static, Kept>> {
    KEPT.try_lock().ok()
}

/// A kept block of so many words, with whatever was in it; one that is a quarter too large will do.
pub fn take(words: usize) -> Option<Vec<u64>> {
    if words < LEAST_BYTES / 8 {
        return None;
    }
    let mut kept = kept()?;
    let fits = kept
        .blocks
        .iter()
        .enumerate()
        .filter(|(_, (_, block))| block.len() >= words && block.len() - words <= words / 4);
    let (at, _) = fits.min_by_key(|(_, (_, block))| block.len())?;
    let (_, mut block) = kept.blocks.swap_remove(at);
    block.truncate(words);
    Some(block)
}

/// Keeps a block that nobody uses any more, or frees it.
pub fn give(mut block: Vec<u64>) {
    // What `take` cut off belongs to the block, and has been written before.
    block.resize(block.capacity(), 0);
    let bytes = 8 * block.len();
    if !(LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
        return;
    }
    let Some(mut kept) = kept() else {
        return;
    };
    let mut held: usize = kept.blocks.iter().map(|(_, block)| 8 * block.len()).sum();
    // The oldest go first: what was just used is what the next request wants.
    while held + bytes > MOST_BYTES {
        let (_, oldest) = kept.blocks.remove(0);
        held -= 8 * oldest.len();
    }
    kept.blocks.push((Instant::now(), block));
    let process = std::process::id();
    if kept.keeper != process {
        let keeper = thread::Builder::new().name("hitoku-pages".into());
        match keeper.spawn(watch) {
            Ok(_) => kept.keeper = process,
            // Nobody would give it back.
            Err(_) => kept.blocks.clear(),
        }
    }
}

/// Gives back what has waited for long; ends when nothing is left.
fn watch() {
    loop {
        thread::sleep(KEEP);
        let Ok(mut kept) = KEPT.lock() else {
            return;
        };
        let old: Vec<_> = kept
            .blocks
            .extract_if(.., |(since, _)| since.elapsed() >= KEEP)
            .collect();
        let last = kept.blocks.is_empty();
        if last {
            kept.keeper = 0;
        }
        drop(kept);
        // Outside the lock: giving some hundred megabytes back takes a while.
        drop(old);
        if last {
            return;
        }
    }
}

/// Asks the system to back fresh, untouched words with huge pages. A hint: nothing depends on it.
pub fn prefer_huge(words: &mut [u64]) {
    let bytes = size_of_val(words);
    if bytes < LEAST_BYTES {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        let start = words.as_mut_ptr() as usize;
        let first = start.next_multiple_of(PAGE);
        let length = (start + bytes - first) / PAGE * PAGE;
        // SAFETY: the range lies within `words`, which is borrowed mutably, and begins on a page. This advice
        // changes neither contents nor mapping of memory; a system that refuses it says so, which is ignored.
        unsafe {
            libc::madvise(first as *mut libc::c_void, length, libc::MADV_HUGEPAGE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: usize = LEAST_BYTES / 8;

    fn held() -> usize {
        let kept = KEPT.lock().unwrap();
        kept.blocks.iter().map(|(_, block)| 8 * block.len()).sum()
    }

    /// Tests share the process's blocks: one after the other.
    static TURN: Mutex<()> = Mutex::new(());

    #[test]
    fn contents_stay_whatever_the_size() {
        for size in [0, 1, 1000, (8 << 20) / 8, (9 << 20) / 8 + 3] {
            let mut words = vec![7u64; size];
            prefer_huge(&mut words);
            assert!(words.iter().all(|word| *word == 7));
        }
    }

    #[test]
    fn blocks_are_used_again_where_they_fit_and_given_back_when_nobody_does() {
        let _turn = TURN.lock();
        let size = 3 * WORDS + 5;
        let block = vec![3u64; size];
        let place = block.as_ptr();
        give(block);
        // Too large a block for few words, too small a one for more; none for what is no block.
        assert!(take(2 * WORDS).is_none());
        assert!(take(size + 1).is_none());
        assert!(take(5).is_none());
        let again = take(size - 3).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (place, size - 3));
        give(again);
        // What was cut off is there again.
        assert_eq!(take(size).map(|block| block.as_ptr()), Some(place));
        give(vec![1; 2 * WORDS]);
        let start = Instant::now();
        while held() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "blocks are kept for ever"
            );
            thread::sleep(Duration::from_millis(50));
        }
        assert!(take(2 * WORDS).is_none());
        // And the next one has a thread of its own that gives it back.
        give(vec![1; 2 * WORDS]);
        while held() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "blocks are kept for ever"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let _turn = TURN.lock();
        for _ in 0..3 {
            give(vec![0; MOST_BYTES / 8 / 2 - 1]);
            give(vec![0; WORDS]);
            assert!(held() <= MOST_BYTES);
        }
        give(vec![0; MOST_BYTES / 8 + 1]);
        give(vec![0; 10]);
        assert!(held() <= MOST_BYTES);
        KEPT.lock().unwrap().blocks.clear();
    }
}
