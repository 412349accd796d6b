//! Vectors, and values as numpy arrays and bytes.

use numpy::{Element, IntoPyArray, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};

use crate::shares::local::Known;
use crate::shares::python::Refusal;
use crate::shares::upload::{SEED_BYTES, expand, split};
use crate::shares::vector::{Pair, Shared};
use crate::shares::word::{Word, bytes_of, bytes_of_mut, words_from};
use crate::shares::workers::{Workers, fresh};

/// A shared vector; opaque.
#[pyclass(frozen, module = "hitoku._core")]
pub struct SharesVector(pub Shared);

#[pymethods]
impl SharesVector {
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("SharesVector({}, {} rows)", self.0.kind(), self.0.len())
    }
}

/// Runs `$body` with `$word` as the word type and `$make` as the kind of a kind's name.
macro_rules! of_kind {
    ($kind:expr, $word:ident, $algebra:ident, $make:ident => $body:expr) => {{
        use $crate::shares::algebra::{Additive, Bitwise};
        of_kind!(@ $kind, $word, $algebra, $make, $body,
            "u8" u8 Bitwise U8, "u16" u16 Bitwise U16, "u32" u32 Bitwise U32, "u64" u64 Bitwise U64,
            "u128" u128 Bitwise U128, "r32" u32 Additive R32, "r64" u64 Additive R64, "r128" u128 Additive R128)
    }};
    (@ $kind:expr, $word:ident, $algebra:ident, $make:ident, $body:expr,
        $($name:literal $type:ident $sharing:ident $variant:ident),*) => {
        match $kind {
            $($name => {
                #[allow(dead_code)]
                type $word = $type;
                #[allow(dead_code)]
                type $algebra = $sharing;
                #[allow(unused_variables)]
                let $make = $crate::shares::vector::Shared::$variant;
                $body
            })*
            _ => Err($crate::shares::python::Refusal::Misuse("kind").into()),
        }
    };
}
pub(super) use of_kind;

/// Words that Python has as an array; 128-bit ones as two columns of 64 bits.
pub trait Array: Word {
    /// The array's words.
    fn taken(values: &Bound<'_, PyAny>) -> Result<Vec<Self>, Refusal>;
    /// The words as an array.
    fn given(values: Vec<Self>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>>;
}

fn narrow<W: Word + Element>(values: &Bound<'_, PyAny>) -> Result<Vec<W>, Refusal> {
    let array: PyReadonlyArray1<'_, W> = values.extract().map_err(|_| Refusal::Misuse("value"))?;
    let words = array.as_slice().map_err(|_| Refusal::Misuse("value"))?;
    Ok(words.to_vec())
}

macro_rules! narrow {
    ($($word:ty),*) => {$(
        impl Array for $word {
            fn taken(values: &Bound<'_, PyAny>) -> Result<Vec<Self>, Refusal> {
                narrow(values)
            }
            fn given(values: Vec<Self>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                Ok(values.into_pyarray(py).into_any())
            }
        }
    )*};
}

narrow!(u8, u16, u32, u64);

impl Array for u128 {
    fn taken(values: &Bound<'_, PyAny>) -> Result<Vec<Self>, Refusal> {
        let array: PyReadonlyArray2<'_, u64> =
            values.extract().map_err(|_| Refusal::Misuse("value"))?;
        let words = array.as_slice().map_err(|_| Refusal::Misuse("value"))?;
        if array.as_array().ncols() != 2 {
            return Err(Refusal::Misuse("value"));
        }
        words_from(bytes_of(words)).ok_or(Refusal::Misuse("value"))
    }

    fn given(values: Vec<Self>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let mut halves: Vec<u64> = fresh(2 * values.len());
        bytes_of_mut(&mut halves).copy_from_slice(bytes_of(&values));
        Ok(halves
            .into_pyarray(py)
            .reshape([values.len(), 2])?
            .into_any())
    }
}

/// A whole number as the word that it is modulo the word's size.
pub fn number<W: Word>(value: &Bound<'_, PyAny>) -> Result<W, Refusal> {
    let wide = value
        .extract::<u128>()
        .or_else(|_| value.extract::<i128>().map(|number| number as u128));
    wide.map(W::cut).map_err(|_| Refusal::Misuse("value"))
}

/// One public number, or one a row, of `rows`.
pub fn known<W: Array>(value: &Bound<'_, PyAny>, rows: usize) -> Result<Known<W>, Refusal> {
    if value.is_instance_of::<PyInt>() {
        return number(value).map(Known::One);
    }
    let values = W::taken(value)?;
    if values.len() != rows {
        return Err(Refusal::Misuse("length"));
    }
    Ok(Known::Each(values))
}

/// Shares from their bytes.
pub fn loaded(kind: &str, first: &[u8], second: &[u8]) -> Result<Shared, Refusal> {
    if first.len() != second.len() {
        return Err(Refusal::Misuse("size"));
    }
    of_kind!(kind, W, A, make => {
        let part = |bytes| words_from::<W>(bytes).ok_or(Refusal::Misuse("size"));
        Ok(make(Pair { first: part(first)?, second: part(second)? }))
    })
}

fn seed(bytes: &[u8]) -> Result<&[u8; SEED_BYTES], Refusal> {
    bytes.try_into().map_err(|_| Refusal::Misuse("seed"))
}

fn workers() -> Result<Workers, Refusal> {
    Workers::new().map_err(|_| Refusal::Misuse("threads"))
}

/// The explicit share of a column: what is left of its values after what two seeds stand for.
#[pyfunction]
pub fn shares_split<'py>(
    py: Python<'py>,
    kind: &str,
    values: &Bound<'py, PyAny>,
    seed_a: &[u8],
    seed_b: &[u8],
    label: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let (a, b, workers) = (seed(seed_a)?, seed(seed_b)?, workers()?);
    of_kind!(kind, W, A, make => {
        let values = <W as Array>::taken(values)?;
        let share = py.detach(|| split::<A, W>(&workers, &values, a, b, label));
        Ok(PyBytes::new(py, bytes_of(&share)))
    })
}

/// The share of a column that a seed stands for.
#[pyfunction]
pub fn shares_expand<'py>(
    py: Python<'py>,
    kind: &str,
    rows: usize,
    seed: &[u8],
    label: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let (seed, workers) = (self::seed(seed)?, workers()?);
    of_kind!(kind, W, A, make => {
        let share = py.detach(|| expand::<W>(&workers, rows, seed, label));
        Ok(PyBytes::new(py, bytes_of(&share)))
    })
}
