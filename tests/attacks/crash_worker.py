# SPDX-License-Identifier: Apache-2.0
"""Asks the question on each line of standard input in a fresh process; prints the process's id.

Everything is imported before the fork, so that a kill at a random moment of the child's short life falls into
the asking, not into Python's start.
"""

from __future__ import annotations

import os
import sys

import hitoku
import hitoku.ask
import hitoku.disclosure.answer
import hitoku.disclosure.noise
import hitoku.disclosure.release
import hitoku.engine.process
import hitoku.executors.local
import hitoku.node.local
import hitoku.protections.registry
import hitoku.protections.tokens
import hitoku.questions
import hitoku.room.records
import hitoku.room.store


def main() -> None:
    """Serve until standard input ends."""
    (path,) = sys.argv[1:]
    for question in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                hitoku.open_room(path, "airport").ask(question.strip())
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)  # noqa: T201
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


main()
