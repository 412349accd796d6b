//! Joining a run, as Python calls it.

use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use super::SharesParty;
use crate::shares::channel::Broken;
use crate::shares::hello::Job;
use crate::shares::join::{Peer, join};
use crate::shares::listener::Listener;
use crate::shares::tls::{Identity, MemberKey};

/// The longest that one may wait for a peer: a day.
const LONGEST: f64 = 86_400.0;

/// Where other servers come in; one a node.
#[pyclass(frozen, module = "hitoku._core")]
pub struct SharesListener(Listener);

#[pymethods]
impl SharesListener {
    #[new]
    fn new(
        py: Python<'_>,
        host: &str,
        port: u16,
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> PyResult<Self> {
        let identity = Identity::from_pem(certificate_pem, key_pem)
            .ok_or_else(|| PyValueError::new_err("not an Ed25519 certificate and its key"))?;
        py.detach(|| Listener::bind(host, port, identity))
            .map(Self)
            .map_err(|error| PyOSError::new_err(format!("cannot listen: {}", error.kind())))
    }

    #[getter]
    fn port(&self) -> u16 {
        self.0.port()
    }

    /// Joins a run as server `index`; see `join.rs`.
    fn connect(
        &self,
        py: Python<'_>,
        index: u8,
        run: [u8; 16],
        program: [u8; 32],
        peers: Vec<(String, u16, String)>,
        timeout: f64,
    ) -> PyResult<SharesParty> {
        let wrong = |what: &'static str| PyValueError::new_err(what);
        if index > 2 {
            return Err(wrong("index must be 0, 1 or 2"));
        }
        if !(0.0..=LONGEST).contains(&timeout) {
            return Err(wrong("timeout must be a number of seconds, at most a day"));
        }
        let mut known = [None, None, None];
        if peers.len() != known.len() {
            return Err(wrong("peers must have three entries"));
        }
        for (at, (host, port, key)) in peers.into_iter().enumerate() {
            if at != usize::from(index) {
                let key = MemberKey::parse(&key).ok_or_else(|| wrong("not an Ed25519 key"))?;
                known[at] = Some(Peer { host, port, key });
            }
        }
        let job = Job { run, program };
        let party = py.detach(|| -> Result<_, Broken> {
            let timeout = Duration::from_secs_f64(timeout);
            join(&self.0, index, job, &known, timeout)?.party(index)
        });
        Ok(SharesParty::new(party?))
    }

    /// Stops accepting; parties that are joined go on.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
