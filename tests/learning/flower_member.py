# SPDX-License-Identifier: Apache-2.0
"""A member's process for the tests of the Flower runtime: one line of JSON in, then it serves.

A request is a word and a rest: ``echo`` sends the rest back, ``process`` this process's number, ``raise``
fails, ``wait`` answers when there is a file of that name.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.errors import PeerError
from hitoku.learning.flower.member import serve_member


def handle(body: bytes) -> bytes:
    word, _, rest = body.partition(b" ")
    if word == b"raise":
        raise ValueError("as the test wants it")
    while word == b"wait" and not Path(os.fsdecode(rest)).exists():
        time.sleep(0.05)
    return str(os.getpid()).encode() if word == b"process" else rest


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    while sys.stdin.readline():
        pass
    os._exit(3)


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings["key"]))
    try:
        serve_member(
            handle,
            folder=Path(settings["folder"]),
            address=settings["address"],
            certificate=settings["certificate"].encode(),
            member=settings["member"],
            sign=key.sign,
            context=settings["context"].encode(),
            patience=settings["patience"],
        )
    except PeerError as error:
        say(f"{error.code} {error}")
        os._exit(8)
    say("ended")
    os._exit(0)


if __name__ == "__main__":
    main()
