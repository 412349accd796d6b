//! Kernels over whole columns, as Python calls them.

use arrow_array::{Array, make_array};
use arrow_data::ArrayData;
use arrow_pyarrow::PyArrowType;
use arrow_schema::DataType;
use pyo3::prelude::*;

use super::{key, text};
use crate::columns::fault::Fault;
use crate::columns::fingerprint::fingerprint_into;
use crate::columns::hash::Mac;
use crate::columns::seal::{Sealing, longest, seal_into};
use crate::columns::texts::Texts;
use crate::columns::typed::open_typed;
use crate::columns::unseal::{Kind, kind, open_text, sealed_type};
use crate::columns::value::Cells;

/// The fingerprints of a column.
#[pyfunction]
#[pyo3(name = "fingerprint")]
fn py_fingerprint(
    py: Python<'_>,
    array: PyArrowType<ArrayData>,
    key_bytes: &[u8],
    preserve_nulls: bool,
) -> PyResult<PyArrowType<ArrayData>> {
    let key = key(key_bytes)?;
    let made = py.detach(|| {
        let mut out = Texts::default();
        let mac = Mac::new(&key);
        fingerprint_into(&make_array(array.0), &mac, preserve_nulls, &mut out, |_| {})?;
        out.into_array()
    })?;
    Ok(PyArrowType(made.into_data()))
}

/// Several columns of a batch sealed. A pad of None leaves the length as it is.
#[pyfunction]
#[pyo3(name = "seal")]
fn py_seal(
    py: Python<'_>,
    arrays: Vec<PyArrowType<ArrayData>>,
    headers: Vec<String>,
    pads: Vec<Option<usize>>,
    root: &[u8],
    preserve_nulls: bool,
) -> PyResult<Vec<PyArrowType<ArrayData>>> {
    if arrays.len() != headers.len() || arrays.len() != pads.len() {
        return Err(Fault::new("uneven-columns").into());
    }
    let root = key(root)?;
    let sealed = py.detach(|| {
        let arrays: Vec<_> = arrays.into_iter().map(|a| make_array(a.0)).collect();
        let columns: Vec<Sealing<'_>> = arrays
            .iter()
            .zip(&headers)
            .zip(&pads)
            .map(|((array, header), pad_to)| Sealing {
                array,
                header,
                pad_to: *pad_to,
            })
            .collect();
        let mut outs: Vec<Texts> = columns.iter().map(|_| Texts::default()).collect();
        seal_into(&columns, &root, preserve_nulls, &mut outs)?;
        outs.into_iter()
            .map(Texts::into_array)
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(sealed
        .into_iter()
        .map(|array| PyArrowType(array.into_data()))
        .collect())
}

/// The longest encoded cell, the first row above `limit` (or None), and the NULLs.
#[pyfunction]
fn measure(
    py: Python<'_>,
    array: PyArrowType<ArrayData>,
    limit: usize,
) -> PyResult<(usize, Option<usize>, usize)> {
    let (most, over, nulls) = py.detach(|| {
        let array = make_array(array.0);
        longest(&array, limit).map(|(most, over)| (most, over, array.null_count()))
    })?;
    Ok((most, over, nulls))
}

/// The format's type index of an array's type, and that of its equivalence class or None.
#[pyfunction]
fn type_indexes(array: PyArrowType<ArrayData>) -> PyResult<(u8, Option<u8>)> {
    let array = make_array(array.0);
    let cells = Cells::of(&array)?;
    Ok((cells.type_index(), cells.class_index().ok()))
}

/// A text column with its sealed values opened as text, and how many fingerprints passed through.
#[pyfunction]
fn unseal_text(
    py: Python<'_>,
    array: PyArrowType<ArrayData>,
    root: &[u8],
) -> PyResult<(PyArrowType<ArrayData>, u64)> {
    let root = key(root)?;
    let (opened, fingerprints) = py.detach(|| open_text(&text(&array.0)?, &root))?;
    Ok((PyArrowType(opened.into_data()), fingerprints))
}

/// A text column of sealed values opened as `wanted`.
#[pyfunction]
fn unseal_typed(
    py: Python<'_>,
    array: PyArrowType<ArrayData>,
    root: &[u8],
    wanted: PyArrowType<DataType>,
) -> PyResult<PyArrowType<ArrayData>> {
    let root = key(root)?;
    let opened = py.detach(|| open_typed(&text(&array.0)?, &root, &wanted.0))?;
    Ok(PyArrowType(opened.to_data()))
}

/// The name of the type that the sealed values of a column carry, or None.
#[pyfunction]
fn unseal_type(
    py: Python<'_>,
    array: PyArrowType<ArrayData>,
    root: &[u8],
) -> PyResult<Option<String>> {
    let root = key(root)?;
    Ok(py.detach(|| sealed_type(&text(&array.0)?, &root))?)
}

/// How many values of a text column are sealed, and how many are fingerprints.
#[pyfunction]
fn count_kinds(py: Python<'_>, array: PyArrowType<ArrayData>) -> PyResult<(usize, usize)> {
    Ok(py.detach(|| {
        let (mut sealed, mut fingerprints) = (0, 0);
        for (row, value) in text(&array.0)?.iter().enumerate() {
            match value
                .map(kind)
                .transpose()
                .map_err(|f| Fault::at(f.code, row))?
            {
                Some(Kind::Sealed) => sealed += 1,
                Some(Kind::Fingerprint) => fingerprints += 1,
                _ => {}
            }
        }
        Ok::<_, Fault>((sealed, fingerprints))
    })?)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(py_fingerprint, m)?)?;
    m.add_function(wrap_pyfunction!(py_seal, m)?)?;
    m.add_function(wrap_pyfunction!(measure, m)?)?;
    m.add_function(wrap_pyfunction!(type_indexes, m)?)?;
    m.add_function(wrap_pyfunction!(unseal_text, m)?)?;
    m.add_function(wrap_pyfunction!(unseal_typed, m)?)?;
    m.add_function(wrap_pyfunction!(unseal_type, m)?)?;
    m.add_function(wrap_pyfunction!(count_kinds, m)?)?;
    Ok(())
}
