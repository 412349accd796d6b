//! How a server joins a run: it dials the servers with higher indices and waits for those with lower ones.
//!
//! A peer may be slower to begin, so a connection that is refused by the system or closed before the peer's
//! hello is tried again until the time is over. What a peer says wrongly is not: a member key, a run, a program or
//! an index other than the agreed ones ends the job at once. A stranger cannot end it: who comes with another key
//! than the room names is sent away, and the job goes on waiting; only if nobody else comes is it "certificate".

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::channel::{Broken, NOBODY};
use super::hello::{Hello, Job, PairKey};
use super::listener::{Arrived, Listener};
use super::party::Party;
use super::prg::KEY_BYTES;
use super::session::Link;
use super::tls::MemberKey;
use super::wire::TlsChannel;

/// Between two attempts to dial.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a server that waits for one peer looks whether the other is still there.
const LOOK: Duration = Duration::from_millis(250);

/// Another server of the run.
pub struct Peer {
    /// Where it listens.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// The key that the room names for it.
    pub key: MemberKey,
}

/// What a server has once all are joined.
pub struct Lines {
    /// To P_{i+1}.
    pub next: TlsChannel,
    /// To P_{i-1}.
    pub previous: TlsChannel,
    /// k_i, shared with P_{i-1}.
    pub own_key: Zeroizing<[u8; KEY_BYTES]>,
    /// k_{i+1}, shared with P_{i+1}.
    pub next_key: Zeroizing<[u8; KEY_BYTES]>,
}

impl Lines {
    /// Party `index` of the run.
    pub fn party(self, index: u8) -> Result<Party, Broken> {
        let (next, previous) = (Box::new(self.next), Box::new(self.previous));
        Party::new(index.into(), next, previous, &self.own_key, &self.next_key)
    }
}

struct Joining<'a> {
    listener: &'a Listener,
    index: u8,
    job: Job,
    peers: &'a [Option<Peer>; 3],
    until: Instant,
}

/// A peer that is joined: its session and the key shared with it.
type Joined = (Link, PairKey);

/// Joins `job` as server `index`; `peers[index]` is not looked at.
///
/// `timeout`: for all of the joining, and later for each wait for a peer.
pub fn join(
    listener: &Listener,
    index: u8,
    job: Job,
    peers: &[Option<Peer>; 3],
    timeout: Duration,
) -> Result<Lines, Broken> {
    if listener.closed() {
        return Err(Broken::new("aborted", NOBODY));
    }
    let (taker, arrivals) = mpsc::channel();
    let waiting = listener.wait_for(job.run, taker);
    let waiting = waiting.ok_or(Broken::new("hello", NOBODY))?;
    let joining = Joining {
        listener,
        index,
        job,
        peers,
        until: Instant::now() + timeout,
    };
    let mut joined: [Option<Joined>; 3] = [None, None, None];
    if let Err(broken) = joining.all(&arrivals, &mut joined) {
        waiting.failed();
        for arrived in arrivals.try_iter() {
            arrived.link.refuse("aborted");
        }
        return Err(broken);
    }
    drop(waiting);
    let mut channel = |peer: u8| {
        let taken = joined[usize::from(peer)].take();
        let (link, key) = taken.ok_or(Broken::new("hello", peer))?;
        let (connection, socket) = link.into_parts();
        let channel = TlsChannel::start(peer, connection, socket, timeout)?;
        Ok((channel, key.stream_key()))
    };
    let (next, next_key) = channel((index + 1) % 3)?;
    let (previous, own_key) = channel((index + 2) % 3)?;
    Ok(Lines {
        next,
        previous,
        own_key,
        next_key,
    })
}

impl Joining<'_> {
    fn peer(&self, peer: u8) -> Result<&Peer, Broken> {
        let known = self.peers[usize::from(peer)].as_ref();
        known.ok_or(Broken::new("hello", peer))
    }

    fn all(
        &self,
        arrivals: &Receiver<Arrived>,
        joined: &mut [Option<Joined>; 3],
    ) -> Result<(), Broken> {
        for peer in self.index + 1..3 {
            joined[usize::from(peer)] = Some(self.dial(peer)?);
        }
        self.accept(arrivals, joined)
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn dial(&self, to: u8) -> Result<Joined, Broken> {
        let peer = self.peer(to)?;
        let broken = |code| Broken::new(code, to);
        let mut pause = PAUSE;
        loop {
            match self.attempt(peer, to) {
                // Closed before its hello: it is not there yet.
                Ok(Err("closed")) | Err(_) => {}
                Ok(done) => return done.map_err(broken),
            }
            if self.listener.closed() {
                return Err(broken("aborted"));
            }
            if self.left() <= pause {
                return Err(broken("timeout"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(&self, peer: &Peer, to: u8) -> io::Result<Result<Joined, &'static str>> {
        let mut last = io::ErrorKind::NotFound.into();
        for address in (peer.host.as_str(), peer.port).to_socket_addrs()? {
            let left = self.left().max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&address, left) {
                Ok(socket) => return Ok(self.greet(peer.key, to, socket)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greet(&self, key: MemberKey, to: u8, socket: TcpStream) -> Result<Joined, &'static str> {
        let connection = self.listener.identity().dial(key).map_err(|_| "hello")?;
        let mut link = Link::open(connection, socket, self.until)?;
        let mine = Hello::fresh(self.job, self.index, to)?;
        let theirs = match link.greet(&mine) {
            Ok(theirs) => theirs,
            Err(code) => {
                link.refuse(code);
                return Err(code);
            }
        };
        let key = link.give_key(&mine, &theirs).map_err(not_again)?;
        Ok((link, key))
    }

    fn accept(
        &self,
        arrivals: &Receiver<Arrived>,
        joined: &mut [Option<Joined>; 3],
    ) -> Result<(), Broken> {
        let mut stranger = [false; 3];
        while let Some(missing) = (0..self.index).find(|peer| joined[usize::from(*peer)].is_none())
        {
            let arrived = match arrivals.recv_timeout(self.left().min(LOOK)) {
                Ok(arrived) => arrived,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Broken::new("aborted", NOBODY));
                }
                Err(RecvTimeoutError::Timeout) => {
                    still_there(joined)?;
                    if !self.left().is_zero() {
                        continue;
                    }
                    let met = stranger[usize::from(missing)];
                    let code = if met { "certificate" } else { "timeout" };
                    return Err(Broken::new(code, missing));
                }
            };
            let Arrived {
                mut link,
                hello,
                key,
            } = arrived;
            link.until(self.until);
            let from = hello.from;
            let named = self.peer(from).is_ok_and(|peer| peer.key == key);
            if !named {
                stranger[usize::from(from)] = true;
                link.refuse("certificate");
                continue;
            }
            // From here on it is the member itself that speaks.
            if from >= self.index || hello.to != self.index || hello.job != self.job {
                link.refuse("hello");
                return Err(Broken::new("hello", from));
            }
            let place = &mut joined[usize::from(from)];
            if place.is_some() {
                link.refuse("hello");
                continue;
            }
            let mine = Hello::fresh(self.job, self.index, from);
            let mine = mine.map_err(|code| Broken::new(code, from))?;
            match link.take_key(&mine, &hello) {
                Ok(key) => *place = Some((link, key)),
                // It gave this connection up while it waited, and dials again.
                Err("closed") => {}
                Err(code) => return Err(Broken::new(code, from)),
            }
        }
        Ok(())
    }
}

/// A peer that is joined and gave up meanwhile has closed its line.
fn still_there(joined: &[Option<Joined>; 3]) -> Result<(), Broken> {
    for (peer, place) in joined.iter().enumerate() {
        if place.as_ref().is_some_and(|(link, _)| link.ended()) {
            return Err(Broken::new("closed", peer as u8));
        }
    }
    Ok(())
}

/// After the hellos a line that ends is no peer that is not there yet.
fn not_again(code: &'static str) -> &'static str {
    if code == "closed" { "aborted" } else { code }
}
