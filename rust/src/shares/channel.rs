//! What joins two parties: messages of sizes that both know beforehand, in order.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Why a party cannot go on: a code, and the neighbour (0, 1, 2) it concerns; 255 where it is none.
///
/// Codes: "closed", "timeout", "size", "hello", "certificate", "disagree" (what was opened differs),
/// "aborted" (an earlier failure, or told to stop), "random" (the system gave no random bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// The code.
    pub code: &'static str,
    /// The neighbour's index, or `NOBODY`.
    pub peer: u8,
}

/// No neighbour is concerned.
pub const NOBODY: u8 = 255;

impl Broken {
    /// A failure with this code that concerns `peer`.
    pub fn new(code: &'static str, peer: u8) -> Self {
        Self { code, peer }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (party {})", self.code, self.peer)
    }
}

impl std::error::Error for Broken {}

/// Ends a channel, from any thread: whoever waits on it at either end then gets "closed". May be called twice.
pub type Closer = Arc<dyn Fn() + Send + Sync>;

/// One end of the line to a neighbour. Dropping it ends the line.
pub trait Channel: Send {
    /// Hands over one message (never an empty one). It must not wait for the peer to read: all three parties
    /// send before they receive. A party never has more than two operations' messages under way.
    fn send(&mut self, message: Vec<u8>) -> Result<(), Broken>;

    /// Waits for the next message, which has exactly `out.len()` bytes (never 0), and writes it to `out`; any
    /// other size is "size".
    fn receive(&mut self, out: &mut [u8]) -> Result<(), Broken>;

    /// What ends this channel.
    fn closer(&self) -> Closer;
}

#[derive(Default)]
struct Line {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Vec<u8>>,
    closed: bool,
}

impl Line {
    fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        self.arrived.notify_all();
    }
}

/// One end of a line within this process.
struct Memory {
    peer: u8,
    outgoing: Arc<Line>,
    incoming: Arc<Line>,
}

impl Channel for Memory {
    fn send(&mut self, message: Vec<u8>) -> Result<(), Broken> {
        let mut state = self
            .outgoing
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(Broken::new("closed", self.peer));
        }
        state.messages.push_back(message);
        self.outgoing.arrived.notify_one();
        Ok(())
    }

    fn receive(&mut self, out: &mut [u8]) -> Result<(), Broken> {
        let mut state = self
            .incoming
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let message = loop {
            // What arrived before the end is still read: the peer may be done and gone.
            if let Some(message) = state.messages.pop_front() {
                break message;
            }
            if state.closed {
                return Err(Broken::new("closed", self.peer));
            }
            state = self
                .incoming
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        if message.len() != out.len() {
            return Err(Broken::new("size", self.peer));
        }
        out.copy_from_slice(&message);
        Ok(())
    }

    fn closer(&self) -> Closer {
        let lines = [Arc::clone(&self.outgoing), Arc::clone(&self.incoming)];
        Arc::new(move || lines.iter().for_each(|line| line.close()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.outgoing.close();
        self.incoming.close();
    }
}

/// A line within this process: party `a`'s end and party `b`'s end.
pub fn memory(a: u8, b: u8) -> (Box<dyn Channel>, Box<dyn Channel>) {
    let (there, back) = (Arc::new(Line::default()), Arc::new(Line::default()));
    (
        Box::new(Memory {
            peer: b,
            outgoing: Arc::clone(&there),
            incoming: Arc::clone(&back),
        }),
        Box::new(Memory {
            peer: a,
            outgoing: back,
            incoming: there,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::{Broken, memory};

    #[test]
    fn messages_arrive_in_order_and_only_in_their_size() {
        let (mut a, mut b) = memory(0, 1);
        a.send(vec![1, 2]).unwrap();
        a.send(vec![3]).unwrap();
        let mut two = [0; 2];
        b.receive(&mut two).unwrap();
        assert_eq!(two, [1, 2]);
        assert_eq!(b.receive(&mut two), Err(Broken::new("size", 0)));
    }

    #[test]
    fn the_end_is_told_at_both_sides_after_what_had_arrived() {
        let (mut a, mut b) = memory(0, 1);
        a.send(vec![1]).unwrap();
        drop(a);
        let mut one = [0];
        b.receive(&mut one).unwrap();
        assert_eq!(b.receive(&mut one), Err(Broken::new("closed", 0)));
        assert_eq!(b.send(vec![1]), Err(Broken::new("closed", 0)));
    }

    #[test]
    fn a_closer_wakes_who_waits() {
        let (mut a, b) = memory(0, 1);
        let close = b.closer();
        let waiting = std::thread::spawn(move || a.receive(&mut [0]));
        close();
        close();
        assert_eq!(waiting.join().unwrap(), Err(Broken::new("closed", 1)));
    }
}
