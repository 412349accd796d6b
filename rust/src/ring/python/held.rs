//! Ciphertexts as numpy arrays whose memory is kept for the next ones when Python lets go of them.

#![allow(unsafe_code)]

use std::mem;

use numpy::ndarray::{ArrayView, IxDyn};
use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays;
use crate::ring::fault::Fault;
use crate::ring::pages;

/// Owns an array's words; made here alone, and nothing reaches into it.
#[pyclass(frozen, module = "hitoku._core")]
struct Held {
    words: Vec<u64>,
}

impl Drop for Held {
    fn drop(&mut self) {
        pages::give(mem::take(&mut self.words));
    }
}

/// Words as a new array of this shape, whose product must be their number. Plaintexts go elsewhere.
pub fn array<'py>(
    py: Python<'py>,
    mut words: Vec<u64>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
    if 8 * words.len() < pages::LEAST_BYTES {
        return arrays::array(py, words, shape);
    }
    let (start, length) = (words.as_mut_ptr(), words.len());
    let held = Bound::new(py, Held { words })?;
    // SAFETY: `held` keeps the words where they are until it is dropped, which is after the array, whose base
    // it is; it has no method, so that nothing else reads or writes them. The pointer came from a mutable
    // borrow, and the slice that it becomes is not used after the array is made.
    let array = unsafe {
        let words = std::slice::from_raw_parts(start, length);
        let view =
            ArrayView::from_shape(IxDyn(shape), words).map_err(|_| Fault::new("bad-shape"))?;
        PyArrayDyn::borrow_from_array(&view, held.into_any())
    };
    debug_assert!(array.is_c_contiguous());
    Ok(array)
}
