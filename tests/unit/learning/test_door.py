# SPDX-License-Identifier: Apache-2.0
"""A door answers its server's requests, each once, also after restarts; errors go out without values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learning.world import RUN, SERVER, Keys, plan_of

from hitoku.errors import InputError, LimitError, PeerError, Refusal
from hitoku.learning.door import Door
from hitoku.learning.plan import plan_hash
from hitoku.learning.transcript import Transcript, read_transcript
from hitoku.learning.wire import REPLY_DOMAIN, REQUEST_DOMAIN, Opened, open_signed, seal

PLAN = plan_hash(plan_of())
MINE, SERVERS = Keys(), Keys()


class Answers:
    """Counts, and raises what it is told."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None

    def __call__(self, kind: str, body: Any, arrays: Any) -> tuple[Any, Any]:
        self.count += 1
        if self.error is not None:
            raise self.error
        return {"count": self.count, "kind": kind, **body}, {"masked/v": np.arange(3), **arrays}


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def door(tmp_path: Path, answers: Answers) -> Iterator[Door]:
    made = opened_door(tmp_path, answers)
    yield made
    made.close()


def opened_door(folder: Path, answers: Answers, transcript: Transcript | None = None) -> Door:
    return Door(PLAN, RUN, "aoi", MINE, SERVERS.public, folder, answers, transcript)


def request(number: int, **changed: Any) -> bytes:
    header = {
        "plan": PLAN.hex(),
        "run": RUN,
        "member": "aoi",
        "sequence": number,
        "kind": "ask",
        "body": {"x": 1},
        **changed,
    }
    return seal(REQUEST_DOMAIN, SERVERS, header, {"a": np.zeros(2)}).content


def read(reply: bytes) -> Opened:
    return open_signed(REPLY_DOMAIN, MINE.public, reply)


def test_an_answer(door: Door) -> None:
    content = request(1)
    opened = read(door.handle(content))
    digest = open_signed(REQUEST_DOMAIN, SERVERS.public, content).digest.hex()
    assert opened.header == {
        "plan": PLAN.hex(),
        "run": RUN,
        "member": "aoi",
        "sequence": 1,
        "request": digest,
        "body": {"count": 1, "kind": "ask", "x": 1},
    }
    assert opened.arrays["masked/v"].tolist() == [0, 1, 2]


def test_numbers_only_rise(door: Door, answers: Answers) -> None:
    for sequence in (1, 2, 7):
        assert "body" in read(door.handle(request(sequence))).header
    for sequence in (1, 2, 6):
        assert read(door.handle(request(sequence))).header["stale"] == 7
    assert read(door.handle(request(7, body={"x": 2}))).header["stale"] == 7
    assert answers.count == 3


def test_the_identical_last_request_gets_the_identical_reply(door: Door, answers: Answers) -> None:
    content = request(3)
    reply = door.handle(content)
    assert door.handle(content) == reply
    door.handle(request(2))  # a stale one in between changes nothing
    assert door.handle(content) == reply
    assert answers.count == 1
    door.handle(request(4))
    assert read(door.handle(content)).header["stale"] == 4


def test_after_a_restart_nothing_old_is_answered(tmp_path: Path, answers: Answers) -> None:
    door = opened_door(tmp_path, answers)
    for sequence in (1, 5):
        door.handle(request(sequence))
    door.close()
    door = opened_door(tmp_path, answers)
    stale = [read(door.handle(request(sequence))).header["stale"] for sequence in (1, 5, 6)]
    assert stale[0] >= 6
    assert answers.count == 2
    assert "body" in read(door.handle(request(stale[0] + 1))).header
    door.close()


def test_numbers_are_on_the_disk_before_the_answer(
    tmp_path: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = opened_door(tmp_path, answers)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(InputError, match="cannot be written"):
        door.handle(request(1))
    assert answers.count == 0
    door.close()


@pytest.mark.parametrize(
    ("error", "outcome", "told"),
    [
        (
            Refusal("NOT_PLANNED", "no", remedy="ask less"),
            "refused",
            {"code": "NOT_PLANNED", "remedy": "ask less"},
        ),
        (PeerError("wrong phase"), "failed", {"error": "PeerError", "message": "wrong phase"}),
        (LimitError("too much"), "failed", {"error": "LimitError", "message": "too much"}),
    ],
    ids=["refusal", "peer", "limit"],
)
def test_errors_go_out_signed(
    door: Door, answers: Answers, error: Exception, outcome: str, told: dict[str, str]
) -> None:
    answers.error = error
    opened = read(door.handle(request(1)))
    assert told.items() <= opened.header[outcome].items()
    assert opened.arrays == {}
    answers.error = None
    assert "body" in read(door.handle(request(2))).header


def test_an_unexpected_error_goes_out_without_its_words(door: Door, answers: Answers) -> None:
    answers.error = ValueError("could not convert 4711 yen")
    failed = read(door.handle(request(1))).header["failed"]
    assert failed["error"] == "ValueError"
    assert failed["message"].startswith("failed at test_door.py:")
    assert "4711" not in str(failed)


@pytest.mark.parametrize(
    "changed",
    [
        {"plan": "0" * 64},
        {"run": "f" * 32},
        {"member": "beni"},
        {"sequence": 0},
        {"sequence": -1},
        {"sequence": True},
        {"sequence": 1.0},
        {"sequence": 1 << 60},
        {"kind": ""},
        {"kind": 1},
        {"kind": "x" * 1000},
        {"body": []},
        {"more": 1},
    ],
    ids=str,
)
def test_requests_for_others_or_malformed(door: Door, answers: Answers, changed: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        door.handle(request(1, **changed))
    assert answers.count == 0
    door.handle(request(1))


def test_both_sides_of_its_transcript(tmp_path: Path, answers: Answers) -> None:
    book = Transcript(None, party="aoi", plan=PLAN, run=RUN)
    door = opened_door(tmp_path, answers, book)
    reply = door.handle(request(1))
    _, received, sent = read_transcript(book.lines)
    assert (received["direction"], received["member"], received["kind"]) == ("received", "server", "ask")
    assert sent["direction"] == "sent"
    assert sent["sha256"] == read(reply).digest.hex()
    assert sent["protected"]["masked"] == 24
    assert SERVER == "server"
    door.close()
