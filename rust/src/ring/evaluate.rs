//! Operations on batches of ciphertexts `[count][parts][level][N]`, all in NTT form.
//!
//! Shapes are the callers' to check (`python/arrays.rs`); slices here only have to fit.

use std::cell::Cell;
use std::sync::Arc;

use rayon::ThreadPool;

use crate::ring::automorphism::Galois;
use crate::ring::fault::Fault;
use crate::ring::keys::SwitchKey;
use crate::ring::keyswitch::{self, Accumulators, Digits};
use crate::ring::parallel;
use crate::ring::params::Params;
use crate::ring::vector;

/// How many parts, primes and words a row of a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub count: usize,
    pub parts: usize,
    pub level: usize,
    pub n: usize,
}

impl Shape {
    /// Words of one polynomial.
    pub fn poly(self) -> usize {
        self.level * self.n
    }

    /// Words of one row.
    pub fn row(self) -> usize {
        self.parts * self.poly()
    }
}

/// What is done with two operands entry by entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pairwise {
    Add,
    Subtract,
}

/// `left + right` or `left - right`; the operand with fewer parts counts as zero in the others.
pub fn add(
    params: &Params,
    operation: Pairwise,
    left: (&[u64], Shape),
    right: (&[u64], Shape),
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let ((x, of_x), (y, of_y)) = (left, right);
    let (n, level) = (of_x.n, of_x.level);
    let parts = of_x.parts.max(of_y.parts);
    parallel::fill(of_x.count, parts * of_x.poly(), threads, |row, out| {
        let x = &x[row * of_x.row()..][..of_x.row()];
        let y = &y[row * of_y.row()..][..of_y.row()];
        out[..x.len()].copy_from_slice(x);
        for (at, (out, y)) in out.chunks_exact_mut(n).zip(y.chunks_exact(n)).enumerate() {
            let modulus = params.modulus(at % level);
            match operation {
                Pairwise::Add => vector::add_assign(modulus, out, y),
                Pairwise::Subtract => vector::sub_assign(modulus, out, y),
            }
        }
        Ok(())
    })
}

pub fn negate(params: &Params, x: &[u64], shape: Shape, threads: usize) -> Result<Vec<u64>, Fault> {
    parallel::fill(shape.count, shape.row(), threads, |row, out| {
        out.copy_from_slice(&x[row * shape.row()..][..shape.row()]);
        for (at, out) in out.chunks_exact_mut(shape.n).enumerate() {
            vector::neg_assign(params.modulus(at % shape.level), out);
        }
        Ok(())
    })
}

/// What is done with a plaintext `[count or 1][level][N]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WithPlain {
    Add,
    Subtract,
    Multiply,
}

pub fn with_plain(
    params: &Params,
    operation: WithPlain,
    x: (&[u64], Shape),
    plain: &[u64],
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let (x, shape) = x;
    let (n, level, poly) = (shape.n, shape.level, shape.poly());
    let single = plain.len() == poly;
    parallel::fill(shape.count, shape.row(), threads, |row, out| {
        let plain = &plain[if single { 0 } else { row * poly }..][..poly];
        out.copy_from_slice(&x[row * shape.row()..][..shape.row()]);
        let touched = if operation == WithPlain::Multiply {
            out.len()
        } else {
            poly
        };
        for (at, out) in out[..touched].chunks_exact_mut(n).enumerate() {
            let modulus = params.modulus(at % level);
            let plain = &plain[at % level * n..][..n];
            match operation {
                WithPlain::Add => vector::add_assign(modulus, out, plain),
                WithPlain::Subtract => vector::sub_assign(modulus, out, plain),
                WithPlain::Multiply => vector::mul_assign(modulus, out, plain),
            }
        }
        Ok(())
    })
}

/// Products of two-part ciphertexts, three parts each: `(x0 y0, x0 y1 + x1 y0, x1 y1)`.
pub fn multiply(
    params: &Params,
    x: &[u64],
    y: &[u64],
    shape: Shape,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let (n, poly, row_words) = (shape.n, shape.poly(), shape.row());
    parallel::fill(shape.count, 3 * poly, threads, |row, out| {
        let (x0, x1) = x[row * row_words..][..row_words].split_at(poly);
        let (y0, y1) = y[row * row_words..][..row_words].split_at(poly);
        let (out0, rest) = out.split_at_mut(poly);
        let (out1, out2) = rest.split_at_mut(poly);
        for at in 0..shape.level {
            let (q, block) = (params.modulus(at), at * n..(at + 1) * n);
            let (x0, x1) = (&x0[block.clone()], &x1[block.clone()]);
            let (y0, y1) = (&y0[block.clone()], &y1[block.clone()]);
            vector::mul_to(q, &mut out0[block.clone()], x0, y0);
            vector::dot(q, &mut out1[block.clone()], &[(x0, y1), (x1, y0)]);
            vector::mul_to(q, &mut out2[block], x1, y1);
        }
        Ok(())
    })
}

/// Squares of two-part ciphertexts, three parts each: `(x0^2, 2 x0 x1, x1^2)`.
pub fn square(params: &Params, x: &[u64], shape: Shape, threads: usize) -> Result<Vec<u64>, Fault> {
    let (n, poly, row_words) = (shape.n, shape.poly(), shape.row());
    parallel::fill(shape.count, 3 * poly, threads, |row, out| {
        let (x0, x1) = x[row * row_words..][..row_words].split_at(poly);
        let (out0, rest) = out.split_at_mut(poly);
        let (out1, out2) = rest.split_at_mut(poly);
        for at in 0..shape.level {
            let (q, block) = (params.modulus(at), at * n..(at + 1) * n);
            let (x0, x1) = (&x0[block.clone()], &x1[block.clone()]);
            vector::mul_to(q, &mut out0[block.clone()], x0, x0);
            vector::dot(q, &mut out1[block.clone()], &[(x0, x1), (x0, x1)]);
            vector::mul_to(q, &mut out2[block], x1, x1);
        }
        Ok(())
    })
}

/// Rooms of one key switching, to be used again.
struct Rooms {
    digits: Digits,
    sums: Accumulators,
    words: Vec<u64>,
    poly: Vec<u64>,
}

thread_local! {
    /// Each thread keeps its last rooms: fresh ones cost a page fault every 4 KiB, which is more than the
    /// arithmetic on them. What is left in them comes of ciphertexts and public keys only.
    static KEPT: Cell<Option<[Vec<u64>; 5]>> = const { Cell::new(None) };
}
/// Rooms of more words in all are not kept: those of N = 32768 and some ten primes are.
const MOST_KEPT: usize = 1 << 23;

impl Rooms {
    fn new(level: usize, poly: usize) -> Self {
        let [residues, first, second, words, mut kept] = KEPT.take().unwrap_or_default();
        kept.resize(poly, 0);
        Self {
            digits: Digits { level, residues },
            sums: Accumulators {
                level,
                parts: [first, second],
            },
            words,
            poly: kept,
        }
    }

    fn decompose(&mut self, params: &Params, pool: Option<&ThreadPool>, poly: &[u64]) {
        keyswitch::decompose_into(params, pool, poly, &mut self.words, &mut self.digits);
    }

    /// Adds the digits times the key, divided by P, to the two parts in `out`.
    fn add_switched(
        &mut self,
        params: &Params,
        pool: Option<&ThreadPool>,
        key: &SwitchKey,
        galois: Option<&Galois>,
        out: &mut [u64],
    ) {
        let (digits, sums, words) = (&self.digits, &mut self.sums, &mut self.words);
        keyswitch::inner_into(params, pool, digits, key, galois, words, sums);
        self.add_divided(params, pool, out);
    }

    /// The same for a polynomial that meets this key only.
    fn add_switched_once(
        &mut self,
        params: &Params,
        pool: Option<&ThreadPool>,
        poly: &[u64],
        key: &SwitchKey,
        galois: Option<&Galois>,
        out: &mut [u64],
    ) {
        let (sums, words) = (&mut self.sums, &mut self.words);
        keyswitch::switch_into(params, pool, poly, key, galois, words, sums);
        self.add_divided(params, pool, out);
    }

    fn add_divided(&mut self, params: &Params, pool: Option<&ThreadPool>, out: &mut [u64]) {
        let (n, level) = (params.n(), self.sums.level);
        for (sums, out) in self.sums.parts.iter().zip(out.chunks_exact_mut(level * n)) {
            let (rest, last) = sums.split_at(level * n);
            let (special, words) = (params.special_at(), &mut self.words);
            keyswitch::divide(params, pool, special, last, rest, words, &mut self.poly);
            for (at, (out, x)) in out
                .chunks_exact_mut(n)
                .zip(self.poly.chunks_exact(n))
                .enumerate()
            {
                vector::add_assign(params.modulus(at), out, x);
            }
        }
    }
}

impl Drop for Rooms {
    fn drop(&mut self) {
        let [first, second] = std::mem::take(&mut self.sums.parts);
        let residues = std::mem::take(&mut self.digits.residues);
        let (words, poly) = (
            std::mem::take(&mut self.words),
            std::mem::take(&mut self.poly),
        );
        let rooms = [residues, first, second, words, poly];
        if rooms.iter().map(Vec::capacity).sum::<usize>() <= MOST_KEPT {
            KEPT.set(Some(rooms));
        }
    }
}

/// Words that a batch of key switches transforms from which on more than one thread is worth waking: below,
/// waking one takes longer than the work.
const LEAST_SWITCHED: usize = 1 << 15;

/// Where the threads of a batch work: each on rows of its own, or, where there are fewer rows than
/// threads, all on one row after the other; and one alone where there is little to do.
fn inside(shape: Shape, threads: usize) -> Result<(usize, Option<Arc<ThreadPool>>), Fault> {
    let count = shape.count;
    let little = count * shape.poly() * (shape.level + 1) < LEAST_SWITCHED;
    let threads = parallel::worth(threads, little)?;
    if threads > 1 && count < threads {
        Ok((1, Some(parallel::pool(threads)?)))
    } else {
        Ok((threads, None))
    }
}

/// Three parts or more to two, with the one key for `s^2`: from the top, `c_k s^2` becomes `k0 + k1 s`, so
/// that `c_k s^k = s^(k-2) (k0 + k1 s)` goes into the parts k - 2 and k - 1. The switch's error is then
/// multiplied by `s^(k-2)`.
pub fn relinearise(
    params: &Params,
    x: &[u64],
    shape: Shape,
    key: &SwitchKey,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let poly = shape.poly();
    let (outside, pool) = inside(shape, threads)?;
    let pool = pool.as_deref();
    let mut out = parallel::unwritten(shape.count, 2 * poly)?;
    let rooms = || Rooms::new(shape.level, poly);
    parallel::each_with(&mut out, 2 * poly, outside, rooms, |rooms, row, out| {
        let (kept, more) = x[row * shape.row()..][..shape.row()].split_at(2 * poly);
        if shape.parts == 3 {
            out.copy_from_slice(kept);
            rooms.decompose(params, pool, more);
            rooms.add_switched(params, pool, key, None, out);
            return Ok(());
        }
        let mut parts = [kept, more].concat();
        for part in (2..shape.parts).rev() {
            let (low, top) = parts.split_at_mut(part * poly);
            rooms.decompose(params, pool, &top[..poly]);
            rooms.add_switched(params, pool, key, None, &mut low[(part - 2) * poly..]);
        }
        out.copy_from_slice(&parts[..2 * poly]);
        Ok(())
    })?;
    Ok(out)
}

/// Divides by the last prime and rounds.
pub fn rescale(
    params: &Params,
    x: &[u64],
    shape: Shape,
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let (n, poly, kept) = (shape.n, shape.poly(), shape.level - 1);
    let mut out = parallel::unwritten(shape.count * shape.parts, kept * n)?;
    parallel::each_with(&mut out, kept * n, threads, Vec::new, |room, row, out| {
        let (rest, last) = x[row * poly..][..poly].split_at(kept * n);
        keyswitch::divide(params, None, kept, last, rest, room, out);
        Ok(())
    })?;
    Ok(out)
}

/// Forgets all but the first `level` primes.
pub fn drop_to(x: &[u64], shape: Shape, level: usize, threads: usize) -> Result<Vec<u64>, Fault> {
    parallel::fill(
        shape.count * shape.parts,
        level * shape.n,
        threads,
        |row, out| {
            out.copy_from_slice(&x[row * shape.poly()..][..out.len()]);
            Ok(())
        },
    )
}

/// Rotations of two-part ciphertexts by several steps over one decomposition of each: a batch a step.
pub fn rotate(
    params: &Params,
    x: &[u64],
    shape: Shape,
    keys: &[(&Galois, &SwitchKey)],
    threads: usize,
) -> Result<Vec<Vec<u64>>, Fault> {
    let (n, poly, row_words) = (shape.n, shape.poly(), shape.row());
    let mut batches = Vec::with_capacity(keys.len());
    for _ in keys {
        batches.push(parallel::words(shape.count, row_words)?);
    }
    // A row's places in all batches go together, so that its digits are used while they are warm.
    let mut rows: Vec<Vec<&mut [u64]>> = (0..shape.count).map(|_| Vec::new()).collect();
    for batch in &mut batches {
        for (row, place) in rows.iter_mut().zip(batch.chunks_exact_mut(row_words)) {
            row.push(place);
        }
    }
    let (outside, pool) = inside(shape, threads)?;
    let pool = pool.as_deref();
    let rooms = || Rooms::new(shape.level, poly);
    parallel::each_with(&mut rows, 1, outside, rooms, |rooms, row, places| {
        let (x0, x1) = x[row * row_words..][..row_words].split_at(poly);
        let once = keys.len() == 1;
        if !once {
            rooms.decompose(params, pool, x1);
        }
        for ((galois, key), out) in keys.iter().zip(&mut places[0]) {
            for (from, to) in x0.chunks_exact(n).zip(out[..poly].chunks_exact_mut(n)) {
                galois.permute(from, to);
            }
            if once {
                rooms.add_switched_once(params, pool, x1, key, Some(galois), out);
            } else {
                rooms.add_switched(params, pool, key, Some(galois), out);
            }
        }
        Ok(())
    })?;
    Ok(batches)
}

#[cfg(test)]
mod tests;
