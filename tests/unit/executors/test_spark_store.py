# SPDX-License-Identifier: Apache-2.0
"""The folder of a job: each result once, under its batch's name. Spark is not needed."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from hitoku.errors import InputError, SecretError
from hitoku.executors.spark_keys import KeyFile, make_key_file
from hitoku.executors.spark_store import Store, open_job, packed, unpacked


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(str(make_key_file(tmp_path / "spark.key")))


@pytest.fixture
def store(tmp_path: Path, keys: KeyFile) -> Store:
    _, key = open_job(tmp_path / "job", keys)
    return Store.of(tmp_path / "job", key, b"function")


@pytest.mark.parametrize(
    "value",
    [
        pa.array([1, None, 3]),
        pa.array([b"x" * 32], pa.binary(32)),
        pa.array([], pa.int64()),
        pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", None]}),
        pa.RecordBatch.from_pydict({"a": [1, 2, 3]}).slice(1, 1),
        pa.RecordBatch.from_pydict({"array": [1]}),
    ],
    ids=["integers", "binary", "empty", "batch", "slice", "named-array"],
)
def test_batches_and_arrays_come_back(value: pa.Array | pa.RecordBatch) -> None:
    again = unpacked(packed(value))
    assert type(again) is type(value)
    assert again.equals(value)


def test_anything_else_is_refused_by_its_type() -> None:
    with pytest.raises(InputError, match="not list"):
        packed([1])


def test_a_job_keeps_its_key(tmp_path: Path, keys: KeyFile) -> None:
    wrapped, key = open_job(tmp_path / "a", keys)
    again, same = open_job(tmp_path / "a", keys)
    assert (wrapped, key) == (again, same)
    assert open_job(tmp_path / "b", keys)[1] != key
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    with pytest.raises(SecretError):
        open_job(tmp_path / "a", KeyFile(str(make_key_file(tmp_path / "other.key"))))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "x", "wrapped": ""}', b"\xff"])
def test_a_strange_job_file_is_refused(tmp_path: Path, keys: KeyFile, content: bytes) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "job.json").write_bytes(content)
    with pytest.raises(InputError, match="not a job"):
        open_job(folder, keys)


def test_the_first_result_stays(store: Store) -> None:
    name = store.stage(0, b"item")
    store.put(name, b"first")
    store.put(name, b"second")
    assert store.result(name) == b"first"
    assert list(store.results()) == [name]


def test_of_many_writers_one_is_first(store: Store) -> None:
    name = store.stage(0, b"item")
    start = threading.Barrier(8)

    def write(n: int) -> None:
        start.wait()
        for _ in range(20):
            store.put(name, bytes([n]) * 1_000)
            seen.add(store.result(name))

    seen: set[bytes] = set()
    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1
    assert not list(store.folder.glob(".*"))


def test_a_result_belongs_to_number_content_and_function(store: Store, tmp_path: Path) -> None:
    name = store.stage(3, b"item")
    store.put(name, b"result")
    other = Store.of(tmp_path / "job", store.key, b"another function")
    assert store.stage(3, b"item") == name
    assert not store.done(store.stage(3, b"other"))
    assert not store.done(store.stage(4, b"item"))
    assert not other.done(other.stage(3, b"item"))


def test_a_result_that_is_done_is_not_staged_again(store: Store) -> None:
    name = store.stage(0, b"item")
    assert store.item(name) == b"item"
    store.put(name, b"result")
    store.unstage(name)
    store.unstage(name)
    store.stage(0, b"item")
    assert not list(store.folder.glob("*.item"))


def test_a_result_moved_or_altered_is_refused(store: Store) -> None:
    first, second = store.stage(0, b"item"), store.stage(1, b"item")
    store.put(first, b"result")
    path = store.folder / f"{first}.result"
    path.rename(store.folder / f"{second}.result")
    with pytest.raises(InputError, match="altered"):
        store.result(second)
    (store.folder / f"{second}.item").rename(path)
    with pytest.raises(InputError, match="altered"):
        store.result(first)


def test_no_name_leads_out_of_the_folder(store: Store) -> None:
    for name in ("../../job", "00000000-../" + "0" * 29, "", "00000000-" + "0" * 32 + "\n"):
        with pytest.raises(InputError, match="not the name"):
            store.put(name, b"")


def test_files_hold_nothing_in_clear(store: Store) -> None:
    name = store.stage(0, b"PLANTED-ITEM")
    store.put(name, b"PLANTED-RESULT")
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(b"PLANTED" not in path.read_bytes() for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
