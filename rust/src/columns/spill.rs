//! Append-only slots of bytes that overflow into one encrypted temporary file nobody can open.
//!
//! The key lives only in this process, and the file has no name (`O_TMPFILE`, or removed as soon
//! as it is opened): after SIGKILL or a power cut nothing remains, and what a disk forensic could
//! still find is ciphertext under a key that is gone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use zeroize::Zeroizing;

use super::fault::{Fault, SpillError};
use super::seal::TAG;

/// A piece of a slot in the file.
struct Piece {
    offset: u64,
    length: usize,
    counter: u64,
}

#[derive(Default)]
struct Slot {
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    bytes: u64,
}

pub struct Spill {
    slots: Vec<Mutex<Slot>>,
    /// Bytes in memory above which slots of at least `flush_at` bytes go to the file.
    memory: usize,
    flush_at: usize,
    held: AtomicUsize,
    directory: PathBuf,
    file: OnceLock<File>,
    opening: Mutex<()>,
    tail: AtomicU64,
    counter: AtomicU64,
    cipher: Aes256Gcm,
}

impl Spill {
    /// `slots` slots which together keep about `memory` bytes in memory.
    pub fn new(slots: usize, memory: usize, directory: PathBuf) -> Result<Self, Fault> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key)?;
        Ok(Self {
            slots: (0..slots).map(|_| Mutex::default()).collect(),
            memory,
            flush_at: (memory / slots.max(1)).clamp(4 * 1024, 1024 * 1024),
            held: AtomicUsize::new(0),
            directory,
            file: OnceLock::new(),
            opening: Mutex::new(()),
            tail: AtomicU64::new(0),
            counter: AtomicU64::new(0),
            cipher: Aes256Gcm::new((&*key).into()),
        })
    }

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    pub fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Bytes appended to a slot so far.
    pub fn bytes(&self, slot: usize) -> u64 {
        self.lock(slot).bytes
    }

    /// Whether anything went to the file.
    pub fn spilled(&self) -> bool {
        self.file.get().is_some()
    }

    fn lock(&self, slot: usize) -> std::sync::MutexGuard<'_, Slot> {
        self.slots[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends to a slot; what is appended in one call stays in one piece.
    pub fn append(&self, slot: usize, bytes: &[u8]) -> Result<(), SpillError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let held = self.held.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        let mut guard = self.lock(slot);
        guard.bytes += bytes.len() as u64;
        if guard.buffer.capacity() == 0 {
            // All it will need, at once: buffers of a thousand slots that grow step by step leave the
            // heap in splinters. Pages that are not touched cost nothing.
            let room = self.flush_at + self.flush_at / 4 + TAG;
            guard.buffer.reserve_exact(room.max(bytes.len() + TAG));
        } else if guard.buffer.capacity() - guard.buffer.len() < bytes.len() + TAG {
            let step = guard.buffer.len() / 4;
            guard.buffer.reserve_exact(step.max(bytes.len() + TAG));
        }
        guard.buffer.extend_from_slice(bytes);
        // Once there is a file every full buffer goes there: buffers that waited for the budget to be
        // used up would grow without end, and keep what they grew to.
        if guard.buffer.len() >= self.flush_at && (held > self.memory || self.spilled()) {
            let piece = self.flush(slot, &mut guard.buffer)?;
            self.held.fetch_sub(piece.length, Ordering::Relaxed);
            guard.pieces.push(piece);
        }
        Ok(())
    }

    /// Encrypts a buffer in place, writes it and empties it. The nonce is a counter; the slot is
    /// authenticated with it, so no piece can stand in for another.
    fn flush(&self, slot: usize, buffer: &mut Vec<u8>) -> Result<Piece, SpillError> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let length = buffer.len();
        let tag = self
            .cipher
            .encrypt_inout_detached(
                &nonce(counter),
                &(slot as u64).to_le_bytes(),
                buffer.as_mut_slice().into(),
            )
            .map_err(|_| Fault::new("internal"))?;
        buffer.extend_from_slice(&tag);
        let offset = self.tail.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let written = self.file()?.write_all_at(buffer, offset);
        buffer.clear();
        written?;
        Ok(Piece {
            offset,
            length,
            counter,
        })
    }

    /// Appends a piece of a slot, decrypted, to `out`.
    fn load(&self, slot: usize, piece: &Piece, out: &mut Vec<u8>) -> Result<(), SpillError> {
        let start = out.len();
        out.resize(start + piece.length + TAG, 0);
        self.file()?
            .read_exact_at(&mut out[start..], piece.offset)?;
        let mut tag = [0; TAG];
        tag.copy_from_slice(&out[start + piece.length..]);
        out.truncate(start + piece.length);
        self.cipher
            .decrypt_inout_detached(
                &nonce(piece.counter),
                &(slot as u64).to_le_bytes(),
                (&mut out[start..]).into(),
                &Tag::from(tag),
            )
            .map_err(|_| Fault::new("bad-spill").into())
    }

    /// Hands every piece of a slot, in order, to `consume`.
    pub fn each_piece(
        &self,
        slot: usize,
        mut consume: impl FnMut(&[u8]) -> Result<(), SpillError>,
    ) -> Result<(), SpillError> {
        let guard = self.lock(slot);
        let mut scratch = Zeroizing::new(Vec::new());
        for piece in &guard.pieces {
            scratch.clear();
            self.load(slot, piece, &mut scratch)?;
            consume(&scratch)?;
        }
        consume(&guard.buffer)
    }

    /// Takes a whole slot out; it is empty afterwards.
    pub fn take(&self, slot: usize) -> Result<Vec<u8>, SpillError> {
        let mut taken = std::mem::take(&mut *self.lock(slot));
        self.held.fetch_sub(taken.buffer.len(), Ordering::Relaxed);
        if taken.pieces.is_empty() {
            return Ok(taken.buffer);
        }
        let total = usize::try_from(taken.bytes).map_err(|_| Fault::new("slot-too-large"))?;
        let mut all = Vec::with_capacity(total + TAG);
        for piece in &taken.pieces {
            self.load(slot, piece, &mut all)?;
        }
        all.append(&mut taken.buffer);
        Ok(all)
    }

    /// Empties a slot and gives its memory back.
    pub fn clear(&self, slot: usize) {
        let mut guard = self.lock(slot);
        self.held.fetch_sub(guard.buffer.len(), Ordering::Relaxed);
        *guard = Slot::default();
    }

    fn file(&self) -> io::Result<&File> {
        if self.file.get().is_none() {
            let _only_one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            if self.file.get().is_none() {
                let opened = nameless(&self.directory)?;
                // Nobody else sets it while `opening` is held.
                let _ = self.file.set(opened);
            }
        }
        self.file
            .get()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

fn nonce(counter: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::from(bytes)
}

/// Opens a file without a name; where the file system cannot, removes the name at once.
fn nameless(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    #[cfg(target_os = "linux")]
    {
        let mut unnamed = options.clone();
        unnamed.custom_flags(libc::O_TMPFILE);
        match unnamed.open(directory) {
            Ok(file) => return Ok(file),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)
                ) => {}
            Err(error) => return Err(error),
        }
    }
    let mut token = [0; 12];
    getrandom::fill(&mut token).map_err(|_| io::Error::from(io::ErrorKind::Other))?;
    let name: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = directory.join(format!(".hitoku-spill-{name}"));
    let file = options.create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_whole_from_memory_and_from_the_file() {
        for memory in [1 << 30, 0] {
            let spill = Spill::new(3, memory, std::env::temp_dir()).unwrap();
            let mut expected = vec![Vec::new(); 3];
            for round in 0..2_000usize {
                let bytes = round.to_le_bytes();
                spill.append(round % 3, &bytes).unwrap();
                expected[round % 3].extend_from_slice(&bytes);
            }
            assert_eq!(spill.spilled(), memory == 0);
            for (slot, bytes) in expected.iter().enumerate() {
                assert_eq!(spill.bytes(slot), bytes.len() as u64);
                assert_eq!(&spill.take(slot).unwrap(), bytes);
                assert!(spill.take(slot).unwrap().is_empty());
            }
        }
    }

    #[test]
    fn the_file_holds_no_plain_bytes() {
        let spill = Spill::new(1, 0, std::env::temp_dir()).unwrap();
        spill.append(0, &[b'P'; 10_000]).unwrap();
        let mut raw = vec![0; 10_000];
        spill.file().unwrap().read_exact_at(&mut raw, 0).unwrap();
        assert!(!raw.windows(4).any(|window| window == b"PPPP"));
    }

    #[test]
    fn a_changed_byte_of_the_file_is_noticed() {
        let spill = Spill::new(1, 0, std::env::temp_dir()).unwrap();
        spill.append(0, &[1; 10_000]).unwrap();
        spill.file().unwrap().write_all_at(&[0], 17).unwrap();
        assert!(matches!(
            spill.take(0),
            Err(SpillError::Fault(fault)) if fault.code == "bad-spill"
        ));
    }
}
