# SPDX-License-Identifier: Apache-2.0
"""Enclave: SQL in a measured program, to which each owner's own broker releases the key to its table.

Who learns what is in `leakage`; the way of the data, and what an enclave does not protect from, in
`docs/protections/enclave.md`. The modules of the worker, the only program that sees rows, are in `worker`; no
other module of hitoku imports them.
"""

from __future__ import annotations

from hitoku.protections.enclave.protection import Enclave

__all__ = ["Enclave"]
