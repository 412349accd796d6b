# SPDX-License-Identifier: Apache-2.0
"""Models of PyTorch (both exporters), skl2onnx and tf2onnx compute here what their makers computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from hitoku.inference.importing import load
from hitoku.inference.network import Activation, Network, Polynomial

MODELS = Path(__file__).resolve().parents[1] / "models"
NAMES = sorted(path.stem for path in MODELS.glob("*.onnx"))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_computes_what_its_maker_computed(name: str) -> None:
    network = load(MODELS / f"{name}.onnx")
    assert isinstance(network, Network)
    with np.load(MODELS / f"{name.removesuffix('_legacy')}.npz") as told:
        x, wanted = told["x"], told[next(key for key in ("y", "proba", "scores", "predict") if key in told)]
    found = network.predict(x)
    assert np.allclose(found, wanted.reshape(found.shape), rtol=1e-5, atol=2e-5)


def test_the_models_are_there() -> None:
    assert {"mlp", "lenet5", "logistic", "habits", "habits_legacy", "line", "line_legacy", "keras"} <= set(
        NAMES
    )


def test_no_file_tells_of_the_machine_that_wrote_it() -> None:
    for path in MODELS.glob("*.onnx"):
        content = path.read_bytes()
        for word in (b"/work", b"/tmp", b"/root", b"/home", b"site-packages", b".py"):
            assert word not in content, path.name


def test_functions_written_out_are_known_again() -> None:
    kinds = [layer.kind for layer in load(MODELS / "habits.onnx").layers if isinstance(layer, Activation)]
    assert kinds == ["silu", "gelu"]


def test_lenet_has_polynomials_of_its_own() -> None:
    layers = load(MODELS / "lenet5.onnx").layers
    assert sum(isinstance(layer, Polynomial) for layer in layers) == 4
    assert not any(isinstance(layer, Activation) for layer in layers)
