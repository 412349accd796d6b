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
//! All numbers are little-endian.

use std::sync::Arc;

use zeroize::Zeroizing;

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

/// More polynomials are not in one message: 2^24 of the smallest are 20 GB.
pub const MOST_COUNT: u32 = 1 << 24;
/// No operation makes more parts.
pub const MOST_PARTS: usize = 3;
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
        let mut bytes = &data[place * size..][..size];
        for (component, part) in out.chunks_exact_mut(n).enumerate() {
            let (front, rest) = bytes.split_at(row(params, component));
            pack::unpack(params.modulus(component), front, part).map_err(|f| of_row(f, place))?;
            bytes = rest;
        }
        Ok(())
    })
}

/// Ciphertexts (parts 2 or more), seeded ciphertexts (one part and a seed) or plaintexts (one part).
#[derive(Debug, PartialEq)]
pub struct Polynomials {
    pub count: usize,
    pub parts: usize,
    pub level: usize,
    /// CKKS: what reals were multiplied by. BGV: what the plaintext was multiplied by modulo t.
    pub scale: f64,
    pub seed: Option<[u8; SEED]>,
    pub residues: Vec<u64>,
}

/// Scales that mean something: of CKKS normal positive numbers, of BGV whole ones in 1..t.
pub fn scale_fits(params: &Params, scale: f64) -> bool {
    match params.scheme {
        Scheme::Ckks => scale.is_normal() && scale > 0.0,
        Scheme::Bgv(plain) => scale >= 1.0 && scale.fract() == 0.0 && scale < plain as f64,
    }
}

fn check_shape(params: &Params, kind: Kind, all: &Polynomials) -> Result<(), Fault> {
    let parts_fit = match kind {
        Kind::Ciphertexts => (2..=MOST_PARTS).contains(&all.parts) && all.seed.is_none(),
        Kind::SeededCiphertexts => all.parts == 1 && all.seed.is_some(),
        Kind::Plaintexts => all.parts == 1 && all.seed.is_none(),
        _ => false,
    };
    if all.count == 0 || all.count > MOST_COUNT as usize {
        return Err(Fault::new("bad-count"));
    }
    if !parts_fit {
        return Err(Fault::new("bad-parts"));
    }
    if !(1..=params.levels()).contains(&all.level) {
        return Err(Fault::new("bad-level"));
    }
    if !scale_fits(params, all.scale) {
        return Err(Fault::new("bad-scale"));
    }
    Ok(())
}

/// The message of some polynomials. `residues` is `[count, parts, level, N]`.
#[allow(clippy::too_many_arguments)]
pub fn write_polynomials(
    params: &Params,
    kind: Kind,
    shape: [usize; 3],
    scale: f64,
    seed: Option<[u8; SEED]>,
    residues: &[u64],
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    let [count, parts, level] = shape;
    let held = Polynomials {
        count,
        parts,
        level,
        scale,
        seed,
        residues: Vec::new(),
    };
    check_shape(params, kind, &held)?;
    let expected = [count, parts, level, params.n()]
        .iter()
        .try_fold(1usize, |product, &side| product.checked_mul(side));
    if expected != Some(residues.len()) {
        return Err(Fault::new("wrong-size"));
    }
    let mut out = header(kind, params);
    out.extend((count as u32).to_le_bytes());
    out.extend([parts as u8, level as u8, 0, 0]);
    out.extend(scale.to_bits().to_le_bytes());
    out.extend(seed.iter().flatten());
    put(params, level, residues, threads, &mut out)?;
    Ok(out)
}

/// The polynomials of a message of this kind.
pub fn read_polynomials(
    params: &Params,
    kind: Kind,
    data: &[u8],
    threads: usize,
) -> Result<Polynomials, Fault> {
    let mut reader = open(data, kind, params)?;
    let count = reader.u32()?;
    let parts = usize::from(reader.u8()?);
    let level = usize::from(reader.u8()?);
    reader.zeroes(2)?;
    let scale = f64::from_bits(reader.u64()?);
    let seed = match kind {
        Kind::SeededCiphertexts => Some(reader.array()?),
        _ => None,
    };
    let mut all = Polynomials {
        count: count as usize,
        parts,
        level,
        scale,
        seed,
        residues: Vec::new(),
    };
    check_shape(params, kind, &all)?;
    let size = reader.expect(rows(params, level) as u128 * u128::from(count) * parts as u128)?;
    all.residues = get(params, level, reader.take(size)?, threads)?;
    Ok(all)
}

/// A key of which one half is expanded from a seed: the other half and the seed.
#[derive(Debug, PartialEq)]
pub struct SeededKey {
    /// Of a rotation key: the slots that it turns left by, in 1..N/2. Else 0.
    pub step: u32,
    pub seed: [u8; SEED],
    /// Public key: `[levels][N]`. Switching keys: `[levels][levels + 1][N]`.
    pub residues: Vec<u64>,
}

/// How many polynomials a key of this kind has, and over how many components.
fn key_shape(params: &Params, kind: Kind) -> Result<(usize, usize), Fault> {
    match kind {
        Kind::PublicKey => Ok((1, params.levels())),
        _ if params.special == 0 => Err(Fault::new("no-special-prime")),
        Kind::RelinearisationKey | Kind::RotationKeys => Ok((params.levels(), params.levels() + 1)),
        _ => Err(Fault::new("other-kind")),
    }
}

/// One key of its kind, or rotation keys in rising order of their steps.
pub fn write_keys(
    params: &Params,
    kind: Kind,
    keys: &[(u32, &[u8; SEED], &[u64])],
    threads: usize,
) -> Result<Vec<u8>, Fault> {
    let (polynomials, components) = key_shape(params, kind)?;
    let mut out = header(kind, params);
    if kind == Kind::RotationKeys {
        let steps: Vec<u32> = keys.iter().map(|key| key.0).collect();
        check_steps(params, &steps)?;
        out.extend((keys.len() as u32).to_le_bytes());
    } else if keys.len() != 1 {
        return Err(Fault::new("bad-count"));
    }
    for (place, (step, seed, residues)) in keys.iter().enumerate() {
        if residues.len() != polynomials * components * params.n() {
            return Err(Fault::at("wrong-size", place));
        }
        if kind == Kind::RotationKeys {
            out.extend(step.to_le_bytes());
        }
        out.extend(*seed);
        put(params, components, residues, threads, &mut out)?;
    }
    Ok(out)
}

fn check_steps(params: &Params, steps: &[u32]) -> Result<(), Fault> {
    let range = 1..params.slots() as u32;
    let rising = steps.windows(2).all(|pair| pair[0] < pair[1]);
    match rising && steps.iter().all(|step| range.contains(step)) {
        true => Ok(()),
        false => Err(Fault::new("bad-rotations")),
    }
}

/// The keys of a message of this kind.
pub fn read_keys(
    params: &Params,
    kind: Kind,
    data: &[u8],
    threads: usize,
) -> Result<Vec<SeededKey>, Fault> {
    let (polynomials, components) = key_shape(params, kind)?;
    let mut reader = open(data, kind, params)?;
    let (count, name) = match kind {
        Kind::RotationKeys => (reader.u32()? as usize, 4),
        _ => (1, 0),
    };
    let half = rows(params, components) * polynomials;
    let size = name + SEED + half;
    reader.expect(size as u128 * count as u128)?;
    // Steps first: a wrong one is told before anything large is unpacked.
    let steps: Vec<u32> = match name {
        0 => vec![0],
        _ => reader.rest.chunks_exact(size).map(front_number).collect(),
    };
    if name > 0 {
        check_steps(params, &steps)?;
    }
    steps
        .into_iter()
        .map(|step| {
            reader.take(name)?;
            let seed = reader.array()?;
            let residues = get(params, components, reader.take(half)?, threads)?;
            Ok(SeededKey {
                step,
                seed,
                residues,
            })
        })
        .collect()
}

fn front_number(data: &[u8]) -> u32 {
    u32::from_le_bytes([data[0], data[1], data[2], data[3]])
}

/// A secret key's message: N coefficients of two bits each (0, 1, and 2 for -1). For its owner only.
pub fn write_secret(params: &Params, coefficients: &[i8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if coefficients.len() != params.n() {
        return Err(Fault::new("wrong-size"));
    }
    let front = header(Kind::SecretKey, params);
    // The size is final from the start: growing would leave a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(front.len() + params.n() / 4));
    out.extend(front);
    for four in coefficients.chunks_exact(4) {
        let mut byte = 0;
        for (place, &coefficient) in four.iter().enumerate() {
            // -1 is all ones: its low two bits are 3, and the one above 1 is taken off again.
            let bits = (coefficient as u8 & 3) ^ (coefficient as u8 >> 7);
            byte |= bits << (2 * place);
        }
        out.push(byte);
    }
    Ok(out)
}

/// The coefficients of a secret key's message.
pub fn read_secret(params: &Params, data: &[u8]) -> Result<Zeroizing<Vec<i8>>, Fault> {
    let mut reader = open(data, Kind::SecretKey, params)?;
    let size = reader.expect(params.n() as u128 / 4)?;
    let bytes = reader.take(size)?;
    let mut out = Zeroizing::new(Vec::with_capacity(params.n()));
    let mut wrong = 0;
    for byte in bytes {
        for place in 0..4 {
            let bits = byte >> (2 * place) & 3;
            wrong |= bits & (bits >> 1);
            out.push((bits & 1) as i8 - (bits >> 1) as i8);
        }
    }
    match wrong {
        0 => Ok(out),
        _ => Err(Fault::new("bad-secret")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::params::tests::small;
    use crate::ring::sample::{Expander, Seed};

    fn residues(params: &Params, count: usize, components: usize) -> Vec<u64> {
        let (n, seed) = (params.n(), Seed::new([7; 32]));
        let mut out = vec![0; count * components * n];
        for (at, place) in out.chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(at % components);
            Expander::new(&seed, b"test", at as u64).uniform(modulus, place);
        }
        out
    }

    fn ciphertexts(params: &Params) -> Vec<u8> {
        let x = residues(params, 4, 2);
        write_polynomials(params, Kind::Ciphertexts, [2, 2, 2], 64.0, None, &x, 1).unwrap()
    }

    #[test]
    fn parameters_come_back_and_are_one_form_of_one_thing() {
        for scheme in [Scheme::Ckks, Scheme::Bgv(40_961)] {
            let params = small(scheme);
            let data = header(Kind::Parameters, &params);
            let back = read_parameters(&data).unwrap().build().unwrap();
            assert_eq!(header(Kind::Parameters, &back), data);
            assert_eq!((back.scheme, &back.primes), (scheme, &params.primes));
            for cut in 0..data.len() {
                assert_eq!(
                    read_parameters(&data[..cut]).err().unwrap().code,
                    "wrong-size"
                );
            }
            let changed = |at: usize, to: u8| {
                let mut data = data.clone();
                data[at] = to;
                let built = read_parameters(&data).and_then(|described| described.build());
                built.err().unwrap().code
            };
            assert_eq!(changed(0, b'h'), "not-ours");
            assert_eq!(changed(4, 2), "other-version");
            assert_eq!(changed(6, 5), "other-kind");
            assert_eq!(changed(7, 1), "reserved-not-zero");
            assert_eq!(changed(8, 3), "bad-scheme");
            assert_eq!(changed(9, 11), "insecure");
            assert_eq!(changed(9, 16), "bad-degree");
            assert_eq!(changed(9, 255), "bad-degree");
            assert_eq!(changed(10, 0), "bad-prime-count");
            assert_eq!(changed(10, 255), "bad-prime-count");
            assert_eq!(changed(10, 2), "wrong-size");
            assert_eq!(changed(11, 2), "reserved-not-zero");
            assert_eq!(changed(20, 3), "bad-prime");
        }
    }

    #[test]
    fn polynomials_come_back_and_every_field_counts() {
        let params = small(Scheme::Ckks);
        let x = residues(&params, 6, 2);
        let seed = Some([9; SEED]);
        for (kind, shape, seed) in [
            (Kind::Ciphertexts, [3, 2, 2], None),
            (Kind::Ciphertexts, [2, 3, 2], None),
            (Kind::SeededCiphertexts, [6, 1, 2], seed),
            (Kind::Plaintexts, [6, 1, 2], None),
        ] {
            for threads in [1, 2] {
                let data = write_polynomials(&params, kind, shape, 1e9, seed, &x, threads).unwrap();
                let back = read_polynomials(&params, kind, &data, threads).unwrap();
                assert_eq!([back.count, back.parts, back.level], shape);
                assert_eq!((back.scale, back.seed, &back.residues), (1e9, seed, &x));
                for cut in [0, 7, 8, 20, 40, 70, data.len() - 1] {
                    let fault = read_polynomials(&params, kind, &data[..cut], 1).unwrap_err();
                    assert!(
                        ["wrong-size", "other-parameters"].contains(&fault.code),
                        "{cut}"
                    );
                }
            }
        }
        let data = ciphertexts(&params);
        let body = header(Kind::Ciphertexts, &params).len();
        let changed = |at: usize, to: &[u8]| {
            let mut data = data.clone();
            data[at..at + to.len()].copy_from_slice(to);
            read_polynomials(&params, Kind::Ciphertexts, &data, 1).unwrap_err()
        };
        assert_eq!(changed(body, &[0; 4]).code, "bad-count");
        assert_eq!(changed(body, &[255; 4]).code, "bad-count");
        assert_eq!(changed(body, &[1]).code, "wrong-size");
        assert_eq!(changed(body + 4, &[1]).code, "bad-parts");
        assert_eq!(changed(body + 4, &[4]).code, "bad-parts");
        assert_eq!(changed(body + 5, &[0]).code, "bad-level");
        assert_eq!(changed(body + 5, &[4]).code, "bad-level");
        assert_eq!(changed(body + 6, &[1]).code, "reserved-not-zero");
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE / 2.0] {
            assert_eq!(changed(body + 8, &scale.to_le_bytes()).code, "bad-scale");
        }
        let second = body + 16 + rows(&params, 2);
        assert_eq!(
            changed(second, &[255; 8]),
            Fault::at("residue-too-large", 1)
        );
    }

    #[test]
    fn messages_of_others_are_refused() {
        let params = small(Scheme::Ckks);
        let data = ciphertexts(&params);
        let read = |params: &Params, kind| read_polynomials(params, kind, &data, 1).unwrap_err();
        assert_eq!(read(&params, Kind::Plaintexts).code, "other-kind");
        assert_eq!(
            read(&small(Scheme::Bgv(40_961)), Kind::Ciphertexts).code,
            "other-parameters"
        );
        let [a, b, c] = params.primes[..] else {
            unreachable!()
        };
        let swapped = Params::new(Scheme::Ckks, 12, &[b, a, c], params.special).unwrap();
        assert_eq!(read(&swapped, Kind::Ciphertexts).code, "other-parameters");
    }

    #[test]
    fn a_size_that_cannot_be_costs_no_memory() {
        let params = small(Scheme::Ckks);
        let mut data = header(Kind::Ciphertexts, &params);
        data.extend(MOST_COUNT.to_le_bytes());
        data.extend([3, 3, 0, 0]);
        data.extend(1f64.to_le_bytes());
        let fault = read_polynomials(&params, Kind::Ciphertexts, &data, 1).unwrap_err();
        assert_eq!(fault.code, "wrong-size");
        let mut data = header(Kind::RotationKeys, &params);
        data.extend([255; 4]);
        let fault = read_keys(&params, Kind::RotationKeys, &data, 1).unwrap_err();
        assert_eq!(fault.code, "wrong-size");
    }

    #[test]
    fn scales_of_bgv_are_units_modulo_t() {
        let params = small(Scheme::Bgv(40_961));
        for (scale, fits) in [
            (1.0, true),
            (40_960.0, true),
            (0.0, false),
            (40_961.0, false),
            (1.5, false),
            (f64::NAN, false),
        ] {
            assert_eq!(scale_fits(&params, scale), fits);
        }
    }

    #[test]
    fn keys_come_back_in_order_of_their_steps() {
        let params = small(Scheme::Ckks);
        let key = residues(&params, 3, 4);
        let seeds = [[1; SEED], [2; SEED]];
        let keys = |steps: [u32; 2]| {
            let both = [
                (steps[0], &seeds[0], &key[..]),
                (steps[1], &seeds[1], &key[..]),
            ];
            write_keys(&params, Kind::RotationKeys, &both, 2)
        };
        let data = keys([1, 2_047]).unwrap();
        let back = read_keys(&params, Kind::RotationKeys, &data, 2).unwrap();
        assert_eq!(back.len(), 2);
        assert_eq!(
            (back[0].step, back[0].seed, &back[0].residues),
            (1, seeds[0], &key)
        );
        assert_eq!((back[1].step, back[1].seed), (2_047, seeds[1]));
        for wrong in [[1, 1], [2, 1], [0, 1], [1, 2_048]] {
            assert_eq!(keys(wrong).unwrap_err().code, "bad-rotations");
        }
        let mut swapped = data.clone();
        let at = header(Kind::RotationKeys, &params).len() + 4;
        swapped[at..at + 4].copy_from_slice(&2_047u32.to_le_bytes());
        let fault = read_keys(&params, Kind::RotationKeys, &swapped, 1).unwrap_err();
        assert_eq!(fault.code, "bad-rotations");

        let one = [(0, &seeds[0], &key[..])];
        let data = write_keys(&params, Kind::RelinearisationKey, &one, 1).unwrap();
        let back = read_keys(&params, Kind::RelinearisationKey, &data, 1).unwrap();
        assert_eq!((back.len(), &back[0].residues), (1, &key));
        let public = residues(&params, 1, 3);
        let one = [(0, &seeds[0], &public[..])];
        let data = write_keys(&params, Kind::PublicKey, &one, 1).unwrap();
        assert_eq!(
            read_keys(&params, Kind::PublicKey, &data, 1).unwrap()[0].residues,
            public
        );
        let more: Vec<u8> = data.iter().copied().chain([0]).collect();
        let fault = read_keys(&params, Kind::PublicKey, &more, 1).unwrap_err();
        assert_eq!(fault.code, "wrong-size");
    }

    #[test]
    fn secrets_come_back_and_the_fourth_pair_of_bits_is_refused() {
        let params = small(Scheme::Ckks);
        let mut small = vec![0; params.n()];
        Expander::new(&Seed::new([3; 32]), b"test", 0).ternary(&mut small);
        let data = write_secret(&params, &small).unwrap();
        assert_eq!(read_secret(&params, &data).unwrap()[..], small[..]);
        let mut wrong = data.to_vec();
        *wrong.last_mut().unwrap() |= 0xc0;
        assert_eq!(read_secret(&params, &wrong).unwrap_err().code, "bad-secret");
        assert_eq!(
            read_secret(&params, &data[1..]).unwrap_err().code,
            "not-ours"
        );
        let cut = &data[..data.len() - 1];
        assert_eq!(read_secret(&params, cut).unwrap_err().code, "wrong-size");
    }
}
