# SPDX-License-Identifier: Apache-2.0
"""Batches on Spark, on one machine: the right results, in order, once; and nothing readable on the way."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hitoku.errors import EngineError, InputError, SecretError
from hitoku.executors.spark import Spark
from hitoku.executors.spark_keys import KeyFile, make_key_file
from hitoku.hazmat import group
from hitoku.ports import Executor
from hitoku.protections.crosstab.masking import Masking, Raising

pytestmark = pytest.mark.spark

PLANTED = "PLANTED-VALUE"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(str(make_key_file(tmp_path / "spark.key")))


@pytest.fixture
def spark(local_spark: Any, tmp_path: Path, keys: KeyFile) -> Spark:
    return Spark(local_spark.session, tmp_path / "job", keys)


def ids(batches: int, rows: int = 50) -> list[pa.RecordBatch]:
    groups = pa.array([0] * rows, pa.uint16())
    return [
        pa.RecordBatch.from_arrays([group.records(os.urandom(32 * rows), 32), groups], names=["id", "group"])
        for _ in range(batches)
    ]


def mask() -> Masking:
    return Masking(group.new_key().to_bytes(), b"test", b"run")


def points(*columns: pa.Array) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_arrays([column], names=["record"]) for column in columns]


def files(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.rglob(f"*.{ending}"))


def test_masks_are_those_of_one_machine_in_order(spark: Spark, tmp_path: Path) -> None:
    assert isinstance(spark, Executor)
    assert spark.parallelism == 2
    function, items = mask(), ids(21)
    made = list(spark.map(function, items))
    assert all(got.equals(function(item)) for got, item in zip(made, items, strict=True))
    assert len(files(tmp_path, "result")) == 21
    assert not files(tmp_path, "item")


def test_points_are_raised_and_values_encrypted_too(spark: Spark) -> None:
    items = points(*(group.random_points(20, threads=1) for _ in range(2)))
    function = Raising(group.new_key().to_bytes())
    made = list(spark.map(function, items))
    assert all(got.equals(function(item)) for got, item in zip(made, items, strict=True))
    secrets = group.new_key().to_bytes() + group.new_elgamal_key().to_bytes() + bytes(range(32))
    masking = Masking(secrets, b"test", b"run")
    values = [batch.append_column("value", pa.array(range(50), pa.int64())) for batch in ids(2)]
    made = list(spark.map(masking, values))
    assert all(got.equals(masking(item)) for got, item in zip(made, values, strict=True))


def test_arrays_travel_as_they_are(spark: Spark) -> None:
    items = [pa.array([n, None]) for n in range(3)]
    assert [got.to_pylist() for got in spark.map(same, items)] == [[n, None] for n in range(3)]


def test_record_batches_and_no_batches(spark: Spark) -> None:
    def double(batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow.compute as pc

        return pa.RecordBatch.from_arrays([pc.multiply(batch.column(0), 2)], ["n"])

    items = [pa.RecordBatch.from_pydict({"n": [n, None, n + 1]}) for n in range(9)]
    assert [batch.to_pydict() for batch in spark.map(double, items)] == [
        {"n": [2 * n, None, 2 * n + 2]} for n in range(9)
    ]
    assert list(spark.map(double, [])) == []


def test_only_so_much_is_taken_as_results_are(spark: Spark, tmp_path: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[pa.Array]:
        while True:
            taken.append(len(taken))
            yield pa.array([len(taken)])

    results: Any = spark.map(same, endless())
    assert [next(results).to_pylist() for _ in range(3)] == [[1], [2], [3]]
    assert len(taken) <= 12 * spark.parallelism
    results.close()
    assert len(taken) <= 12 * spark.parallelism


def test_a_second_driver_takes_what_is_there(
    local_spark: Any, spark: Spark, tmp_path: Path, keys: KeyFile
) -> None:
    function, items = mask(), ids(6)
    results: Any = spark.map(function, items[:4])
    first = list(results)
    before = {path: path.stat().st_ino for path in files(tmp_path, "result")}
    again = Spark(local_spark.session, tmp_path / "job", keys)
    made = list(again.map(function, items))
    assert all(got.equals(function(item)) for got, item in zip(made, items, strict=True))
    assert all(got.equals(old) for got, old in zip(made, first, strict=False))
    after = {path: path.stat().st_ino for path in files(tmp_path, "result")}
    assert before.items() <= after.items()
    assert len(after) == 6


def test_a_result_is_drawn_once(spark: Spark) -> None:
    def draw(item: pa.Array) -> pa.Array:
        import os as fresh

        return pa.array([fresh.urandom(16)])

    items = [pa.array([n]) for n in range(3)]
    first = [got.to_pylist() for got in spark.map(draw, items)]
    assert [got.to_pylist() for got in spark.map(draw, items)] == first
    assert len({bytes(got[0]) for got in first}) == 3
    spark.clear()
    assert [got.to_pylist() for got in spark.map(draw, items)] != first


def test_a_changed_batch_never_meets_the_old_result(spark: Spark) -> None:
    function, items = mask(), ids(3)
    list(spark.map(function, items))
    changed = [items[0], ids(1)[0], items[2]]
    made = list(spark.map(function, changed))
    assert all(got.equals(function(item)) for got, item in zip(made, changed, strict=True))


def test_a_worker_that_dies_loses_nothing(spark: Spark, tmp_path: Path) -> None:
    marker = str(tmp_path / "died")

    def dies_once(item: pa.Array) -> pa.Array:
        import os as here
        from pathlib import Path as At

        if item[0].as_py() == 5:
            try:
                At(marker).touch(exist_ok=False)
            except FileExistsError:
                return item
            here.kill(here.getpid(), signal.SIGKILL)
        return item

    items = [pa.array([n]) for n in range(12)]
    assert [got.to_pylist() for got in spark.map(dies_once, items)] == [[n] for n in range(12)]
    assert Path(marker).exists()
    assert len(files(tmp_path, "result")) == 12


def test_a_batch_that_kills_every_worker_ends_in_an_error(spark: Spark, tmp_path: Path) -> None:
    def dies(item: pa.Array) -> pa.Array:
        import os as here

        here.kill(here.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(EngineError, match="lost its workers") as caught:
        list(spark.map(dies, [pa.array([1])]))
    assert caught.value.code == "CRASHED"


def test_a_kernel_refuses_with_row_and_batch(spark: Spark) -> None:
    good = group.random_points(5, threads=1)
    bad = pa.concat_arrays([good[:3], group.records(bytes(32), 32)])
    function = Raising(group.new_key().to_bytes())
    results = spark.map(function, points(good, good, bad, good, bad))
    # What stands before the first bad one comes first, as from threads: who counts rows counts right.
    assert [next(results).num_rows, next(results).num_rows] == [5, 5]
    with pytest.raises(group.RecordError) as caught:
        next(results)
    assert (caught.value.code, caught.value.row) == ("identity", 3)
    assert "batch 2" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("made", "kind"), [(InputError, InputError), (ValueError, EngineError), (KeyError, EngineError)]
)
def test_a_workers_words_stay_there(
    local_spark: Any,
    spark: Spark,
    capfd: pytest.CaptureFixture[str],
    made: Callable[[str], Exception],
    kind: type[Exception],
) -> None:
    def fails(item: pa.Array) -> pa.Array:
        raise made(PLANTED if made is not InputError else "batches must be short")

    with pytest.raises(kind) as caught:
        list(spark.map(fails, [pa.array([1])]))
    assert PLANTED not in str(caught.value)
    assert (made is InputError) == ("batches must be short" in str(caught.value))
    assert caught.value.__cause__ is None or PLANTED not in str(caught.value.__cause__)
    out = capfd.readouterr()
    assert PLANTED not in out.out + out.err
    assert not found(local_spark.folder, [PLANTED.encode()])


def test_words_of_a_failure_that_spark_repeats_stay_there_too(
    local_spark: Any, spark: Spark, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(item: pa.Array) -> pa.Array:
        raise OSError(PLANTED)

    with pytest.raises(EngineError, match="lost its workers"):
        list(spark.map(fails, [pa.array([1])]))
    out = capfd.readouterr()
    assert PLANTED not in out.out + out.err
    assert not found(local_spark.folder, [PLANTED.encode()])


def found(folder: Path, secrets: list[bytes]) -> list[Path]:
    """The files with one of the secrets in them, as bytes, hexadecimal digits or base64."""
    spelled = [
        s for secret in secrets for s in (secret, secret.hex().encode(), base64.b64encode(secret)[:-4])
    ]
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(s in (content := path.read_bytes()) for s in spelled) and content
    ]


def test_neither_folder_nor_spark_holds_anything_readable(
    local_spark: Any, spark: Spark, tmp_path: Path, keys: KeyFile
) -> None:
    function, items = mask(), ids(4, rows=3)
    made = list(spark.map(function, items))
    values = [value for batch in (*items, *made) for value in batch.column(0).to_pylist()]
    secret = bytes.fromhex(Path(keys.path or "").read_text("ascii"))
    events = [p for p in (local_spark.folder / "events").rglob("*") if p.is_file()]
    assert events, "the event log is on"
    for folder in (tmp_path / "job", local_spark.folder):
        assert not found(folder, [function.secrets, secret, *values])
    # The search finds what is there.
    (tmp_path / "leak").write_bytes(b"x" + function.secrets.hex().encode())
    assert found(tmp_path, [function.secrets]) == [tmp_path / "leak"]


def test_what_is_sent_to_workers_has_no_secret(spark: Spark, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark import cloudpickle

    sent: list[bytes] = []
    run = Spark._run

    def recorded(self: Spark, work: Any, tag: str) -> Any:
        sent.append(bytes(cloudpickle.dumps(work)))
        return run(self, work, tag)

    monkeypatch.setattr(Spark, "_run", recorded)
    function = mask()
    list(spark.map(function, ids(1)))
    assert sent
    for content in sent:
        assert function.secrets not in content
        assert function.secrets.hex().encode() not in content


def test_an_erased_job_leaves_nothing(spark: Spark, tmp_path: Path) -> None:
    list(spark.map(same, [pa.array([1])]))
    spark.erase()
    assert not (tmp_path / "job").exists()


def test_a_worker_without_the_key_says_so(spark: Spark, keys: KeyFile) -> None:
    Path(keys.path or "").unlink()
    with pytest.raises(SecretError, match="cannot be read"):
        list(spark.map(same, [pa.array([1])]))


def test_another_key_does_not_open_the_folder(local_spark: Any, spark: Spark, tmp_path: Path) -> None:
    other = KeyFile(str(make_key_file(tmp_path / "other.key")))
    with pytest.raises(SecretError):
        Spark(local_spark.session, tmp_path / "job", other)


def test_an_altered_result_is_refused(spark: Spark, tmp_path: Path) -> None:
    items = [pa.array([1])]
    list(spark.map(same, items))
    (path,) = files(tmp_path, "result")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="altered"):
        list(spark.map(same, items))


def test_what_cannot_travel_is_refused(spark: Spark) -> None:
    key = group.new_key()
    with pytest.raises(InputError, match="cannot be pickled"):
        list(spark.map(lambda item: group.raise_points(item.column(0), key), ids(1)))
    with pytest.raises(InputError, match="not int"):
        list(spark.map(same, [1]))


def same(item: Any) -> Any:
    return item
