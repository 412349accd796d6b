//! Runs a program: blocks of one prime after another, over threads.

use std::ops::Range;

use rayon::prelude::*;

use super::field::Field;
use super::kernels::{self, STEP};
use super::program::{Layout, Op, Program, Scalars, Shape};
use crate::ring::fault::Fault;
use crate::ring::parallel;
use crate::ring::vector;

/// Bytes of scratch memory of a thread to aim at: what the second-level cache of a core of the last
/// years holds beside the weights.
const ROOM: usize = 1 << 20;
/// Strips of an input that are asked for before they are read.
const AHEAD: usize = 12;
const MOST_BLOCK: usize = 512;
/// Words of output that a task writes one after the other.
const STRETCH: usize = 256;
/// Words of all registers from which on more than one thread is worth waking: below, waking one takes longer
/// than the work.
const LEAST_WORDS: usize = 1 << 18;
/// Bytes of scratch memory of a thread at most, at the smallest block.
const MOST_ROOM: usize = 1 << 30;

/// Residues worked on at a time: as many as fit the room with all live registers, at least a step.
pub fn block_of(strips: usize, n: usize) -> usize {
    let fits = ROOM / (8 * strips.max(1)) / STEP * STEP;
    // A power of two divides N.
    let most = MOST_BLOCK.min(n);
    if fits <= STEP {
        STEP
    } else {
        (1 << fits.ilog2()).min(most)
    }
}

/// Bytes of scratch memory of a thread, and residues to a block.
pub fn room(program: &Program, n: usize) -> (usize, usize) {
    let strips = Layout::new(program).strips;
    let block = block_of(strips, n);
    (strips.saturating_mul(8 * block), block)
}

/// Runs `program` on arrays `[count, parts, level, n]`; gives one such array for each output.
pub fn run(
    program: &Program,
    n: usize,
    inputs: &[&[u64]],
    threads: usize,
) -> Result<Vec<Vec<u64>>, Fault> {
    if !n.is_power_of_two() || n < STEP {
        return Err(Fault::new("bad-degree"));
    }
    let level = program.fields().len();
    let words = |shape: Shape| {
        (shape.strips() * level)
            .checked_mul(n)
            .ok_or_else(|| Fault::new("no-memory"))
    };
    if inputs.len() != program.inputs().len() {
        return Err(Fault::new("bad-inputs"));
    }
    for (at, (input, &shape)) in inputs.iter().zip(program.inputs()).enumerate() {
        if input.len() != words(shape)? {
            return Err(Fault::at("wrong-size", at));
        }
    }
    let layout = Layout::new(program);
    let block = block_of(layout.strips, n);
    if layout
        .strips
        .checked_mul(8 * block)
        .is_none_or(|room| room > MOST_ROOM)
    {
        return Err(Fault::new("no-memory"));
    }
    let shapes: Vec<Shape> = program
        .outputs()
        .iter()
        .map(|&register| program.shape(register))
        .collect::<Result<_, _>>()?;
    let mut outputs = shapes
        .iter()
        .map(|shape| parallel::unwritten(shape.strips() * level, n))
        .collect::<Result<Vec<_>, _>>()?;
    // A task is a stretch of one prime; its places in the outputs are cut out beforehand.
    let stretch = STRETCH.max(block).min(n);
    let per_prime = n / stretch;
    let mut tasks: Vec<Task> = (0..level * per_prime)
        .map(|at| Task {
            prime: at / per_prime,
            start: at % per_prime * stretch,
            places: Vec::with_capacity(shapes.iter().map(|shape| shape.strips()).sum()),
        })
        .collect();
    for output in &mut outputs {
        for (at, place) in output.chunks_exact_mut(stretch).enumerate() {
            tasks[at % (level * per_prime)].places.push(place);
        }
    }
    let machine = Machine {
        program,
        layout: &layout,
        inputs,
        n,
        level,
        block,
        stretch,
    };
    let threads = parallel::worth(threads, layout.strips * level * n < LEAST_WORDS)?;
    if threads == 1 {
        let mut scratch = Scratch::new(layout.strips * block)?;
        for task in &mut tasks {
            machine.stretch(task, scratch.words())?;
        }
    } else {
        parallel::pool(threads)?.install(|| {
            let rooms = || Scratch::new(layout.strips * block);
            tasks
                .par_iter_mut()
                .try_for_each_init(rooms, |scratch, task| match scratch {
                    Ok(scratch) => machine.stretch(task, scratch.words()),
                    Err(fault) => Err(*fault),
                })
        })?;
    }
    drop(tasks);
    Ok(outputs)
}

/// A thread's memory, its first word at a cache line's beginning.
struct Scratch {
    memory: Vec<u64>,
    start: usize,
    size: usize,
}

impl Scratch {
    fn new(size: usize) -> Result<Self, Fault> {
        let memory = parallel::words(1, size + 7)?;
        let start = memory.as_ptr().align_offset(64).min(7);
        Ok(Self {
            memory,
            start,
            size,
        })
    }

    fn words(&mut self) -> &mut [u64] {
        &mut self.memory[self.start..self.start + self.size]
    }
}

/// Some residues of one prime, and where their results go: all strips of all outputs, in order.
struct Task<'a> {
    prime: usize,
    start: usize,
    places: Vec<&'a mut [u64]>,
}

struct Machine<'a> {
    program: &'a Program,
    layout: &'a Layout,
    inputs: &'a [&'a [u64]],
    n: usize,
    level: usize,
    block: usize,
    stretch: usize,
}

impl Machine<'_> {
    fn stretch(&self, task: &mut Task, scratch: &mut [u64]) -> Result<(), Fault> {
        for begin in (0..self.stretch).step_by(self.block) {
            for register in 0..self.program.ops().len() {
                self.step(register, task.prime, task.start + begin, scratch)?;
            }
            let mut places = task.places.iter_mut();
            for &register in self.program.outputs() {
                let shape = self.shape(register);
                let words = &scratch[self.words(register)];
                for index in 0..shape.count {
                    for part in 0..shape.parts {
                        let from = (part * shape.count + index) * self.block;
                        if let Some(place) = places.next() {
                            place[begin..begin + self.block]
                                .copy_from_slice(&words[from..from + self.block]);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn shape(&self, register: usize) -> Shape {
        let shape = self.program.shape(register);
        shape.unwrap_or(Shape { count: 0, parts: 0 })
    }

    fn words(&self, register: usize) -> Range<usize> {
        let place = &self.layout.places[register];
        place.start * self.block..place.end * self.block
    }

    /// Runs the operation that makes `register`.
    fn step(
        &self,
        register: usize,
        prime: usize,
        start: usize,
        scratch: &mut [u64],
    ) -> Result<(), Fault> {
        let field = self.program.fields()[prime];
        let path = self.program.path();
        let block = self.block;
        let shape = self.shape(register);
        let part = shape.count * block;
        let (out, rest) = apart(scratch, self.words(register));
        let of = |register: usize| (rest.get(self.words(register)), self.shape(register));
        match &self.program.ops()[register] {
            Op::Input(input) => {
                // Strips lie far apart: no hardware foresees the next one.
                let strip = |at: usize| {
                    let place = (at * self.level + prime) * self.n + start;
                    &self.inputs[*input][place..place + block]
                };
                let mut most = 0;
                for at in 0..shape.strips() {
                    if at + AHEAD < shape.strips() {
                        kernels::prefetch(strip(at + AHEAD));
                    }
                    let (index, part) = (at / shape.parts, at % shape.parts);
                    let out = &mut out[(part * shape.count + index) * block..][..block];
                    most = most.max(kernels::copy(path, strip(at), out));
                }
                // Every word must be a residue: the kernels' bounds rest on it.
                if most >= field.modulus.value() {
                    return Err(Fault::at("residue-too-large", *input));
                }
            }
            Op::Matrix(a, plan, bias) => {
                let bias = bias.as_ref().map_or(&[][..], |bias| &bias.residues[prime]);
                kernels::matrix(path, field, plan, of(*a).0, bias, out, block);
            }
            Op::Square(a) => {
                let (x, of_x) = of(*a);
                if of_x.parts == 2 {
                    let (x0, x1) = x.split_at(part);
                    let (first, others) = out.split_at_mut(part);
                    let (cross, last) = others.split_at_mut(part);
                    kernels::square(path, field, [x0, x1], [first, cross, last]);
                } else {
                    self.product(field, (x, of_x), (x, of_x), out, shape);
                }
            }
            Op::Multiply(a, b) => self.product(field, of(*a), of(*b), out, shape),
            Op::Add(a, b) => {
                self.spread(of(*a), out, shape);
                self.onto(field, of(*b), out, shape, vector::add_assign_with);
            }
            Op::Subtract(a, b) => {
                self.spread(of(*a), out, shape);
                self.onto(field, of(*b), out, shape, vector::sub_assign_with);
            }
            Op::Negate(a) => {
                out.copy_from_slice(of(*a).0);
                vector::neg_assign_with(path, field.modulus, out);
            }
            Op::AddScalar(a, scalars) => {
                out.copy_from_slice(of(*a).0);
                kernels::add_scalars(field, &scalars.residues[prime], &mut out[..part], block);
            }
            Op::MultiplyScalar(a, scalars) => {
                out.copy_from_slice(of(*a).0);
                self.scale(field, prime, scalars, out, shape);
            }
            Op::Take(a, indices) => {
                let (x, of_x) = of(*a);
                let parts = x.chunks_exact(of_x.count * block);
                for (x, out) in parts.zip(out.chunks_exact_mut(part)) {
                    for (&index, out) in indices.iter().zip(out.chunks_exact_mut(block)) {
                        out.copy_from_slice(&x[index as usize * block..][..block]);
                    }
                }
            }
            Op::Concatenate(all) => {
                let mut from = 0;
                for &a in all {
                    let (x, of_x) = of(a);
                    let size = of_x.count * block;
                    for (x, out) in x.chunks_exact(size).zip(out.chunks_exact_mut(part)) {
                        out[from..from + size].copy_from_slice(x);
                    }
                    from += size;
                }
            }
        }
        Ok(())
    }

    /// Copies a register into one of at least as many parts and ciphertexts.
    fn spread(&self, (x, of_x): (&[u64], Shape), out: &mut [u64], shape: Shape) {
        let size = of_x.count * self.block;
        let part = shape.count * self.block;
        for (at, out) in out.chunks_exact_mut(part).enumerate() {
            if at >= of_x.parts {
                out.fill(0);
            } else {
                for out in out.chunks_exact_mut(size) {
                    out.copy_from_slice(&x[at * size..][..size]);
                }
            }
        }
    }

    /// Adds to or subtracts from a register of at least as many parts and ciphertexts.
    fn onto(
        &self,
        field: Field,
        (x, of_x): (&[u64], Shape),
        out: &mut [u64],
        shape: Shape,
        combine: fn(crate::ring::ntt::Path, crate::ring::modulus::Modulus, &mut [u64], &[u64]),
    ) {
        let size = of_x.count * self.block;
        let parts = x.chunks_exact(size);
        for (x, out) in parts.zip(out.chunks_exact_mut(shape.count * self.block)) {
            for out in out.chunks_exact_mut(size) {
                combine(self.program.path(), field.modulus, out, x);
            }
        }
    }

    /// The product as polynomials in the secret; one ciphertext goes with every other.
    fn product(
        &self,
        field: Field,
        (x, of_x): (&[u64], Shape),
        (y, of_y): (&[u64], Shape),
        out: &mut [u64],
        shape: Shape,
    ) {
        let part = shape.count * self.block;
        let (size_x, size_y) = (of_x.count * self.block, of_y.count * self.block);
        let step = size_x.min(size_y);
        let path = self.program.path();
        out.fill(0);
        for (i, x) in x.chunks_exact(size_x).enumerate() {
            for (j, y) in y.chunks_exact(size_y).enumerate() {
                let sums = &mut out[(i + j) * part..][..part];
                for (at, sums) in sums.chunks_exact_mut(step).enumerate() {
                    let x = &x[at * step % size_x..][..step];
                    let y = &y[at * step % size_y..][..step];
                    vector::mul_add_assign_with(path, field.modulus, sums, x, y);
                }
            }
        }
    }

    fn scale(&self, field: Field, prime: usize, scalars: &Scalars, out: &mut [u64], shape: Shape) {
        for (at, out) in out.chunks_exact_mut(self.block).enumerate() {
            let scalar = scalars.of(prime, at % shape.count);
            vector::mul_scalar_assign_with(self.program.path(), field.modulus, out, scalar);
        }
    }
}

/// What lies outside a range, under its old indices.
struct Rest<'a> {
    before: &'a [u64],
    after: &'a [u64],
    end: usize,
}

impl Rest<'_> {
    fn get(&self, range: Range<usize>) -> &[u64] {
        if range.end <= self.before.len() {
            &self.before[range]
        } else {
            &self.after[range.start - self.end..range.end - self.end]
        }
    }
}

/// A range to write, and the rest to read: registers that are live together do not overlap.
fn apart(scratch: &mut [u64], range: Range<usize>) -> (&mut [u64], Rest<'_>) {
    let end = range.end;
    let (before, others) = scratch.split_at_mut(range.start);
    let (out, after) = others.split_at_mut(end - range.start);
    (out, Rest { before, after, end })
}
