//! Sorting, joining and adding up, as Python calls them.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use arrow_array::types::UInt64Type;
use arrow_array::{Array, PrimitiveArray};
use arrow_pyarrow::PyArrowType;
use pyo3::prelude::*;

use super::{Arrow, Records, column, groups};
use crate::columns::fault::{Fault, SpillError};
use crate::group::elgamal::CIPHERTEXT;
use crate::group::join::{Matches, Side, join};
use crate::group::order::{first_disorder, first_repeat, sort};
use crate::group::records::interleave;
use crate::group::sorter::Sorter;
use crate::group::sums::Sums;

/// Records in the order of their bytes.
#[pyfunction]
fn records_sort(py: Python<'_>, records: Arrow, threads: usize) -> PyResult<Arrow> {
    let made = py.detach(|| {
        let records = Records::of(records)?;
        column(
            sort(records.bytes(), records.width, threads)?,
            records.width,
        )
    })?;
    Ok(made)
}

/// The first row whose first `length` bytes stand before it already, or None.
#[pyfunction]
fn records_first_repeat(
    py: Python<'_>,
    records: Arrow,
    length: usize,
    threads: usize,
) -> PyResult<Option<usize>> {
    Ok(py.detach(|| {
        let records = Records::of(records)?;
        first_repeat(records.bytes(), records.width, length, threads)
    })?)
}

/// The first row that is not above the one before it by its first `length` bytes, or None.
#[pyfunction]
fn records_first_disorder(
    py: Python<'_>,
    records: Arrow,
    length: usize,
) -> PyResult<Option<usize>> {
    Ok(py.detach(|| {
        let records = Records::of(records)?;
        first_disorder(records.bytes(), records.width, length)
    })?)
}

/// Columns of records joined record by record.
#[pyfunction]
fn records_interleave(py: Python<'_>, columns: Vec<Arrow>) -> PyResult<Arrow> {
    let made = py.detach(|| {
        let columns = columns
            .into_iter()
            .map(Records::of)
            .collect::<Result<Vec<_>, Fault>>()?;
        let parts: Vec<_> = columns
            .iter()
            .map(|column| (column.bytes(), column.width))
            .collect();
        let (bytes, width) = interleave(&parts)?;
        column(bytes, width)
    })?;
    Ok(made)
}

/// Sorts more records than memory holds; see `sorter.rs`.
#[pyclass(name = "RecordSorter", module = "hitoku._core", frozen)]
struct PySorter(Sorter);

#[pymethods]
impl PySorter {
    #[new]
    fn new(width: usize, sizes: Vec<u64>, memory: usize, directory: PathBuf) -> PyResult<Self> {
        Ok(Self(Sorter::new(width, &sizes, memory, directory)?))
    }

    #[getter]
    fn spilled(&self) -> bool {
        self.0.spilled()
    }

    #[getter]
    fn whole(&self) -> bool {
        self.0.whole()
    }

    fn push(&self, py: Python<'_>, records: Arrow, group: Option<Arrow>) -> PyResult<()> {
        Ok(py.detach(|| -> Result<(), SpillError> {
            let records = Records::of(records)?;
            if records.width != self.0.width() {
                return Err(Fault::new("bad-width").into());
            }
            let group = group.map(groups).transpose()?;
            let group = group.as_ref().map(|group| &group.values()[..]);
            self.0.push(records.bytes(), group)
        })?)
    }

    /// The first slot of a group and the one behind its last.
    fn slots(&self, group: usize) -> PyResult<(usize, usize)> {
        let slots = self.0.slots(group)?;
        Ok((slots.start, slots.end))
    }

    fn take(&self, py: Python<'_>, slot: usize, threads: usize) -> PyResult<Arrow> {
        let taken = py.detach(|| -> Result<_, SpillError> {
            Ok(column(self.0.take(slot, threads)?, self.0.width())?)
        })?;
        Ok(taken)
    }
}

/// What a join found; see `join.rs`.
#[pyclass(name = "Matches", module = "hitoku._core", frozen)]
struct PyMatches(Matches);

#[pymethods]
impl PyMatches {
    /// Tags and groups of the left list, its number of groups, the same of the right; which range of
    /// how many.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        left: Arrow,
        left_groups: Arrow,
        left_count: usize,
        right: Arrow,
        right_groups: Arrow,
        right_count: usize,
        part: (u32, u32),
        threads: usize,
    ) -> PyResult<Self> {
        let found = py.detach(|| {
            let ours = (tags(left)?, groups(left_groups)?);
            let theirs = (tags(right)?, groups(right_groups)?);
            let left = Side::new(ours.0.bytes(), ours.1.values(), left_count)
                .map_err(|fault| fault.of(0))?;
            let right = Side::new(theirs.0.bytes(), theirs.1.values(), right_count)
                .map_err(|fault| fault.of(1))?;
            join(&left, &right, part, threads)
        })?;
        Ok(Self(found))
    }

    #[getter]
    fn cells(&self) -> usize {
        self.0.cells()
    }

    fn counts(&self) -> Arrow {
        PyArrowType(PrimitiveArray::<UInt64Type>::from(self.0.counts()).into_data())
    }
}

fn tags(data: Arrow) -> Result<Records, Fault> {
    let records = Records::of(data)?;
    if records.width != crate::group::point::TAG {
        return Err(Fault::new("bad-width"));
    }
    Ok(records)
}

/// Sums of ciphertexts under way; see `sums.rs`.
#[pyclass(name = "Sums", module = "hitoku._core", frozen)]
struct PySums {
    matches: Py<PyMatches>,
    sums: Mutex<Sums>,
}

#[pymethods]
impl PySums {
    #[new]
    fn new(matches: Bound<'_, PyMatches>) -> Self {
        let sums = Mutex::new(Sums::new(matches.get().0.cells()));
        Self {
            matches: matches.unbind(),
            sums,
        }
    }

    /// Adds the ciphertexts at `at` of records, the first of which is row `start` of the right list.
    fn add(
        &self,
        py: Python<'_>,
        records: Arrow,
        at: usize,
        start: usize,
        threads: usize,
    ) -> PyResult<()> {
        let matches = &self.matches.get().0;
        py.detach(|| {
            let records = Records::of(records)?;
            let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
            sums.add(matches, records.field(at)?, start, threads)
        })?;
        Ok(())
    }

    fn result(&self, py: Python<'_>) -> PyResult<Arrow> {
        let made = py.detach(|| {
            let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
            column(sums.bytes(), CIPHERTEXT)
        })?;
        Ok(made)
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySorter>()?;
    m.add_class::<PyMatches>()?;
    m.add_class::<PySums>()?;
    m.add_function(wrap_pyfunction!(records_sort, m)?)?;
    m.add_function(wrap_pyfunction!(records_first_repeat, m)?)?;
    m.add_function(wrap_pyfunction!(records_first_disorder, m)?)?;
    m.add_function(wrap_pyfunction!(records_interleave, m)?)?;
    Ok(())
}
