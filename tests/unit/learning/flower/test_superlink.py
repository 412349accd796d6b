# SPDX-License-Identifier: Apache-2.0
"""Ports: free ones, kept ones, taken ones. (That a SuperLink starts and ends is in tests/learning.)"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hitoku.errors import InputError
from hitoku.learning.flower.superlink import _port


def test_a_folder_keeps_its_port(tmp_path: Path) -> None:
    first = _port(tmp_path, "127.0.0.1", 0)
    assert first > 0
    assert _port(tmp_path, "127.0.0.1", 0) == first
    (tmp_path / "superlink.port").write_text("no port")
    assert _port(tmp_path, "127.0.0.1", 0) > 0


def test_a_kept_port_that_is_taken_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        (tmp_path / "superlink.port").write_text(f"{taken}\n")
        assert _port(tmp_path, "127.0.0.1", 0) not in (0, taken)


def test_a_port_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(InputError, match=f"127\\.0\\.0\\.1:{taken}: the port is taken"):
            _port(tmp_path, "127.0.0.1", taken)


def test_an_address_of_another_machine_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the address not ours"):
        _port(tmp_path, "192.0.2.1", 0)
