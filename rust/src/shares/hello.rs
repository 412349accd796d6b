//! What two servers say first, and the key that follows from it; `session.rs` has the order of messages.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::prg::KEY_BYTES;

const MAGIC: &[u8; 16] = b"hitoku/shares/1\0";
const KEY_LABEL: &[u8] = b"hitoku/shares pair key/1\0";
const PROOF_LABEL: &[u8] = b"hitoku/shares proof/1\0";
const STREAM_LABEL: &[u8] = b"hitoku/shares stream key/1\0";

/// Bytes of a hello.
pub const HELLO_BYTES: usize = 16 + 16 + 32 + 1 + 1 + 32;

/// The run that a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Names the run.
    pub run: [u8; 16],
    /// SHA-256 of the program.
    pub program: [u8; 32],
}

/// What each side says first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// For which run and program.
    pub job: Job,
    /// The sender's index.
    pub from: u8,
    /// The index it takes the receiver for.
    pub to: u8,
    /// Makes the session's keys its own.
    pub nonce: [u8; 32],
}

impl Hello {
    /// A hello with a fresh nonce.
    pub fn fresh(job: Job, from: u8, to: u8) -> Result<Self, &'static str> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| "random")?;
        Ok(Self {
            job,
            from,
            to,
            nonce,
        })
    }

    /// The bytes that are sent.
    pub fn to_bytes(self) -> [u8; HELLO_BYTES] {
        let parts: [&[u8]; 5] = [
            MAGIC,
            &self.job.run,
            &self.job.program,
            &[self.from, self.to],
            &self.nonce,
        ];
        let mut bytes = [0; HELLO_BYTES];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (here, later) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = later;
        }
        bytes
    }

    /// Reads a hello; None if it is none of this version, or no two different parties of three.
    pub fn from_bytes(bytes: &[u8; HELLO_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (run, rest) = rest.split_first_chunk()?;
        let (program, rest) = rest.split_first_chunk()?;
        let (&[from, to], rest) = rest.split_first_chunk()?;
        if magic != MAGIC || from > 2 || to > 2 || from == to {
            return None;
        }
        Some(Self {
            job: Job {
                run: *run,
                program: *program,
            },
            from,
            to,
            nonce: rest.try_into().ok()?,
        })
    }

    /// Whether `answer` is what the party spoken to must answer.
    pub fn fits(&self, answer: &Self) -> bool {
        self.job == answer.job && self.from == answer.to && self.to == answer.from
    }
}

/// Bytes that two parties share; wiped when dropped.
pub struct PairKey(Zeroizing<[u8; 32]>);

impl PairKey {
    /// The key for the streams that both parties make.
    pub fn stream_key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        let long = Zeroizing::new(hmac(&self.0, &[STREAM_LABEL]));
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(&long[..KEY_BYTES]);
        key
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The key of the pair, from the bytes that the dialler drew.
pub fn derive(drawn: &[u8; 32], dialler: &Hello, listener: &Hello) -> PairKey {
    let hellos = [dialler.to_bytes(), listener.to_bytes()];
    PairKey(Zeroizing::new(hmac(
        drawn,
        &[KEY_LABEL, &hellos[0], &hellos[1]],
    )))
}

/// What shows that `sender` has the key.
pub fn proof(key: &PairKey, sender: &Hello) -> [u8; 32] {
    hmac(&key.0, &[PROOF_LABEL, &sender.to_bytes()])
}

#[cfg(test)]
mod tests {
    use super::{HELLO_BYTES, Hello, Job, derive, proof};

    fn hello(from: u8, to: u8) -> Hello {
        let job = Job {
            run: [1; 16],
            program: [2; 32],
        };
        Hello::fresh(job, from, to).unwrap()
    }

    #[test]
    fn a_hello_comes_back() {
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 0)] {
            let sent = hello(from, to);
            let read = Hello::from_bytes(&sent.to_bytes()).unwrap();
            assert!(read == sent);
        }
    }

    #[test]
    fn other_versions_and_indices_are_no_hellos() {
        let right = hello(0, 1).to_bytes();
        for at in 0..16 {
            let mut bytes = right;
            bytes[at] ^= 1;
            assert!(Hello::from_bytes(&bytes).is_none());
        }
        for (from, to) in [(0, 0), (1, 1), (2, 2), (3, 0), (0, 3), (255, 1), (1, 255)] {
            let mut bytes = right;
            bytes[64..66].copy_from_slice(&[from, to]);
            assert!(Hello::from_bytes(&bytes).is_none(), "{from} {to}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_what_is_read_is_what_came() {
        let mut state = 1_u64;
        let mut read = 0;
        for round in 0..100_000 {
            let mut bytes = hello_bytes(round);
            for _ in 0..round % 4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                bytes[(state >> 33) as usize % HELLO_BYTES] = (state >> 24) as u8;
            }
            if let Some(hello) = Hello::from_bytes(&bytes) {
                read += 1;
                assert!(hello.to_bytes() == bytes);
                assert!(hello.from < 3 && hello.to < 3 && hello.from != hello.to);
            }
        }
        assert!((25_000..100_000).contains(&read));
    }

    fn hello_bytes(round: usize) -> [u8; HELLO_BYTES] {
        let mut right = hello(0, 2).to_bytes();
        right[16] = round as u8;
        right
    }

    #[test]
    fn only_the_answer_to_the_same_job_fits() {
        let mine = hello(0, 1);
        assert!(mine.fits(&hello(1, 0)));
        for wrong in [hello(0, 1), hello(1, 2), hello(2, 0), hello(2, 1)] {
            assert!(!mine.fits(&wrong));
        }
        let mut other = hello(1, 0);
        other.job.run[15] ^= 1;
        assert!(!mine.fits(&other));
        let mut other = hello(1, 0);
        other.job.program[0] ^= 1;
        assert!(!mine.fits(&other));
    }

    #[test]
    fn keys_differ_with_every_part_of_the_hellos() {
        let (dialler, listener) = (hello(0, 1), hello(1, 0));
        let drawn = [3; 32];
        let key = derive(&drawn, &dialler, &listener);
        let mut seen = vec![*key.stream_key(), key.0[..16].try_into().unwrap()];
        for at in 16..HELLO_BYTES {
            let mut bytes = dialler.to_bytes();
            bytes[at] ^= if (64..66).contains(&at) { 2 } else { 1 };
            let Some(changed) = Hello::from_bytes(&bytes) else {
                continue;
            };
            seen.push(*derive(&drawn, &changed, &listener).stream_key());
            seen.push(*derive(&drawn, &listener, &changed).stream_key());
        }
        seen.push(*derive(&[4; 32], &dialler, &listener).stream_key());
        let count = seen.len();
        assert!(count > 150);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn a_proof_is_of_its_side() {
        let (dialler, listener) = (hello(0, 1), hello(1, 0));
        let key = derive(&[3; 32], &dialler, &listener);
        assert!(proof(&key, &dialler) != proof(&key, &listener));
    }
}
