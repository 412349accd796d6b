# SPDX-License-Identifier: Apache-2.0
"""The messages members send: JSON objects with a versioned `kind`, validated before anything reads them.

The same bytes travel in one process and over HTTPS. A far side is never trusted: sizes, depth, types and text
are bounded here, and text that will be shown loses its control characters. Only an answer may be large; a
message that is longer than most must begin with its kind, so that its size is judged before it is parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.room.consent import Consent, Hash, RunId
from hitoku.room.naming import Name
from hitoku.room.parts import SharedAnswer
from hitoku.room.sealing import SealingKey

__all__ = [
    "Cancel",
    "Cancelled",
    "ConsentGiven",
    "ConsentRequest",
    "Deliver",
    "Delivered",
    "Failed",
    "Found",
    "HeadGiven",
    "HeadRequest",
    "Lookup",
    "Message",
    "Receivers",
    "Refused",
    "RunDone",
    "RunRequest",
    "Sealed",
    "Settle",
    "Settled",
    "Sql",
    "Text",
    "UsersNoise",
    "decode",
    "encode",
    "read",
]


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


Text = Annotated[str, Field(max_length=limits.MAX_CONTROL_TEXT_CHARS), AfterValidator(_shown)]
Sql = Annotated[str, Field(min_length=1, max_length=limits.MAX_SQL_CHARS)]
Receivers = Annotated[list[Name], Field(min_length=1, max_length=limits.MAX_MEMBERS)]
Edit = Annotated[tuple[int, int, Text], Field(strict=False)]
Sealed = Annotated[str, Field(max_length=limits.MAX_SEALED_ANSWER_BYTES * 4 // 3 + 4)]
"""An answer that only its receiver opens, base64."""
UsersNoise = Annotated[int, Field(ge=limits.MIN_USERS_NOISE, le=limits.MAX_USERS_NOISE)]


def _absent(value: object) -> bool:
    # What is new is left out where it says nothing, so that nodes that do not know it understand the rest.
    return value is None


class Message(BaseModel):
    """What all messages have in common: nothing that is not declared, and nothing is changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ConsentRequest(Message):
    """Asker to owner: may this run?"""

    kind: Literal["hitoku/consent-request/1"] = "hitoku/consent-request/1"
    sql: Sql
    room: Hash
    host: Name
    run: RunId
    receivers: Receivers
    protection: Text
    users_noise: UsersNoise | None = None
    repeats: RunId | None = None
    """To give the answer of this run again, without a charge."""


class ConsentGiven(Message):
    """Owner to asker: yes, this once."""

    kind: Literal["hitoku/consent-given/1"] = "hitoku/consent-given/1"
    consent: Consent


class RunRequest(Message):
    """Asker to host: run it."""

    kind: Literal["hitoku/run-request/1"] = "hitoku/run-request/1"
    sql: Sql
    room: Hash
    run: RunId
    receivers: Receivers
    protection: Text
    consents: Annotated[list[Consent], Field(max_length=limits.MAX_MEMBERS)]
    users_noise: UsersNoise | None = None
    repeats: RunId | None = None
    sealing: Annotated[SealingKey | None, Field(exclude_if=_absent)] = None
    """The key that the asker wants the answer sealed for, where an enclave computes it."""


class Lookup(Message):
    """Asker to host: has this been answered to me already, so that the answer can be given again?"""

    kind: Literal["hitoku/lookup/1"] = "hitoku/lookup/1"
    sql: Sql
    room: Hash
    receivers: Receivers
    protection: Text
    users_noise: UsersNoise | None = None


class Found(Message):
    """Host to asker: the run that answered it; None where none is kept."""

    kind: Literal["hitoku/found/1"] = "hitoku/found/1"
    run: RunId | None


class RunDone(Message):
    """Host to asker: it ran, or was answered again; the answer is in it only if the asker receives."""

    kind: Literal["hitoku/run-done/1"] = "hitoku/run-done/1"
    run: RunId
    answer: dict[str, Any] | None
    sealed: Annotated[Sealed | None, Field(exclude_if=_absent)] = None
    """In place of the answer, where an enclave sealed it for the asker."""
    certificate: Annotated[dict[str, Any] | None, Field(exclude_if=_absent)] = None
    """Beside a sealed answer: that the keys to the tables are deleted."""
    shared: Annotated[SharedAnswer | None, Field(exclude_if=_absent)] = None
    """In place of the answer, where three servers computed it on shares: their sealed parts for the asker."""


class Deliver(Message):
    """Host to receiver: an answer."""

    kind: Literal["hitoku/deliver/1"] = "hitoku/deliver/1"
    run: RunId
    answer: dict[str, Any]


class Delivered(Message):
    """Receiver to host: kept."""

    kind: Literal["hitoku/delivered/1"] = "hitoku/delivered/1"
    run: RunId


class Settle(Message):
    """Host to owner: how a run ended that the owner consented to."""

    kind: Literal["hitoku/settle/1"] = "hitoku/settle/1"
    run: RunId
    outcome: Literal["released", "failed", "aborted"]
    question: Hash | None = None
    answer: Hash | None = None


class Settled(Message):
    """Owner to host: recorded."""

    kind: Literal["hitoku/settled/1"] = "hitoku/settled/1"
    run: RunId


class Cancel(Message):
    """Asker to host: see to it that this run never begins, and tell the owners that consented."""

    kind: Literal["hitoku/cancel/1"] = "hitoku/cancel/1"
    run: RunId
    owners: Annotated[list[Name], Field(max_length=limits.MAX_MEMBERS)]


class Cancelled(Message):
    """Host to asker: whether it is so; not where the run began."""

    kind: Literal["hitoku/cancelled/1"] = "hitoku/cancelled/1"
    run: RunId
    done: bool


class HeadRequest(Message):
    """Any to any: your ledger's newest head, and the proof that it continues this many entries."""

    kind: Literal["hitoku/head-request/1"] = "hitoku/head-request/1"
    size: Annotated[int, Field(ge=0, le=2**53 - 1)]


class HeadGiven(Message):
    """The head as canonical JSON, None while the ledger is empty, and the proof as hexadecimal hashes."""

    kind: Literal["hitoku/head-given/1"] = "hitoku/head-given/1"
    head: Annotated[str, Field(max_length=limits.MAX_LEDGER_HEAD_BYTES)] | None
    proof: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=128)]


class Changed(Message):
    """What would make a refused question pass, as an edit: `hitoku.errors.Change`."""

    action: Literal["add", "set", "edit"]
    rule: Text | None = None
    value: bool | int | Text | Annotated[dict[Text, Text | list[Text]], Field(max_length=4)] | None = None
    edits: Annotated[list[Edit], Field(max_length=64)] = Field(default_factory=list)


class Refused(Message):
    """Any answer: a Refusal."""

    kind: Literal["hitoku/refused/1"] = "hitoku/refused/1"
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]
    message: Text
    clause: Text | None = None
    span: tuple[int, int] | None = Field(default=None, strict=False)
    rule: Text | None = None
    owner: Text | None = None
    remedy: Text | None = None
    params: Annotated[dict[Text, Text], Field(max_length=64)] = Field(default_factory=dict)
    change: Changed | None = None


class Failed(Message):
    """Any answer: it failed. Only a code crosses: the words stay on their machine."""

    kind: Literal["hitoku/failed/1"] = "hitoku/failed/1"
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]


M = TypeVar("M", bound=BaseModel)


def read(model: type[M], message: Mapping[str, Any], sender: str) -> M:
    """Validate a message as `model`.

    Raises:
        PeerError: it is something else; never quotes it.
    """
    try:
        return model.model_validate(dict(message))
    except ValidationError:
        raise PeerError(f"{sender!r} sent a message that is no {model.__name__}") from None


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as bytes.

    Raises:
        LimitError: it is too large.
    """
    kind = str(message.get("kind"))
    first = {"kind": kind} if "kind" in message else {}
    content = json.dumps({**first, **message}, allow_nan=False, separators=(",", ":")).encode()
    if len(content) > _most(kind):
        raise LimitError(f"a message is larger than {_most(kind)} bytes")
    return content


def decode(content: bytes, sender: str) -> dict[str, Any]:
    """Bytes as a message; its kind is checked by `read`.

    Raises:
        PeerError: too large, too deep, no JSON object, two keys of one name, or without a kind.
    """
    said = _KIND.match(content)
    most = _most(said[1].decode() if said else "")
    if len(content) > most:
        raise PeerError(f"{sender!r} sent a message larger than {most} bytes")
    try:
        message = json.loads(content, object_pairs_hook=_object, parse_constant=_no_constant)
        deep = _depth(message) > limits.MAX_MESSAGE_DEPTH
    except (ValueError, RecursionError):
        raise PeerError(f"{sender!r} sent something that is no message") from None
    if deep or not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise PeerError(f"{sender!r} sent something that is no message")
    return message


_KIND: Final = re.compile(rb'\{"kind": ?"([a-z0-9/-]{1,64})"')
_LARGE: Final = frozenset(
    {
        "hitoku/deliver-sealed/1",
        "hitoku/deliver-shares/1",
        "hitoku/deliver/1",
        "hitoku/run-done/1",
        "hitoku/shares-parts/1",
    }
)
_WITH_SQL: Final = frozenset(
    {
        "hitoku/begin/1",
        "hitoku/consent-request/1",
        "hitoku/lookup/1",
        "hitoku/offer-shares/1",
        "hitoku/offer-tables/1",
        "hitoku/preview-request/1",
        "hitoku/propose/1",
        "hitoku/run-request/1",
        "hitoku/shares-begin/1",
    }
)
_WITH_EVIDENCE: Final = frozenset(
    {
        "hitoku/attest-hello/1",
        "hitoku/attest-prove/1",
        "hitoku/attest-said/1",
        "hitoku/key-released/1",
        "hitoku/release-key/1",
    }
)
_WITH_TEXT: Final = frozenset(
    {
        "hitoku/joined/1",
        "hitoku/model-given/1",
        "hitoku/refused/1",
        "hitoku/room-given/1",
        "hitoku/shares-offered/1",
        "hitoku/tables-offered/1",
    }
)


def _most(kind: str) -> int:
    """How many bytes a message of that kind may have."""
    if kind in _LARGE:
        return limits.MAX_MESSAGE_BYTES
    if kind in _WITH_SQL or kind in _WITH_EVIDENCE:
        return limits.MAX_CONTROL_SQL_BYTES
    return limits.MAX_CONTROL_REFUSAL_BYTES if kind in _WITH_TEXT else limits.MAX_CONTROL_BYTES


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("two keys of one name")
    return result


def _no_constant(_: str) -> None:
    raise ValueError("not a JSON number")


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(v) for v in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(v) for v in value), default=0)
    return 0
