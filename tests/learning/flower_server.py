# SPDX-License-Identifier: Apache-2.0
"""A server's process for the test that kills it: serves two members, says so, and waits to be killed."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from hitoku.learning.flower.server import serve


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    with serve(Path(settings["folder"]), settings["publics"], settings["context"].encode()) as served:
        say(f"{served.address} {served.process_id}")
        while True:
            members = served.fleet.wait(settings["members"], 300)
            replies = served.fleet.ask(dict.fromkeys(members, b"echo here"), 300)
            say(",".join(sorted(replies)))
            time.sleep(600)
    os._exit(0)


if __name__ == "__main__":
    main()
