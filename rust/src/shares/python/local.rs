//! What one party does by itself: no lock, nothing sent.

use pyo3::prelude::*;

use crate::shares::local;
use crate::shares::python::Refusal;
use crate::shares::python::dispatch;
use crate::shares::python::party::SharesParty;
use crate::shares::python::values::{Array, SharesVector, known, number, of_kind};
use crate::shares::vector::Shared;
use crate::shares::word::Word;
use crate::shares::workers::Workers;
use crate::{any_shared, map_shared};

type Vector<'a, 'py> = &'a Bound<'py, SharesVector>;

/// The most rows that a vector may have.
const MOST_ROWS: usize = 1 << 40;

impl SharesParty {
    /// Runs a linear operation without the interpreter's lock.
    fn linear(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Workers) -> Result<Shared, Refusal> + Send,
    ) -> PyResult<SharesVector> {
        let workers = &self.workers;
        Ok(SharesVector(py.detach(|| work(workers))?))
    }
}

pub fn public(
    party: &SharesParty,
    kind: &str,
    values: &Bound<'_, PyAny>,
    rows: Option<usize>,
) -> PyResult<SharesVector> {
    if rows.is_some_and(|rows| rows > MOST_ROWS) {
        return Err(Refusal::Misuse("value").into());
    }
    of_kind!(kind, W, A, make => {
        let values = match rows {
            Some(rows) if values.is_instance_of::<pyo3::types::PyInt>() => vec![number::<W>(values)?; rows],
            _ => <W as Array>::taken(values)?,
        };
        if rows.is_some_and(|rows| rows != values.len()) {
            return Err(Refusal::Misuse("length").into());
        }
        Ok(SharesVector(make(local::public(party.index, values))))
    })
}

pub fn add(me: &SharesParty, py: Python<'_>, a: Vector, b: Vector) -> PyResult<SharesVector> {
    let (a, b) = (&a.get().0, &b.get().0);
    me.linear(py, |workers| dispatch::add(workers, a, b))
}

pub fn sub(me: &SharesParty, py: Python<'_>, a: Vector, b: Vector) -> PyResult<SharesVector> {
    let (a, b) = (&a.get().0, &b.get().0);
    me.linear(py, |workers| dispatch::sub(workers, a, b))
}

pub fn xor(me: &SharesParty, py: Python<'_>, a: Vector, b: Vector) -> PyResult<SharesVector> {
    let (a, b) = (&a.get().0, &b.get().0);
    me.linear(py, |workers| dispatch::xor(workers, a, b))
}

/// Refuses words where a ring is needed (`ring`), or the other way round.
fn algebra(a: &Shared, ring: bool) -> Result<(), Refusal> {
    if matches!(a, Shared::R32(_) | Shared::R64(_) | Shared::R128(_)) == ring {
        Ok(())
    } else {
        Err(Refusal::Misuse("kind"))
    }
}

pub fn neg(me: &SharesParty, py: Python<'_>, a: Vector) -> PyResult<SharesVector> {
    let a = &a.get().0;
    algebra(a, true)?;
    me.linear(py, |workers| {
        Ok(map_shared!(a, pair => local::map(workers, pair, |share| Word::sub(Word::ZERO, share))))
    })
}

/// Plus a public value: in a ring where `ring`, else exclusive or.
pub fn plus(
    me: &SharesParty,
    py: Python<'_>,
    a: Vector,
    value: &Bound<'_, PyAny>,
    ring: bool,
) -> PyResult<SharesVector> {
    let (a, index) = (&a.get().0, me.index);
    algebra(a, ring)?;
    let made = map_shared!(a, pair => {
        let value = known(value, pair.len())?;
        py.detach(|| local::add_public::<A, _>(&me.workers, index, pair, &value))
    });
    Ok(SharesVector(made))
}

/// Times a public value: in a ring where `ring`, else "and".
pub fn times(
    me: &SharesParty,
    py: Python<'_>,
    a: Vector,
    value: &Bound<'_, PyAny>,
    ring: bool,
) -> PyResult<SharesVector> {
    let a = &a.get().0;
    algebra(a, ring)?;
    let made = map_shared!(a, pair => {
        let value = known(value, pair.len())?;
        py.detach(|| local::mul_public::<A, _>(&me.workers, pair, &value))
    });
    Ok(SharesVector(made))
}

pub fn shift(
    me: &SharesParty,
    py: Python<'_>,
    a: Vector,
    bits: u32,
    left: bool,
) -> PyResult<SharesVector> {
    let a = &a.get().0;
    algebra(a, false)?;
    me.linear(py, |workers| {
        Ok(map_shared!(a, pair => local::map(workers, pair, |share| {
            if left { share.up(bits) } else { share.down(bits) }
        })))
    })
}

pub fn cast(me: &SharesParty, py: Python<'_>, a: Vector, kind: &str) -> PyResult<SharesVector> {
    let a = &a.get().0;
    me.linear(py, |workers| dispatch::cast(workers, a, kind))
}

pub fn sum(me: &SharesParty, py: Python<'_>, a: Vector) -> PyResult<SharesVector> {
    let a = &a.get().0;
    me.linear(py, |workers| {
        Ok(map_shared!(a, pair => local::sum::<A, _>(workers, pair)))
    })
}

pub fn prefix_sum(me: &SharesParty, py: Python<'_>, a: Vector) -> PyResult<SharesVector> {
    let a = &a.get().0;
    me.linear(py, |workers| {
        Ok(map_shared!(a, pair => local::prefix_sum::<A, _>(workers, pair)))
    })
}

pub fn diff(me: &SharesParty, py: Python<'_>, a: Vector) -> PyResult<SharesVector> {
    let a = &a.get().0;
    me.linear(py, |workers| {
        Ok(map_shared!(a, pair => local::diff::<A, _>(workers, pair)))
    })
}

pub fn concat(
    me: &SharesParty,
    py: Python<'_>,
    vectors: &[Bound<'_, SharesVector>],
) -> PyResult<SharesVector> {
    let vectors: Vec<&Shared> = vectors.iter().map(|vector| &vector.get().0).collect();
    me.linear(py, |_| dispatch::concat(&vectors))
}

pub fn slice(
    me: &SharesParty,
    py: Python<'_>,
    a: Vector,
    start: usize,
    stop: usize,
) -> PyResult<SharesVector> {
    let a = &a.get().0;
    if start > stop || stop > a.len() {
        return Err(Refusal::Misuse("places").into());
    }
    me.linear(py, |_| {
        Ok(map_shared!(a, pair => local::slice(pair, start, stop)))
    })
}

pub fn take(
    me: &SharesParty,
    py: Python<'_>,
    a: Vector,
    places: &Bound<'_, PyAny>,
) -> PyResult<SharesVector> {
    let a = &a.get().0;
    let array: numpy::PyReadonlyArray1<'_, i64> = places
        .extract()
        .map_err(|_| PyErr::from(Refusal::Misuse("places")))?;
    let places = array
        .as_slice()
        .map_err(|_| PyErr::from(Refusal::Misuse("places")))?;
    me.linear(py, |workers| {
        let rows = a.len();
        let places: Option<Vec<usize>> = places
            .iter()
            .map(|place| usize::try_from(*place).ok().filter(|place| *place < rows))
            .collect();
        let places = places.ok_or(Refusal::Misuse("places"))?;
        Ok(map_shared!(a, pair => local::take(workers, pair, &places)))
    })
}

pub fn tile(me: &SharesParty, py: Python<'_>, a: Vector, times: usize) -> PyResult<SharesVector> {
    let a = &a.get().0;
    let rows = a.len().checked_mul(times);
    if times > MOST_ROWS || rows.is_none_or(|rows| rows > MOST_ROWS) {
        return Err(Refusal::Misuse("value").into());
    }
    me.linear(py, |_| Ok(map_shared!(a, pair => local::tile(pair, times))))
}

pub fn dump(a: Vector) -> (Vec<u8>, Vec<u8>) {
    use crate::shares::word::bytes_of;
    any_shared!(&a.get().0, pair => (bytes_of(&pair.first).to_vec(), bytes_of(&pair.second).to_vec()))
}
