//! Servers that join over loopback sockets, each in a thread of its own.

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::SignatureScheme;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::shares::channel::{Broken, Channel};
use crate::shares::hello::Job;
use crate::shares::join::{Lines, Peer, join};
use crate::shares::listener::Listener;
use crate::shares::tls::{Identity, MemberKey};

const TIMEOUT: Duration = Duration::from_secs(20);

/// DER: a tag, the length and what it holds.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u8::try_from(body.len() / 256).unwrap();
    let mut bytes = match body.len() {
        0..128 => vec![tag, body.len() as u8],
        128..256 => vec![tag, 0x81, body.len() as u8],
        _ => vec![tag, 0x82, length, body.len() as u8],
    };
    bytes.extend(body);
    bytes
}

fn pem(label: &str, bytes: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(bytes);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
}

pub(super) struct Member {
    certificate: Vec<u8>,
    key: Vec<u8>,
    public: [u8; 32],
}

/// A member whose certificate (RFC 5280, section 4.1) carries a key made of `seed`.
pub(super) fn member(seed: u8) -> Member {
    let mut pkcs8 = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    pkcs8.extend([seed; 32]);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8.clone()));
    let key = default_provider()
        .key_provider
        .load_private_key(key)
        .unwrap();
    let spki = key.public_key().unwrap().to_vec();
    let algorithm = der(0x30, &[b"\x06\x03\x2b\x65\x70"]);
    let name = [0x30, 0];
    let dates = der(
        0x30,
        &[b"\x17\x0d000101000000Z", b"\x18\x0f99991231235959Z"],
    );
    let signed = der(
        0x30,
        &[
            b"\xa0\x03\x02\x01\x02\x02\x01\x01",
            &algorithm,
            &name,
            &dates,
            &name,
            &spki,
        ],
    );
    let signer = key.choose_scheme(&[SignatureScheme::ED25519]).unwrap();
    let signature = signer.sign(&signed).unwrap();
    let signature = der(0x03, &[&[0], &signature]);
    Member {
        certificate: pem(
            "CERTIFICATE",
            &der(0x30, &[&signed, &algorithm, &signature]),
        ),
        key: pem("PRIVATE KEY", &pkcs8),
        public: spki[12..].try_into().unwrap(),
    }
}

impl Member {
    pub(super) fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key).unwrap()
    }

    fn listener(&self) -> Listener {
        Listener::bind("127.0.0.1", 0, self.identity()).unwrap()
    }

    pub(super) fn key(&self) -> MemberKey {
        MemberKey::parse(&format!("ed25519:{}", STANDARD.encode(self.public))).unwrap()
    }
}

fn job(run: u8, program: u8) -> Job {
    Job {
        run: [run; 16],
        program: [program; 32],
    }
}

struct World {
    members: [Member; 3],
    listeners: [Listener; 3],
}

fn world() -> World {
    let members = [1, 2, 3].map(member);
    let listeners = [&members[0], &members[1], &members[2]].map(Member::listener);
    World { members, listeners }
}

impl World {
    /// Server `index` joins; `change` may spoil what it believes of its peers.
    fn join(
        &self,
        index: u8,
        job: Job,
        timeout: Duration,
        change: impl Fn(&mut [Option<Peer>; 3]),
    ) -> Result<Lines, Broken> {
        let mut peers = [0, 1, 2].map(|at| {
            (at != usize::from(index)).then(|| Peer {
                host: "127.0.0.1".into(),
                port: self.listeners[at].port(),
                key: self.members[at].key(),
            })
        });
        change(&mut peers);
        join(
            &self.listeners[usize::from(index)],
            index,
            job,
            &peers,
            timeout,
        )
    }

    /// All three join, server i for `jobs[i]`.
    fn joined(&self, jobs: [Job; 3], timeout: Duration) -> [Result<Lines, Broken>; 3] {
        scope(|scope| {
            [0, 1, 2]
                .map(|index: u8| {
                    scope.spawn(move || {
                        // The others have to wait for a slow one.
                        sleep(Duration::from_millis(60 * u64::from(index)));
                        self.join(index, jobs[usize::from(index)], timeout, |_| ())
                    })
                })
                .map(|thread| thread.join().unwrap())
        })
    }

    fn all(&self, job: Job) -> [Lines; 3] {
        self.joined([job; 3], TIMEOUT).map(Result::unwrap)
    }
}

fn talk(lines: &mut [Lines; 3], message: &[u8]) {
    scope(|scope| {
        for (index, line) in lines.iter_mut().enumerate() {
            scope.spawn(move || {
                let to = |peer: usize| [message, &[index as u8, peer as u8]].concat();
                let (next, previous) = ((index + 1) % 3, (index + 2) % 3);
                line.next.send(to(next)).unwrap();
                line.previous.send(to(previous)).unwrap();
                let mut out = vec![0; message.len() + 2];
                line.previous.receive(&mut out).unwrap();
                assert!(out == [message, &[previous as u8, index as u8]].concat());
                line.next.receive(&mut out).unwrap();
                assert!(out == [message, &[next as u8, index as u8]].concat());
            });
        }
    });
}

#[test]
fn three_servers_join_and_pairs_share_keys_of_their_own() {
    let world = world();
    let mut lines = world.all(job(1, 1));
    for index in 0..3 {
        let next = (index + 1) % 3;
        assert_eq!(lines[index].next_key, lines[next].own_key);
        assert_ne!(lines[index].own_key, lines[next].own_key);
    }
    for size in [0, 1, 20_000, 3_000_000] {
        talk(&mut lines, &vec![size as u8; size]);
    }
}

#[test]
fn large_messages_of_all_at_once_lock_nobody_out() {
    let world = world();
    let mut lines = world.all(job(1, 1));
    // Far more than sockets and readers hold.
    talk(&mut lines, &vec![5; 80 << 20]);
}

#[test]
fn two_jobs_of_the_same_servers_do_not_mix() {
    let world = world();
    let (mut one, mut other) = scope(|scope| {
        let one = scope.spawn(|| world.all(job(1, 1)));
        let other = scope.spawn(|| world.all(job(2, 1)));
        (one.join().unwrap(), other.join().unwrap())
    });
    scope(|scope| {
        scope.spawn(|| talk(&mut one, b"one"));
        scope.spawn(|| talk(&mut other, b"two"));
    });
    for (a, b) in one.iter().zip(&other) {
        assert_ne!(a.own_key, b.own_key);
        assert_ne!(a.next_key, b.next_key);
    }
}

#[test]
fn another_program_is_found_by_both_and_the_third_is_not_left_waiting() {
    let world = world();
    let started = Instant::now();
    let [zero, one, two] = world.joined([job(1, 9), job(1, 1), job(1, 1)], TIMEOUT);
    assert_eq!(zero.err().map(|broken| broken.code), Some("hello"));
    assert_eq!(one.err(), Some(Broken::new("hello", 0)));
    let code = two.err().unwrap().code;
    assert!(["closed", "aborted", "hello"].contains(&code), "{code}");
    assert!(started.elapsed() < TIMEOUT, "somebody waited to the end");
}

#[test]
fn another_run_is_waited_for_in_vain() {
    let world = world();
    let short = Duration::from_millis(1_500);
    let results = world.joined([job(7, 1), job(1, 1), job(1, 1)], short);
    for result in results {
        assert!(["timeout", "closed", "aborted"].contains(&result.err().unwrap().code));
    }
}

#[test]
fn who_dials_accepts_the_pinned_key_only() {
    let world = world();
    let wrong = world.join(0, job(1, 1), TIMEOUT, |peers| {
        peers[1].as_mut().unwrap().key = member(9).key();
    });
    assert_eq!(wrong.err(), Some(Broken::new("certificate", 1)));
}

#[test]
fn who_listens_accepts_the_pinned_key_only() {
    let world = world();
    let (zero, one) = scope(|scope| {
        let zero = scope.spawn(|| world.join(0, job(1, 1), TIMEOUT, |_| ()));
        let one = scope.spawn(|| {
            world.join(1, job(1, 1), Duration::from_secs(5), |peers| {
                peers[0].as_mut().unwrap().key = member(9).key();
            })
        });
        let _two = scope.spawn(|| world.join(2, job(1, 1), TIMEOUT, |_| ()));
        (zero.join().unwrap(), one.join().unwrap())
    });
    assert_eq!(zero.err(), Some(Broken::new("certificate", 1)));
    assert_eq!(one.err(), Some(Broken::new("certificate", 0)));
}

#[test]
fn a_message_of_another_size_is_refused() {
    for (sent, expected) in [
        (3, 4),
        (4, 3),
        (300_000, 300_001),
        (300_001, 300_000),
        (5, 600_000),
    ] {
        let world = world();
        let [mut zero, mut one, _two] = world.all(job(1, 1));
        zero.next.send(vec![1; sent]).unwrap();
        let mut out = vec![0; expected];
        assert_eq!(one.previous.receive(&mut out), Err(Broken::new("size", 0)));
        assert_eq!(one.previous.receive(&mut [0]), Err(Broken::new("size", 0)));
        assert!(one.previous.send(vec![1]).is_err());
    }
}

#[test]
fn the_end_comes_after_what_was_sent() {
    let world = world();
    let [mut zero, mut one, _two] = world.all(job(1, 1));
    zero.next.send(vec![8; 3_000_000]).unwrap();
    drop(zero);
    let mut out = vec![0; 3_000_000];
    one.previous.receive(&mut out).unwrap();
    assert!(out.iter().all(|byte| *byte == 8));
    assert_eq!(
        one.previous.receive(&mut [0]),
        Err(Broken::new("closed", 0))
    );
}

#[test]
fn an_abort_reaches_who_waits_at_both_ends() {
    let world = world();
    let [mut zero, mut one, _two] = world.all(job(1, 1));
    let stop = zero.next.closer();
    scope(|scope| {
        let here = scope.spawn(|| zero.next.receive(&mut [0]));
        let there = scope.spawn(|| one.previous.receive(&mut [0]));
        sleep(Duration::from_millis(50));
        stop();
        stop();
        assert_eq!(here.join().unwrap(), Err(Broken::new("aborted", 1)));
        assert_eq!(there.join().unwrap(), Err(Broken::new("aborted", 0)));
    });
    assert_eq!(zero.next.send(vec![1]), Err(Broken::new("aborted", 1)));
}

#[test]
fn an_abort_does_not_wait_for_a_peer_that_reads_nothing() {
    let world = world();
    let [mut zero, one, _two] = world.all(job(1, 1));
    zero.next.send(vec![1; 200 << 20]).unwrap();
    sleep(Duration::from_millis(300));
    let stop = zero.next.closer();
    let started = Instant::now();
    stop();
    assert!(zero.next.receive(&mut [0]).is_err());
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(one);
}

#[test]
fn silence_ends_in_a_timeout() {
    let world = world();
    let [_zero, mut one, _two] = world
        .joined([job(1, 1); 3], Duration::from_secs(6))
        .map(Result::unwrap);
    assert_eq!(
        one.previous.receive(&mut [0]),
        Err(Broken::new("timeout", 0))
    );
}

#[test]
fn a_closed_listener_ends_the_jobs_that_wait() {
    let world = world();
    scope(|scope| {
        let two = scope.spawn(|| world.join(2, job(1, 1), TIMEOUT, |_| ()));
        sleep(Duration::from_millis(100));
        world.listeners[2].close();
        assert_eq!(
            two.join().unwrap().err().map(|broken| broken.code),
            Some("aborted")
        );
    });
    let started = Instant::now();
    let later = world.join(2, job(2, 1), TIMEOUT, |_| ());
    assert_eq!(later.err().map(|broken| broken.code), Some("aborted"));
    assert!(started.elapsed() < TIMEOUT);
}

#[test]
fn a_run_has_one_job_a_node() {
    let world = world();
    scope(|scope| {
        let first = scope.spawn(|| world.join(2, job(1, 1), Duration::from_secs(4), |_| ()));
        sleep(Duration::from_millis(200));
        let second = world.join(2, job(1, 1), TIMEOUT, |_| ());
        assert_eq!(second.err().map(|broken| broken.code), Some("hello"));
        assert_eq!(
            first.join().unwrap().err().map(|broken| broken.code),
            Some("timeout")
        );
    });
}

#[test]
fn keys_and_certificates_must_belong_together() {
    let (one, other) = (member(1), member(2));
    assert!(Identity::from_pem(&one.certificate, &one.key).is_some());
    assert!(Identity::from_pem(&one.certificate, &other.key).is_none());
    assert!(Identity::from_pem(b"", &one.key).is_none());
    assert!(Identity::from_pem(&one.certificate, b"nonsense").is_none());
}

#[test]
fn member_keys_are_read_as_rooms_write_them() {
    assert!(MemberKey::parse(&format!("ed25519:{}", STANDARD.encode([1; 32]))).is_some());
    for wrong in [
        STANDARD.encode([1; 32]),
        format!("ed25519:{}", STANDARD.encode([1; 31])),
        format!("ed25519:{}", STANDARD.encode([1; 33])),
        "ed25519:".into(),
        "ed25519:??".into(),
        String::new(),
    ] {
        assert!(MemberKey::parse(&wrong).is_none(), "{wrong}");
    }
}
