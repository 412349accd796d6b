//! Keys, as Python holds them. None shows its contents in `repr`, and none can be pickled.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{self, Reals, Words};
use super::params::PyParams;
use crate::ring::automorphism::Galois;
use crate::ring::fault::Fault;
use crate::ring::keys::{PublicKey, SecretKey, SwitchKey};
use crate::ring::{decrypt, encrypt};

/// A secret key; wiped by `erase` (once no call uses it any more) and when dropped.
#[pyclass(name = "RingSecretKey", module = "hitoku._core", frozen)]
pub struct PySecretKey(RwLock<Option<Arc<SecretKey>>>);

impl PySecretKey {
    pub fn new(key: SecretKey) -> Self {
        Self(RwLock::new(Some(Arc::new(key))))
    }

    /// The key, unless it was erased.
    pub fn key(&self) -> Result<Arc<SecretKey>, Fault> {
        let key = self.0.read().unwrap_or_else(PoisonError::into_inner);
        key.clone().ok_or_else(|| Fault::new("erased"))
    }
}

#[pymethods]
impl PySecretKey {
    #[staticmethod]
    fn generate(py: Python<'_>, params: &PyParams) -> PyResult<Self> {
        let key = py.detach(|| SecretKey::generate(&params.0))?;
        Ok(Self::new(key))
    }

    fn erase(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn public_key(&self, py: Python<'_>) -> PyResult<PyPublicKey> {
        let key = self.key()?;
        let made = py.detach(|| key.public_key())?;
        Ok(PyPublicKey(Arc::new(made)))
    }

    fn relinearisation_key(
        &self,
        py: Python<'_>,
        threads: usize,
    ) -> PyResult<PyRelinearisationKey> {
        let key = self.key()?;
        let made = py.detach(|| key.relinearisation_key(threads))?;
        Ok(PyRelinearisationKey(Arc::new(made)))
    }

    /// Steps are taken modulo N/2; that of 0 needs no key.
    fn rotation_keys(
        &self,
        py: Python<'_>,
        steps: Vec<i64>,
        threads: usize,
    ) -> PyResult<PyRotationKeys> {
        let key = self.key()?;
        let made = py.detach(|| {
            let params = key.params();
            let mut keys = RotationKeys::new(params.slots());
            for step in steps {
                let step = keys.normal(step);
                if step != 0 && !keys.keys.contains_key(&step) {
                    keys.insert(step, key.rotation_key(step as i64, threads)?)?;
                }
            }
            Ok::<_, Fault>(keys)
        })?;
        Ok(PyRotationKeys(made))
    }

    /// First halves `[count][level][N]` and the seed of the second.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        plain: Words<'py>,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyArrayDyn<u64>>, Bound<'py, PyBytes>)> {
        let key = self.key()?;
        let (words, shape) = arrays::plaintexts(key.params(), &plain)?;
        let (first, seed) = py.detach(|| encrypt::symmetric(&key, words, shape.level, threads))?;
        let first = arrays::array(py, first, &[shape.count, shape.level, shape.n])?;
        Ok((first, PyBytes::new(py, &seed)))
    }

    /// Reals `[count][slots]`: first halves `[count][level][N]` and the seed of the second.
    fn encrypt_reals<'py>(
        &self,
        py: Python<'py>,
        values: Reals<'py>,
        scale: f64,
        level: usize,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyArrayDyn<u64>>, Bound<'py, PyBytes>)> {
        let key = self.key()?;
        let params = key.params();
        let [count, slots] = *values.shape() else {
            return Err(Fault::new("bad-shape").into());
        };
        if slots != params.slots() || !(1..=params.levels()).contains(&level) {
            return Err(Fault::new("bad-shape").into());
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Fault::new("bad-scale").into());
        }
        let values = arrays::slice(&values)?;
        let (first, seed) =
            py.detach(|| encrypt::symmetric_reals(&key, values, scale, level, threads))?;
        let first = arrays::array(py, first, &[count, level, params.n()])?;
        Ok((first, PyBytes::new(py, &seed)))
    }

    fn decrypt<'py>(
        &self,
        py: Python<'py>,
        ciphertexts: Words<'py>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
        let key = self.key()?;
        let (words, shape) = arrays::ciphertexts(key.params(), &ciphertexts)?;
        let plain =
            py.detach(|| decrypt::decrypt(&key, words, shape.parts, shape.level, threads))?;
        arrays::array(py, plain, &[shape.count, shape.level, shape.n])
    }

    fn __repr__(&self) -> &'static str {
        "RingSecretKey(secret)"
    }
}

#[pyclass(name = "RingPublicKey", module = "hitoku._core", frozen)]
pub struct PyPublicKey(pub Arc<PublicKey>);

#[pymethods]
impl PyPublicKey {
    /// `[count][2][level][N]`.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        plain: Words<'py>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
        let (words, shape) = arrays::plaintexts(&self.0.params, &plain)?;
        let made = py.detach(|| encrypt::public(&self.0, words, shape.level, threads))?;
        arrays::array(py, made, &[shape.count, 2, shape.level, shape.n])
    }

    fn __repr__(&self) -> &'static str {
        "RingPublicKey()"
    }
}

#[pyclass(name = "RingRelinearisationKey", module = "hitoku._core", frozen)]
pub struct PyRelinearisationKey(pub Arc<SwitchKey>);

#[pymethods]
impl PyRelinearisationKey {
    /// Bytes in memory.
    #[getter]
    fn nbytes(&self) -> usize {
        bytes(&self.0)
    }

    fn __repr__(&self) -> &'static str {
        "RingRelinearisationKey()"
    }
}

/// The rotation keys of one owner by step, 1..N/2.
pub struct RotationKeys {
    slots: usize,
    pub keys: BTreeMap<usize, (Galois, Arc<SwitchKey>)>,
}

impl RotationKeys {
    pub fn new(slots: usize) -> Self {
        Self {
            slots,
            keys: BTreeMap::new(),
        }
    }

    /// The step to the left that does the same.
    pub fn normal(&self, step: i64) -> usize {
        step.rem_euclid(self.slots as i64) as usize
    }

    pub fn insert(&mut self, step: usize, key: SwitchKey) -> Result<(), Fault> {
        let galois = Galois::for_step(2 * self.slots, step as i64);
        let galois = galois.ok_or_else(|| Fault::new("bad-step"))?;
        self.keys.insert(step, (galois, Arc::new(key)));
        Ok(())
    }

    /// The key for a step that is not a multiple of N/2.
    pub fn get(&self, step: i64) -> Result<&(Galois, Arc<SwitchKey>), Fault> {
        let step = self.normal(step);
        self.keys
            .get(&step)
            .ok_or_else(|| Fault::at("no-rotation-key", step))
    }
}

#[pyclass(name = "RingRotationKeys", module = "hitoku._core", frozen)]
pub struct PyRotationKeys(pub RotationKeys);

#[pymethods]
impl PyRotationKeys {
    #[getter]
    fn steps(&self) -> Vec<usize> {
        self.0.keys.keys().copied().collect()
    }

    /// Bytes in memory.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.keys.values().map(|(_, key)| bytes(key)).sum()
    }

    fn __repr__(&self) -> String {
        format!("RingRotationKeys({} steps)", self.0.keys.len())
    }
}

fn bytes(key: &SwitchKey) -> usize {
    8 * (key.a.len() + key.b.len())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySecretKey>()?;
    m.add_class::<PyPublicKey>()?;
    m.add_class::<PyRelinearisationKey>()?;
    m.add_class::<PyRotationKeys>()?;
    Ok(())
}
