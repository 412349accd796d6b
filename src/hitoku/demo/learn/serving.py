# SPDX-License-Identifier: Apache-2.0
"""``python -m hitoku.demo.learn.serving WORDS``: `hitoku WORDS`, for as long as the demo lives.

The demo holds the other end of standard input. It breaks when the demo ends, also where that is killed, and
then this process is told to stop as by SIGTERM: no demo leaves processes behind.

``--poisoned`` before the words: this bank's program was changed by the bank itself. It gives the opposite of
what its rows say, a hundred times over, as large as the plan's bounds let any bank's numbers be.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Final

from hitoku.cli.main import main as command

__all__ = ["POISONED", "main"]

POISONED: Final = "--poisoned"
_STOP_SECONDS: Final = 10.0


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_SECONDS)
    os._exit(1)


def main() -> None:
    """Be the server of a run, or a bank in it."""
    threading.Thread(target=_watch, name="hitoku-demo-watch", daemon=True).start()
    words = sys.argv[1:]
    if words[0] == POISONED:
        from hitoku.demo.learn.poison import change_program

        change_program()
        words = words[1:]
    command(words)


if __name__ == "__main__":
    main()
