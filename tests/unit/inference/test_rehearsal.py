# SPDX-License-Identifier: Apache-2.0
"""Rehearsed requests: real ones, of every circuit that fits into memory."""

from __future__ import annotations

import numpy as np
import pytest

from hitoku.hazmat import ring
from hitoku.inference import rehearsal
from hitoku.inference.circuit import Builder, Program
from hitoku.inference.interpreters.encrypted import Encrypted
from hitoku.inference.report import report

PRIMES = ring.find_primes(2048, [27, 27])
PARAMS = ring.Parameters(2048, PRIMES[:1], PRIMES[1])


def _circuit(inputs: int = 1) -> Program:
    b = Builder(PARAMS.degree // 2)
    values = [b.input(f"x{n}", count=3, scale=2.0**12, level=1) for n in range(inputs)]
    b.output("y", b.matrix(values[0], np.array([[1, 2, 3]]), None, 1.0), level=1, flood_bits=2)
    return b.build()


def test_a_request_is_run_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0
    real = Encrypted.run

    def counted(*args: object, **more: object) -> object:
        nonlocal runs
        runs += 1
        return real(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Encrypted, "run", counted)
    found = rehearsal.rehearse(_circuit(), PARAMS, 1)
    assert found is not None
    assert found > 0
    assert runs > 3


def test_what_does_not_fit_is_predicted_from_its_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rehearsal.rehearse(_circuit(2), PARAMS, 1) is None
    monkeypatch.setattr(rehearsal, "MOST_BYTES", 1)
    assert rehearsal.rehearse(_circuit(), PARAMS, 1) is None
    cost = report(_circuit(), PARAMS, rehearsed=True).to_dict()["cost"]
    assert not cost["rehearsed"]
    assert cost["server_ms"] == cost["added_ms"]


def test_the_report_says_that_it_was_rehearsed() -> None:
    cost = report(_circuit(), PARAMS, rehearsed=True).to_dict()["cost"]
    assert cost["rehearsed"]
    assert cost["server_ms"] > 0
