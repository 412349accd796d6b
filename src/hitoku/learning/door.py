# SPDX-License-Identifier: Apache-2.0
"""A member's side of every message: nothing is answered that its run's server did not sign, nothing twice.

Requests are signed by the server, numbered upwards for each member, and bound to the plan's hash, the run and
the member, so that none can be made up, replayed, reordered, or sent on to another member. A member that was
restarted refuses every number it may have seen before: it writes down, ahead of use, how far the numbers may
go, a block at a time, so that answering does not wait for the disk. The identical last request (one that was
sent again because the reply got lost) gets the identical reply. Replies are signed over the request's hash.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.learning.ledger import Ledger
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

__all__ = ["DOOR_LEDGER", "Answer", "Door"]

DOOR_LEDGER: Final = "door.jsonl"
_BLOCK: Final = 4096


class Answer(Protocol):
    """What stands behind a door: a protocol's member side."""

    def __call__(
        self, kind: str, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """The reply to one request.

        Args:
            kind: what is asked for.
            body: JSON data from the server, not yet checked.
            arrays: read-only arrays from the server, not yet checked.

        Raises:
            Refusal: the plan does not allow it; the server gets to read it.
            HitokuError: it cannot be answered; the server gets to read the error's class and message.
        """
        ...


class Door:
    """Checks, answers and signs; one request at a time.

    Args:
        plan: the plan's hash.
        run: the run's id.
        name: the member.
        keys: its keys.
        server: the server's public key, `ed25519:...`, from the room and not from the network.
        state: a folder of this member for this run.
        answer: what answers.
        transcript: hears of every message, if given.

    Raises:
        InputError: the state belongs to something else, is damaged, or in use.
    """

    def __init__(
        self,
        plan: bytes,
        run: str,
        name: str,
        keys: KeyStore,
        server: str,
        state: Path,
        answer: Answer,
        transcript: Transcript | None = None,
    ) -> None:
        self._plan, self._run, self._name = plan.hex(), run, name
        self._keys, self._server, self._answer = keys, server, answer
        self._transcript = transcript
        self._lock = threading.Lock()
        self._ledger = Ledger(state / DOOR_LEDGER, plan, run, name)
        entries = self._ledger.entries
        self._reserved = self._last = int(entries[-1]["reserved"]) if entries else 0
        self._previous: tuple[bytes, bytes] | None = None

    def close(self) -> None:
        """Let go of the state."""
        with self._lock:
            self._ledger.close()

    def handle(self, content: bytes) -> bytes:
        """The signed reply to a request.

        Raises:
            PeerError: it is not a request of this run's server to this member; nothing is said about it.
            InputError: the state cannot be written; nothing was answered.
        """
        with self._lock:
            opened = open_signed(REQUEST_DOMAIN, self._server, content)
            sequence, kind, body = self._checked(opened)
            if self._previous is not None and self._previous[0] == opened.digest:
                return self._previous[1]
            fresh = sequence > self._last
            if fresh:
                self._advance(sequence)
                self._previous = None
            self._note("received", kind, sequence, Signed(content, opened.digest, opened.signature), opened)
            said: dict[str, Any]
            arrays: Mapping[str, NDArray[Any]] = {}
            if fresh:
                said, arrays = self._answered(kind, body, opened.arrays)
            else:
                said = {"stale": self._last}
            header = {
                "plan": self._plan,
                "run": self._run,
                "member": self._name,
                "sequence": sequence,
                "request": opened.digest.hex(),
                **said,
            }
            reply = seal(REPLY_DOMAIN, self._keys, header, arrays)
            self._note("sent", kind, sequence, reply, Opened(header, dict(arrays), b"", b""))
            if fresh:
                self._previous = (opened.digest, reply.content)
            return reply.content

    def _checked(self, opened: Opened) -> tuple[int, str, dict[str, Any]]:
        header = opened.header
        if set(header) != {"plan", "run", "member", "sequence", "kind", "body"}:
            raise PeerError("a request of a learning run is malformed", "MALFORMED")
        if header["plan"] != self._plan or header["run"] != self._run or header["member"] != self._name:
            raise PeerError("a request is for another plan, run or member", "WRONG_RUN")
        sequence, kind, body = header["sequence"], header["kind"], header["body"]
        if (
            type(sequence) is not int
            or not 0 < sequence <= limits.MAX_LEARNING_SEQUENCE
            or not isinstance(kind, str)
            or not 0 < len(kind) <= limits.MAX_NAME_CHARS
            or not isinstance(body, dict)
        ):
            raise PeerError("a request of a learning run is malformed", "MALFORMED")
        return sequence, kind, body

    def _advance(self, sequence: int) -> None:
        if sequence > self._reserved:
            reserved = sequence + _BLOCK
            self._ledger.append({"reserved": reserved})
            self._reserved = reserved
        self._last = sequence

    def _answered(
        self, kind: str, body: dict[str, Any], arrays: dict[str, NDArray[Any]]
    ) -> tuple[dict[str, Any], Mapping[str, NDArray[Any]]]:
        try:
            reply, values = self._answer(kind, body, arrays)
        except Refusal as refusal:
            return {"refused": refusal.to_dict()}, {}
        except HitokuError as error:
            return {"failed": error.to_dict()}, {}
        except Exception as error:
            # A message of another library can quote a value: only the kind of error and its place go out.
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return {"failed": {"error": type(error).__name__, "message": f"failed at {place}"}}, {}
        return {"body": dict(reply)}, values

    def _note(self, direction: Any, kind: str, sequence: int, signed: Signed, opened: Opened) -> None:
        if self._transcript is not None:
            self._transcript.note(
                direction,
                "server",
                kind,
                sequence,
                signed.content,
                signed.digest,
                signed.signature,
                protected_bytes(opened.arrays),
            )
