//! Moving shared rows by a permutation that no party knows, in three passes.
//!
//! **Who knows what.** Permutation j (0, 1, 2) is known to exactly the holders of key k_j, P_j and P_{j-1}; so
//! every party lacks one of the three. A `Route` [a, b, c] says in which order they are used. The *lead* L knows
//! a and b, *left* M knows a and c, *right* N knows b and c. As every share x_j is held by the holders of k_j too,
//! L holds x_a and x_b, and both M and N hold x_c.
//!
//! **Two passes** (`two_passes`), from s = s_L + s_M to b(a(s)) = t_M + t_N ("+" is the group's operation):
//! streams Z_a (L and M) and Z_b (L and N) mask.
//! 1. L -> M: t_M = b(a(s_L + Z_a)) + Z_b.   M -> N: y = a(s_M - Z_a).
//! 2. N: t_N = b(y) - Z_b.   Indeed t_M + t_N = b(a(s_L + Z_a + s_M - Z_a)).
//!
//! **The third pass and new shares** (`permute`): s_L = x_a + x_b, s_M = x_c. M and N use c on t_M and t_N, and
//! with fresh streams y_a (L and M) and y_b (L and N) as two shares of the result
//! 3. M -> N: m = c(t_M) - y_a.   N -> M: n = c(t_N) - y_b.   Both: y_c = m + n.
//! So 4 words a row and word, in 2 rounds. This is the shuffle of Araki, Furukawa, Ohara, Pinkas, Rosemarin,
//! Tsuchida, "Secure graph analysis at scale", CCS 2021, sec. 4, without the mask of the third pass (the new
//! shares' streams do its work), and with any order of the three; the idea of letting each party miss one pass is
//! of Laur, Willemson, Zhang, "Round-efficient oblivious database manipulation", ISC 2011.
//!
//! **Argument.** L receives nothing. Its output (y_a, y_b) is of its own keys: nothing to simulate.
//! M does not have k_b. It receives t_M, masked by Z_b, a stream of k_b that is used nowhere else: uniform and
//! independent of all else. And it receives n = y_c - m, where m is computed from t_M, c and y_a, which it has, and
//! y_c is its output. The simulator, given M's output (y_c among it), draws t_M uniformly and computes n. In the
//! real execution y_c = out - y_a - y_b with y_b a stream of k_b used nowhere else, so the output share is uniform
//! and independent of t_M as well, as the ideal functionality (fresh shares of the moved rows) has it.
//! N does not have k_a. It receives y, masked by Z_a of k_a, and m = y_c - n: the same with a and b exchanged.
//! Z_a and Z_b are both needed: without Z_a, N would see a(x_c) of a share x_c it holds, and so the permutation a
//! it must not know; without Z_b, M would see b of what it may know. Nothing in a message is of the permutation
//! its receiver lacks but through rows under a fresh mask; so permutations may be used again for other rows (an
//! order that is applied many times), and remain as unknown as they were. Nobody can link rows of the result to
//! rows of the input but by knowing all three permutations: where the one that a party lacks is uniform given the
//! other two, so is their product.
//!
//! **Sizes.** Messages have as many words as there are rows, whatever the permutation.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::shares::algebra::{Additive, Algebra, Bitwise};
use crate::shares::channel::Broken;
use crate::shares::party::{Party, Side, Which};
use crate::shares::permutation::{Permutation, Way};
use crate::shares::prg::Stream;
use crate::shares::vector::{Pair, Shared};
use crate::shares::word::Word;
use crate::shares::workers::{Workers, fresh};

/// Purposes of streams within an operation; destinations of digits have others (`destination.rs`).
const MASK: u8 = 0xa0;
const SHARE: u8 = 0xa1;
/// Of an operation that draws permutations.
pub(super) const PERMUTATION: u8 = 0xa2;
/// Bytes of rows, over all vectors, that move at once: so many are kept twice.
const BATCH: usize = 1 << 26;
/// Words that are masked at a time.
const BLOCK: usize = 1 << 11;

/// `words[i] = with(words[i], stream[i])`.
pub(super) fn with_stream<W: Word>(
    workers: &Workers,
    words: &mut [W],
    stream: &Stream,
    with: impl Fn(W, W) -> W + Send + Sync,
) {
    workers.write(words, |start, part| {
        let mut random = [W::ZERO; BLOCK];
        for (place, block) in part.chunks_mut(BLOCK).enumerate() {
            let random = &mut random[..block.len()];
            stream.fill(start + place * BLOCK, random);
            for (word, random) in block.iter_mut().zip(random) {
                *word = with(*word, *random);
            }
        }
    });
}

/// `words[i] = with(words[i], other[i])`.
pub(super) fn with_words<W: Word>(words: &mut [W], other: &[W], with: impl Fn(W, W) -> W) {
    for (word, other) in words.iter_mut().zip(other) {
        *word = with(*word, *other);
    }
}

/// What a party is in a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Lead,
    Left,
    Right,
}

/// In which order the three permutations are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route(pub [usize; 3]);

impl Route {
    /// The role of a party: it lacks the key whose index is one below its own.
    pub fn role(self, index: usize) -> Role {
        let lacks = (index + 2) % 3;
        if lacks == self.0[2] {
            Role::Lead
        } else if lacks == self.0[1] {
            Role::Left
        } else {
            Role::Right
        }
    }

    /// In which direction from a party the one with a role is.
    pub fn side(self, index: usize, role: Role) -> Side {
        let lacks = match role {
            Role::Lead => self.0[2],
            Role::Left => self.0[1],
            Role::Right => self.0[0],
        };
        debug_assert_ne!((lacks + 1) % 3, index);
        if (lacks + 1) % 3 == (index + 1) % 3 {
            Side::Next
        } else {
            Side::Previous
        }
    }

    /// The same permutations the other way round.
    pub fn reversed(self) -> Self {
        let [a, b, c] = self.0;
        Self([c, b, a])
    }
}

/// Which of a party's keys (or shares) has this index; it must have it.
pub(super) fn which(index: usize, key: usize) -> Which {
    debug_assert_ne!((index + 2) % 3, key);
    if key == index {
        Which::Own
    } else {
        Which::Next
    }
}

/// Of three permutations those that this party knows, by key.
pub(super) type Parts = [Option<Permutation>; 3];

/// Uniformly random permutations for some of the keys, by what this party knows of them.
pub(super) fn random_parts(
    party: &mut Party,
    rows: usize,
    keys: &[usize],
) -> Result<Parts, Broken> {
    let operation = party.begin()?;
    let index = party.index();
    let mut parts: Parts = [None, None, None];
    for key in keys {
        if (index + 2) % 3 != *key {
            let stream = party.stream(which(index, *key), operation, PERMUTATION);
            parts[*key] = Some(Permutation::random(&party.workers(), &stream, rows));
        }
    }
    Ok(parts)
}

/// What a party does with its words, by role, all permutations used one way.
pub(super) struct Plan<'a> {
    pub route: Route,
    pub role: Role,
    way: Way,
    /// Lead: a then b; left: a; right: b.
    first: Cow<'a, Permutation>,
    /// Left and right: c, where the route goes so far.
    last: Option<&'a Permutation>,
}

fn known(parts: &Parts, key: usize) -> &Permutation {
    match &parts[key] {
        Some(permutation) => permutation,
        None => unreachable!("a role knows its permutations"),
    }
}

impl<'a> Plan<'a> {
    pub fn new(party: &Party, route: Route, way: Way, parts: &'a Parts) -> Self {
        let [a, b, c] = route.0;
        let role = route.role(party.index());
        let first = match role {
            Role::Lead => Cow::Owned(known(parts, a).then(&party.workers(), known(parts, b), way)),
            Role::Left => Cow::Borrowed(known(parts, a)),
            Role::Right => Cow::Borrowed(known(parts, b)),
        };
        let last = match role {
            Role::Lead => None,
            _ => parts[c].as_ref(),
        };
        Self {
            route,
            role,
            way,
            first,
            last,
        }
    }
}

/// The first half of two passes: what lead and left send. `mine`: s_L at the lead, s_M at the left.
pub(super) fn send_two<A: Algebra, W: Word>(
    party: &mut Party,
    plan: &Plan,
    operation: u64,
    mut mine: Vec<W>,
) -> Result<(), Broken> {
    let [a, b, _] = plan.route.0;
    let index = party.index();
    let workers = party.workers();
    match plan.role {
        Role::Lead => {
            let masks = [a, b].map(|key| party.stream(which(index, key), operation, MASK));
            with_stream(&workers, &mut mine, &masks[0], A::add);
            let mut moved = plan.first.moved(&workers, plan.way, &mine);
            with_stream(&workers, &mut moved, &masks[1], A::add);
            party.send(plan.route.side(index, Role::Left), &moved)
        }
        Role::Left => {
            let mask = party.stream(which(index, a), operation, MASK);
            with_stream(&workers, &mut mine, &mask, A::sub);
            let moved = plan.first.moved(&workers, plan.way, &mine);
            party.send(plan.route.side(index, Role::Right), &moved)
        }
        Role::Right => Ok(()),
    }
}

/// The second half of two passes: t_M at the left, t_N at the right, nothing at the lead.
pub(super) fn receive_two<A: Algebra, W: Word>(
    party: &mut Party,
    plan: &Plan,
    operation: u64,
    rows: usize,
) -> Result<Vec<W>, Broken> {
    let index = party.index();
    if plan.role == Role::Lead {
        return Ok(Vec::new());
    }
    let mut words = fresh(rows);
    if plan.role == Role::Left {
        party.receive(plan.route.side(index, Role::Lead), &mut words)?;
        return Ok(words);
    }
    party.receive(plan.route.side(index, Role::Left), &mut words)?;
    let workers = party.workers();
    let mask = party.stream(which(index, plan.route.0[1]), operation, MASK);
    let mut moved = plan.first.moved(&workers, plan.way, &words);
    with_stream(&workers, &mut moved, &mask, A::sub);
    Ok(moved)
}

/// A vector on its way.
trait Moving {
    fn bytes(&self) -> usize;
    fn one(&mut self, party: &mut Party, plan: &Plan) -> Result<(), Broken>;
    fn two(&mut self, party: &mut Party, plan: &Plan) -> Result<(), Broken>;
    fn three(&mut self, party: &mut Party, plan: &Plan) -> Result<Shared, Broken>;
}

struct Vector<'a, A, W> {
    pair: &'a Pair<W>,
    wrap: fn(Pair<W>) -> Shared,
    operation: u64,
    held: Vec<W>,
    algebra: PhantomData<A>,
}

impl<A: Algebra, W: Word> Vector<'_, A, W> {
    fn share(&self, party: &Party, key: usize) -> Stream {
        party.stream(which(party.index(), key), self.operation, SHARE)
    }
}

impl<A: Algebra, W: Word> Moving for Vector<'_, A, W> {
    fn bytes(&self) -> usize {
        self.pair.len() * W::BYTES
    }

    fn one(&mut self, party: &mut Party, plan: &Plan) -> Result<(), Broken> {
        self.operation = party.begin()?;
        let mine = match plan.role {
            Role::Lead => {
                let (first, second) = (&self.pair.first, &self.pair.second);
                first
                    .iter()
                    .zip(second)
                    .map(|(a, b)| A::add(*a, *b))
                    .collect()
            }
            Role::Left => match which(party.index(), plan.route.0[2]) {
                Which::Own => self.pair.first.clone(),
                Which::Next => self.pair.second.clone(),
            },
            Role::Right => Vec::new(),
        };
        send_two::<A, W>(party, plan, self.operation, mine)
    }

    fn two(&mut self, party: &mut Party, plan: &Plan) -> Result<(), Broken> {
        let index = party.index();
        let [a, b, _] = plan.route.0;
        let (key, to) = match plan.role {
            Role::Lead => return Ok(()),
            Role::Left => (a, Role::Right),
            Role::Right => (b, Role::Left),
        };
        let words: Vec<W> = receive_two::<A, W>(party, plan, self.operation, self.pair.len())?;
        let workers = party.workers();
        let share = self.share(party, key);
        self.held = match plan.last {
            Some(last) => last.moved(&workers, plan.way, &words),
            None => words,
        };
        with_stream(&workers, &mut self.held, &share, A::sub);
        party.send(plan.route.side(index, to), &self.held)
    }

    fn three(&mut self, party: &mut Party, plan: &Plan) -> Result<Shared, Broken> {
        let index = party.index();
        let rows = self.pair.len();
        let [a, b, c] = plan.route.0;
        let workers = party.workers();
        let mut pair = Pair {
            first: Vec::new(),
            second: Vec::new(),
        };
        let mut put = |key: usize, words: Vec<W>| match which(index, key) {
            Which::Own => pair.first = words,
            Which::Next => pair.second = words,
        };
        let (drawn, from): (&[usize], _) = match plan.role {
            Role::Lead => (&[a, b], None),
            Role::Left => (&[a], Some(Role::Right)),
            Role::Right => (&[b], Some(Role::Left)),
        };
        for key in drawn {
            let stream = self.share(party, *key);
            put(
                *key,
                workers.make(rows, |start, part| stream.fill(start, part)),
            );
        }
        if let Some(from) = from {
            let mut words = fresh(rows);
            party.receive(plan.route.side(index, from), &mut words)?;
            with_words(&mut words, &self.held, A::add);
            self.held = Vec::new();
            put(c, words);
        }
        Ok((self.wrap)(pair))
    }
}

fn moving(shared: &Shared) -> Box<dyn Moving + '_> {
    fn of<'a, A: Algebra, W: Word>(
        pair: &'a Pair<W>,
        wrap: fn(Pair<W>) -> Shared,
    ) -> Box<dyn Moving + 'a> {
        Box::new(Vector::<A, W> {
            pair,
            wrap,
            operation: 0,
            held: Vec::new(),
            algebra: PhantomData,
        })
    }
    match shared {
        Shared::U8(pair) => of::<Bitwise, _>(pair, Shared::U8),
        Shared::U16(pair) => of::<Bitwise, _>(pair, Shared::U16),
        Shared::U32(pair) => of::<Bitwise, _>(pair, Shared::U32),
        Shared::U64(pair) => of::<Bitwise, _>(pair, Shared::U64),
        Shared::U128(pair) => of::<Bitwise, _>(pair, Shared::U128),
        Shared::R32(pair) => of::<Additive, _>(pair, Shared::R32),
        Shared::R64(pair) => of::<Additive, _>(pair, Shared::R64),
        Shared::R128(pair) => of::<Additive, _>(pair, Shared::R128),
    }
}

/// Moves vectors of as many rows as the permutations have, all alike: fresh shares. Two rounds a batch.
pub(super) fn permute(
    party: &mut Party,
    route: Route,
    way: Way,
    parts: &Parts,
    vectors: &[&Shared],
) -> Result<Vec<Shared>, Broken> {
    let plan = Plan::new(party, route, way, parts);
    let mut out = Vec::with_capacity(vectors.len());
    let mut waiting = vectors.iter().map(|vector| moving(vector)).peekable();
    while waiting.peek().is_some() {
        let mut batch: Vec<Box<dyn Moving>> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.peek() {
            bytes += next.bytes();
            if !batch.is_empty() && bytes > BATCH {
                break;
            }
            batch.extend(waiting.next());
        }
        for vector in &mut batch {
            vector.one(party, &plan)?;
        }
        party.round();
        for vector in &mut batch {
            vector.two(party, &plan)?;
        }
        party.round();
        for vector in &mut batch {
            out.push(vector.three(party, &plan)?);
        }
    }
    Ok(out)
}
