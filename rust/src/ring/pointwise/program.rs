//! The byte-code: operations over registers of ciphertexts, in single assignment.
//!
//! A register holds `count` ciphertexts of `parts` parts each (a plaintext in NTT form is a ciphertext
//! of one part). Every operation works on each residue by itself, so a program may be run on any block
//! of residues of any prime. All indices, shapes and bounds are checked here, when an operation is
//! added; a `Program` that exists can be run.

use std::ops::Range;

use super::field::Field;
use super::plan::Plan;
use super::sparse::Sparse;
use crate::ring::fault::Fault;
use crate::ring::ntt::Path;

/// Parts a ciphertext may have, ciphertexts of a register, operations of a program.
pub const MOST_PARTS: usize = 8;
pub const MOST_COUNT: usize = 1 << 20;
pub const MOST_OPERATIONS: usize = 1 << 16;
/// Operations of a program whose registers are placed by size.
const MOST_SORTED: usize = 1 << 12;

/// A register's number: operations are numbered in order, and each makes one register.
pub type Register = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub count: usize,
    pub parts: usize,
}

impl Shape {
    /// Polynomials: one strip of residues each.
    pub fn strips(self) -> usize {
        self.count * self.parts
    }
}

/// Scalars modulo each prime: one for each ciphertext, or one for all.
#[derive(Debug, Clone)]
pub struct Scalars {
    /// `[prime][count or 1]`
    pub residues: Vec<Vec<u64>>,
}

impl Scalars {
    pub fn of(&self, prime: usize, index: usize) -> u64 {
        let all = &self.residues[prime];
        all[if all.len() == 1 { 0 } else { index }]
    }
}

#[derive(Debug, Clone)]
pub enum Op {
    Input(usize),
    Matrix(Register, Box<Plan>, Option<Scalars>),
    Square(Register),
    Multiply(Register, Register),
    Add(Register, Register),
    Subtract(Register, Register),
    Negate(Register),
    AddScalar(Register, Scalars),
    MultiplyScalar(Register, Scalars),
    Take(Register, Vec<u32>),
    Concatenate(Vec<Register>),
}

impl Op {
    pub fn operands(&self) -> Vec<Register> {
        match self {
            Op::Input(_) => vec![],
            Op::Multiply(a, b) | Op::Add(a, b) | Op::Subtract(a, b) => vec![*a, *b],
            Op::Concatenate(all) => all.clone(),
            Op::Matrix(a, ..)
            | Op::Square(a)
            | Op::Negate(a)
            | Op::AddScalar(a, _)
            | Op::MultiplyScalar(a, _)
            | Op::Take(a, _) => vec![*a],
        }
    }
}

/// A checked program for ciphertexts modulo the primes it was made for.
#[derive(Debug, Clone)]
pub struct Program {
    path: Path,
    fields: Vec<Field>,
    inputs: Vec<Shape>,
    ops: Vec<Op>,
    shapes: Vec<Shape>,
    outputs: Vec<Register>,
}

impl Program {
    /// An empty program for ciphertexts modulo these primes, on the processor's fastest path.
    pub fn new(primes: &[u64]) -> Result<Self, Fault> {
        Self::with(Path::best(), primes)
    }

    pub fn with(path: Path, primes: &[u64]) -> Result<Self, Fault> {
        if !path.is_available() {
            return Err(Fault::new("no-such-path"));
        }
        if primes.is_empty() || primes.len() > crate::ring::params::MOST_PRIMES {
            return Err(Fault::new("bad-prime-count"));
        }
        let fields = primes
            .iter()
            .enumerate()
            .map(|(at, &q)| Field::new(q).ok_or_else(|| Fault::at("bad-prime", at)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path,
            fields,
            inputs: vec![],
            ops: vec![],
            shapes: vec![],
            outputs: vec![],
        })
    }

    pub fn path(&self) -> Path {
        self.path
    }

    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub fn inputs(&self) -> &[Shape] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[Register] {
        &self.outputs
    }

    pub fn shape(&self, register: Register) -> Result<Shape, Fault> {
        let shape = self.shapes.get(register).copied();
        shape.ok_or_else(|| Fault::at("bad-register", register))
    }

    /// For each register the last operation that reads it; outputs are read by operation `ops.len()`.
    pub fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.ops.len()).collect();
        for (at, op) in self.ops.iter().enumerate() {
            for register in op.operands() {
                last[register] = at;
            }
        }
        for &register in &self.outputs {
            last[register] = self.ops.len();
        }
        last
    }

    fn push(&mut self, op: Op, count: usize, parts: usize) -> Result<Register, Fault> {
        if self.ops.len() >= MOST_OPERATIONS {
            return Err(Fault::new("too-many-operations"));
        }
        if !(1..=MOST_COUNT).contains(&count) {
            return Err(Fault::new("bad-count"));
        }
        if !(1..=MOST_PARTS).contains(&parts) {
            return Err(Fault::new("bad-parts"));
        }
        self.ops.push(op);
        self.shapes.push(Shape { count, parts });
        Ok(self.ops.len() - 1)
    }

    /// The next of the arrays that a run is given.
    pub fn input(&mut self, count: usize, parts: usize) -> Result<Register, Fault> {
        let register = self.push(Op::Input(self.inputs.len()), count, parts)?;
        self.inputs.push(Shape { count, parts });
        Ok(register)
    }

    /// Integer combinations of ciphertexts; `bias` is added to part 0 of each.
    pub fn matrix(
        &mut self,
        a: Register,
        matrix: &Sparse,
        bias: Option<Vec<Vec<u64>>>,
    ) -> Result<Register, Fault> {
        let shape = self.shape(a)?;
        if matrix.inputs() != shape.count {
            return Err(Fault::new("matrix-shape"));
        }
        let outputs = matrix.outputs();
        let bias = bias.map(|all| self.scalars(all, outputs)).transpose()?;
        let plan = Box::new(Plan::new(matrix, &self.fields, self.path));
        self.push(Op::Matrix(a, plan, bias), outputs, shape.parts)
    }

    /// The sum of all ciphertexts of a register.
    pub fn total(&mut self, a: Register) -> Result<Register, Fault> {
        let ones = Sparse::ones(self.shape(a)?.count)?;
        self.matrix(a, &ones, None)
    }

    pub fn square(&mut self, a: Register) -> Result<Register, Fault> {
        let shape = self.shape(a)?;
        self.push(Op::Square(a), shape.count, 2 * shape.parts - 1)
    }

    /// The product of polynomials in the secret key: parts a + b - 1. A register of one ciphertext
    /// goes with every one of the other's.
    pub fn multiply(&mut self, a: Register, b: Register) -> Result<Register, Fault> {
        let (left, right) = (self.shape(a)?, self.shape(b)?);
        let count = common(left.count, right.count)?;
        self.push(Op::Multiply(a, b), count, left.parts + right.parts - 1)
    }

    /// A register with fewer parts counts as having zeroes there.
    pub fn add(&mut self, a: Register, b: Register) -> Result<Register, Fault> {
        let (left, right) = (self.shape(a)?, self.shape(b)?);
        let count = common(left.count, right.count)?;
        self.push(Op::Add(a, b), count, left.parts.max(right.parts))
    }

    pub fn subtract(&mut self, a: Register, b: Register) -> Result<Register, Fault> {
        let (left, right) = (self.shape(a)?, self.shape(b)?);
        let count = common(left.count, right.count)?;
        self.push(Op::Subtract(a, b), count, left.parts.max(right.parts))
    }

    pub fn negate(&mut self, a: Register) -> Result<Register, Fault> {
        let shape = self.shape(a)?;
        self.push(Op::Negate(a), shape.count, shape.parts)
    }

    /// Adds a constant polynomial, the same constant in every slot, to part 0.
    pub fn add_scalar(&mut self, a: Register, scalars: Vec<Vec<u64>>) -> Result<Register, Fault> {
        let shape = self.shape(a)?;
        let scalars = self.scalars(scalars, shape.count)?;
        self.push(Op::AddScalar(a, scalars), shape.count, shape.parts)
    }

    pub fn multiply_scalar(
        &mut self,
        a: Register,
        scalars: Vec<Vec<u64>>,
    ) -> Result<Register, Fault> {
        let shape = self.shape(a)?;
        let scalars = self.scalars(scalars, shape.count)?;
        self.push(Op::MultiplyScalar(a, scalars), shape.count, shape.parts)
    }

    pub fn take(&mut self, a: Register, indices: &[u32]) -> Result<Register, Fault> {
        let shape = self.shape(a)?;
        if let Some(at) = indices.iter().position(|&i| i as usize >= shape.count) {
            return Err(Fault::at("bad-index", at));
        }
        self.push(Op::Take(a, indices.to_vec()), indices.len(), shape.parts)
    }

    pub fn concatenate(&mut self, all: &[Register]) -> Result<Register, Fault> {
        let first = *all.first().ok_or_else(|| Fault::new("bad-count"))?;
        let parts = self.shape(first)?.parts;
        let mut count = 0;
        for &register in all {
            let shape = self.shape(register)?;
            if shape.parts != parts {
                return Err(Fault::new("bad-parts"));
            }
            count += shape.count;
            if count > MOST_COUNT {
                return Err(Fault::new("bad-count"));
            }
        }
        self.push(Op::Concatenate(all.to_vec()), count, parts)
    }

    /// A register that a run returns; the same may be returned more than once.
    pub fn output(&mut self, a: Register) -> Result<(), Fault> {
        self.shape(a)?;
        if self.outputs.len() >= MOST_OPERATIONS {
            return Err(Fault::new("too-many-operations"));
        }
        self.outputs.push(a);
        Ok(())
    }

    /// Checks `[prime][count or 1]` residues.
    fn scalars(&self, residues: Vec<Vec<u64>>, count: usize) -> Result<Scalars, Fault> {
        if residues.len() != self.fields.len() {
            return Err(Fault::new("scalar-shape"));
        }
        for (at, (all, field)) in residues.iter().zip(&self.fields).enumerate() {
            if all.len() != 1 && all.len() != count {
                return Err(Fault::new("scalar-shape"));
            }
            if all.iter().any(|&x| x >= field.modulus.value()) {
                return Err(Fault::at("not-reduced", at));
            }
        }
        Ok(Scalars { residues })
    }
}

fn common(a: usize, b: usize) -> Result<usize, Fault> {
    if a == b || b == 1 {
        Ok(a)
    } else if a == 1 {
        Ok(b)
    } else {
        Err(Fault::new("uneven-counts"))
    }
}

/// Where each register lies in a block's scratch memory, in strips, and how many strips it takes.
#[derive(Debug, Clone)]
pub struct Layout {
    pub places: Vec<Range<usize>>,
    pub strips: usize,
}

impl Layout {
    /// The largest registers are placed first, each as low as those allow whose lives meet its own: it
    /// lives from its operation to the last one that reads it.
    pub fn new(program: &Program) -> Self {
        let last = program.last_uses();
        let size = |register: usize| program.shapes[register].strips();
        let mut order: Vec<usize> = (0..last.len()).collect();
        // Very long programs are placed in order: the other way's time grows with the square.
        if order.len() <= MOST_SORTED {
            order.sort_by_key(|&register| std::cmp::Reverse(size(register)));
        }
        let mut places = vec![0..0; last.len()];
        let mut strips = 0;
        // (place, birth, last use), by place.
        let mut placed: Vec<(Range<usize>, usize, usize)> = Vec::with_capacity(last.len());
        for register in order {
            let mut start = 0;
            for (place, birth, until) in &placed {
                if last[register] < *birth || *until < register {
                    continue;
                }
                if start + size(register) <= place.start {
                    break;
                }
                start = start.max(place.end);
            }
            let place = start..start + size(register);
            strips = strips.max(place.end);
            places[register] = place.clone();
            let index = placed.partition_point(|(other, ..)| other.start < start);
            placed.insert(index, (place, register, last[register]));
            if program.ops.len() > MOST_SORTED {
                placed.retain(|(.., until)| *until >= register);
            }
        }
        Self { places, strips }
    }
}
