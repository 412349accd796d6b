//! `SharesParty`: the methods that Python sees. What they do is in the modules beside this one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use crate::shares::channel::{Broken, Closer};
use crate::shares::party::Party;
use crate::shares::python::dispatch;
use crate::shares::python::order::{self, SharesOrder, Vectors};
use crate::shares::python::values::{SharesVector, loaded};
use crate::shares::python::{Refusal, local, rounds};
use crate::shares::workers::Workers;

type Vector<'a, 'py> = &'a Bound<'py, SharesVector>;
type Made = PyResult<SharesVector>;

/// One party of three. It belongs to one thread at a time; `abort` may come from any.
#[pyclass(frozen, module = "hitoku._core")]
pub struct SharesParty {
    pub(super) index: usize,
    pub(super) workers: Workers,
    party: Mutex<Option<Party>>,
    closers: [Closer; 2],
    aborted: AtomicBool,
}

impl SharesParty {
    /// A party for Python.
    pub fn new(party: Party) -> Self {
        Self {
            index: party.index(),
            workers: party.workers(),
            closers: party.closers(),
            party: Mutex::new(Some(party)),
            aborted: AtomicBool::new(false),
        }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Option<Party>> {
        self.party.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }
}

#[pymethods]
impl SharesParty {
    #[staticmethod]
    #[pyo3(signature = (record=false))]
    fn memory(record: bool) -> Result<(Self, Self, Self), Broken> {
        let [a, b, c] = Party::three(record)?;
        Ok((Self::new(a), Self::new(b), Self::new(c)))
    }

    #[getter]
    fn index(&self) -> usize {
        self.index
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        rounds::counters(self, py)
    }

    fn received<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &rounds::received(self, py)?))
    }

    fn abort(&self, py: Python<'_>) {
        self.aborted.store(true, Ordering::Release);
        py.detach(|| self.closers.iter().for_each(|close| close()));
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.held().take()));
    }

    #[pyo3(signature = (kind, values, rows=None))]
    fn public(&self, kind: &str, values: &Bound<'_, PyAny>, rows: Option<usize>) -> Made {
        local::public(self, kind, values, rows)
    }

    fn load(&self, kind: &str, first: &[u8], second: &[u8]) -> Made {
        Ok(SharesVector(loaded(kind, first, second)?))
    }

    fn dump<'py>(
        &self,
        py: Python<'py>,
        vector: Vector<'_, 'py>,
    ) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>) {
        let (first, second) = local::dump(vector);
        (PyBytes::new(py, &first), PyBytes::new(py, &second))
    }

    fn add(&self, py: Python<'_>, a: Vector, b: Vector) -> Made {
        local::add(self, py, a, b)
    }

    fn sub(&self, py: Python<'_>, a: Vector, b: Vector) -> Made {
        local::sub(self, py, a, b)
    }

    fn neg(&self, py: Python<'_>, a: Vector) -> Made {
        local::neg(self, py, a)
    }

    fn add_public(&self, py: Python<'_>, a: Vector, value: &Bound<'_, PyAny>) -> Made {
        local::plus(self, py, a, value, true)
    }

    fn mul_public(&self, py: Python<'_>, a: Vector, value: &Bound<'_, PyAny>) -> Made {
        local::times(self, py, a, value, true)
    }

    fn xor(&self, py: Python<'_>, a: Vector, b: Vector) -> Made {
        local::xor(self, py, a, b)
    }

    fn xor_public(&self, py: Python<'_>, a: Vector, value: &Bound<'_, PyAny>) -> Made {
        local::plus(self, py, a, value, false)
    }

    fn and_public(&self, py: Python<'_>, a: Vector, value: &Bound<'_, PyAny>) -> Made {
        local::times(self, py, a, value, false)
    }

    fn shift_left(&self, py: Python<'_>, a: Vector, bits: u32) -> Made {
        local::shift(self, py, a, bits, true)
    }

    fn shift_right(&self, py: Python<'_>, a: Vector, bits: u32) -> Made {
        local::shift(self, py, a, bits, false)
    }

    fn cast(&self, py: Python<'_>, a: Vector, kind: &str) -> Made {
        local::cast(self, py, a, kind)
    }

    fn sum(&self, py: Python<'_>, a: Vector) -> Made {
        local::sum(self, py, a)
    }

    fn prefix_sum(&self, py: Python<'_>, a: Vector) -> Made {
        local::prefix_sum(self, py, a)
    }

    fn diff(&self, py: Python<'_>, a: Vector) -> Made {
        local::diff(self, py, a)
    }

    fn concat(&self, py: Python<'_>, vectors: Vec<Bound<'_, SharesVector>>) -> Made {
        local::concat(self, py, &vectors)
    }

    fn slice(&self, py: Python<'_>, a: Vector, start: usize, stop: usize) -> Made {
        local::slice(self, py, a, start, stop)
    }

    fn take(&self, py: Python<'_>, a: Vector, places: &Bound<'_, PyAny>) -> Made {
        local::take(self, py, a, places)
    }

    fn tile(&self, py: Python<'_>, a: Vector, times: usize) -> Made {
        local::tile(self, py, a, times)
    }

    fn mul(&self, py: Python<'_>, a: Vector, b: Vector) -> Made {
        let (a, b) = (&a.get().0, &b.get().0);
        self.vector(py, |party| dispatch::mul(party, a, b))
    }

    fn and_(&self, py: Python<'_>, a: Vector, b: Vector) -> Made {
        let (a, b) = (&a.get().0, &b.get().0);
        self.vector(py, |party| dispatch::and(party, a, b))
    }

    fn or_(&self, py: Python<'_>, a: Vector, b: Vector) -> Made {
        let (a, b) = (&a.get().0, &b.get().0);
        self.vector(py, |party| dispatch::or(party, a, b))
    }

    fn equal(&self, py: Python<'_>, a: Vector, b: Vector, bits: u32) -> Made {
        let (a, b) = (&a.get().0, &b.get().0);
        self.vector(py, |party| dispatch::equal(party, a, b, bits))
    }

    fn less(&self, py: Python<'_>, a: Vector, b: Vector, bits: u32) -> Made {
        let (a, b) = (&a.get().0, &b.get().0);
        self.vector(py, |party| dispatch::less(party, a, b, bits))
    }

    fn bit_to_ring(&self, py: Python<'_>, bit: Vector, kind: &str) -> Made {
        let bit = &bit.get().0;
        self.vector(py, |party| dispatch::bit_to_ring(party, bit, kind))
    }

    fn words_to_ring(&self, py: Python<'_>, a: Vector, bits: u32, kind: &str) -> Made {
        let a = &a.get().0;
        self.vector(py, |party| dispatch::words_to_ring(party, a, bits, kind))
    }

    fn ring_to_words(&self, py: Python<'_>, a: Vector, bits: u32) -> Made {
        let a = &a.get().0;
        self.vector(py, |party| dispatch::ring_to_words(party, a, bits))
    }

    fn select(&self, py: Python<'_>, bit: Vector, a: Vector, b: Vector) -> Made {
        let (bit, a, b) = (&bit.get().0, &a.get().0, &b.get().0);
        self.vector(py, |party| dispatch::select(party, bit, a, b))
    }

    fn shuffle(&self, py: Python<'_>, vectors: Vectors) -> PyResult<Vec<SharesVector>> {
        order::shuffled(self, py, &vectors)
    }

    fn order(
        &self,
        py: Python<'_>,
        keys: Vec<(Bound<'_, SharesVector>, u32)>,
    ) -> PyResult<SharesOrder> {
        order::order(self, py, &keys)
    }

    fn apply(
        &self,
        py: Python<'_>,
        order: &Bound<'_, SharesOrder>,
        vectors: Vectors,
    ) -> PyResult<Vec<SharesVector>> {
        order::apply(self, py, order.get(), &vectors, false)
    }

    fn unapply(
        &self,
        py: Python<'_>,
        order: &Bound<'_, SharesOrder>,
        vectors: Vectors,
    ) -> PyResult<Vec<SharesVector>> {
        order::apply(self, py, order.get(), &vectors, true)
    }

    #[pyo3(signature = (n, parts, label=0))]
    fn owner_order(
        &self,
        py: Python<'_>,
        n: usize,
        parts: [Option<PyBackedBytes>; 3],
        label: u64,
    ) -> PyResult<SharesOrder> {
        order::of_owner(self, py, n, &parts, label)
    }

    fn open<'py>(&self, py: Python<'py>, a: Vector<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        rounds::open(self, py, a)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.online(py, |party| Ok::<(), Refusal>(party.check()?))
    }

    fn relay<'py>(
        &self,
        py: Python<'py>,
        data: Option<&[u8]>,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &rounds::relay(self, py, data, size)?))
    }
}
