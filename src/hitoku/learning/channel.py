# SPDX-License-Identifier: Apache-2.0
"""The server's side of every message: signed requests to many members at the same time, checked replies.

A reply counts only if the member signed it, for this request. What is missing, late, malformed or of somebody
else is the same to the protocols above: that member is absent, and the reason is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import PeerError, Refusal
from hitoku.learning.base import Fleet
from hitoku.learning.plan import Plan, plan_hash
from hitoku.learning.transcript import Transcript
from hitoku.learning.wire import (
    REPLY_DOMAIN,
    REQUEST_DOMAIN,
    Opened,
    Signed,
    open_signed,
    protected_bytes,
    seal,
)
from hitoku.ports import KeyStore

__all__ = ["Absence", "Channel", "Message", "refusal_from"]

Message = tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]
"""A body (JSON-ready) and arrays."""
_COMMON: Final = {"plan", "run", "member", "sequence", "request"}
_OUTCOMES: Final = ("body", "refused", "failed", "stale")
_REFUSAL_TEXTS: Final = ("code", "message", "clause", "rule", "owner", "remedy")


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a member's reply does not count: `reason` never quotes data."""

    member: str
    kind: str
    reason: str


class Channel:
    """Asks members over a fleet. One thread at a time asks; others wait.

    Args:
        plan: the signed plan.
        run: the run's id.
        fleet: how members are reached.
        keys: the server's keys.
        publics: every member's public key, `ed25519:...`, from the room.
        transcript: hears of every message, if given.
    """

    def __init__(
        self,
        plan: Plan,
        run: str,
        fleet: Fleet,
        keys: KeyStore,
        publics: Mapping[str, str],
        transcript: Transcript | None = None,
    ) -> None:
        self.plan, self.run, self.transcript = plan, run, transcript
        self.publics = {name: publics[name] for name in plan.members}
        self.refusals: list[tuple[str, str, Refusal]] = []
        """Member, kind of request and Refusal, in the order they came."""
        self.absences: list[Absence] = []
        """Replies that did not count, in order; the newest thousand."""
        self.sent_bytes = 0
        self.received_bytes = 0
        self._plan = plan_hash(plan).hex()
        self._fleet, self._keys = fleet, keys
        self._sequences = dict.fromkeys(plan.members, 0)
        self._lock = threading.Lock()

    @property
    def members(self) -> tuple[str, ...]:
        """The plan's members that are connected now, sorted by name."""
        return tuple(name for name in self._fleet.members if name in self.publics)

    def ask(
        self, kind: str, requests: Mapping[str, Message], seconds: float | None = None
    ) -> dict[str, tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
        """Ask members at the same time; what they answered, sorted by name.

        Args:
            kind: what is asked for.
            requests: body and arrays for each member.
            seconds: how long to wait; None: the plan's.

        Returns:
            Body and arrays (read-only) of each member that answered in time and in form. A member that
            refused is absent; its Refusal is the newest in `refusals`.

        Raises:
            PeerError: a request cannot be sent to anybody: it is too large, or no plain data.
        """
        limit = self.plan.aggregation.seconds if seconds is None else seconds
        with self._lock:
            replies, stale = self._round(kind, requests, limit)
            if stale:
                # They were restarted, or the server was: they say how far the numbers have gone.
                again = {name: requests[name] for name in stale}
                more, twice = self._round(kind, again, limit)
                replies |= more
                for name in twice:
                    self._absent(name, kind, "its sequence numbers do not go on")
        return {name: replies[name] for name in sorted(replies)}

    def _round(
        self, kind: str, requests: Mapping[str, Message], seconds: float
    ) -> tuple[dict[str, tuple[dict[str, Any], dict[str, NDArray[Any]]]], list[str]]:
        sent: dict[str, Signed] = {}
        for name in sorted(requests):
            body, arrays = requests[name]
            if name not in self._sequences:
                raise PeerError(f"{name} is not a member of this run")
            self._sequences[name] += 1
            header = {
                "plan": self._plan,
                "run": self.run,
                "member": name,
                "sequence": self._sequences[name],
                "kind": kind,
                "body": body,
            }
            sent[name] = seal(REQUEST_DOMAIN, self._keys, header, arrays)
            self._note("sent", name, kind, sent[name], Opened({}, dict(arrays), b"", b""))
            self.sent_bytes += len(sent[name].content)
        came = self._fleet.ask({name: signed.content for name, signed in sent.items()}, seconds)
        replies: dict[str, tuple[dict[str, Any], dict[str, NDArray[Any]]]] = {}
        stale: list[str] = []
        for name, request in sent.items():
            if name not in came:
                self._absent(name, kind, "no answer")
                continue
            self.received_bytes += len(came[name])
            try:
                opened = open_signed(REPLY_DOMAIN, self.publics[name], came[name])
                outcome, said = self._checked(name, request, opened)
            except PeerError as error:
                self._absent(name, kind, str(error))
                continue
            self._note("received", name, kind, Signed(came[name], opened.digest, opened.signature), opened)
            if outcome == "body":
                replies[name] = (said, opened.arrays)
            elif outcome == "stale":
                self._sequences[name] = max(self._sequences[name], said)
                stale.append(name)
            elif outcome == "refused":
                refusal = refusal_from(said)
                self.refusals.append((name, kind, refusal))
                self._absent(name, kind, f"refused: {refusal.code}")
            else:
                self._absent(
                    name, kind, f"failed: {_short(said.get('error'))}: {_short(said.get('message'))}"
                )
        return replies, stale

    def _checked(self, name: str, request: Signed, opened: Opened) -> tuple[str, Any]:
        header = opened.header
        if (
            header.get("plan") != self._plan
            or header.get("run") != self.run
            or header.get("member") != name
            or header.get("sequence") != self._sequences[name]
            or header.get("request") != request.digest.hex()
        ):
            raise PeerError("its reply is to another request", "WRONG_REPLY")
        outcome = next((each for each in _OUTCOMES if each in header), "")
        if set(header) != _COMMON | {outcome}:
            raise PeerError("its reply is malformed", "MALFORMED")
        said = header[outcome]
        if outcome == "stale":
            if type(said) is not int or not 0 < said < limits.MAX_LEARNING_SEQUENCE:
                raise PeerError("its reply is malformed", "MALFORMED")
        elif not isinstance(said, dict):
            raise PeerError("its reply is malformed", "MALFORMED")
        return outcome, said

    def _absent(self, member: str, kind: str, reason: str) -> None:
        self.absences.append(Absence(member, kind, reason))
        del self.absences[:-1000]
        if self.transcript is not None:
            self.transcript.absent(member, kind, self._sequences[member], reason)

    def _note(self, direction: Any, member: str, kind: str, signed: Signed, opened: Opened) -> None:
        if self.transcript is not None:
            self.transcript.note(
                direction,
                member,
                kind,
                self._sequences[member],
                signed.content,
                signed.digest,
                signed.signature,
                protected_bytes(opened.arrays),
            )


def refusal_from(data: Mapping[str, Any]) -> Refusal:
    """A Refusal as another member's node wrote it; texts are cut, everything else is left out."""
    texts = {key: _short(data.get(key)) for key in _REFUSAL_TEXTS if data.get(key) is not None}
    params = data.get("params")
    return Refusal(
        texts.get("code", "REFUSED"),
        texts.get("message", "refused"),
        clause=texts.get("clause"),
        rule=texts.get("rule"),
        owner=texts.get("owner"),
        remedy=texts.get("remedy"),
        params={_short(k): _short(v) for k, v in params.items()} if isinstance(params, dict) else {},
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else " " for c in text)[:500]
