# SPDX-License-Identifier: Apache-2.0
"""A process is killed inside a transaction: all of it is there, or none of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import FakeClock, make_place
from tests.unit.room.test_budgets import agreement, cost, run

from hitoku.room import store as tables
from hitoku.room.directory import MemberDirectory
from hitoku.room.heads import member_signed
from hitoku.room.records import Role, RunState

pytestmark = pytest.mark.slow

ROOM = "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11"


def _dies(path: str, room: str, step: str) -> None:
    from hitoku.room.agreement import Agreement

    records = MemberDirectory.open(Path(path)).records(ROOM, FakeClock())
    agreement_ = Agreement.model_validate_json(room)

    def killed(_connection: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if step == "reserve":
        records.reserve(run(2, cost(7)), agreement_, beside=killed)
    elif step == "commit":
        records.commit(run(1).id, Role.OWNER, {"answer": "x"}, beside=lambda c: None)
        records.reserve(run(3, cost(7)), agreement_)
        records.fail(run(3).id, Role.OWNER, "x", beside=killed)
    else:
        with records.store.transaction() as connection:
            connection.execute(sa.delete(tables.charges))
            connection.execute(sa.delete(tables.runs))
            killed(connection)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("step", ["reserve", "commit", "delete"])
def test_a_killed_transaction_leaves_nothing(request, tmp_path, kind, step):
    place = make_place(tmp_path)
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").database()
        (tmp_path / "registry" / "member.toml").write_text(f'name = "registry"\n[database]\nurl = "{url}"\n')
    room = agreement([{}])
    member = MemberDirectory.open(tmp_path / "registry")
    records = member.records(ROOM, FakeClock())
    records.reserve(run(1, cost(7)), room)
    process = multiprocessing.get_context("spawn").Process(
        target=_dies, args=(str(member.path), room.model_dump_json(), step)
    )
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    states = {number: records.state(run(number).id, Role.OWNER) for number in (1, 2, 3)}
    after = RunState.COMMITTED if step == "commit" else RunState.RESERVED
    third = RunState.RESERVED if step == "commit" else None
    assert states == {1: after, 2: None, 3: third}
    assert records.accounts(room)[0].rho == (14 if step == "commit" else 7)
    records.reserve(run(4, cost(7)), room)  # no lock is left behind
    assert records.ledger.verify(member_signed(place.agreement)) == records.ledger.size()
    records.store.close()
