# SPDX-License-Identifier: Apache-2.0
"""A node is killed in the midst of a migration: the next start completes it, or the old release goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import FakeClock, Place, make_place
from tests.e2e.nodes import Nodes
from tests.e2e.releases import NEXT_SCHEMA, Release, released
from tests.postgresql import PASSWORD
from tests.unit.room.test_budgets import agreement, cost, run

from hitoku.room.directory import MemberDirectory
from hitoku.room.store import SCHEMA_VERSION, Store

pytestmark = pytest.mark.slow

ROOM = "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11"
DIES = 'import os, signal; print("half way", flush=True); os.kill(os.getpid(), signal.SIGKILL)'


def started(member: Path, release: Release | None) -> subprocess.CompletedProcess[str]:
    """What comes of `hitoku node serve`; it is ended where it serves."""
    more = {} if release is None else release.environment
    heard = []
    with subprocess.Popen(
        [sys.executable, "-m", "hitoku.cli.main", "node", "serve", str(member)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **more},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            heard.append(line)
            if '"serving"' in line:
                process.send_signal(signal.SIGTERM)
        out = process.stdout.read()
    return subprocess.CompletedProcess([], process.returncode, out, "".join(heard))


def facts(url: Any) -> tuple[str, set[str], set[str]]:
    """The schema, all tables, and the columns of the runs."""
    store = Store.unmade(url, lambda: PASSWORD)
    with store.reading() as connection:
        looked = sa.inspect(connection)
        schema = str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))
        columns = {str(column["name"]) for column in looked.get_columns("runs")}
        found = schema, set(looked.get_table_names()), columns
    store.close()
    return found


def ledger(url: Any) -> list[Any]:
    """All entries of the ledger, as they are hashed."""
    store = Store.unmade(url, lambda: PASSWORD)
    with store.reading() as connection:
        rows = connection.execute(sa.text("SELECT seq, body FROM ledger_entries ORDER BY seq")).all()
    store.close()
    return [(seq, bytes(body)) for seq, body in rows]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_migration_that_is_killed_leaves_what_was_there(request, tmp_path, kind):
    place = make_place(tmp_path)
    path = tmp_path / "registry"
    url: Any = path / "state.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").database()
        (path / "member.toml").write_text(f'name = "registry"\n[database]\nurl = "{url}"\n')
        place = Place(tmp_path, {**place.members, "registry": MemberDirectory.open(path)}, place.room)
        place.members["registry"].remember(place.room)
    Nodes(place)  # writes each member's node.toml
    room = agreement([{}])
    records = place.members["registry"].records(ROOM, FakeClock())
    records.reserve(run(1, cost(7)), room)
    records.store.close()
    before = facts(url)
    assert before[0] == SCHEMA_VERSION

    dies = released(tmp_path / "dies", "9.9.9", migrates=True, between=DIES)
    killed = started(path, dies)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "half way" in killed.stdout, "it was not killed in the migration"
    assert facts(url) == before

    # The release before goes on as if nothing had been, and so does the one that migrates.
    assert started(path, None).returncode == 0
    records = MemberDirectory.open(path).records(ROOM, FakeClock())
    assert records.accounts(room)[0].rho == 7
    records.reserve(run(2, cost(7)), room)  # no lock is left behind
    records.store.close()
    written = ledger(url)
    again = started(path, dies)
    assert again.returncode == -signal.SIGKILL
    assert ledger(url) == written
    whole = released(tmp_path / "whole", "9.9.9", migrates=True)
    done = started(path, whole)
    assert done.returncode == 0, done.stderr
    schema, tables, columns = facts(url)
    assert schema == NEXT_SCHEMA
    assert tables == before[1] | {"of_the_next_release"}
    assert columns == before[2] | {"of_the_next_release"}
    assert ledger(url)[: len(written)] == written
    store = Store.unmade(url, lambda: PASSWORD)
    with store.reading() as connection:
        assert connection.scalars(sa.text("SELECT name FROM of_the_next_release")).all() == ["whole"]
        assert connection.execute(sa.text("SELECT count(*), sum(rho) FROM charges")).one() == (2, 14)
    store.close()
    refused = started(path, None)
    assert refused.returncode == 5
    assert f"has schema {NEXT_SCHEMA}, this hitoku knows {SCHEMA_VERSION}" in " ".join(refused.stderr.split())
