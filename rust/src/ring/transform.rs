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
            let Place {
                target,
                source,
                step,
            } = places[at];
            let of_giant = step / giant * giant;
            let turn = turns.partition_point(|turn| *turn < (source, step % giant));
            match sums.last_mut() {
                Some(sum) if (sum.target, sum.giant) == (target, of_giant) => {
                    sum.terms.push((turn, at));
                }
                _ => sums.push(Sum {
                    target,
                    giant: of_giant,
                    terms: vec![(turn, at)],
                }),
            }
        }
        if let Some(sum) = sums.iter().find(|sum| sum.terms.len() > vector::MOST_PAIRS) {
            return Err(Fault::at("too-many-diagonals", sum.target));
        }
        let plains = encode_all(params, level, scale, giant, places, values, threads)?;
        Ok(Self {
            params: Arc::clone(params),
            level,
            sources,
            targets,
            turns,
            sums,
            plains,
        })
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
        let key = |step: usize| {
            if step == 0 {
                Ok(None)
            } else {
                keys(step).map(Some)
            }
        };
        let babies = self
            .turns
            .iter()
            .map(|turn| key(turn.1))
            .collect::<Result<Vec<_>, _>>()?;
        let giants = self
            .sums
            .iter()
            .map(|sum| key(sum.giant))
            .collect::<Result<Vec<_>, _>>()?;
        let pool = parallel::pool(threads)?;
        let pool = (threads > 1).then_some(&*pool);
        let sums = self.sums_of_turns(pool, x, &babies)?;
        let mut parts: Vec<(usize, Pair)> = Vec::with_capacity(self.sums.len());
        let work = |(at, giant): (usize, &Key)| {
            (
                self.sums[at].target,
                self.turned_sum(pool, &sums, at, *giant),
            )
        };
        match pool {
            Some(pool) => pool.install(|| {
                giants
                    .par_iter()
                    .enumerate()
                    .map(work)
                    .collect_into_vec(&mut parts)
            }),
            None => parts.extend(giants.iter().enumerate().map(work)),
        }
        self.divided(pool, parts)
    }

    /// The sums of diagonals times turned sources, times P: `[component][sum][half][N]`.
    ///
    /// One component after the other: its digits and turned sources stay in the processor's cache, and
    /// keys and diagonals are read once.
    fn sums_of_turns(
        &self,
        pool: Option<&ThreadPool>,
        x: &[u64],
        keys: &[Key],
    ) -> Result<Vec<u64>, Fault> {
        let (n, level) = (self.params.n(), self.level);
        let poly = level * n;
        let mut digits: Vec<Option<Digits>> = Vec::with_capacity(self.sources);
        let mut room = Vec::new();
        for (source, x) in x.chunks_exact(2 * poly).enumerate() {
            let needed = self
                .turns
                .iter()
                .any(|&(of, step)| of == source && step != 0);
            digits.push(needed.then(|| {
                let mut digits = Digits {
                    level,
                    residues: Vec::new(),
                };
                keyswitch::decompose_into(&self.params, pool, &x[poly..], &mut room, &mut digits);
                digits
            }));
        }
        let mut out = parallel::words(level + 1, self.sums.len() * 2 * n)?;
        let size = self.sums.len() * 2 * n;
        let rooms = || (vec![0; self.turns.len() * 2 * n], vec![0; n]);
        let work = |(turned, room): &mut (Vec<u64>, Vec<u64>),
                    (place, out): (usize, &mut [u64])| {
            self.turn(place, x, keys, &digits, turned, room);
            self.sum(place, turned, out);
        };
        match pool {
            Some(pool) => pool.install(|| {
                out.par_chunks_exact_mut(size)
                    .enumerate()
                    .for_each_init(rooms, work);
            }),
            None => {
                let mut rooms = rooms();
                for task in out.chunks_exact_mut(size).enumerate() {
                    work(&mut rooms, task);
                }
            }
        }
        Ok(out)
    }

    /// Every source turned by every step that it is needed at, times P, in one component.
    fn turn(
        &self,
        place: usize,
        x: &[u64],
        keys: &[Key],
        digits: &[Option<Digits>],
        turned: &mut [u64],
        room: &mut [u64],
    ) {
        let params: &Params = &self.params;
        let (n, level) = (params.n(), self.level);
        let at = keyswitch::component(params, level, place);
        let modulus = params.modulus(at);
        let special = modulus.reduce(params.special);
        let steps = turned.chunks_exact_mut(2 * n).zip(&self.turns).zip(keys);
        for ((out, &(source, _)), key) in steps {
            // P x is zero modulo P.
            let own = |half: usize| {
                (place < level).then(|| &x[((2 * source + half) * level + place) * n..][..n])
            };
            for (half, out) in out.chunks_exact_mut(n).enumerate() {
                let (Some(digits), Some((galois, key))) = (&digits[source], key) else {
                    out.fill(0);
                    if let Some(own) = own(half) {
                        vector::mul_scalar_add_assign(modulus, out, own, special);
                    }
                    continue;
                };
                let pair = |digit: usize| {
                    let (b, a) = key.at(digit, at);
                    let x = &digits.residues[(digit * (level + 1) + place) * n..][..n];
                    (x, if half == 0 { b } else { a })
                };
                let pairs: Vec<_> = (0..level).map(pair).collect();
                vector::dot(modulus, room, &pairs);
                if let Some(own) = own(0).filter(|_| half == 0) {
                    vector::mul_scalar_add_assign(modulus, room, own, special);
                }
                galois.permute(room, out);
            }
        }
    }

    /// All sums of one component.
    fn sum(&self, place: usize, turned: &[u64], out: &mut [u64]) {
        let params: &Params = &self.params;
        let (n, level) = (params.n(), self.level);
        let modulus = params.modulus(keyswitch::component(params, level, place));
        for (sum, out) in self.sums.iter().zip(out.chunks_exact_mut(2 * n)) {
            for (half, out) in out.chunks_exact_mut(n).enumerate() {
                let pair = |&(turn, plain): &(usize, usize)| {
                    let x = &turned[(2 * turn + half) * n..][..n];
                    (x, &self.plains[(plain * (level + 1) + place) * n..][..n])
                };
                let pairs: Vec<_> = sum.terms.iter().map(pair).collect();
                vector::dot(modulus, out, &pairs);
            }
        }
    }

    /// One sum turned by its giant step.
    fn turned_sum(&self, pool: Option<&ThreadPool>, sums: &[u64], at: usize, giant: Key) -> Pair {
        let params: &Params = &self.params;
        let (n, level) = (params.n(), self.level);
        let half = |half: usize| {
            let components = sums.chunks_exact(self.sums.len() * 2 * n);
            let mut whole = Vec::with_capacity((level + 1) * n);
            components.for_each(|sums| whole.extend(&sums[(2 * at + half) * n..][..n]));
            whole
        };
        let [first, second] = [half(0), half(1)];
        let Some((galois, key)) = giant else {
            return [first, second];
        };
        let mut room = Vec::new();
        let mut divided = vec![0; level * n];
        let (rest, last) = second.split_at(level * n);
        let special = params.special_at();
        keyswitch::divide(params, pool, special, last, rest, &mut room, &mut divided);
        let mut digits = Digits {
            level,
            residues: Vec::new(),
        };
        keyswitch::decompose_into(params, pool, &divided, &mut room, &mut digits);
        let mut sums = Accumulators {
            level,
            parts: [Vec::new(), Vec::new()],
        };
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
                keyswitch::divide(
                    params,
                    pool,
                    params.special_at(),
                    last,
                    rest,
                    &mut room,
                    out,
                );
            }
        }
        Ok(out)
    }
}

/// Two polynomials modulo Q P: `[level + 1, the special last][N]` each.
type Pair = [Vec<u64>; 2];
type Key<'k> = Option<&'k (Galois, Arc<SwitchKey>)>;

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
