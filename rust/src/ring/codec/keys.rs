//! Messages of keys: seeded ones, and the secret one.

use zeroize::Zeroizing;

use super::{Kind, SEED, get, header, open, put, rows};
use crate::ring::fault::Fault;
use crate::ring::params::Params;

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
