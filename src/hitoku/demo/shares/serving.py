# SPDX-License-Identifier: Apache-2.0
"""``python -m hitoku.demo.shares.serving DIRECTORY``: `hitoku node serve`, for as long as the demo lives.

The demo holds the other end of standard input. It breaks when the demo ends, also where that is killed, and
then the node is told to stop as by SIGTERM: no demo leaves nodes behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Final

from hitoku.cli.main import main as command

__all__ = ["main"]

_STOP_SECONDS: Final = 20.0


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve the node."""
    threading.Thread(target=_watch, name="hitoku-demo-watch", daemon=True).start()
    command(["node", "serve", sys.argv[1]])


if __name__ == "__main__":
    main()
