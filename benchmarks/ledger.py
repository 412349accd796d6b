# SPDX-License-Identifier: Apache-2.0
"""How long a ledger takes to prove one entry and to be audited whole, with a million entries.

The ledger is filled through the same tables that `Ledger.append` writes, in bulk, since a million
separately durable appends would measure the disk; appends are measured on their own.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import rfc8785
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from _common import Claim, report
from hitoku.ports import SystemClock
from hitoku.room import merkle
from hitoku.room import store as tables
from hitoku.room.ledger import EntryKind, Ledger
from hitoku.room.store import Store

ROOM = "11111111-2222-3333-4444-555555555555"
BULK = 20_000


class Keys:
    """A signing key in memory."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()

    def sign(self, message: bytes) -> bytes:
        """Sign."""
        return self.private.sign(message)

    def shared_secret(self) -> bytes:
        """Nothing: a ledger needs no secret."""
        raise RuntimeError("not needed")

    def verify(self, _member: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's."""
        try:
            self.private.public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True


def fill(ledger: Ledger, count: int) -> None:
    """Write entries 0 to `count` - 2 in bulk, then append the last, which signs the head."""
    frontier = merkle.Frontier()
    body = {"question": "sha256:" + "0" * 64, "verdict": "accept"}
    for start in range(0, count - 1, BULK):
        entries, nodes = [], []
        for seq in range(start, min(start + BULK, count - 1)):
            raw = rfc8785.dumps(
                {
                    "format": "hitoku/ledger/1",
                    "room": ROOM,
                    "member": "acme",
                    "seq": seq,
                    "time": "2026-01-01T00:00:00.000000Z",
                    "kind": "verdict",
                    "body": dict(body),
                }
            )
            entries.append({"room": ROOM, "seq": seq, "body": raw})
            nodes += [
                {"room": ROOM, "level": level, "index": index, "hash": value}
                for level, index, value in frontier.append(merkle.leaf_hash(raw))
            ]
        with ledger.store.transaction() as connection:
            connection.execute(sa.insert(tables.entries), entries)
            connection.execute(sa.insert(tables.nodes), nodes)
    with ledger.store.transaction() as connection:
        connection.execute(sa.insert(tables.ledgers), {"room": ROOM, "size": count - 1, "head": None})
        ledger.append(connection, EntryKind.RELEASE, {})


def main(quick: bool) -> list[Claim]:
    """Run the measurements."""
    count = 50_000 if quick else 1_000_000
    where = Path(tempfile.mkdtemp(prefix="hitoku-bench-"))
    try:
        keys = Keys()
        ledger = Ledger(Store(where / "state.db"), ROOM, "acme", keys, SystemClock())
        fill(ledger, count)
        begin = time.perf_counter()
        proof = ledger.prove(count // 3)
        if not proof.verify(keys.verify):
            raise SystemExit("the proof does not hold")
        proving = time.perf_counter() - begin
        begin = time.perf_counter()
        if ledger.verify(keys.verify) != count:
            raise SystemExit("the ledger lost entries")
        auditing = time.perf_counter() - begin
        begin = time.perf_counter()
        for _ in range(100):
            with ledger.store.transaction() as connection:
                ledger.append(connection, EntryKind.CHARGE, {})
        appending = (time.perf_counter() - begin) / 100
    finally:
        shutil.rmtree(where)
    total = proving + auditing
    return [
        Claim(
            f"prove and verify, {count:,} entries",
            total,
            "s",
            "<= 10",
            holds=None if quick else total <= 10,
        ),
        Claim("one proof, made and checked", proving * 1e3, "ms"),
        Claim("one durable append", appending * 1e3, "ms"),
    ]


if __name__ == "__main__":
    report("ledger", main)
