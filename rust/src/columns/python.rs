//! The door to Python: takes Arrow arrays as they lie, lets other threads run, gives arrays back.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray, make_array};
use arrow_data::ArrayData;
use arrow_pyarrow::PyArrowType;
use arrow_schema::{DataType, Schema};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use super::csv::parse::{NullRule, first_record, parse};
use super::csv::scan::boundary;
use super::csv::write;
use super::distinct::Distinct;
use super::fault::{CellError, Fault, SpillError};
use super::fingerprint::fingerprint;
use super::rows::RowFormat;
use super::seal::{Sealing, longest, seal};
use super::shuffle::{Bucket, Shuffle};
use super::typed::open_typed;
use super::unseal::{Kind, kind, open_text, sealed_type};
use super::value::Cells;

fn key(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, Fault> {
    <[u8; 32]>::try_from(bytes)
        .map(Zeroizing::new)
        .map_err(|_| Fault::new("bad-key"))
}

fn text(array: &ArrayData) -> Result<StringArray, Fault> {
    if array.data_type() == &DataType::Utf8 {
        Ok(make_array(array.clone()).as_string::<i32>().clone())
    } else {
        Err(Fault::new("unsupported-type"))
    }
}

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
    let made = py.detach(|| fingerprint(&make_array(array.0), &key, preserve_nulls))?;
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
        seal(&columns, &root, preserve_nulls)
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

/// A batch of text columns as CSV records.
#[pyfunction]
fn csv_write<'py>(
    py: Python<'py>,
    batch: PyArrowType<RecordBatch>,
    null: &str,
    plain: Vec<bool>,
) -> PyResult<Bound<'py, PyBytes>> {
    let out = py.detach(|| write::write(&batch.0, null, &plain))?;
    Ok(PyBytes::new(py, &out))
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

/// Rows in a uniformly random order; see `shuffle.rs`.
#[pyclass(name = "Shuffle", module = "hitoku._core", frozen)]
struct PyShuffle(Shuffle);

#[pymethods]
impl PyShuffle {
    #[new]
    fn new(
        schema: PyArrowType<Schema>,
        buckets: usize,
        memory: usize,
        directory: PathBuf,
    ) -> PyResult<Self> {
        let format = Arc::new(RowFormat::new(Arc::new(schema.0))?);
        Ok(Self(Shuffle::new(format, buckets, memory, directory)?))
    }

    #[getter]
    fn buckets(&self) -> usize {
        self.0.spill().slots()
    }

    #[getter]
    fn spilled(&self) -> bool {
        self.0.spill().spilled()
    }

    fn bucket_bytes(&self, bucket: usize) -> u64 {
        self.0.spill().bytes(bucket)
    }

    fn push(&self, py: Python<'_>, batch: PyArrowType<RecordBatch>) -> PyResult<()> {
        Ok(py.detach(|| self.0.push(&batch.0))?)
    }

    fn split(&self, py: Python<'_>, bucket: usize, ways: usize) -> PyResult<Self> {
        Ok(Self(py.detach(|| self.0.split(bucket, ways))?))
    }

    fn take(&self, py: Python<'_>, bucket: usize) -> PyResult<PyBucket> {
        Ok(PyBucket(py.detach(|| self.0.take(bucket))?))
    }
}

/// One bucket of a `Shuffle`, in its final order.
#[pyclass(name = "Bucket", module = "hitoku._core", frozen)]
struct PyBucket(Bucket);

#[pymethods]
impl PyBucket {
    #[getter]
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn slice(
        &self,
        py: Python<'_>,
        start: usize,
        count: usize,
    ) -> PyResult<PyArrowType<RecordBatch>> {
        Ok(PyArrowType(py.detach(|| self.0.slice(start, count))?))
    }
}

/// Whether a fingerprint stands twice in a column; see `distinct.rs`.
#[pyclass(name = "Distinct", module = "hitoku._core", frozen)]
struct PyDistinct(Distinct);

#[pymethods]
impl PyDistinct {
    #[new]
    fn new(columns: usize, partitions: usize, memory: usize, directory: PathBuf) -> PyResult<Self> {
        Ok(Self(Distinct::new(columns, partitions, memory, directory)?))
    }

    #[getter]
    fn partitions(&self) -> usize {
        self.0.partitions()
    }

    fn push(
        &self,
        py: Python<'_>,
        column: usize,
        fingerprints: PyArrowType<ArrayData>,
    ) -> PyResult<()> {
        Ok(py.detach(|| -> Result<(), SpillError> {
            self.0.push(column, &text(&fingerprints.0)?)
        })?)
    }

    fn repeats(&self, py: Python<'_>, column: usize, partition: usize) -> PyResult<bool> {
        Ok(py.detach(|| self.0.repeats(column, partition))?)
    }
}

/// Adds everything of this folder to the extension module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("CellError", m.py().get_type::<CellError>())?;
    m.add_function(wrap_pyfunction!(py_fingerprint, m)?)?;
    m.add_function(wrap_pyfunction!(py_seal, m)?)?;
    m.add_function(wrap_pyfunction!(measure, m)?)?;
    m.add_function(wrap_pyfunction!(type_indexes, m)?)?;
    m.add_function(wrap_pyfunction!(unseal_text, m)?)?;
    m.add_function(wrap_pyfunction!(unseal_typed, m)?)?;
    m.add_function(wrap_pyfunction!(unseal_type, m)?)?;
    m.add_function(wrap_pyfunction!(count_kinds, m)?)?;
    m.add_function(wrap_pyfunction!(csv_boundary, m)?)?;
    m.add_function(wrap_pyfunction!(csv_first_record, m)?)?;
    m.add_function(wrap_pyfunction!(csv_parse, m)?)?;
    m.add_function(wrap_pyfunction!(csv_write, m)?)?;
    m.add_function(wrap_pyfunction!(csv_record, m)?)?;
    m.add_class::<PyShuffle>()?;
    m.add_class::<PyBucket>()?;
    m.add_class::<PyDistinct>()
}
