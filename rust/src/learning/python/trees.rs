//! Growers and forests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use super::bad_array;
use crate::learning::fault::Fault;
use crate::learning::trees::bins::Edges;
use crate::learning::trees::forest::{Forest, Lists};
use crate::learning::trees::grower::{Grower, Splits};

type List<'py, T> = PyReadonlyArray1<'py, T>;
type Table<'py, T> = PyReadonlyArray2<'py, T>;

fn slice<'a, T: numpy::Element>(list: &'a List<'_, T>) -> Result<&'a [T], Fault> {
    list.as_slice().map_err(bad_array)
}

/// The bins of feature values.
#[pyfunction]
fn learning_bin<'py>(
    py: Python<'py>,
    features: Table<'py, f32>,
    edges: List<'py, f32>,
    starts: List<'py, i64>,
    bins: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let [rows, width] = [features.shape()[0], features.shape()[1]];
    let values = features.as_slice().map_err(bad_array)?;
    let (edges, starts) = (slice(&edges)?, slice(&starts)?);
    let out = py.detach(|| {
        let edges = Edges::new(edges, starts, bins)?;
        if starts.len() != width + 1 {
            return Err(Fault::new("bad-length"));
        }
        let mut out = vec![0; values.len()];
        edges.fill(values, &mut out, threads).map(|()| out)
    })?;
    out.into_pyarray(py).reshape([rows, width])
}

/// One member's rows while trees grow on them.
#[pyclass(frozen, module = "hitoku._core")]
pub struct LearningGrower(Mutex<Grower>);

impl LearningGrower {
    /// Only with other threads let run: one of them may have the grower and wait for the interpreter.
    fn held(&self) -> MutexGuard<'_, Grower> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl LearningGrower {
    #[new]
    fn new(
        py: Python<'_>,
        bins: Table<'_, u8>,
        count: usize,
        threads: usize,
    ) -> Result<Self, Fault> {
        let features = bins.shape()[1];
        let bins = bins.as_slice().map_err(bad_array)?;
        py.detach(|| Grower::new(bins, features, count, threads))
            .map(|grower| Self(Mutex::new(grower)))
    }

    #[pyo3(signature = (gradients, hessians, sampled))]
    fn reset(
        &self,
        py: Python<'_>,
        gradients: List<'_, i64>,
        hessians: List<'_, i64>,
        sampled: Option<List<'_, bool>>,
    ) -> Result<(), Fault> {
        let (gradients, hessians) = (slice(&gradients)?, slice(&hessians)?);
        let sampled = sampled.as_ref().map(slice).transpose()?;
        py.detach(|| self.held().reset(gradients, hessians, sampled))
    }

    fn histograms<'py>(
        &self,
        py: Python<'py>,
        nodes: List<'py, i32>,
    ) -> PyResult<Bound<'py, PyArray4<i64>>> {
        let nodes = slice(&nodes)?;
        let (out, shape) = py.detach(|| {
            let grower = self.held();
            let shape = [nodes.len(), grower.features(), grower.count(), 2];
            grower.histograms(nodes).map(|out| (out, shape))
        })?;
        out.into_pyarray(py).reshape(shape)
    }

    #[expect(clippy::too_many_arguments, reason = "a split has as many parts")]
    fn split(
        &self,
        py: Python<'_>,
        nodes: List<'_, i32>,
        features: List<'_, i32>,
        bins: List<'_, u8>,
        missing_left: List<'_, bool>,
        left: List<'_, i32>,
        right: List<'_, i32>,
    ) -> Result<(), Fault> {
        let splits = Splits {
            nodes: slice(&nodes)?,
            features: slice(&features)?,
            bins: slice(&bins)?,
            missing_left: slice(&missing_left)?,
            left: slice(&left)?,
            right: slice(&right)?,
        };
        py.detach(|| self.held().split(&splits))
    }

    fn counts<'py>(
        &self,
        py: Python<'py>,
        nodes: List<'py, i32>,
    ) -> Result<Bound<'py, PyArray1<i64>>, Fault> {
        let nodes = slice(&nodes)?;
        let out = py.detach(|| self.held().counts(nodes))?;
        Ok(out.into_pyarray(py))
    }

    fn nodes<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        py.detach(|| self.held().row_nodes()).into_pyarray(py)
    }

    fn add_leaves(
        &self,
        py: Python<'_>,
        margins: &Bound<'_, PyAny>,
        values: List<'_, f64>,
    ) -> Result<(), Fault> {
        let values = slice(&values)?;
        let margins = margins.cast::<PyArray1<f64>>().map_err(bad_array)?;
        let mut margins = margins.try_readwrite().map_err(bad_array)?;
        let margins = margins.as_slice_mut().map_err(bad_array)?;
        py.detach(|| self.held().add_leaves(margins, values))
    }
}

/// Trees to score rows with.
#[pyclass(frozen, module = "hitoku._core")]
pub struct LearningForest(Forest);

#[pymethods]
impl LearningForest {
    #[new]
    fn new(
        starts: List<'_, i64>,
        features: List<'_, i32>,
        thresholds: List<'_, f32>,
        missing_left: List<'_, bool>,
        left: List<'_, i32>,
        right: List<'_, i32>,
        values: List<'_, f64>,
    ) -> Result<Self, Fault> {
        Forest::new(&Lists {
            starts: slice(&starts)?,
            features: slice(&features)?,
            thresholds: slice(&thresholds)?,
            missing_left: slice(&missing_left)?,
            left: slice(&left)?,
            right: slice(&right)?,
            values: slice(&values)?,
        })
        .map(Self)
    }

    fn predict<'py>(
        &self,
        py: Python<'py>,
        features: Table<'py, f32>,
        base: f64,
        threads: usize,
    ) -> Result<Bound<'py, PyArray1<f64>>, Fault> {
        let width = features.shape()[1];
        let values = features.as_slice().map_err(bad_array)?;
        let out = py.detach(|| self.0.predict(values, width, base, threads))?;
        Ok(out.into_pyarray(py))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<LearningGrower>()?;
    m.add_class::<LearningForest>()?;
    m.add_function(wrap_pyfunction!(learning_bin, m)?)
}
