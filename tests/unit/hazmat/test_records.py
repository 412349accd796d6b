"""Sorting: in memory and beyond it, group by group, nothing before all is there."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError
from hitoku.hazmat import group


@settings(max_examples=60, deadline=None)
@given(width=st.sampled_from([1, 5, 12, 32, 96]), data=st.data(), threads=st.integers(1, 2))
def test_records_are_sorted_as_bytes_are(width, data, threads):
    rows = data.draw(st.lists(st.binary(min_size=width, max_size=width), max_size=50))
    column = group.records(b"".join(rows), width)
    assert group.sort(column, threads=threads).to_pylist() == sorted(rows)
    firsts = [row for row in range(len(rows)) if rows[row] in rows[:row]]
    if firsts:
        with pytest.raises(group.RecordError) as caught:
            group.check_distinct(column, length=width, threads=threads)
        assert caught.value.row == firsts[0]
    else:
        group.check_distinct(column, length=width, threads=threads)
        group.check_sorted(group.sort(column), length=width)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), cut=st.integers(1, 30), memory=st.sampled_from([0, 1 << 20]))
def test_groups_come_out_sorted_however_they_went_in(tmp_path_factory, data, cut, memory):
    rows = data.draw(st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 3)), max_size=60))
    sizes = [sum(one[1] == number for one in rows) for number in range(4)]
    sorter = group.Sorter(32, sizes, memory=memory, folder=tmp_path_factory.getbasetemp())
    for start in range(0, len(rows), cut):
        piece = rows[start : start + cut]
        assert not sorter.whole
        with pytest.raises(group.RecordError, match="yet"):
            list(sorter.take(0))
        sorter.push(
            group.records(b"".join(one[0] for one in piece), 32),
            pa.array([one[1] for one in piece], pa.uint16()),
        )
    assert sorter.whole
    for number in range(4):
        out = [one for taken in sorter.take(number) for one in taken.to_pylist()]
        assert out == sorted(one[0] for one in rows if one[1] == number)


def test_a_push_that_is_refused_leaves_nothing_behind(tmp_path):
    sorter = group.Sorter(32, [3, 1], memory=1 << 20, folder=tmp_path)
    points = group.random_points(4)
    groups = pa.array([0, 0, 1, 1], pa.uint16())
    with pytest.raises(group.RecordError) as caught:
        sorter.push(points, groups)
    assert (caught.value.code, caught.value.row) == ("too-many-records", 3)
    with pytest.raises(group.RecordError, match="group"):
        sorter.push(points, pa.array([0, 0, 0, 2], pa.uint16()))
    for column in (group.random_points(1)[:0].cast(pa.binary()), group.records(bytes(12), 12)):
        with pytest.raises(group.RecordError):
            sorter.push(column)
    sorter.push(points, pa.array([0, 0, 1, 0], pa.uint16()))
    assert [len(taken) for taken in sorter.take(1)] == [1]


def test_senseless_sorters_are_refused(tmp_path):
    for width, sizes in ((0, [1]), (5_000, [1]), (32, [-1]), (32, [2**60]), (2**70, [1])):
        with pytest.raises(InputError):
            group.Sorter(width, sizes, memory=0, folder=tmp_path)


def test_several_threads_push_and_the_file_leaves_no_trace(tmp_path):
    pieces = [group.random_points(20_000) for _ in range(4)]
    sorter = group.Sorter(32, [80_000], memory=0, folder=tmp_path)
    threads = [threading.Thread(target=sorter.push, args=(piece,)) for piece in pieces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorter.spilled
    assert list(tmp_path.iterdir()) == []
    out = pa.concat_arrays(list(sorter.take()))
    group.check_sorted(out, length=32)
    assert set(out.to_pylist()) == {one for piece in pieces for one in piece.to_pylist()}


MEMORY = """
import os, resource, sys
from pathlib import Path
from hitoku.hazmat import group
rows, step, width = 1_500_000, 50_000, 96
sorter = group.Sorter(width, [rows], memory=16 << 20, folder=Path(sys.argv[1]))
sorter.push(group.records(os.urandom(step * width), width))
def peak():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024
before = peak()
for _ in range(rows // step - 1):
    sorter.push(group.records(os.urandom(step * width), width))
last, seen = b"", 0
for taken in sorter.take():
    group.check_sorted(taken, length=width)
    assert taken[0].as_py() > last
    last, seen = taken[-1].as_py(), seen + len(taken)
assert seen == rows and sorter.spilled
print(peak() - before)
"""


def test_memory_stays_bounded_while_far_more_is_sorted(tmp_path):
    # 144 MB of records with 16 MiB kept: a process of its own, for a peak never falls.
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 70
