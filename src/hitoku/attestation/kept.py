# SPDX-License-Identifier: Apache-2.0
"""A member's reference values and policy of one room, kept in its own ledger.

Every change is a ledger entry that holds the whole statement, and the registry is what these entries add
up to. So there is no file that somebody could put back to an older state: a cut or edited ledger is found
by its owner and by every member that keeps a head of it (`hitoku.room.ledger`), and an auditor reads which
values were in force when a key was released. The same holds for the policy.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.policy import FORMAT, Policy
from hitoku.attestation.reference import ReferenceValue, Registry
from hitoku.errors import InputError, RoomError
from hitoku.room.agreement import Agreement
from hitoku.room.directory import MemberDirectory
from hitoku.room.ledger import EntryKind
from hitoku.room.records import Records

__all__ = ["POLICY_FILE", "Kept"]

POLICY_FILE: Final = Path("attestation") / "policy.json"


class Kept:
    """What a member keeps for appraisals in one room. For any number of threads.

    Args:
        directory: the member's.
        records: its records of the room.
    """

    def __init__(self, directory: MemberDirectory, records: Records) -> None:
        self._file = directory.path / POLICY_FILE
        self._records = records
        self._lock = threading.Lock()
        self._next = 0
        self._changes = 0
        self._statements: dict[tuple[str, str, str, int], ReferenceValue] = {}
        self._policy = Policy()

    def registry(self, agreement: Agreement) -> Registry:
        """The reference values as of now; those that a newer one in force replaces are left out.

        Raises:
            Refused: ``REFERENCE``: the ledger holds what is no statement of this room.
        """
        with self._lock:
            self._read()
            statements, changes = tuple(self._statements.values()), self._changes
        newest: dict[tuple[str, str, str], int] = {}
        for entry in statements:
            if entry.counts(agreement):
                newest[entry.identity] = max(entry.serial, newest.get(entry.identity, 0))
        kept = [e for e in statements if e.serial >= newest.get(e.identity, 0)]
        return Registry(UUID(self._records.room), kept, changes)

    def policy(self) -> Policy:
        """The policy that was set; one that adds nothing where none was.

        Raises:
            Refused: ``POLICY``: the member's directory holds a policy that was never set, or another one.
            InputError: that file is no policy.
        """
        with self._lock:
            self._read()
            policy = self._policy
        if self._file.exists() and Policy.open(self._file).digest != policy.digest:
            # Whoever put a file there relies on it; whoever changed one must not get by with it.
            raise Refused(
                Code.POLICY,
                f"{self._file} is not the policy in force: look at it, then `hitoku attest policy set` it",
            )
        return policy

    def put(self, entries: Iterable[ReferenceValue], agreement: Agreement, change: str) -> Registry:
        """Take statements into the registry, or more signatures of those it has; all of them or none.

        Args:
            entries: the statements.
            agreement: in force.
            change: why, for readers of the ledger: ``add``, ``sign``, ``revoke``, ``import``.

        Raises:
            Refused: ``REFERENCE``, see `Registry.put`.
        """
        with self._records.store.transaction() as connection:
            self._records.ledger.lock(connection)  # nobody else changes it between reading and writing
            registry = before = self.registry(agreement)
            for entry in entries:
                registry = registry.put(entry, agreement)
            known = {_place(e): e for e in before.entries}
            for entry in (e for e in registry.entries if known.get(_place(e)) != e):
                statement = entry.model_dump(mode="json", exclude_none=True)
                body = {"change": change, "statement": statement}
                self._records.ledger.append(connection, EntryKind.REFERENCE, body)
        return self.registry(agreement)

    def set_policy(self, policy: Policy) -> None:
        """Make a policy the one in force."""
        body = {"change": "policy", "policy": None if policy.allow is None else dict(policy.allow)}
        with self._records.store.transaction() as connection:
            self._records.ledger.append(connection, EntryKind.REFERENCE, body)

    def _read(self) -> None:
        """Take up what the ledger has got since the last time."""
        head = self._records.ledger.head()
        if head is None or head.size <= self._next:
            return
        for entry in self._records.ledger.entries(self._next, EntryKind.REFERENCE):
            if entry.seq >= head.size:
                break  # came after the head: the next time
            self._take(entry.body)
        self._next = head.size

    def _take(self, body: dict[str, Any]) -> None:
        self._changes += 1
        try:
            if body["change"] == "policy":
                allow = body["policy"]
                content = json.dumps({"format": FORMAT, "allow": allow}).encode()
                self._policy = Policy() if allow is None else Policy.from_json(content, "the ledger")
            else:
                statement = ReferenceValue.model_validate(body["statement"])
                self._statements[_place(statement)] = statement
        except (KeyError, InputError, ValidationError, RoomError):
            raise Refused(Code.REFERENCE, "the ledger holds reference values that cannot be read") from None


def _place(entry: ReferenceValue) -> tuple[str, str, str, int]:
    return (*entry.identity, entry.serial)
