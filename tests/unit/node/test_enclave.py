# SPDX-License-Identifier: Apache-2.0
"""A node's part in runs in enclaves: any member as the place, what stays on disk, cancelling, times."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.enclaves import CLEAR, SQL, ThreadWorker, World, agreement_data, in_threads, make, tables

from hitoku import limits
from hitoku.errors import HitokuError, InputError, PeerError, Refusal
from hitoku.node.enclave import EnclaveDesk
from hitoku.node.settings import EnclaveSettings, NodeSettings
from hitoku.protections.enclave.worker import compute
from hitoku.protections.enclave.worker import serve as worker
from hitoku.room.runs import RunState

SECONDS = 120


def world(place: Path, **changes: Any) -> World:
    return make(place, agreement_data(**changes), tables())


def able(**abilities: list[str]) -> list[dict[str, Any]]:
    usual = {"shop": ["query", "receive"], "telco": ["query", "receive"], "cloud": ["compute"]}
    return [{"name": name, "abilities": abilities.get(name, usual[name])} for name in usual]


@pytest.mark.parametrize(
    "members",
    [
        able(cloud=["host"]),
        able(cloud=[], shop=["query", "receive", "compute"]),
        able(cloud=[], telco=["query", "receive", "compute"]),
    ],
    ids=["a host", "the asker", "the other owner"],
)
def test_any_member_may_be_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[dict[str, Any]]
) -> None:
    with in_threads(world(tmp_path, members=members), monkeypatch) as made:
        answer = made.handle().ask(SQL, receivers=["shop", "telco"])
        assert dict(answer.fetchall()) == CLEAR
        assert (made.members["telco"].path / "answers" / f"{answer.run}.json").exists()


def test_who_asks_need_not_receive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = able(shop=["query"])
    with in_threads(world(tmp_path, members=members), monkeypatch) as made:
        sent = made.handle().send(SQL)
        assert sent.receivers == ("telco",)
        file = made.members["telco"].path / "answers" / f"{sent.run}.json"
        assert json.loads(file.read_text())["attestation"]["software_rooted"] is True
        assert not (made.members["shop"].path / "answers").exists()


def test_nothing_of_a_run_stays_but_answers_and_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_threads(world(tmp_path), monkeypatch) as made:
        run = made.handle().ask(SQL).run
        kept = sorted(
            str(file.relative_to(tmp_path))
            for member in made.members
            for part in ("enclave", "answers")
            for file in (tmp_path / member / part).rglob("*")
            if file.is_file()
        )
    assert kept == [f"cloud/enclave/certificates/{run}.json", f"shop/answers/{run}.deletion.json"]


def test_a_table_that_is_not_there_is_said_before_anything_is_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_threads(world(tmp_path), monkeypatch) as made:
        (made.members["telco"].path / "tables" / "subscribers.parquet").unlink()
        with pytest.raises(Refusal) as caught:
            made.handle().ask(SQL)
        assert caught.value.code == "TABLE_NOT_AT_NODE"
        assert caught.value.owner == "telco"
        assert not made.workers


def test_a_table_without_a_column_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_threads(world(tmp_path), monkeypatch) as made:
        pq.write_table(
            pa.table({"phone": ["+49"]}), made.members["telco"].path / "tables" / "subscribers.parquet"
        )
        with pytest.raises(PeerError):
            made.handle().ask(SQL)


def test_a_csv_file_is_read_as_its_columns_are_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_threads(world(tmp_path), monkeypatch) as made:
        folder = made.members["telco"].path / "tables"
        rows = pq.read_table(folder / "subscribers.parquet").to_pylist()
        (folder / "subscribers.parquet").unlink()
        lines = ["plan,phone", *(f"{row['plan']},{row['phone']}" for row in rows)]
        (folder / "subscribers.csv").write_text("\n".join(lines) + "\n")
        assert dict(made.handle().ask(SQL).fetchall()) == CLEAR


def test_a_run_that_is_cancelled_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cancelled, computed, end = threading.Event(), threading.Event(), compute.cells, ThreadWorker.end

    def ended(self: ThreadWorker) -> None:
        cancelled.set()  # it ends by itself, and is waited for
        end(self)

    def slow(*arguments: Any, **more: Any) -> Any:
        begun.set()
        cancelled.wait(SECONDS)
        return computed(*arguments, **more)

    monkeypatch.setattr(worker, "cells", slow)
    monkeypatch.setattr(ThreadWorker, "end", ended)
    with in_threads(world(tmp_path), monkeypatch) as made:
        handle, found = made.handle(), list[HitokuError]()

        def ask() -> None:
            with pytest.raises(HitokuError) as caught:
                handle.ask(SQL)
            found.append(caught.value)

        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(SECONDS)
        handle.cancel()
        thread.join(SECONDS)
        assert getattr(found[0], "code", None) == "ENGINE_CANCELLED"


def test_an_answer_leaves_at_the_rooms_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_threads(world(tmp_path, release={"interval_seconds": 2}), monkeypatch) as made:
        began = time.monotonic()
        answer = made.handle().ask(SQL)
        assert time.monotonic() - began >= 1
        assert datetime.fromisoformat(answer.released_at)


def test_what_a_killed_process_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_threads(world(tmp_path), monkeypatch) as made:
        old = made.members["telco"].path / "enclave" / "offers" / ("ab" * 16)
        old.mkdir(parents=True)
        (old / "table-0").write_bytes(b"sealed")
        long_ago = time.time() - 3 * limits.RUN_SECONDS
        os.utime(old, (long_ago, long_ago))
        made.handle().ask(SQL)
        assert not old.exists()


def test_a_worker_that_does_not_start_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: EnclaveDesk, __: Any) -> ThreadWorker:
        raise InputError("swtpm is not installed")

    made = world(tmp_path)
    monkeypatch.setattr(EnclaveDesk, "start", fails)
    with pytest.raises(PeerError) as caught:
        made.handle().ask(SQL)
    assert caught.value.code == "INPUT"
    records = made.members["telco"].records(str(made.room.agreement.id), made.handle()._node._clock)
    run = next(iter(e.body["run"] for e in records.ledger.entries(0) if "run" in e.body))
    known = records.consented(run)
    records.store.close()
    assert known is not None
    assert known.state is RunState.COMMITTED


def test_settings_of_enclaves(tmp_path: Path) -> None:
    room = {"file": "room.yaml"}
    base = {"listen": "127.0.0.1:8443", "url": "https://a.example:8443", "rooms": [room]}
    made = NodeSettings.made(base | {"enclave": {"platform": "dev", "device": "dev.key"}}, "here")
    made.write(tmp_path)
    assert NodeSettings.open(tmp_path).enclave == EnclaveSettings(platform="dev", device="dev.key")
    for wrong in ({"platform": "dev"}, {"platform": "none"}, {"device": 3}, {"debug": True}):
        with pytest.raises(InputError):
            NodeSettings.made(base | {"enclave": wrong}, "here")
