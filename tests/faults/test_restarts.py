# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL is restarted, or crashes, while many questions are reserved and settled."""

from __future__ import annotations

import signal
import threading
import time

import pytest
import sqlalchemy as sa
from tests.conftest import make_place
from tests.unit.room.test_budgets import agreement, cost, run

from hitoku.errors import LimitError, Refusal
from hitoku.ports import SystemClock
from hitoku.room import store as tables
from hitoku.room.directory import MemberDirectory
from hitoku.room.records import Records, Role

pytestmark = pytest.mark.slow

THREADS, RUNS = 6, 60


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_nothing_is_lost_or_spent_twice(postgresql, tmp_path, monkeypatch, how):
    place = make_place(tmp_path)
    (tmp_path / "registry" / "member.toml").write_text(
        f'name = "registry"\n[database]\nurl = "{postgresql.database()}"\n'
    )
    room = agreement([{}])
    directory = MemberDirectory.open(tmp_path / "registry")
    store = directory.store()
    clock = SystemClock()
    told: list[str] = []
    acknowledged: dict[int, str] = {}
    strange: list[BaseException] = []

    def work(first: int) -> None:
        records = Records(store, str(place.agreement.id), "registry", directory.keys(), clock)
        for number in range(first, first + RUNS):
            try:
                for _ in range(50):
                    try:
                        records.reserve(run(number, cost(1000)), room)
                        acknowledged[number] = "reserved"
                        break
                    except LimitError as error:
                        told.append(str(error))
                        time.sleep(0.05)
                    except Refusal as refusal:
                        # The commit before it had gone through, though nobody could tell.
                        assert refusal.code == "CONSENT_REPLAYED"  # noqa: PT017
                        acknowledged[number] = "reserved"
                        break
                for _ in range(50):
                    try:
                        records.commit(run(number).id, Role.OWNER, {"answer": "x"})
                        acknowledged[number] = "committed"
                        break
                    except LimitError as error:
                        told.append(str(error))
                        time.sleep(0.05)
            except BaseException as error:
                strange.append(error)
                return

    threads = [threading.Thread(target=work, args=(1 + 1000 * n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(0.7)
        assert all(thread.is_alive() for thread in threads)  # it is under load
        postgresql.stop(how)
        postgresql.start()
    for thread in threads:
        thread.join(300)
    assert strange == []
    assert len(acknowledged) == THREADS * RUNS
    assert set(acknowledged.values()) == {"committed"}
    records = Records(store, str(place.agreement.id), "registry", directory.keys(), clock)
    with store.reading() as connection:
        count, total = connection.execute(
            sa.select(sa.func.count(), sa.func.sum(tables.charges.c.rho)).where(
                tables.charges.c.state == "committed"
            )
        ).one()
    assert (count, int(total)) == (THREADS * RUNS, THREADS * RUNS * 1000)
    assert records.accounts(room)[0].rho == total

    from hitoku.room.heads import member_signed

    assert records.ledger.verify(member_signed(place.agreement)) == records.ledger.size()
    kinds = [entry.kind.value for entry in records.ledger.entries()]
    assert kinds.count("reservation") == kinds.count("charge") == kinds.count("release") == THREADS * RUNS
    assert not [words for words in told if "psycopg" in words or "FATAL" in words or "127.0.0.1" in words]
    store.close()
