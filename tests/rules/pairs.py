# SPDX-License-Identifier: Apache-2.0
"""Reads the pairs: a `-- verdict:` line opens each, comments follow, then the question."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from hitoku.room.agreement import Agreement, Room

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Pair:
    """One question and what must come of it."""

    file: str
    line: int
    room: str
    asker: str
    accept: bool
    code: str | None
    sql: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@cache
def room(name: str = "room.yaml") -> Room:
    return Room(agreement=Agreement.model_validate(yaml.safe_load((HERE / name).read_text("utf-8"))))


def read(path: Path) -> list[Pair]:
    room_file = "room.yaml"
    found: list[Pair] = []
    lines = path.read_text("utf-8").splitlines()
    starts = [n for n, text in enumerate(lines) if text.startswith("-- verdict:")]
    for text in lines[: starts[0]]:
        assert text == "" or text.startswith("-- "), f"{path.name}: text before the first pair"
        if text.startswith("-- room: "):
            room_file = text.removeprefix("-- room: ")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        verdict = lines[start].removeprefix("-- verdict:").split()
        asker = "shop"
        body: list[str] = []
        for text in lines[start + 1 : end]:
            if text.startswith("-- asker: ") and not body:
                asker = text.removeprefix("-- asker: ")
            elif body or not text.startswith("-- "):
                body.append(text)
        accept = verdict == ["accept"]
        assert accept or (len(verdict) == 2 and verdict[0] == "refuse"), f"{path.name}:{start + 1}"
        sql = "\n".join(body).strip()
        code = None if accept else verdict[1]
        found.append(Pair(path.name, start + 1, room_file, asker, accept, code, sql))
    return found


@cache
def pairs() -> tuple[Pair, ...]:
    return tuple(pair for path in sorted(HERE.glob("*.sql")) for pair in read(path))
