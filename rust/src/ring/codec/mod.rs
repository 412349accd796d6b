//! Bytes of parameters, keys and ciphertexts: versioned, bounded, one form for one thing.
//!
//! Whatever is read here may come from an enemy. The rules that make that safe:
//!
//! * Everything begins with the same header: magic, version, kind, and the parameters in full (a
//!   hundred bytes; a digest would save little and need an argument about collisions). Parameters
//!   that are not those of the reader are refused before anything else is looked at.
//! * The size that follows from the header's counts is computed in 128 bits and compared with the
//!   size given, exactly, before memory is taken: what is taken is less than ten times the input.
//! * Residues lie packed to their prime's width, and one not below its prime is refused, as are
//!   reserved bytes that are not zero, so that what was read is written again as the same bytes.
//! * Whether a ciphertext is *honest* no decoder can tell: any residues decrypt to something.
//!
//! Layout, all numbers little-endian:
//!
//! ```text
//! header        "HTKR", version u16, kind u8, 0, parameters
//! parameters    scheme u8 (1 CKKS, 2 BGV), log2 N u8, data primes u8, 0, t u64 (0: none), primes u64..., special u64
//! polynomials   header, count u32, parts u8, level u8, 0, 0, scale f64, seed 32 bytes (seeded only), residues
//! keys          header, [rotations: count u32, then each: step u32,] seed 32 bytes, residues of the half b
//! secret key    header, two bits a coefficient: 0, 1, 2 for -1
//! residues      polynomial by polynomial, prime by prime, each residue in its prime's bits (`pack`)
//! ```

mod keys;
mod polynomials;
#[cfg(test)]
mod tests;

pub use keys::{SeededKey, read_keys, read_secret, write_keys, write_secret};
pub use polynomials::{
    Polynomials, read_expanded, read_polynomials, scale_fits, seeded_shape, write_polynomials,
};

use std::sync::Arc;

use crate::ring::fault::Fault;
use crate::ring::pack;
use crate::ring::parallel;
use crate::ring::params::{MOST_PRIMES, Params, SECURITY, Scheme};

const MAGIC: [u8; 4] = *b"HTKR";
const VERSION: u16 = 1;
/// Magic, version, kind, a zero.
const FRONT: usize = 8;
/// Scheme, log2 N, number of data primes, a zero, the plaintext modulus; then 8 bytes a prime.
const PARAMETERS: usize = 12;

/// Bytes of a seed.
pub const SEED: usize = 32;

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Parameters = 1,
    PublicKey = 2,
    RelinearisationKey = 3,
    RotationKeys = 4,
    Ciphertexts = 5,
    SeededCiphertexts = 6,
    Plaintexts = 7,
    SecretKey = 8,
}

/// Reads from the front; running out is a fault.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub fn left(&self) -> usize {
        self.rest.len()
    }

    pub fn take(&mut self, size: usize) -> Result<&'a [u8], Fault> {
        let (front, rest) = self
            .rest
            .split_at_checked(size)
            .ok_or_else(|| Fault::new("wrong-size"))?;
        self.rest = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reserved bytes.
    fn zeroes(&mut self, count: usize) -> Result<(), Fault> {
        match self.take(count)?.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(Fault::new("reserved-not-zero")),
        }
    }

    /// What is left must be of this size, to the byte.
    fn expect(&self, size: u128) -> Result<usize, Fault> {
        match u128::try_from(self.left()) {
            Ok(left) if left == size => Ok(self.left()),
            _ => Err(Fault::new("wrong-size")),
        }
    }
}

/// The parameters as bytes; the same ones always give the same.
pub fn parameters(params: &Params) -> Vec<u8> {
    let (scheme, plain) = match params.scheme {
        Scheme::Ckks => (1, 0),
        Scheme::Bgv(plain) => (2, plain),
    };
    let mut out = vec![scheme, params.log_n as u8, params.levels() as u8, 0];
    out.extend(plain.to_le_bytes());
    for prime in params.primes.iter().chain([&params.special]) {
        out.extend(prime.to_le_bytes());
    }
    out
}

/// Magic, version, kind and parameters.
pub fn header(kind: Kind, params: &Params) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend([kind as u8, 0]);
    out.extend(parameters(params));
    out
}

fn front(reader: &mut Reader, kind: Kind) -> Result<(), Fault> {
    if reader.left() < FRONT {
        return Err(Fault::new("wrong-size"));
    }
    if reader.array::<4>()? != MAGIC {
        return Err(Fault::new("not-ours"));
    }
    if reader.u16()? != VERSION {
        return Err(Fault::new("other-version"));
    }
    if reader.u8()? != kind as u8 {
        return Err(Fault::new("other-kind"));
    }
    reader.zeroes(1)
}

/// Reads a header of this kind; its parameters must be these.
pub fn open<'a>(data: &'a [u8], kind: Kind, params: &Params) -> Result<Reader<'a>, Fault> {
    let mut reader = Reader::new(data);
    front(&mut reader, kind)?;
    let expected = parameters(params);
    if reader.left() < expected.len().min(PARAMETERS) {
        return Err(Fault::new("wrong-size"));
    }
    if reader.left() < expected.len() || reader.take(expected.len())? != expected {
        return Err(Fault::new("other-parameters"));
    }
    Ok(reader)
}

/// What parameters are made of, as a message tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub scheme: Scheme,
    pub log_n: u32,
    pub primes: Vec<u64>,
    pub special: u64,
}

impl Description {
    /// Checks everything, security included, and builds the parameters.
    pub fn build(&self) -> Result<Arc<Params>, Fault> {
        Params::new(self.scheme, self.log_n, &self.primes, self.special)
    }
}

/// Reads parameters. Of their numbers only the form is checked: see `Description::build`.
pub fn read_parameters(data: &[u8]) -> Result<Description, Fault> {
    let mut reader = Reader::new(data);
    front(&mut reader, Kind::Parameters)?;
    let (scheme, log_n) = (reader.u8()?, u32::from(reader.u8()?));
    let count = usize::from(reader.u8()?);
    reader.zeroes(1)?;
    let plain = reader.u64()?;
    if count == 0 || count > MOST_PRIMES {
        return Err(Fault::new("bad-prime-count"));
    }
    if SECURITY.iter().all(|&(known, _)| known != log_n) {
        return Err(Fault::new("bad-degree"));
    }
    reader.expect(8 * (count as u128 + 1))?;
    let mut primes = Vec::with_capacity(count);
    for _ in 0..count {
        primes.push(reader.u64()?);
    }
    let special = reader.u64()?;
    let scheme = match (scheme, plain) {
        (1, 0) => Scheme::Ckks,
        (2, 1..) => Scheme::Bgv(plain),
        _ => return Err(Fault::new("bad-scheme")),
    };
    Ok(Description {
        scheme,
        log_n,
        primes,
        special,
    })
}

/// Bytes of one polynomial of this component. N is a multiple of 8: no bit is left over.
fn row(params: &Params, component: usize) -> usize {
    params.n() / 8 * pack::width(params.modulus(component))
}

/// Bytes of one polynomial over the first `level` components.
fn rows(params: &Params, level: usize) -> usize {
    (0..level).map(|component| row(params, component)).sum()
}

fn of_row(fault: Fault, row: usize) -> Fault {
    Fault::at(fault.code, row)
}

/// Appends polynomials over `level` components each, packed. `residues` are whole polynomials.
pub fn put(
    params: &Params,
    level: usize,
    residues: &[u64],
    threads: usize,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let (n, size) = (params.n(), rows(params, level));
    let count = residues.len() / (n * level);
    let start = out.len();
    out.try_reserve_exact(count.saturating_mul(size))
        .map_err(|_| Fault::new("no-memory"))?;
    out.resize(start + count * size, 0);
    parallel::each(&mut out[start..], size.max(1), threads, |place, bytes| {
        let source = &residues[place * level * n..][..level * n];
        let mut bytes = bytes;
        for (component, part) in source.chunks_exact(n).enumerate() {
            let (front, rest) = bytes.split_at_mut(row(params, component));
            pack::pack(params.modulus(component), part, front).map_err(|f| of_row(f, place))?;
            bytes = rest;
        }
        Ok(())
    })
}

/// Reads so many polynomials, of exactly the bytes given; those of `level` components each.
pub fn get(params: &Params, level: usize, data: &[u8], threads: usize) -> Result<Vec<u64>, Fault> {
    let (n, size) = (params.n(), rows(params, level));
    if !data.len().is_multiple_of(size) {
        return Err(Fault::new("wrong-size"));
    }
    parallel::fill(data.len() / size, level * n, threads, |place, out| {
        unpacked(params, &data[place * size..][..size], place, out)
    })
}

/// One polynomial from its bytes, the `place`-th of its message.
fn unpacked(params: &Params, data: &[u8], place: usize, out: &mut [u64]) -> Result<(), Fault> {
    let mut bytes = data;
    for (component, part) in out.chunks_exact_mut(params.n()).enumerate() {
        let (front, rest) = bytes.split_at(row(params, component));
        pack::unpack(params.modulus(component), front, part).map_err(|f| of_row(f, place))?;
        bytes = rest;
    }
    Ok(())
}
