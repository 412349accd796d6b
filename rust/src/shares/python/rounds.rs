//! What parties do together: the party is locked, the interpreter is not.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::shares::algebra::{Additive, Bitwise};
use crate::shares::channel::{Broken, NOBODY};
use crate::shares::open;
use crate::shares::party::{Party, Side};
use crate::shares::python::Refusal;
use crate::shares::python::party::SharesParty;
use crate::shares::python::values::{Array, SharesVector};
use crate::shares::vector::{Pair, Shared};

impl SharesParty {
    /// Runs an operation that sends, without the interpreter's lock.
    pub fn online<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Party) -> Result<R, Refusal> + Send,
    ) -> PyResult<R> {
        Ok(py.detach(|| {
            let mut held = self.held();
            let party = held
                .as_mut()
                .ok_or(Refusal::Broken(Broken::new("aborted", NOBODY)))?;
            if self.aborted() {
                party.abort();
            }
            work(party)
        })?)
    }

    /// As `online`, for one vector.
    pub fn vector(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Party) -> Result<Shared, Refusal> + Send,
    ) -> PyResult<SharesVector> {
        self.online(py, work).map(SharesVector)
    }
}

pub fn open<'py>(
    me: &SharesParty,
    py: Python<'py>,
    a: &Bound<'py, SharesVector>,
) -> PyResult<Bound<'py, PyAny>> {
    fn words<'py, W: Array>(
        me: &SharesParty,
        py: Python<'py>,
        pair: &Pair<W>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let values = me.online(py, |party| Ok(open::open::<Bitwise, W>(party, pair)?))?;
        W::given(values, py)
    }
    fn ring<'py, W: Array>(
        me: &SharesParty,
        py: Python<'py>,
        pair: &Pair<W>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let values = me.online(py, |party| Ok(open::open::<Additive, W>(party, pair)?))?;
        W::given(values, py)
    }
    match &a.get().0 {
        Shared::U8(pair) => words(me, py, pair),
        Shared::U16(pair) => words(me, py, pair),
        Shared::U32(pair) => words(me, py, pair),
        Shared::U64(pair) => words(me, py, pair),
        Shared::U128(pair) => words(me, py, pair),
        Shared::R32(pair) => ring(me, py, pair),
        Shared::R64(pair) => ring(me, py, pair),
        Shared::R128(pair) => ring(me, py, pair),
    }
}

/// P_1's bytes to P_2.
pub fn relay(
    me: &SharesParty,
    py: Python<'_>,
    data: Option<&[u8]>,
    size: usize,
) -> PyResult<Vec<u8>> {
    if data.is_some() != (me.index == 1) || data.is_some_and(|data| data.len() != size) {
        return Err(Refusal::Misuse("size").into());
    }
    me.online(py, |party| {
        party.begin()?;
        party.round();
        if let Some(data) = data {
            party.send(Side::Next, data)?;
        }
        let mut got = vec![0; if party.index() == 2 { size } else { 0 }];
        party.receive(Side::Previous, &mut got)?;
        Ok(got)
    })
}

pub fn counters<'py>(me: &SharesParty, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
    let counters = py.detach(|| me.held().as_ref().map(Party::counters));
    let counters = counters.ok_or(Broken::new("aborted", NOBODY))?;
    let out = PyDict::new(py);
    out.set_item("bytes_sent", counters.bytes_sent)?;
    out.set_item("bytes_received", counters.bytes_received)?;
    out.set_item("messages_sent", counters.messages_sent)?;
    out.set_item("rounds", counters.rounds)?;
    Ok(out)
}

pub fn received(me: &SharesParty, py: Python<'_>) -> PyResult<Vec<u8>> {
    let seen = py.detach(|| {
        me.held()
            .as_ref()
            .and_then(|party| party.received().map(<[u8]>::to_vec))
    });
    Ok(seen.ok_or(Refusal::Misuse("record"))?)
}
