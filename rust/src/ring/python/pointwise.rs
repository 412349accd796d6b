//! Fused programs, as Python makes and runs them.

use std::sync::Arc;

use numpy::{PyArrayDyn, PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::{self, Words};
use super::held;
use super::params::PyParams;
use crate::ring::fault::Fault;
use crate::ring::params::Params;
use crate::ring::pointwise::program::{MOST_COUNT, Program};
use crate::ring::pointwise::run;
use crate::ring::pointwise::sparse::Sparse;

/// A program for ciphertexts of one level; see `pointwise/program.rs`. Every method that adds an
/// operation checks it and gives the register that it makes.
#[pyclass(name = "RingProgram", module = "hitoku._core")]
pub struct PyProgram {
    params: Arc<Params>,
    program: Program,
}

/// `[prime][count or 1]` from an array of two dimensions.
fn scalars(words: &Words<'_>) -> Result<Vec<Vec<u64>>, Fault> {
    let [primes, count] = *words.shape() else {
        return Err(Fault::new("scalar-shape"));
    };
    if count == 0 || count > MOST_COUNT {
        return Err(Fault::new("scalar-shape"));
    }
    let words = arrays::slice(words)?;
    let rows: Vec<Vec<u64>> = words.chunks_exact(count).map(<[u64]>::to_vec).collect();
    debug_assert_eq!(rows.len(), primes);
    Ok(rows)
}

#[pymethods]
impl PyProgram {
    #[new]
    fn new(params: &PyParams, level: usize) -> PyResult<Self> {
        let params = Arc::clone(&params.0);
        let primes = params.primes.get(..level);
        let primes = primes.ok_or_else(|| Fault::new("bad-level"))?;
        let program = Program::new(primes)?;
        Ok(Self { params, program })
    }

    fn input(&mut self, count: usize, parts: usize) -> PyResult<usize> {
        Ok(self.program.input(count, parts)?)
    }

    /// Rows of a sparse matrix: `starts[r]..starts[r + 1]` are row r's entries.
    fn matrix(
        &mut self,
        py: Python<'_>,
        a: usize,
        starts: PyReadonlyArray1<'_, u64>,
        columns: PyReadonlyArray1<'_, u32>,
        weights: PyReadonlyArray1<'_, i64>,
        bias: Option<Words<'_>>,
    ) -> PyResult<usize> {
        let uneven = |_| Fault::new("not-contiguous");
        let starts = starts.as_slice().map_err(uneven)?;
        let columns = columns.as_slice().map_err(uneven)?;
        let weights = weights.as_slice().map_err(uneven)?;
        let bias = bias.as_ref().map(scalars).transpose()?;
        let inputs = self.program.shape(a)?.count;
        let program = &mut self.program;
        Ok(py.detach(|| {
            let matrix = Sparse::new(inputs, starts, columns, weights)?;
            program.matrix(a, &matrix, bias)
        })?)
    }

    fn total(&mut self, a: usize) -> PyResult<usize> {
        Ok(self.program.total(a)?)
    }

    fn square(&mut self, a: usize) -> PyResult<usize> {
        Ok(self.program.square(a)?)
    }

    fn multiply(&mut self, a: usize, b: usize) -> PyResult<usize> {
        Ok(self.program.multiply(a, b)?)
    }

    fn add(&mut self, a: usize, b: usize) -> PyResult<usize> {
        Ok(self.program.add(a, b)?)
    }

    fn subtract(&mut self, a: usize, b: usize) -> PyResult<usize> {
        Ok(self.program.subtract(a, b)?)
    }

    fn negate(&mut self, a: usize) -> PyResult<usize> {
        Ok(self.program.negate(a)?)
    }

    fn add_scalar(&mut self, a: usize, residues: Words<'_>) -> PyResult<usize> {
        Ok(self.program.add_scalar(a, scalars(&residues)?)?)
    }

    fn multiply_scalar(&mut self, a: usize, residues: Words<'_>) -> PyResult<usize> {
        Ok(self.program.multiply_scalar(a, scalars(&residues)?)?)
    }

    fn take(&mut self, a: usize, indices: PyReadonlyArray1<'_, u32>) -> PyResult<usize> {
        let indices = indices
            .as_slice()
            .map_err(|_| Fault::new("not-contiguous"))?;
        Ok(self.program.take(a, indices)?)
    }

    fn concatenate(&mut self, values: Vec<usize>) -> PyResult<usize> {
        Ok(self.program.concatenate(&values)?)
    }

    fn output(&mut self, a: usize) -> PyResult<()> {
        Ok(self.program.output(a)?)
    }

    /// (count, parts) of a register.
    fn shape(&self, a: usize) -> PyResult<(usize, usize)> {
        let shape = self.program.shape(a)?;
        Ok((shape.count, shape.parts))
    }

    /// Bytes of scratch memory a thread, and residues to a block.
    #[getter]
    fn block(&self) -> (usize, usize) {
        run::room(&self.program, self.params.n())
    }

    /// Arrays `[count][parts][level][N]` (plaintexts without the second axis), one for each input and one
    /// for each output.
    fn run<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<PyReadonlyArrayDyn<'py, u64>>,
        threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyArrayDyn<u64>>>> {
        let (program, n) = (&self.program, self.params.n());
        let level = program.fields().len();
        if inputs.len() != program.inputs().len() {
            return Err(Fault::new("bad-inputs").into());
        }
        let mut words = Vec::with_capacity(inputs.len());
        for (at, (input, shape)) in inputs.iter().zip(program.inputs()).enumerate() {
            let fits = match *input.shape() {
                [count, of_level, of_n] => {
                    (count, 1, of_level, of_n) == (shape.count, shape.parts, level, n)
                }
                [count, parts, of_level, of_n] => {
                    (count, parts, of_level, of_n) == (shape.count, shape.parts, level, n)
                }
                _ => false,
            };
            if !fits {
                return Err(Fault::at("bad-shape", at).into());
            }
            words.push(arrays::slice(input)?);
        }
        let outputs = py.detach(|| run::run(program, n, &words, threads))?;
        let registers = program.outputs().iter();
        outputs
            .into_iter()
            .zip(registers)
            .map(|(words, &register)| {
                let shape = program.shape(register)?;
                let sides = [shape.count, shape.parts, level, n];
                // Of one part are plaintexts, which are not kept.
                match shape.parts {
                    0 | 1 => arrays::array(py, words, &sides),
                    _ => held::array(py, words, &sides),
                }
            })
            .collect()
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyProgram>()
}
