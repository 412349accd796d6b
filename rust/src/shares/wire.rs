//! Messages over a TLS session: one thread that sends, one that reads.
//!
//! The pieces are those of `frame.rs`. Order and completeness are TLS's: the number of a record is part of its
//! nonce (RFC 8446, section 5.3).
//!
//! `send` only hands a message to the writer thread, so parties that all send first and receive then cannot
//! lock each other out, and sending goes on while the party computes. The reader thread decrypts ahead of what
//! is asked for, up to `AHEAD` bytes; then the peer has to wait.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustls::Connection;

use super::channel::{Broken, Channel, Closer};
use super::frame::{self, PIECE, Piece, Reading};

/// What is decrypted before it is asked for, in bytes.
const AHEAD: usize = 32 << 20;
/// What is read from or written to a socket at once.
const BLOCK: usize = 256 << 10;
/// How often a blocked write looks whether it should go on.
const TICK: Duration = Duration::from_millis(250);
/// How long a party that is done waits for its last messages to leave.
const LINGER: Duration = Duration::from_secs(5);

/// A neighbour behind a TLS session.
pub struct TlsChannel {
    peer: u8,
    timeout: Duration,
    outgoing: Sender<Outgoing>,
    incoming: Receiver<Piece>,
    emptied: Sender<Vec<u8>>,
    written: Receiver<()>,
    line: Arc<Line>,
}

enum Outgoing {
    Message(Vec<u8>),
    /// The party is done.
    End,
    /// Wakes the writer: look at `Line::aborting`.
    Wake,
}

/// What both threads and the party share.
struct Line {
    connection: Mutex<Connection>,
    socket: TcpStream,
    aborting: AtomicBool,
    ended: AtomicBool,
    fault: OnceLock<&'static str>,
}

impl Line {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the line; the first reason given stays.
    fn fail(&self, code: &'static str) {
        let _ = self.fault.set(code);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn fault(&self) -> &'static str {
        self.fault.get().copied().unwrap_or("closed")
    }
}

impl TlsChannel {
    /// Takes over a session whose handshake and hello are done.
    ///
    /// `timeout`: how long a piece may take to arrive once it is waited for, and a block to be taken.
    pub fn start(
        peer: u8,
        connection: Connection,
        socket: TcpStream,
        timeout: Duration,
    ) -> Result<Self, Broken> {
        let closed = |_| Broken::new("closed", peer);
        socket.set_read_timeout(Some(LINGER)).map_err(closed)?;
        socket.set_write_timeout(Some(TICK)).map_err(closed)?;
        let line = Arc::new(Line {
            connection: Mutex::new(connection),
            socket,
            aborting: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            fault: OnceLock::new(),
        });
        line.connection().set_buffer_limit(None);
        let (outgoing, messages) = mpsc::channel();
        let (pieces, incoming) = mpsc::sync_channel(AHEAD / PIECE);
        let (emptied, spare) = mpsc::channel();
        let (done, written) = mpsc::channel();
        let shared = Arc::clone(&line);
        Builder::new()
            .name("shares-write".into())
            .spawn(move || {
                write(&shared, &messages, timeout);
                drop(done);
            })
            .map_err(closed)?;
        let shared = Arc::clone(&line);
        Builder::new()
            .name("shares-read".into())
            .spawn(move || shared.fail(read(&shared, &pieces, &spare)))
            .map_err(|_| {
                line.fail("closed");
                Broken::new("closed", peer)
            })?;
        Ok(Self {
            peer,
            timeout,
            outgoing,
            incoming,
            emptied,
            written,
            line,
        })
    }

    fn broken(&self) -> Broken {
        Broken::new(self.line.fault(), self.peer)
    }

    fn fail(&self, code: &'static str) -> Broken {
        self.line.fail(code);
        self.broken()
    }
}

impl Channel for TlsChannel {
    fn send(&mut self, message: Vec<u8>) -> Result<(), Broken> {
        if self.line.fault.get().is_some() {
            return Err(self.broken());
        }
        let sent = self.outgoing.send(Outgoing::Message(message));
        sent.map_err(|_| self.broken())
    }

    fn receive(&mut self, out: &mut [u8]) -> Result<(), Broken> {
        let mut rest = out;
        while !rest.is_empty() {
            let piece = match self.incoming.recv_timeout(self.timeout) {
                Ok(piece) => piece,
                Err(RecvTimeoutError::Timeout) => return Err(self.fail("timeout")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.broken()),
            };
            let expected = rest.len().min(PIECE);
            if piece.size != expected || piece.last != (expected == rest.len()) {
                return Err(self.fail("size"));
            }
            let (now, later) = rest.split_at_mut(expected);
            now.copy_from_slice(&piece.bytes[..expected]);
            rest = later;
            let _ = self.emptied.send(piece.bytes);
        }
        Ok(())
    }

    /// The peer is told "aborted"; so is whoever waits here.
    fn closer(&self) -> Closer {
        let line = Arc::clone(&self.line);
        let outgoing = Mutex::new(self.outgoing.clone());
        Arc::new(move || {
            // Before the peer is told: it ends its side at once, and that is not why this side ended.
            let _ = line.fault.set("aborted");
            line.aborting.store(true, Ordering::SeqCst);
            let outgoing = outgoing.lock().unwrap_or_else(PoisonError::into_inner);
            if outgoing.send(Outgoing::Wake).is_err() {
                line.fail("aborted");
            }
        })
    }
}

impl Drop for TlsChannel {
    fn drop(&mut self) {
        self.line.ended.store(true, Ordering::SeqCst);
        if self.outgoing.send(Outgoing::End).is_ok() {
            let _ = self.written.recv_timeout(LINGER);
        }
    }
}

/// The writer thread: until the party is done, aborts, or the peer takes nothing for `timeout`.
fn write(line: &Line, messages: &Receiver<Outgoing>, timeout: Duration) {
    let mut block = Vec::new();
    let mut next = messages.recv().ok();
    while let Some(outgoing) = next {
        if line.aborting.load(Ordering::SeqCst) {
            return abort(line, &mut block);
        }
        match outgoing {
            Outgoing::Message(message) => {
                for (header, piece) in frame::pieces(&message) {
                    let sealed = seal(line, &[&header, piece], &mut block);
                    let sent = sealed.and_then(|()| {
                        let full = block.len() >= BLOCK;
                        if full {
                            flush(line, &mut block, timeout)
                        } else {
                            Ok(())
                        }
                    });
                    if let Err(code) = sent {
                        return line.fail(code);
                    }
                    if line.aborting.load(Ordering::SeqCst) {
                        return abort(line, &mut block);
                    }
                }
            }
            Outgoing::Wake => {}
            Outgoing::End => {
                line.connection().send_close_notify();
                let sent = seal(line, &[], &mut block);
                if let Err(code) = sent.and_then(|()| flush(line, &mut block, timeout)) {
                    return line.fail(code);
                }
                let _ = line.socket.shutdown(Shutdown::Write);
                return;
            }
        }
        next = match messages.try_recv() {
            Ok(more) => Some(more),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                if let Err(code) = flush(line, &mut block, timeout) {
                    return line.fail(code);
                }
                messages.recv().ok()
            }
        };
    }
}

/// Tells the peer, if it still listens, and ends the line.
fn abort(line: &Line, block: &mut Vec<u8>) {
    let sealed = seal(line, &[&frame::abort()], block);
    let _ = sealed.and_then(|()| flush(line, block, TICK));
    line.fail("aborted");
}

/// Appends records that hold `parts` to `block`, and whatever else TLS has to say.
fn seal(line: &Line, parts: &[&[u8]], block: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut connection = line.connection();
    let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let size: usize = parts.iter().map(|part| part.len()).sum();
    match connection.writer().write_vectored(&parts) {
        Ok(taken) if taken == size => {}
        _ => return Err("closed"),
    }
    while connection.wants_write() {
        connection.write_tls(block).map_err(|_| "closed")?;
    }
    Ok(())
}

/// Hands `block` to the socket and empties it.
fn flush(line: &Line, block: &mut Vec<u8>, timeout: Duration) -> Result<(), &'static str> {
    let mut rest = &block[..];
    let mut since = Instant::now();
    let mut aborting = false;
    while !rest.is_empty() {
        match (&line.socket).write(rest) {
            Ok(0) => return Err("closed"),
            Ok(taken) => {
                rest = &rest[taken..];
                since = Instant::now();
            }
            Err(error) if waits(&error) => {
                if since.elapsed() >= timeout {
                    return Err("timeout");
                }
                // One more tick, so that the record begun may still leave.
                if std::mem::replace(&mut aborting, line.aborting.load(Ordering::SeqCst)) {
                    return Err("aborted");
                }
            }
            Err(_) => return Err("closed"),
        }
    }
    block.clear();
    Ok(())
}

fn waits(error: &std::io::Error) -> bool {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// The reader thread: until the line ends; says why.
fn read(line: &Line, pieces: &SyncSender<Piece>, spare: &Receiver<Vec<u8>>) -> &'static str {
    let mut block = vec![0; BLOCK];
    let mut reading = Reading::default();
    let mut ready = Vec::new();
    let mut got = 0; // at first, what came along with the end of the hello
    loop {
        let opened = open(line, &block[..got], &mut reading, spare, &mut ready);
        for piece in ready.drain(..) {
            if pieces.send(piece).is_err() {
                return "closed";
            }
        }
        if let Err(code) = opened {
            return code;
        }
        got = loop {
            match (&line.socket).read(&mut block) {
                Ok(0) => return "closed",
                Ok(got) => break got,
                Err(error) if waits(&error) && !line.ended.load(Ordering::SeqCst) => {}
                Err(_) => return "closed",
            }
        };
    }
}

/// Decrypts what the socket gave; whole pieces go to `ready`, since nothing may wait while TLS is locked.
fn open(
    line: &Line,
    mut bytes: &[u8],
    reading: &mut Reading,
    spare: &Receiver<Vec<u8>>,
    ready: &mut Vec<Piece>,
) -> Result<(), &'static str> {
    let mut connection = line.connection();
    loop {
        connection.process_new_packets().map_err(|_| "closed")?;
        loop {
            match connection.reader().read(reading.space()) {
                Ok(0) => return Err("closed"),
                Ok(taken) => {
                    let buffer = || spare.try_recv().unwrap_or_default();
                    ready.extend(reading.advance(taken, buffer)?);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err("closed"),
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        connection.read_tls(&mut bytes).map_err(|_| "closed")?;
    }
}
