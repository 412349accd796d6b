//! Messages of ciphertexts, seeded ciphertexts and plaintexts.

use super::{Kind, SEED, get, header, open, put, rows, unpacked};
use crate::ring::fault::Fault;
use crate::ring::params::{Params, Scheme};
use crate::ring::pointwise::program::MOST_PARTS;
use crate::ring::{encrypt, parallel};

/// More polynomials are not in one message: 2^24 of the smallest are 20 GB.
pub const MOST_COUNT: u32 = 1 << 24;
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

/// The head of a message of this kind, without residues, and the bytes that hold them: as many as they take.
fn head<'a>(params: &Params, kind: Kind, data: &'a [u8]) -> Result<(Polynomials, &'a [u8]), Fault> {
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
    let all = Polynomials {
        count: count as usize,
        parts,
        level,
        scale,
        seed,
        residues: Vec::new(),
    };
    check_shape(params, kind, &all)?;
    let size = reader.expect(rows(params, level) as u128 * u128::from(count) * parts as u128)?;
    Ok((all, reader.take(size)?))
}

/// The polynomials of a message of this kind.
pub fn read_polynomials(
    params: &Params,
    kind: Kind,
    data: &[u8],
    threads: usize,
) -> Result<Polynomials, Fault> {
    let (mut all, packed) = head(params, kind, data)?;
    all.residues = get(params, all.level, packed, threads)?;
    Ok(all)
}

/// Count and level of a message of seeded ciphertexts; its residues are not looked at.
pub fn seeded_shape(params: &Params, data: &[u8]) -> Result<(usize, usize), Fault> {
    let (all, _) = head(params, Kind::SeededCiphertexts, data)?;
    Ok((all.count, all.level))
}

/// The whole ciphertexts of a message of seeded ones, as `read_polynomials` and `encrypt::expand` would
/// make them, without an array of first halves in between.
pub fn read_expanded(params: &Params, data: &[u8], threads: usize) -> Result<Polynomials, Fault> {
    let (mut all, packed) = head(params, Kind::SeededCiphertexts, data)?;
    let seed = all.seed.ok_or_else(|| Fault::new("bad-seed"))?;
    let (level, size) = (all.level, rows(params, all.level));
    let poly = level * params.n();
    all.residues = parallel::fill(all.count, 2 * poly, threads, |place, out| {
        let (first, second) = out.split_at_mut(poly);
        unpacked(params, &packed[place * size..][..size], place, first)?;
        encrypt::expand(params, &seed, place, level, second);
        Ok(())
    })?;
    all.parts = 2;
    Ok(all)
}
