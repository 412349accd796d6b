//! Large arrays on huge pages, where the system has them.
//!
//! A batch of ciphertexts is some hundred megabytes that are written once: with pages of 4 KiB the system
//! spends as long on the first touch of each as the kernels do on their contents.

#![allow(unsafe_code)]

/// From this size on it pays.
const LEAST_BYTES: usize = 8 << 20;
const PAGE: usize = 4096;

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
    use super::prefer_huge;

    #[test]
    fn contents_stay_whatever_the_size() {
        for size in [0, 1, 1000, (8 << 20) / 8, (9 << 20) / 8 + 3] {
            let mut words = vec![7u64; size];
            prefer_huge(&mut words);
            assert!(words.iter().all(|word| *word == 7));
        }
    }
}
