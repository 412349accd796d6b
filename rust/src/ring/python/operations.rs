//! Operations on ciphertexts, as Python calls them.

use numpy::PyArrayDyn;
use pyo3::prelude::*;

use super::arrays::{self, Words};
use super::held;
use super::keys::{PyRelinearisationKey, PyRotationKeys};
use super::params::PyParams;
use crate::ring::evaluate::{self, Pairwise, Shape, WithPlain};
use crate::ring::fault::Fault;
use crate::ring::params::Params;

type Out<'py> = PyResult<Bound<'py, PyArrayDyn<u64>>>;

fn made<'py>(py: Python<'py>, words: Vec<u64>, shape: Shape) -> Out<'py> {
    held::array(py, words, &[shape.count, shape.parts, shape.level, shape.n])
}

/// `left + right`, or `left - right`.
#[pyfunction]
fn ring_add<'py>(
    py: Python<'py>,
    params: &PyParams,
    left: Words<'py>,
    right: Words<'py>,
    subtract: bool,
    threads: usize,
) -> Out<'py> {
    let params: &Params = &params.0;
    let left = arrays::ciphertexts(params, &left)?;
    let right = arrays::ciphertexts(params, &right)?;
    let (x, y) = (left.1, right.1);
    if (x.count, x.level) != (y.count, y.level) {
        return Err(Fault::new("bad-shape").into());
    }
    let operation = if subtract {
        Pairwise::Subtract
    } else {
        Pairwise::Add
    };
    let parts = x.parts.max(y.parts);
    let words = py.detach(|| evaluate::add(params, operation, left, right, threads))?;
    made(py, words, Shape { parts, ..x })
}

#[pyfunction]
fn ring_negate<'py>(py: Python<'py>, params: &PyParams, x: Words<'py>, threads: usize) -> Out<'py> {
    let params: &Params = &params.0;
    let (x, shape) = arrays::ciphertexts(params, &x)?;
    let words = py.detach(|| evaluate::negate(params, x, shape, threads))?;
    made(py, words, shape)
}

/// With a plaintext for each row or one for all: `add`, `subtract` or `multiply`.
#[pyfunction]
fn ring_plain<'py>(
    py: Python<'py>,
    params: &PyParams,
    operation: &str,
    x: Words<'py>,
    plain: Words<'py>,
    threads: usize,
) -> Out<'py> {
    let params: &Params = &params.0;
    let operation = match operation {
        "add" => WithPlain::Add,
        "subtract" => WithPlain::Subtract,
        "multiply" => WithPlain::Multiply,
        _ => return Err(Fault::new("bad-operation").into()),
    };
    let x = arrays::ciphertexts(params, &x)?;
    let (plain, of_plain) = arrays::plaintexts(params, &plain)?;
    let fits = of_plain.count == x.1.count || of_plain.count == 1;
    if !fits || of_plain.level != x.1.level {
        return Err(Fault::new("bad-shape").into());
    }
    let words = py.detach(|| evaluate::with_plain(params, operation, x, plain, threads))?;
    made(py, words, x.1)
}

#[pyfunction]
fn ring_multiply<'py>(
    py: Python<'py>,
    params: &PyParams,
    left: Words<'py>,
    right: Words<'py>,
    threads: usize,
) -> Out<'py> {
    let params: &Params = &params.0;
    let (x, shape) = arrays::ciphertexts(params, &left)?;
    let (y, other) = arrays::ciphertexts(params, &right)?;
    if shape != other {
        return Err(Fault::new("bad-shape").into());
    }
    if shape.parts != 2 {
        return Err(Fault::new("bad-parts").into());
    }
    let words = py.detach(|| evaluate::multiply(params, x, y, shape, threads))?;
    made(py, words, Shape { parts: 3, ..shape })
}

#[pyfunction]
fn ring_square<'py>(py: Python<'py>, params: &PyParams, x: Words<'py>, threads: usize) -> Out<'py> {
    let params: &Params = &params.0;
    let (x, shape) = arrays::ciphertexts(params, &x)?;
    if shape.parts != 2 {
        return Err(Fault::new("bad-parts").into());
    }
    let words = py.detach(|| evaluate::square(params, x, shape, threads))?;
    made(py, words, Shape { parts: 3, ..shape })
}

#[pyfunction]
fn ring_relinearise<'py>(
    py: Python<'py>,
    params: &PyParams,
    x: Words<'py>,
    key: &PyRelinearisationKey,
    threads: usize,
) -> Out<'py> {
    let params: &Params = &params.0;
    let (x, shape) = arrays::ciphertexts(params, &x)?;
    if shape.parts < 3 {
        return Err(Fault::new("bad-parts").into());
    }
    key.0.fits(params)?;
    let words = py.detach(|| evaluate::relinearise(params, x, shape, &key.0, threads))?;
    made(py, words, Shape { parts: 2, ..shape })
}

#[pyfunction]
fn ring_rescale<'py>(
    py: Python<'py>,
    params: &PyParams,
    x: Words<'py>,
    threads: usize,
) -> Out<'py> {
    let params: &Params = &params.0;
    let (x, shape) = arrays::ciphertexts(params, &x)?;
    if shape.level < 2 {
        return Err(Fault::new("bad-level").into());
    }
    let words = py.detach(|| evaluate::rescale(params, x, shape, threads))?;
    made(
        py,
        words,
        Shape {
            level: shape.level - 1,
            ..shape
        },
    )
}

#[pyfunction]
fn ring_drop<'py>(
    py: Python<'py>,
    params: &PyParams,
    x: Words<'py>,
    level: usize,
    threads: usize,
) -> Out<'py> {
    let (x, shape) = arrays::ciphertexts(&params.0, &x)?;
    if !(1..=shape.level).contains(&level) {
        return Err(Fault::new("bad-level").into());
    }
    let words = py.detach(|| evaluate::drop_to(x, shape, level, threads))?;
    made(py, words, Shape { level, ..shape })
}

/// One array a step, over one decomposition of each ciphertext.
#[pyfunction]
fn ring_rotate<'py>(
    py: Python<'py>,
    params: &PyParams,
    x: Words<'py>,
    steps: Vec<i64>,
    keys: &PyRotationKeys,
    threads: usize,
) -> PyResult<Vec<Bound<'py, PyArrayDyn<u64>>>> {
    let params: &Params = &params.0;
    let (x, shape) = arrays::ciphertexts(params, &x)?;
    if shape.parts != 2 {
        return Err(Fault::new("bad-parts").into());
    }
    let keys = &keys.0;
    let mut chosen = Vec::with_capacity(steps.len());
    for step in steps {
        let (galois, key) = keys.get(step)?;
        key.fits(params)?;
        chosen.push((galois, &**key));
    }
    let rotated = py.detach(|| evaluate::rotate(params, x, shape, &chosen, threads))?;
    rotated
        .into_iter()
        .map(|words| made(py, words, shape))
        .collect()
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(ring_add, m)?)?;
    m.add_function(wrap_pyfunction!(ring_negate, m)?)?;
    m.add_function(wrap_pyfunction!(ring_plain, m)?)?;
    m.add_function(wrap_pyfunction!(ring_multiply, m)?)?;
    m.add_function(wrap_pyfunction!(ring_square, m)?)?;
    m.add_function(wrap_pyfunction!(ring_relinearise, m)?)?;
    m.add_function(wrap_pyfunction!(ring_rescale, m)?)?;
    m.add_function(wrap_pyfunction!(ring_drop, m)?)?;
    m.add_function(wrap_pyfunction!(ring_rotate, m)?)?;
    Ok(())
}
