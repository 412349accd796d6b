//! How two servers begin: who is there, for which run of which program, and the key that the two share.
//!
//! Over TLS, whose handshake gave the other end's member key, the server with the lower index dials and both
//! compare before anything of the run is sent:
//!
//! ```text
//! dialler  -> listener   hello    magic, run, hash of the program, own index, the peer's index, 32 random bytes
//! listener -> dialler    hello    the same from its side
//! dialler  -> listener   key      32 random bytes
//! listener -> dialler    proof    HMAC(k, label || listener's hello)
//! dialler  -> listener   proof    HMAC(k, label || dialler's hello)
//! either                 refused  a code, in place of any of these
//! ```
//!
//! k = HMAC-SHA256(the random bytes, label || dialler's hello || listener's hello). TLS hides the random bytes,
//! and HMAC is taken as a pseudorandom function: k is known to these two only. Both hellos are in it, so keys of
//! two runs, of two programs or of two pairs never coincide, whatever randomness one side may have; the proofs
//! tell that both sides have the same k. Indices are in it, so no message can be reflected. The key of the
//! streams (`prg.rs`) is derived from k under a label of its own.
//!
//! Every message is one byte of kind and a fixed number of bytes: nothing in them has a length to lie about.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{AlertDescription as Alert, Connection, Error};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hello::{HELLO_BYTES, Hello, PairKey, derive, proof};

const HELLO: u8 = 1;
const KEY: u8 = 2;
const PROOF: u8 = 3;
const REFUSED: u8 = 4;

/// A connection whose TLS handshake or hello is under way.
pub struct Link {
    connection: Connection,
    socket: TcpStream,
    until: Instant,
}

/// Reads and writes until a point in time, however slowly the bytes come.
struct Timed<'a> {
    socket: &'a TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        (&mut &*self.socket).read(bytes)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        (&mut &*self.socket).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an error of TLS means to us.
fn tls_code(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(_)
        | Error::NoCertificatesPresented
        | Error::AlertReceived(
            Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateRequired
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate,
        ) => "certificate",
        _ => "hello",
    }
}

/// What an error of the socket, or of TLS inside one, means to us.
fn code(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "timeout",
        io::ErrorKind::InvalidData => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            inner.map_or("hello", tls_code)
        }
        _ => "closed",
    }
}

impl Link {
    /// Does the TLS handshake.
    pub fn open(
        connection: Connection,
        socket: TcpStream,
        until: Instant,
    ) -> Result<Self, &'static str> {
        let mut link = Self {
            connection,
            socket,
            until,
        };
        link.socket.set_nodelay(true).map_err(|_| "closed")?;
        let mut timed = Timed {
            socket: &link.socket,
            until,
        };
        while link.connection.is_handshaking() {
            link.connection
                .complete_io(&mut timed)
                .map_err(|error| code(&error))?;
        }
        Ok(link)
    }

    /// The session's TLS.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sets the point in time at which reads and writes end with "timeout".
    pub fn until(&mut self, until: Instant) {
        self.until = until;
    }

    /// Whether the peer closed the line, as far as can be seen without reading from it.
    pub fn ended(&self) -> bool {
        let peeked = self
            .socket
            .set_nonblocking(true)
            .and_then(|()| self.socket.peek(&mut [0]));
        let ended = match peeked {
            Ok(waiting) => waiting == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        ended || self.socket.set_nonblocking(false).is_err()
    }

    /// The session's TLS and its socket, to go on with.
    pub fn into_parts(self) -> (Connection, TcpStream) {
        (self.connection, self.socket)
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> Result<(), &'static str> {
        let message = Zeroizing::new([&[kind], body].concat());
        self.connection
            .writer()
            .write_all(&message)
            .and_then(|()| self.flush())
            .map_err(|error| code(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut timed = Timed {
            socket: &self.socket,
            until: self.until,
        };
        while self.connection.wants_write() {
            self.connection.write_tls(&mut timed)?;
        }
        Ok(())
    }

    fn read(&mut self, mut bytes: &mut [u8]) -> Result<(), &'static str> {
        let mut timed = Timed {
            socket: &self.socket,
            until: self.until,
        };
        while !bytes.is_empty() {
            match self.connection.reader().read(bytes) {
                Ok(0) => return Err("closed"),
                Ok(taken) => bytes = &mut bytes[taken..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let read = self.connection.read_tls(&mut timed);
                    if read.map_err(|error| code(&error))? == 0 {
                        return Err("closed");
                    }
                    let processed = self.connection.process_new_packets();
                    processed.map_err(|error| tls_code(&error))?;
                }
                Err(error) => return Err(code(&error)),
            }
        }
        Ok(())
    }

    fn receive<const N: usize>(&mut self, kind: u8) -> Result<Zeroizing<[u8; N]>, &'static str> {
        let mut came = [0];
        self.read(&mut came)?;
        if came[0] == REFUSED {
            let mut why = [0];
            self.read(&mut why)?;
            return Err(match why[0] {
                1 => "certificate",
                2 => "aborted",
                _ => "hello",
            });
        }
        if came[0] != kind {
            return Err("hello");
        }
        let mut body = Zeroizing::new([0; N]);
        self.read(&mut *body)?;
        Ok(body)
    }

    /// Tells the peer that it will not be served, and why; then the line ends.
    pub fn refuse(mut self, code: &'static str) {
        let why = match code {
            "certificate" => 1,
            "aborted" => 2,
            _ => 0,
        };
        let _ = self.send(REFUSED, &[why]);
        self.connection.send_close_notify();
        let _ = self.flush();
    }

    /// Reads the dialler's hello.
    pub fn read_hello(&mut self) -> Result<Hello, &'static str> {
        let bytes = self.receive::<HELLO_BYTES>(HELLO)?;
        Hello::from_bytes(&bytes).ok_or("hello")
    }

    /// The dialler's side of the beginning, as far as the listener's hello. "closed" may be tried again: the peer
    /// may not know of the run yet.
    pub fn greet(&mut self, mine: &Hello) -> Result<Hello, &'static str> {
        self.send(HELLO, &mine.to_bytes())?;
        let theirs = self.read_hello()?;
        if mine.fits(&theirs) {
            Ok(theirs)
        } else {
            Err("hello")
        }
    }

    /// The dialler's side of the rest: draws the key.
    pub fn give_key(&mut self, mine: &Hello, theirs: &Hello) -> Result<PairKey, &'static str> {
        let mut drawn = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *drawn).map_err(|_| "random")?;
        self.send(KEY, &*drawn)?;
        let key = derive(&drawn, mine, theirs);
        self.check_proof(&key, theirs)?;
        self.send(PROOF, &proof(&key, mine))?;
        Ok(key)
    }

    /// The listener's side, once `theirs` is known to come from the right member.
    pub fn take_key(&mut self, mine: &Hello, theirs: &Hello) -> Result<PairKey, &'static str> {
        if !mine.fits(theirs) {
            return Err("hello");
        }
        self.send(HELLO, &mine.to_bytes())?;
        let drawn = self.receive::<32>(KEY)?;
        let key = derive(&drawn, theirs, mine);
        self.send(PROOF, &proof(&key, mine))?;
        self.check_proof(&key, theirs)?;
        Ok(key)
    }

    fn check_proof(&mut self, key: &PairKey, theirs: &Hello) -> Result<(), &'static str> {
        let given = self.receive::<32>(PROOF)?;
        if bool::from(given.ct_eq(&proof(key, theirs))) {
            Ok(())
        } else {
            Err("hello")
        }
    }
}
