# SPDX-License-Identifier: Apache-2.0
"""A small model that a member serves, for tests of nodes: logistic regression, compiled once a process."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FEATURES = 6


@cache
def trained() -> tuple[Any, Any]:
    """A fitted logistic regression over six features, and rows to score."""
    pytest.importorskip("sklearn", reason="needs the extra inference")
    from sklearn.linear_model import LogisticRegression

    source = np.random.default_rng(7)
    rows = source.normal(size=(400, FEATURES))
    labels = rows @ np.arange(1.0, FEATURES + 1) + source.normal(size=400) > 0
    return LogisticRegression().fit(rows, labels), rows


@cache
def compiled() -> tuple[bytes, bytes]:
    """server.bundle and client.json of that model."""
    from hitoku.inference.compiler import compile as compile_model

    model, rows = trained()
    plan = compile_model(model, rows, "throughput", 0.02)
    return plan.bundle().to_bytes(), plan.client.to_json().encode()


def put(folder: Path) -> str:
    """Write the model to a folder; returns the hash of its client specification."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle, client = compiled()
    (folder / "server.bundle").write_bytes(bundle)
    (folder / "client.json").write_bytes(client)
    return "sha256:" + hashlib.sha256(client).hexdigest()
