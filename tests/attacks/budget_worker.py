# SPDX-License-Identifier: Apache-2.0
"""Asks many questions at once, each in a thread with nodes of its own; prints how each ended."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hitoku.disclosure.noise
import hitoku.protections.tokens  # noqa: F401
from hitoku import ask as way
from hitoku.errors import HitokuError, Refusal
from hitoku.node.local import LocalNode
from hitoku.ports import NoProgress, SystemClock
from hitoku.room.directory import Workspace
from hitoku.transport.in_process import InProcessNetwork


def one(path: str, sql: str) -> str:
    """Ask one question. Returns how it ended."""
    workspace = Workspace.open(Path(path))
    network, clock, hears = InProcessNetwork(), SystemClock(), NoProgress()
    nodes = {
        name: LocalNode(directory, workspace.room, network, clock, hears)
        for name, directory in workspace.members.items()
    }
    me = nodes["airport"]
    try:
        way.ask(sql, me.room, me.peers, me.records, hears)
    except Refusal as refusal:
        return refusal.code
    except HitokuError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        for node in nodes.values():
            node.close()
    return "answered"


def main() -> None:
    """Ask all questions on standard input, a JSON list, at once."""
    path = sys.argv[1]
    questions = json.load(sys.stdin)
    with ThreadPoolExecutor(len(questions)) as pool:
        json.dump(list(pool.map(lambda sql: one(path, sql), questions)), sys.stdout)


main()
