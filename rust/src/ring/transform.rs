//! Linear maps of the slots: baby steps and giant steps, both hoisted.
//!
//! Target t is the sum over sources s and steps d of D(t, s, d) * (x_s turned left by d), D a vector of
//! reals (a diagonal of a matrix). With d = g i + b (g the giant step):
//!   y = sum over i of turn_(g i) ( sum over b of turn_(-g i)(D) * turn_b(x) ).
//! Each source is decomposed once for all its turns b (hoisting, ePrint 2018/244), and nothing is divided
//! by P between the turns b and the sums over b, nor between the turns g i and their sum: all is kept
//! modulo Q P with a factor P (double hoisting: J.-P. Bossuat, C. Mouchet, J. Troncoso-Pastoriza, J.-P.
//! Hubaux, "Efficient Bootstrapping for Approximate Homomorphic Encryption with Non-Sparse Keys", ePrint
//! 2020/1203, section 4.3, algorithm 6). So one map costs an inner product for each b, one for each i,
//! a decomposition for each source and each i, and two divisions for each target.
//!
//! Diagonals are encoded once, with a residue modulo P too, already turned by their giant step.

use std::sync::Arc;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::ring::automorphism::Galois;
use crate::ring::ckks::encode::{self, Room};
use crate::ring::fault::Fault;
use crate::ring::keys::SwitchKey;
use crate::ring::keyswitch::{self, Accumulators, Digits};
use crate::ring::parallel;
use crate::ring::params::{Params, Scheme};
use crate::ring::vector;

/// Sources, targets and diagonals of a map at most.
pub const MOST_ENDS: usize = 1 << 12;
pub const MOST_DIAGONALS: usize = 1 << 20;

/// One diagonal: of which target, of which source, at which step to the left (below the slots).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub target: usize,
    pub source: usize,
    pub step: usize,
}

/// The diagonals of one giant step of one target.
struct Sum {
    target: usize,
    giant: usize,
    /// Which turned source goes with which diagonal.
    terms: Vec<(usize, usize)>,
}

/// A linear map, encoded for ciphertexts of one level.
pub struct Transform {
    pub params: Arc<Params>,
    pub level: usize,
    pub sources: usize,
    pub targets: usize,
    /// (source, step): turned once each.
    turns: Vec<(usize, usize)>,
    sums: Vec<Sum>,
    /// `[diagonal][level + 1, the special last][N]`, NTT form.
    plains: Vec<u64>,
}

impl Transform {
    /// `values` are `[place][slots]`; `giant` is the giant step, 1 to the number of slots.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        params: &Arc<Params>,
        level: usize,
        scale: f64,
        giant: usize,
        [sources, targets]: [usize; 2],
        places: &[Place],
        values: &[f64],
        threads: usize,
    ) -> Result<Self, Fault> {
        let slots = params.slots();
        if params.scheme != Scheme::Ckks {
            return Err(Fault::new("not-ckks"));
        }
        if !(1..=params.levels()).contains(&level) {
            return Err(Fault::new("bad-level"));
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Fault::new("bad-scale"));
        }
        let ends = 1..=MOST_ENDS;
        if !ends.contains(&sources) || !ends.contains(&targets) || !(1..=slots).contains(&giant) {
            return Err(Fault::new("bad-transform"));
        }
        if places.len() > MOST_DIAGONALS || values.len() != places.len() * slots {
            return Err(Fault::new("bad-shape"));
        }
        let mut turns: Vec<(usize, usize)> = Vec::with_capacity(places.len());
        for (at, place) in places.iter().enumerate() {
            if place.target >= targets || place.source >= sources || place.step >= slots {
                return Err(Fault::at("bad-transform", at));
            }
            turns.push((place.source, place.step % giant));
        }
        turns.sort_unstable();
        turns.dedup();
        let key = |at: &usize| {
            let place = places[*at];
            (place.target, place.step / giant, place.source, place.step)
        };
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(key);
        if order.windows(2).any(|pair| key(&pair[0]) == key(&pair[1])) {
            return Err(Fault::new("repeated-diagonal"));
        }
        let mut sums: Vec<Sum> = Vec::new();
        for at in order {
            let Place { target, source, step } = places[at];
            let of_giant = step / giant * giant;
            let turn = turns.partition_point(|turn| *turn < (source, step % giant));
            match sums.last_mut() {
                Some(sum) if (sum.target, sum.giant) == (target, of_giant) => {
                    sum.terms.push((turn, at));
                }
                _ => sums.push(Sum { target, giant: of_giant, terms: vec![(turn, at)] }),
            }
        }
        if let Some(sum) = sums.iter().find(|sum| sum.terms.len() > vector::MOST_PAIRS) {
            return Err(Fault::at("too-many-diagonals", sum.target));
        }
        let plains = encode_all(params, level, scale, giant, places, values, threads)?;
        Ok(Self { params: Arc::clone(params), level, sources, targets, turns, sums, plains })
    }

    /// The steps that keys are needed for.
    pub fn steps(&self) -> Vec<usize> {
        let giants = self.sums.iter().map(|sum| sum.giant);
        let mut steps: Vec<usize> = self.turns.iter().map(|turn| turn.1).chain(giants).collect();
        steps.sort_unstable();
        steps.dedup();
        steps.retain(|&step| step != 0);
        steps
    }

    /// Bytes that the encoded diagonals take.
    pub fn bytes(&self) -> usize {
        8 * self.plains.len()
    }

    /// Applies the map to sources `[sources][2][level][N]`; gives `[targets][2][level][N]`.
    pub fn apply<'k>(
        &self,
        x: &[u64],
        keys: impl Fn(usize) -> Result<&'k (Galois, Arc<SwitchKey>), Fault>,
        threads: usize,
    ) -> Result<Vec<u64>, Fault> {
        let params: &Params = &self.params;
        let poly = self.level * params.n();
        if x.len() != self.sources * 2 * poly {
            return Err(Fault::new("bad-shape"));
        }
        // All keys first: what is missing is told before anything is computed.
        let key = |step: usize| if step == 0 { Ok(None) } else { keys(step).map(Some) };
        let babies = self.turns.iter().map(|turn| key(turn.1)).collect::<Result<Vec<_>, _>>()?;
        let giants = self.sums.iter().map(|sum| key(sum.giant)).collect::<Result<Vec<_>, _>>()?;
        let pool = parallel::pool(threads)?;
        let pool = (threads > 1).then_some(&*pool);
        let turned = self.turned(pool, x, &babies);
        let mut parts: Vec<(usize, Pair)> = Vec::with_capacity(self.sums.len());
        let work = |(sum, giant): (&Sum, &Key)| (sum.target, self.sum(pool, sum, *giant, &turned));
        let all = || self.sums.par_iter().zip(&giants).map(work).collect_into_vec(&mut parts);
        match pool {
            Some(pool) => pool.install(all),
            None => parts.extend(self.sums.iter().zip(&giants).map(work)),
        }
        self.divided(pool, parts)
    }

    /// Every source turned by every step that it is needed at, times P.
    fn turned(&self, pool: Option<&ThreadPool>, x: &[u64], keys: &[Key]) -> Vec<Pair> {
        let params: &Params = &self.params;
        let (n, level) = (params.n(), self.level);
        let poly = level * n;
        let mut digits: Vec<Option<Digits>> = Vec::with_capacity(self.sources);
        let mut room = Vec::new();
        for (source, x) in x.chunks_exact(2 * poly).enumerate() {
            let needed = self.turns.iter().any(|&(of, step)| of == source && step != 0);
            digits.push(needed.then(|| {
                let mut digits = Digits { level, residues: Vec::new() };
                keyswitch::decompose_into(params, pool, &x[poly..], &mut room, &mut digits);
                digits
            }));
        }
        let mut scaled = x.to_vec();
        parallel::rows(pool, &mut scaled, n, |row, out| {
            let modulus = params.modulus(row % level);
            vector::mul_scalar_assign(modulus, out, modulus.reduce(params.special));
        });
        let work = |((source, _), key): (&(usize, usize), &Key)| {
            let scaled = &scaled[source * 2 * poly..][..2 * poly];
            match (&digits[*source], key) {
                (Some(digits), Some((galois, key))) => {
                    let mut sums = inner(params, digits, key);
                    add(params, level, &mut sums.parts[0], &scaled[..poly]);
                    sums.parts.map(|part| permuted(galois, &part))
                }
                _ => {
                    // A turn by nothing: P x, which is zero modulo P.
                    let part = |half: &[u64]| {
                        let mut part = half.to_vec();
                        part.resize(poly + n, 0);
                        part
                    };
                    [part(&scaled[..poly]), part(&scaled[poly..])]
                }
            }
        };
        let mut turned = Vec::with_capacity(self.turns.len());
        let all = || self.turns.par_iter().zip(keys).map(work).collect_into_vec(&mut turned);
        match pool {
            Some(pool) => pool.install(all),
            None => turned.extend(self.turns.iter().zip(keys).map(work)),
        }
        turned
    }

    /// One giant step's sum of diagonals times turned sources, turned by the giant step.
    fn sum(&self, pool: Option<&ThreadPool>, sum: &Sum, giant: Key, turned: &[Pair]) -> Pair {
        let params: &Params = &self.params;
        let (n, level) = (params.n(), self.level);
        let size = (level + 1) * n;
        let part = |half: usize| {
            let mut out = vec![0; size];
            parallel::rows(pool, &mut out, n, |place, out| {
                let at = keyswitch::component(params, level, place);
                let pair = |&(turn, plain): &(usize, usize)| {
                    let x = &turned[turn][half][place * n..][..n];
                    (x, &self.plains[plain * size + place * n..][..n])
                };
                let pairs: Vec<_> = sum.terms.iter().map(pair).collect();
                vector::dot(params.modulus(at), out, &pairs);
            });
            out
        };
        let [first, second] = [part(0), part(1)];
        let Some((galois, key)) = giant else {
            return [first, second];
        };
        let mut room = Vec::new();
        let mut divided = vec![0; level * n];
        let (rest, last) = second.split_at(level * n);
        let special = params.special_at();
        keyswitch::divide(params, pool, special, last, rest, &mut room, &mut divided);
        let mut digits = Digits { level, residues: Vec::new() };
        keyswitch::decompose_into(params, pool, &divided, &mut room, &mut digits);
        let mut sums = Accumulators { level, parts: [Vec::new(), Vec::new()] };
        keyswitch::inner_into(params, pool, &digits, key, None, &mut room, &mut sums);
        add(params, level, &mut sums.parts[0], &first);
        sums.parts.map(|part| permuted(galois, &part))
    }

    /// The targets' sums divided by P.
    fn divided(
        &self,
        pool: Option<&ThreadPool>,
        parts: Vec<(usize, Pair)>,
    ) -> Result<Vec<u64>, Fault> {
        let params: &Params = &self.params;
        let (n, level) = (params.n(), self.level);
        let poly = level * n;
        let mut out = parallel::words(self.targets, 2 * poly)?;
        let mut room = Vec::new();
        let mut parts = parts.into_iter().peekable();
        for (target, out) in out.chunks_exact_mut(2 * poly).enumerate() {
            // Sums are in the order of their targets; a target without diagonals stays zero.
            let Some((_, mut total)) = parts.next_if(|part| part.0 == target) else {
                continue;
            };
            while let Some((_, pair)) = parts.next_if(|part| part.0 == target) {
                for (total, part) in total.iter_mut().zip(&pair) {
                    add(params, level, total, part);
                }
            }
            for (total, out) in total.iter().zip(out.chunks_exact_mut(poly)) {
                let (rest, last) = total.split_at(poly);
                keyswitch::divide(params, pool, params.special_at(), last, rest, &mut room, out);
            }
        }
        Ok(out)
    }
}

/// Two polynomials modulo Q P: `[level + 1, the special last][N]` each.
type Pair = [Vec<u64>; 2];
type Key<'k> = Option<&'k (Galois, Arc<SwitchKey>)>;

fn inner(params: &Params, digits: &Digits, key: &SwitchKey) -> Accumulators {
    keyswitch::inner(params, digits, key, None)
}

/// Adds `[level or level + 1][N]` to the first components of a polynomial modulo Q P.
fn add(params: &Params, level: usize, sum: &mut [u64], x: &[u64]) {
    let n = params.n();
    for (place, (sum, x)) in sum.chunks_exact_mut(n).zip(x.chunks_exact(n)).enumerate() {
        let at = keyswitch::component(params, level, place);
        vector::add_assign(params.modulus(at), sum, x);
    }
}

fn permuted(galois: &Galois, part: &[u64]) -> Vec<u64> {
    let n = galois.n();
    let mut out = vec![0; part.len()];
    for (from, to) in part.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
        galois.permute(from, to);
    }
    out
}

/// Diagonals turned right by their giant steps, with all residues of the level and the special one.
fn encode_all(
    params: &Params,
    level: usize,
    scale: f64,
    giant: usize,
    places: &[Place],
    values: &[f64],
    threads: usize,
) -> Result<Vec<u64>, Fault> {
    let (n, slots) = (params.n(), params.slots());
    parallel::fill(places.len(), (level + 1) * n, threads, |at, out| {
        let by = places[at].step / giant * giant;
        let mut turned = values[at * slots..][..slots].to_vec();
        turned.rotate_right(by);
        let mut room = Room::new(params);
        let mut all = vec![0; (params.levels() + 1) * n];
        encode::encode(params, &turned, scale, level, &mut room, &mut all)
            .map_err(|fault| Fault::at(fault.code, at))?;
        out[..level * n].copy_from_slice(&all[..level * n]);
        out[level * n..].copy_from_slice(&all[params.special_at() * n..]);
        Ok(())
    })
}
