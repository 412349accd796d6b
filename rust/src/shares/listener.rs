//! Where the other servers come in: one listener a node, which hands each connection to the job it is for.
//!
//! Strangers reach this port. Until its first message has named a run that a job waits for, and its TLS key is
//! the one that the room names for the sender, a connection costs one thread with a small stack and is answered
//! nothing but TLS. There are at most `MAX_PENDING` of them; the oldest gives way to a new one, so that a crowd of
//! silent connections cannot keep a server out. The handshake and the hello have `HANDSHAKE` together, however
//! slowly bytes come; a run that nobody waits for yet has `EARLY`.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::hello::Hello;
use super::session::Link;
use super::tls::{Identity, MemberKey};

/// Connections that no job has yet.
const MAX_PENDING: usize = 64;
/// For the TLS handshake and the hello.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for its run to begin here.
const EARLY: Duration = Duration::from_secs(20);
/// Runs that are remembered as failed.
const MAX_FAILED: usize = 256;
const STACK: usize = 256 << 10;

/// A connection whose hello was read. Nothing was compared yet.
pub struct Arrived {
    /// The connection.
    pub link: Link,
    /// What it says.
    pub hello: Hello,
    /// The key that it proved to have.
    pub key: MemberKey,
}

/// Accepts connections of other servers for all jobs of a node.
pub struct Listener {
    identity: Arc<Identity>,
    address: SocketAddr,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    closed: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: HashMap<[u8; 16], Sender<Arrived>>,
    failed: VecDeque<[u8; 16]>,
    pending: VecDeque<(u64, TcpStream)>,
    count: u64,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's place in the list of runs; leaves it when dropped.
pub struct Waiting {
    desk: Arc<Desk>,
    run: [u8; 16],
}

impl Waiting {
    /// The job failed before all were joined: whoever still comes for it is told so.
    pub fn failed(self) {
        let mut state = self.desk.state();
        if state.failed.len() >= MAX_FAILED {
            state.failed.pop_front();
        }
        state.failed.push_back(self.run);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.desk.state().waiting.remove(&self.run);
    }
}

impl Listener {
    /// Listens at an address; port 0 takes any free one.
    pub fn bind(host: &str, port: u16, identity: Identity) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        let address = listener.local_addr()?;
        let identity = Arc::new(identity);
        let desk = Arc::new(Desk::default());
        let shared = (Arc::clone(&identity), Arc::clone(&desk));
        Builder::new()
            .name("shares-accept".into())
            .stack_size(STACK)
            .spawn(move || accept(&listener, &shared.0, &shared.1))?;
        Ok(Self {
            identity,
            address,
            desk,
        })
    }

    /// The port that is listened at.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// This node's certificate and key.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether `close` was called.
    pub fn closed(&self) -> bool {
        self.desk.closed.load(Ordering::SeqCst)
    }

    /// From now on, connections for `run` go to `taker`. None if a job waits for this run already.
    pub fn wait_for(&self, run: [u8; 16], taker: Sender<Arrived>) -> Option<Waiting> {
        let mut state = self.desk.state();
        if state.waiting.contains_key(&run) {
            return None;
        }
        state.failed.retain(|other| *other != run);
        state.waiting.insert(run, taker);
        drop(state);
        self.desk.changed.notify_all();
        Some(Waiting {
            desk: Arc::clone(&self.desk),
            run,
        })
    }

    /// Stops accepting and drops what no job has yet; jobs that are joined go on.
    pub fn close(&self) {
        if self.desk.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut state = self.desk.state();
        state.waiting.clear();
        for (_, socket) in state.pending.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        drop(state);
        self.desk.changed.notify_all();
        // Wakes `accept`, which then sees that it is over.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

fn accept(listener: &TcpListener, identity: &Arc<Identity>, desk: &Arc<Desk>) {
    loop {
        let accepted = listener.accept();
        if desk.closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok((socket, _)) = accepted else {
            // Out of descriptors, or the peer was gone at once.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        let Ok(twin) = socket.try_clone() else {
            continue;
        };
        let mut state = desk.state();
        if state.pending.len() >= MAX_PENDING
            && let Some((_, oldest)) = state.pending.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
        state.count += 1;
        let id = state.count;
        state.pending.push_back((id, twin));
        drop(state);
        desk.changed.notify_all();
        let shared = (Arc::clone(identity), Arc::clone(desk));
        let started = Builder::new()
            .name("shares-hello".into())
            .stack_size(STACK)
            .spawn(move || {
                if let Some((arrived, taker)) = admit(&shared.0, &shared.1, socket, id) {
                    let _ = taker.send(arrived);
                }
                forget(&shared.1, id);
            });
        if started.is_err() {
            forget(desk, id);
        }
    }
}

fn forget(desk: &Desk, id: u64) {
    desk.state().pending.retain(|(other, _)| *other != id);
}

/// Handshake, hello, and the wait for the run.
fn admit(
    identity: &Identity,
    desk: &Desk,
    socket: TcpStream,
    id: u64,
) -> Option<(Arrived, Sender<Arrived>)> {
    let connection = identity.answer().ok()?;
    let mut link = Link::open(connection, socket, Instant::now() + HANDSHAKE).ok()?;
    let key = MemberKey::proven(link.connection())?;
    let hello = link.read_hello().ok()?;
    let until = Instant::now() + EARLY;
    let mut state = desk.state();
    loop {
        if !state.pending.iter().any(|(other, _)| *other == id) {
            return None;
        }
        if let Some(taker) = state.waiting.get(&hello.job.run).cloned() {
            // From here on it is the job's, which may be joined before this thread comes to its end: neither
            // `close` nor a crowd of newer connections may end it.
            state.pending.retain(|(other, _)| *other != id);
            return Some((Arrived { link, hello, key }, taker));
        }
        if state.failed.contains(&hello.job.run) {
            drop(state);
            link.refuse("aborted");
            return None;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let waited = desk.changed.wait_timeout(state, left);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread::scope;
    use std::time::Instant;

    use super::{Desk, HANDSHAKE, admit};
    use crate::shares::hello::{Hello, Job};
    use crate::shares::session::Link;
    use crate::shares::session_tests::member;

    #[test]
    fn a_connection_that_a_job_has_is_no_longer_the_listeners_to_end() {
        let (from, to) = (member(1), member(2));
        let job = Job {
            run: [7; 16],
            program: [8; 32],
        };
        let desk = Desk::default();
        let (taker, _arrivals) = mpsc::channel();
        desk.state().waiting.insert(job.run, taker);
        let listening = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listening.local_addr().unwrap();
        scope(|scope| {
            scope.spawn(|| {
                let socket = TcpStream::connect(address).unwrap();
                let connection = from.identity().dial(to.key()).unwrap();
                let mut link = Link::open(connection, socket, Instant::now() + HANDSHAKE).unwrap();
                let answer = link.greet(&Hello::fresh(job, 0, 1).unwrap());
                assert!(answer.is_err());
            });
            let (socket, _) = listening.accept().unwrap();
            let twin = socket.try_clone().unwrap();
            desk.state().pending.push_back((1, twin));
            let (arrived, _) = admit(&to.identity(), &desk, socket, 1).unwrap();
            // The job may be joined before the thread that admitted it comes to its end.
            assert!(desk.state().pending.is_empty());
            drop(arrived);
        });
    }
}
