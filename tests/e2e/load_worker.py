# SPDX-License-Identifier: Apache-2.0
"""One member that asks many questions at once over the network; prints how each ended, as one JSON list."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

from hitoku.errors import HitokuError, Refusal
from hitoku.node.remote import open_remote_room

SECONDS = 300
"""So long one thread may take to open its room: all processes do that at once, on however few cores."""


def main() -> None:
    """Ask the questions on standard input, a JSON list, each in a thread with a handle of its own."""
    directory = Path(sys.argv[1])
    questions = json.load(sys.stdin)
    together = Barrier(len(questions))

    def one(sql: str) -> dict[str, Any]:
        room = open_remote_room(directory)
        together.wait(SECONDS)
        try:
            answer = room.ask(sql)
        except Refusal as refusal:
            return {"sql": sql, "code": refusal.code, "owner": refusal.owner}
        except HitokuError as error:
            return {"sql": sql, "code": type(error).__name__, "words": str(error)}
        facts = {"sql": sql, "code": None, "run": answer.run, "asker": answer.asker}
        return facts | {"asked": answer.sql, "rows": answer.to_dict()["rows"]}

    with ThreadPoolExecutor(len(questions)) as threads:
        json.dump(list(threads.map(one, questions)), sys.stdout)


main()
