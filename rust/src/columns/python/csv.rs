//! CSV, as Python calls it.

use arrow_array::RecordBatch;
use arrow_data::ArrayData;
use arrow_pyarrow::PyArrowType;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::bytes;
use crate::columns::csv::parse::{NullRule, first_record, parse};
use crate::columns::csv::scan::boundary;
use crate::columns::csv::write;

/// Where the last whole CSV record ends, or None.
#[pyfunction]
fn csv_boundary(py: Python<'_>, chunk: &[u8]) -> Option<usize> {
    py.detach(|| boundary(chunk))
}

/// The fields of the first CSV record, and where the next record begins.
#[pyfunction]
fn csv_first_record(chunk: &[u8]) -> PyResult<(Vec<String>, usize)> {
    Ok(first_record(chunk)?)
}

/// Whole CSV records as a batch of the `wanted` fields.
#[pyfunction]
fn csv_parse(
    py: Python<'_>,
    chunk: &[u8],
    width: usize,
    wanted: Vec<usize>,
    null: Option<&str>,
) -> PyResult<PyArrowType<RecordBatch>> {
    let rule = NullRule::of(null);
    let batch = py.detach(|| parse(chunk, width, &wanted, &rule))?;
    Ok(PyArrowType(batch))
}

/// A batch of text columns as CSV records: an array of their bytes.
#[pyfunction]
fn csv_write(
    py: Python<'_>,
    batch: PyArrowType<RecordBatch>,
    null: &str,
) -> PyResult<PyArrowType<ArrayData>> {
    let out = py.detach(|| write::write(&batch.0, null))?;
    Ok(bytes(out))
}

/// One CSV record of these texts, with its line feed.
#[pyfunction]
fn csv_record<'py>(py: Python<'py>, fields: Vec<String>) -> Bound<'py, PyBytes> {
    let mut out = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write::push_field(&mut out, field);
    }
    out.push(b'\n');
    PyBytes::new(py, &out)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(csv_boundary, m)?)?;
    m.add_function(wrap_pyfunction!(csv_first_record, m)?)?;
    m.add_function(wrap_pyfunction!(csv_parse, m)?)?;
    m.add_function(wrap_pyfunction!(csv_write, m)?)?;
    m.add_function(wrap_pyfunction!(csv_record, m)?)?;
    Ok(())
}
