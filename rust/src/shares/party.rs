//! One party of three: its neighbours, its keys, and how messages go round.
//!
//! Operations call `begin` for a number, draw from `stream`s of that number, and send and receive words. All
//! parties run the same operations in the same order; sizes of messages follow from public sizes alone. How
//! messages travel is in `messages.rs`.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::shares::channel::{Broken, Channel, Closer, NOBODY, memory};
use crate::shares::prg::{KEY_BYTES, Key, Stream};
use crate::shares::workers::Workers;

/// Which of a party's two shares, or of its two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// x_i and k_i: the previous party has them too.
    Own,
    /// x_{i+1} and k_{i+1}: the next party has them too.
    Next,
}

/// A neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// P_{i+1}.
    Next,
    /// P_{i-1}.
    Previous,
}

impl Side {
    /// The other neighbour.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Next => Self::Previous,
            Self::Previous => Self::Next,
        }
    }
}

/// What went over the lines so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of messages, without framing.
    pub bytes_sent: u64,
    /// Bytes of messages, without framing.
    pub bytes_received: u64,
    /// Messages (pieces) sent.
    pub messages_sent: u64,
    /// Times that the parties waited for one another.
    pub rounds: u64,
}

/// One party of three.
pub struct Party {
    index: usize,
    pub(super) next: Box<dyn Channel>,
    pub(super) previous: Box<dyn Channel>,
    keys: [Key; 2],
    operation: u64,
    failed: bool,
    opened: Sha256,
    pub(super) record: Option<Vec<u8>>,
    pub(super) counters: Counters,
    workers: Workers,
    closers: [Closer; 2],
}

impl Party {
    /// Party `index` with its lines to P_{i+1} and P_{i-1} and the keys k_i and k_{i+1}, which must be fresh.
    pub fn new(
        index: usize,
        next: Box<dyn Channel>,
        previous: Box<dyn Channel>,
        own_key: &Zeroizing<[u8; KEY_BYTES]>,
        next_key: &Zeroizing<[u8; KEY_BYTES]>,
    ) -> Result<Self, Broken> {
        assert!(index < 3, "there are three parties");
        let workers = Workers::new().map_err(|_| Broken::new("aborted", NOBODY))?;
        let closers = [next.closer(), previous.closer()];
        Ok(Self {
            index,
            next,
            previous,
            keys: [
                Key::new(own_key, index as u8),
                Key::new(next_key, ((index + 1) % 3) as u8),
            ],
            operation: 0,
            failed: false,
            opened: Sha256::new(),
            record: None,
            counters: Counters::default(),
            workers,
            closers,
        })
    }

    /// Three parties of this process, each for a thread of its own, with keys from the system.
    pub fn three(record: bool) -> Result<[Self; 3], Broken> {
        let mut keys: [Zeroizing<[u8; KEY_BYTES]>; 3] = Default::default();
        for key in &mut keys {
            getrandom::fill(&mut **key).map_err(|_| Broken::new("random", NOBODY))?;
        }
        // Line i joins P_i (its next) and P_{i+1} (its previous).
        let [line0, line1, line2] = [(0, 1), (1, 2), (2, 0)].map(|(a, b)| memory(a, b));
        let mut parties = [
            Self::new(0, line0.0, line2.1, &keys[0], &keys[1])?,
            Self::new(1, line1.0, line0.1, &keys[1], &keys[2])?,
            Self::new(2, line2.0, line1.1, &keys[2], &keys[0])?,
        ];
        for party in &mut parties {
            party.record = record.then(Vec::new);
        }
        Ok(parties)
    }

    /// 0, 1 or 2.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Bytes, messages and rounds so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// All bytes received so far, in the order in which they were taken; None where they are not kept.
    pub fn received(&self) -> Option<&[u8]> {
        self.record.as_deref()
    }

    /// The threads for work on large vectors.
    pub fn workers(&self) -> Workers {
        self.workers.clone()
    }

    /// What stops this party from any thread, and tells the others.
    pub fn closers(&self) -> [Closer; 2] {
        self.closers.clone()
    }

    /// Whether it failed, so that no operation can follow.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Ends all: every later operation is "aborted" here, and "closed" or "aborted" at the others.
    pub fn abort(&mut self) {
        self.failed = true;
        self.closers.iter().for_each(|close| close());
    }

    /// Begins an operation: its number, equal at all parties.
    pub fn begin(&mut self) -> Result<u64, Broken> {
        if self.failed {
            return Err(Broken::new("aborted", NOBODY));
        }
        self.operation += 1;
        Ok(self.operation)
    }

    /// Random words that the other holder of this share makes as well.
    pub fn stream(&self, which: Which, operation: u64, purpose: u8) -> Stream {
        self.keys[which as usize].stream(operation, purpose)
    }

    /// The index of a neighbour.
    pub fn neighbour(&self, side: Side) -> u8 {
        match side {
            Side::Next => ((self.index + 1) % 3) as u8,
            Side::Previous => ((self.index + 2) % 3) as u8,
        }
    }

    /// Adds to the running hash of all that was opened.
    pub fn note_opened(&mut self, operation: u64, bytes: &[u8]) {
        self.opened.update(operation.to_le_bytes());
        self.opened.update((bytes.len() as u64).to_le_bytes());
        self.opened.update(bytes);
    }

    /// Compares the hash of all that was opened with both neighbours: "disagree" where one saw other values.
    pub fn check(&mut self) -> Result<(), Broken> {
        self.begin()?;
        let mine: [u8; 32] = self.opened.clone().finalize().into();
        self.round();
        for side in [Side::Next, Side::Previous] {
            self.send(side, &mine)?;
        }
        let mut theirs = [0u8; 32];
        for side in [Side::Next, Side::Previous] {
            self.receive(side, &mut theirs)?;
            if theirs != mine {
                self.abort();
                return Err(Broken::new("disagree", self.neighbour(side)));
            }
        }
        Ok(())
    }
}
