# SPDX-License-Identifier: Apache-2.0
"""Every example of the README and the docs runs: Python blocks as programs, `$ hitoku ...` lines as commands.

Blocks of one page share a directory (a copy of the demo's, called `demo-run`) and, for Python, a namespace.
A command that is meant to fail says so: `$ hitoku ask ... # exits 3`. What is printed below a command is
compared line by line with what it prints; `...` in a line stands for anything, a line of `...` for any number
of lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JAPANESE = ROOT / "docs/ja"  # blocks are the English pages', by test_translations.py: once run is enough
PAGES = sorted(
    p.relative_to(ROOT)
    for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if JAPANESE not in p.parents
)
BLOCK = re.compile(r"^```(python|console)[^\n]*\n(.*?)^```", re.M | re.S)
SECRET = "c2VjcmV0IG9mIHRoZSBkb2N1bWVudGF0aW9uIHRlc3Q="


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(m[1], m[2]) for m in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("docs")
    hitoku(f"hitoku demo tokens --directory {where / 'demo-run'}", where)
    return where / "demo-run"


def hitoku(command: str, where: Path, code: int = 0) -> str:
    script = Path(sys.executable).with_name("hitoku")
    line = re.sub(r"^hitoku\b", str(script), command)
    env = {**os.environ, "C3R_SHARED_SECRET": SECRET, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-c", line], cwd=where, env=env, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == code, f"{command}\nexits {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def same(expected: list[str], printed: list[str]) -> bool:
    """Whether what was printed is what the page shows; the page may leave lines out with `...`."""

    def one(line: str) -> str:
        if line.strip() == "...":
            return r"(?:.*\n)*?"
        return re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"\s*\n"

    pattern = "".join(one(line) for line in expected)
    text = "".join(line.rstrip() + "\n" for line in printed)
    return re.fullmatch(pattern + r"\s*", text) is not None


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=str)
def test_the_examples_of(page: Path, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo, tmp_path / "demo-run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C3R_SHARED_SECRET", SECRET)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, str(page), "exec"), namespace)
            continue
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            logical = re.sub(r"\\\n\s*(?:> )?", "", part)
            command, *shown = logical.rstrip("\n").split("\n")
            if not command.startswith("hitoku "):
                continue
            command, _, note = command.partition("  # exits ")
            printed = hitoku(command, tmp_path, int(note or 0)).splitlines()
            if shown:
                assert same(shown, printed), f"{page}: {command}\nprints\n" + "\n".join(printed)
