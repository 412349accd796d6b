//! Permutations: every wrong call is refused before anything is sent.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::shares::order::Order;
use crate::shares::owner_order::{owner_order, split_order};
use crate::shares::party::Party;
use crate::shares::python::Refusal;
use crate::shares::python::party::SharesParty;
use crate::shares::python::values::SharesVector;
use crate::shares::shuffle;
use crate::shares::sort;
use crate::shares::upload::SEED_BYTES;
use crate::shares::vector::Shared;
use crate::shares::word::{bytes_of, words_from};
use crate::shares::workers::Workers;

/// A shared permutation; opaque.
#[pyclass(frozen, module = "hitoku._core")]
pub struct SharesOrder(Order);

#[pymethods]
impl SharesOrder {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("SharesOrder({} rows)", self.0.len())
    }
}

pub type Vectors<'py> = Vec<Bound<'py, SharesVector>>;

fn same_rows(vectors: &[&Shared], rows: usize) -> Result<(), Refusal> {
    if vectors.iter().all(|vector| vector.len() == rows) {
        Ok(())
    } else {
        Err(Refusal::Misuse("length"))
    }
}

fn moved(
    me: &SharesParty,
    py: Python<'_>,
    vectors: &Vectors,
    rows: Option<usize>,
    work: impl FnOnce(&mut Party, &[&Shared]) -> Result<Vec<Shared>, Refusal> + Send,
) -> PyResult<Vec<SharesVector>> {
    let vectors: Vec<&Shared> = vectors.iter().map(|vector| &vector.get().0).collect();
    let first = vectors.first().ok_or(Refusal::Misuse("empty"))?;
    same_rows(&vectors, rows.unwrap_or(first.len()))?;
    let made = me.online(py, |party| work(party, &vectors))?;
    Ok(made.into_iter().map(SharesVector).collect())
}

pub fn shuffled(
    me: &SharesParty,
    py: Python<'_>,
    vectors: &Vectors,
) -> PyResult<Vec<SharesVector>> {
    moved(me, py, vectors, None, |party, vectors| {
        Ok(shuffle::shuffle(party, vectors)?)
    })
}

pub fn apply(
    me: &SharesParty,
    py: Python<'_>,
    order: &SharesOrder,
    vectors: &Vectors,
    back: bool,
) -> PyResult<Vec<SharesVector>> {
    let order = &order.0;
    moved(me, py, vectors, Some(order.len()), |party, vectors| {
        Ok(if back {
            order.unapply(party, vectors)?
        } else {
            order.apply(party, vectors)?
        })
    })
}

pub fn order(
    me: &SharesParty,
    py: Python<'_>,
    keys: &[(Bound<'_, SharesVector>, u32)],
) -> PyResult<SharesOrder> {
    let keys: Vec<(&Shared, u32)> = keys
        .iter()
        .map(|(key, bits)| (&key.get().0, *bits))
        .collect();
    let (first, _) = keys.first().ok_or(Refusal::Misuse("empty"))?;
    let rows = first.len();
    if rows > sort::MOST_ROWS {
        return Err(Refusal::Misuse("rows").into());
    }
    for (key, bits) in &keys {
        same_rows(&[key], rows)?;
        let most = sort::word_bits(key).ok_or(Refusal::Misuse("kind"))?;
        if !(1..=most).contains(bits) {
            return Err(Refusal::Misuse("bits").into());
        }
    }
    me.online(py, |party| Ok(sort::order(party, &keys)?))
        .map(SharesOrder)
}

fn seed(bytes: &[u8]) -> Result<&[u8; SEED_BYTES], Refusal> {
    bytes.try_into().map_err(|_| Refusal::Misuse("seed"))
}

/// `parts`: seed_a (at P_0 and P_2), seed_b (at P_0 and P_1), the explicit permutation (at P_1 and P_2).
pub fn of_owner(
    me: &SharesParty,
    py: Python<'_>,
    rows: usize,
    parts: &[Option<PyBackedBytes>; 3],
    label: u64,
) -> PyResult<SharesOrder> {
    let parts = parts
        .each_ref()
        .map(|part| part.as_ref().map(|part| &**part));
    if parts.map(|part: Option<&[u8]>| part.is_none()) != [1, 2, 0].map(|lacks| lacks == me.index) {
        return Err(Refusal::Misuse("parts").into());
    }
    let [a, b, explicit] = parts;
    let (a, b) = (a.map(seed).transpose()?, b.map(seed).transpose()?);
    let explicit = explicit
        .map(|bytes| words_from::<u32>(bytes).filter(|words| words.len() == rows))
        .map(|words| words.ok_or(Refusal::Misuse("length")))
        .transpose()?;
    me.online(py, |party| {
        Ok(owner_order(party, rows, a, b, explicit, label)?)
    })
    .map(SharesOrder)
}

/// The explicit permutation of an owner's order: `places[k]` is the row that becomes row k.
#[pyfunction]
pub fn shares_permutation_split<'py>(
    py: Python<'py>,
    places: PyReadonlyArray1<'py, u32>,
    seed_a: &[u8],
    seed_b: &[u8],
    label: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let (a, b) = (seed(seed_a)?, seed(seed_b)?);
    let places = places
        .as_slice()
        .map_err(|_| Refusal::Misuse("value"))?
        .to_vec();
    let workers = Workers::new().map_err(|_| Refusal::Misuse("memory"))?;
    let explicit = py
        .detach(|| split_order(&workers, places, a, b, label))
        .ok_or(Refusal::Misuse("value"))?;
    Ok(PyBytes::new(py, bytes_of(&explicit)))
}
