# SPDX-License-Identifier: Apache-2.0
"""The SuperLink's process: Flower's own `flower-superlink`, with the gate before its app.

Run as ``python -m hitoku.learning.flower.link`` by `superlink.SuperLink`, which writes one line of JSON into
standard input (a secret among it, so it is neither an argument nor a variable) and then keeps the pipe open.
When the pipe closes, or the parent is another process, this process ends too: whatever ended the parent.

What is changed of Flower, and why: `uvicorn.run` gets the gate around the app, connections that are kept
longer than 5 seconds (so that a node needs no new TLS handshake for each request), and no line in the log for
each request; `HEARTBEAT_MIN_INTERVAL` is lowered, so that a dead node is known after seconds. If a later
version has no such names, the SuperLink does not start (the first), or heartbeats are slower (the second).
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import os
import sys
import threading
import time
import warnings
from typing import Any

from hitoku.learning.flower.clients import ENVELOPE_BYTES
from hitoku.learning.flower.gate import Gate
from hitoku.learning.flower.lanes import into_lanes
from hitoku.limits import MAX_LEARNING_MESSAGE_BYTES

__all__ = ["main"]

_KEEP_ALIVE_SECONDS = 75


def main() -> None:
    """Serve until the parent ends."""
    settings = json.loads(sys.stdin.readline())
    for watch in (_end_with_pipe, lambda: _end_with_parent(settings["parent"])):
        threading.Thread(target=watch, daemon=True).start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import uvicorn
        from flwr.superlink.cli.flower_superlink import flower_superlink
        from flwr.superlink.servicer.fleet import fleet_handlers

    if hasattr(fleet_handlers, "HEARTBEAT_MIN_INTERVAL"):
        fleet_handlers.HEARTBEAT_MIN_INTERVAL = 1
    serve = uvicorn.run
    gated = False

    def run(app: Any, **options: Any) -> None:
        nonlocal gated
        gated = True
        into_lanes(app)
        gate = Gate(
            app,
            secret=settings["secret"],
            publics=settings["publics"],
            context=base64.b64decode(settings["context"]),
            most=MAX_LEARNING_MESSAGE_BYTES + ENVELOPE_BYTES,
        )
        options |= {"access_log": False, "log_level": "warning", "timeout_keep_alive": _KEEP_ALIVE_SECONDS}
        logging.getLogger("flwr").setLevel(logging.WARNING)
        gc.freeze()  # the collector, which the gate calls often, need not look at what stays
        serve(gate, **options)

    uvicorn.run = run
    sys.argv = [
        "flower-superlink",
        "--host",
        settings["host"],
        "--port",
        str(settings["port"]),
        "--ssl-certfile",
        settings["certificate"],
        "--ssl-keyfile",
        settings["key"],
        "--ssl-ca-certfile",
        settings["certificate"],
        "--isolation",
        "process",
        "--disable-runtime-dependency-installation",
    ]
    flower_superlink()
    if not gated:
        raise SystemExit("Flower's SuperLink no longer starts by uvicorn.run: this version is not supported")


def _end_with_pipe() -> None:
    while sys.stdin.readline():
        pass
    os._exit(0)


def _end_with_parent(parent: int) -> None:
    """A process that the parent forked may still hold the pipe."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
