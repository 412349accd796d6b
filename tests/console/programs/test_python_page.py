# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/python.md run against a real node, and print what the page says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.examples.test_documentation import same

from hitoku.cli import main as cli

PAGE = (Path(__file__).parents[3] / "docs/python.md").read_text("utf-8")
BLOCK = re.compile(r"^```(py|sh|ipython|text)\n(.*?)^```", re.M | re.S)


@pytest.fixture
def place(world, token, monkeypatch):
    monkeypatch.setenv("HITOKU_TOKEN", token)

    def placed(text: str) -> str:
        return text.replace("http://127.0.0.1:8480", world.url).replace("Flights and planes", "Test room")

    return placed


def test_the_python_blocks_print_what_the_page_says(place):
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed, ran = None, 0
    for language, text in BLOCK.findall(PAGE):
        if language == "py":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(place(text), "python.md", "exec"), namespace)
            printed, ran = out.getvalue().splitlines(), ran + 1
        elif language == "text" and printed is not None:
            assert same(text.rstrip("\n").split("\n"), printed), "\n".join(printed)
            printed = None
    namespace["connection"].close()
    assert ran == 4


def test_the_notebook_s_cells_run(place, world, token):
    from IPython.core.interactiveshell import InteractiveShell

    import hitoku

    shell: Any = InteractiveShell()
    shell.history_manager.enabled = False
    with hitoku.connect(world.url, token) as connection:
        shell.user_ns["room"] = connection.room()
        for language, text in BLOCK.findall(PAGE):
            if language == "ipython":
                done = shell.run_cell(text, store_history=False)
                assert done.success
        assert shell.user_ns["planes"].num_rows == 2
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_commands_run(place, world, monkeypatch, capsys):
    monkeypatch.chdir(world.place.path)
    shell = [text for language, text in BLOCK.findall(PAGE) if language == "sh"]
    for line in shell[0].splitlines():
        words = re.findall(r'"([^"]*)"|(\S+)', line)
        assert cli.run([a or b for a, b in words][1:]) == 0
    made = capsys.readouterr().out.split()[-1]
    assert made.startswith("hitoku_")
    env = {**os.environ, "HITOKU_TOKEN": made}
    done = subprocess.run(
        ["bash", "-c", place(shell[1])], env=env, capture_output=True, text=True, timeout=300, check=True
    )
    assert '"name":"Test room"' in done.stdout
