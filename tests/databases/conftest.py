# SPDX-License-Identifier: Apache-2.0
"""The same tests on another database: here members keep their state in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgresql import PASSWORD, Server, server

from hitoku.room.directory import MemberDirectory


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server."""
    with server() as made:
        yield made


@pytest.fixture(autouse=True)
def on_postgresql(postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every member directory that is made has a database of its own there."""
    create = MemberDirectory.create.__func__  # type: ignore[attr-defined]

    def made(cls: type[MemberDirectory], path: Path, name: str) -> MemberDirectory:
        found: MemberDirectory = create(cls, path, name, postgresql.database(empty=False))
        return found

    monkeypatch.setattr(MemberDirectory, "create", classmethod(made))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
