//! numpy arrays as slices with checked shapes, and vectors as numpy arrays; no copies.

use numpy::{
    Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::ring::evaluate::Shape;
use crate::ring::fault::Fault;
use crate::ring::params::Params;

pub type Words<'py> = PyReadonlyArrayDyn<'py, u64>;
pub type Reals<'py> = PyReadonlyArrayDyn<'py, f64>;

/// As many as the fused kernel makes (`pointwise::program::MOST_PARTS`).
pub const MOST_PARTS: usize = 8;

/// The entries of a C-contiguous array.
pub fn slice<'a, T: Element>(array: &'a PyReadonlyArrayDyn<'_, T>) -> Result<&'a [T], Fault> {
    array.as_slice().map_err(|_| Fault::new("not-contiguous"))
}

/// Ciphertexts `[count][parts][level][N]`.
pub fn ciphertexts<'a>(params: &Params, array: &'a Words<'_>) -> Result<(&'a [u64], Shape), Fault> {
    let [count, parts, level, n] = *array.shape() else {
        return Err(Fault::new("bad-shape"));
    };
    let shape = Shape {
        count,
        parts,
        level,
        n,
    };
    if n != params.n() || !(1..=params.levels()).contains(&level) {
        return Err(Fault::new("bad-shape"));
    }
    if !(2..=MOST_PARTS).contains(&parts) {
        return Err(Fault::new("bad-parts"));
    }
    Ok((slice(array)?, shape))
}

/// Plaintexts `[count][level][N]`, as ciphertexts of one part.
pub fn plaintexts<'a>(params: &Params, array: &'a Words<'_>) -> Result<(&'a [u64], Shape), Fault> {
    let [count, level, n] = *array.shape() else {
        return Err(Fault::new("bad-shape"));
    };
    if n != params.n() || !(1..=params.levels()).contains(&level) {
        return Err(Fault::new("bad-shape"));
    }
    let shape = Shape {
        count,
        parts: 1,
        level,
        n,
    };
    Ok((slice(array)?, shape))
}

/// Entries as a new array of this shape, whose product must be their number.
pub fn array<'py, T: Element>(
    py: Python<'py>,
    entries: Vec<T>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    PyArray1::from_vec(py, entries).reshape(shape.to_vec())
}
