# SPDX-License-Identifier: Apache-2.0
"""Looks at members' records with another release of hitoku; started by tests with that release's environment.

    python upgrade_worker.py DIRECTORY

DIRECTORY is a workspace: its room file, and the members' directories. Prints one JSON object: by member its
accounts, its ledger's entries by run and kind, its jobs' states, and the schema of its database.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import sqlalchemy as sa

from hitoku import __version__
from hitoku.ports import SystemClock
from hitoku.room import store as tables
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room

sys.path.append(str(Path(__file__).parents[2]))  # after the release
from tests.attacks.test_crash_of_ask import check
from tests.conftest import Place


def main(path: Path) -> None:
    room = load_room(path / "room.yaml")
    names = [member.name for member in room.agreement.members]
    place = Place(path, {name: MemberDirectory.open(path / name) for name in names}, room)
    found: dict[str, object] = {"hitoku": __version__, "checked": dict(check(place))}
    for name, directory in place.members.items():
        records = directory.records(str(room.agreement.id), SystemClock())
        accounts = {
            account.budget.unit: [account.charges, account.rho]
            for account in records.accounts(room.agreement)
        }
        entries: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for entry in records.ledger.entries():
            if "run" in entry.body:
                entries[entry.body["run"]][str(entry.kind)] += 1
        with records.store.reading() as connection:
            job = tables.jobs.c
            jobs = {row.run: str(row.state) for row in connection.execute(sa.select(job.run, job.state))}
            schema = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        records.store.close()
        found[name] = {"accounts": accounts, "entries": entries, "jobs": jobs, "schema": schema}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
