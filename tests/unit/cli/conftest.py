# SPDX-License-Identifier: Apache-2.0
"""The command line, called in this process."""

from __future__ import annotations

import pytest

import hitoku.cli.main as cli


@pytest.fixture
def hitoku(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        code = cli.run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call
