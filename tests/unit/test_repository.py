# SPDX-License-Identifier: Apache-2.0
"""What is in the repository: nothing that a run left behind, no key, no large file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 1 << 20


def test_no_keys_runs_or_large_files_are_tracked() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone: nothing is tracked here")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    names = [name for name in listed if name]
    assert len(names) > 500
    assert [n for n in names if n.endswith((".key", ".keys", ".db", ".secret", ".log"))] == []
    assert [n for n in names if n.startswith("demo-")] == []
    assert [n for n in names if (ROOT / n).is_file() and (ROOT / n).stat().st_size > MOST_BYTES] == []
