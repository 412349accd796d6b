# SPDX-License-Identifier: Apache-2.0
"""A copy of a table does not outlive the check that made it, also where the check was killed."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from hitoku.errors import InputError
from hitoku.node.scratch import scratch, sweep

HOLDS = """
import sys
from pathlib import Path
from hitoku.node.scratch import scratch

with scratch(Path(sys.argv[1])) as place:
    (place / "rows.parquet").write_text("PLANTED")
    print(place, flush=True)
    sys.stdin.read()
"""


def kept(directory):
    return sorted((directory / "checks").iterdir())


def test_the_folder_is_private_and_goes(tmp_path):
    with scratch(tmp_path) as place:
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "rows.parquet").write_text("x")
        with scratch(tmp_path) as other:
            assert kept(tmp_path) == sorted([place, other])  # what is in use stays
    with pytest.raises(RuntimeError), scratch(tmp_path):
        raise RuntimeError
    assert kept(tmp_path) == []


@pytest.mark.parametrize("how", ["sweep", "scratch"])
def test_what_a_killed_check_left_goes_and_what_one_uses_stays(tmp_path, how):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline()
        sweep(tmp_path)
        assert len(kept(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(kept(tmp_path)) == 1
    if how == "sweep":
        sweep(tmp_path)
    else:
        with scratch(tmp_path) as place:
            assert kept(tmp_path) == [place]
    assert kept(tmp_path) == []


def test_where_nothing_was_checked_nothing_is_made_and_a_file_in_the_way_is_said(tmp_path):
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "checks").write_text("")
    with pytest.raises(InputError, match="no temporary file"), scratch(tmp_path):
        pass
