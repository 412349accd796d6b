//! Loops over the residues of a block, and the choice of the path.
//!
//! A register lies in a block's memory as `[part][ciphertext][block]`, so a part is one slice, and the
//! factors of a matrix's row follow one another.

use super::field::Field;
use super::plan::{Group, Plan};
use crate::ring::ntt::Path;
use crate::ring::vector;

#[cfg(target_arch = "x86_64")]
use super::{simd_avx2, simd_avx512};

/// Residues that every loop takes at a time; a block is a multiple of it.
pub const STEP: usize = 32;

/// A matrix product of all parts. `bias`, for part 0, is empty, or one residue for each output or for all.
///
/// A group's weights are used for one part after another while they are in the first-level cache.
pub fn matrix(
    path: Path,
    field: Field,
    plan: &Plan,
    x: &[u64],
    bias: &[u64],
    out: &mut [u64],
    block: usize,
) {
    assert!(block.is_multiple_of(STEP));
    let parts = x.len() / (plan.inputs * block);
    assert_eq!(x.len(), parts * plan.inputs * block);
    assert_eq!(out.len(), parts * plan.outputs * block);
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => simd_avx512::matrix(field, plan, x, out, block),
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => simd_avx2::matrix(field, plan, x, out, block),
        _ => {
            for group in &plan.groups {
                for (x, out) in parts_of(plan, x, out, block) {
                    for place in 0..group.rows.len() {
                        row(field, plan, group, place, x, out, block);
                    }
                }
            }
        }
    }
    if !bias.is_empty() {
        add_scalars(field, bias, &mut out[..plan.outputs * block], block);
    }
}

/// Each part's factors and results.
pub fn parts_of<'a>(
    plan: &Plan,
    x: &'a [u64],
    out: &'a mut [u64],
    block: usize,
) -> impl Iterator<Item = (&'a [u64], &'a mut [u64])> {
    x.chunks_exact(plan.inputs * block)
        .zip(out.chunks_exact_mut(plan.outputs * block))
}

/// One row of a group, in i64: a segment's sum stays below 2^51, a total below 2^62 (`plan`).
fn row(
    field: Field,
    plan: &Plan,
    group: &Group,
    place: usize,
    x: &[u64],
    out: &mut [u64],
    block: usize,
) {
    let q = field.modulus;
    let mask = (1u64 << plan.limb_bits) - 1;
    let unit = q.reduce(1 << plan.limb_bits);
    let width = group.rows.len();
    let out = &mut out[group.rows[place] as usize * block..][..block];
    for (step, out) in out.chunks_exact_mut(STEP).enumerate() {
        out.fill(0);
        for limb in (0..plan.limbs as u32).rev() {
            let mut total = [0i64; STEP];
            let mut start = 0;
            for segment in &group.segments {
                for at in start..segment.end {
                    let weight = group.words[at * width + place] as i64;
                    let x = &x[group.columns()[at] as usize * block + step * STEP..][..STEP];
                    for (total, &x) in total.iter_mut().zip(x) {
                        *total += (x >> (limb * plan.limb_bits) & mask) as i64 * weight;
                    }
                }
                start = segment.end;
                if segment.reduce {
                    for total in &mut total {
                        *total = field.reduce(*total) as i64;
                    }
                }
            }
            for (out, &total) in out.iter_mut().zip(&total) {
                *out = q.mul_add(*out, unit, field.reduce(total));
            }
        }
    }
}

/// Adds a constant to each ciphertext's strip of one part.
pub fn add_scalars(field: Field, scalars: &[u64], out: &mut [u64], block: usize) {
    for (index, strip) in out.chunks_exact_mut(block).enumerate() {
        let scalar = scalars[if scalars.len() == 1 { 0 } else { index }];
        for x in strip {
            *x = field.modulus.add(*x, scalar);
        }
    }
}

/// The three parts of the squares of two-part ciphertexts.
pub fn square(path: Path, field: Field, x: [&[u64]; 2], out: [&mut [u64]; 3]) {
    for part in &out {
        assert_eq!(part.len(), x[0].len());
    }
    assert_eq!(x[0].len(), x[1].len());
    #[cfg(target_arch = "x86_64")]
    if path == Path::Avx512 {
        return simd_avx512::square(field.modulus, x, out);
    }
    let q = field.modulus;
    let [first, cross, last] = out;
    first.copy_from_slice(x[0]);
    vector::mul_assign_with(path, q, first, x[0]);
    cross.copy_from_slice(x[0]);
    vector::mul_assign_with(path, q, cross, x[1]);
    for x in cross {
        *x = q.add(*x, *x);
    }
    last.copy_from_slice(x[1]);
    vector::mul_assign_with(path, q, last, x[1]);
}

/// Asks for words that will be read soon, where that helps.
pub fn prefetch(x: &[u64]) {
    #[cfg(target_arch = "x86_64")]
    simd_avx512::prefetch(x);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = x;
}

/// Copies words and gives the largest.
pub fn copy(path: Path, from: &[u64], out: &mut [u64]) -> u64 {
    assert_eq!(from.len(), out.len());
    #[cfg(target_arch = "x86_64")]
    if path == Path::Avx512 && from.len().is_multiple_of(STEP) {
        return simd_avx512::copy(from, out);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = path;
    out.copy_from_slice(from);
    from.iter().fold(0, |most, &x| most.max(x))
}
