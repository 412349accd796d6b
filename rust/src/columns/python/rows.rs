//! Objects that hold rows, as Python calls them.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_pyarrow::PyArrowType;
use arrow_schema::Schema;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use super::key;
use crate::columns::distinct::Distinct;
use crate::columns::fault::{Fault, SpillError};
use crate::columns::hash::Mac;
use crate::columns::protect::{Job, Protect, Target};
use crate::columns::rows::RowFormat;
use crate::columns::shuffle::{Bucket, Shuffle};

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
struct PyDistinct(Arc<Distinct>);

#[pymethods]
impl PyDistinct {
    #[new]
    fn new(columns: usize, partitions: usize, memory: usize, directory: PathBuf) -> PyResult<Self> {
        let distinct = Distinct::new(columns, partitions, memory, directory)?;
        Ok(Self(Arc::new(distinct)))
    }

    #[getter]
    fn partitions(&self) -> usize {
        self.0.partitions()
    }

    fn repeats(&self, py: Python<'_>, column: usize, partition: usize) -> PyResult<bool> {
        Ok(py.detach(|| self.0.repeats(column, partition))?)
    }
}

/// Kind, input column, header, pad of a sealed column, key of a fingerprint column.
type Column = (String, usize, String, Option<usize>, Option<Vec<u8>>);

/// What becomes of every column; see `protect.rs`.
#[pyclass(name = "Protect", module = "hitoku._core", frozen)]
struct PyProtect {
    protect: Protect,
    schema: Arc<Schema>,
}

#[pymethods]
impl PyProtect {
    /// `columns` are the output's, in order.
    #[new]
    fn new(
        columns: Vec<Column>,
        schema: PyArrowType<Schema>,
        root: &[u8],
        preserve_nulls: bool,
        distinct: Option<&PyDistinct>,
    ) -> PyResult<Self> {
        let targets = columns
            .into_iter()
            .map(|(kind, slot, header, pad_to, secret)| {
                let job = match (kind.as_str(), secret.map(Zeroizing::new)) {
                    ("fingerprint", Some(secret)) => Job::Fingerprint(Mac::new(&*key(&secret)?)),
                    ("sealed", None) => Job::Sealed { header, pad_to },
                    ("cleartext", None) => Job::Cleartext,
                    _ => return Err(Fault::new("internal")),
                };
                Ok(Target { slot, job })
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok(Self {
            protect: Protect {
                targets,
                root: key(root)?,
                preserve_nulls,
                distinct: distinct.map(|distinct| Arc::clone(&distinct.0)),
            },
            schema: Arc::new(schema.0),
        })
    }

    /// The output columns of a part of a bucket.
    fn batch(
        &self,
        py: Python<'_>,
        bucket: &PyBucket,
        start: usize,
        count: usize,
    ) -> PyResult<PyArrowType<RecordBatch>> {
        let made = py.detach(|| {
            let batch = bucket.0.slice(start, count)?;
            self.protect.batch(&batch, Arc::clone(&self.schema))
        })?;
        Ok(PyArrowType(made))
    }

    /// Appends a bucket to a file that exists, as CSV records. Cleartext must be text.
    fn append(&self, py: Python<'_>, bucket: &PyBucket, null: &str, path: PathBuf) -> PyResult<()> {
        Ok(py.detach(|| -> Result<(), SpillError> {
            let file = File::options().append(true).open(path)?;
            self.protect.append(&bucket.0, null, &file)
        })?)
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyShuffle>()?;
    m.add_class::<PyBucket>()?;
    m.add_class::<PyDistinct>()?;
    m.add_class::<PyProtect>()
}
