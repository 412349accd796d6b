# SPDX-License-Identifier: Apache-2.0
"""Errors of the API as the exceptions that they are where a room is opened on one's own machine.

They are made anew from JSON: the name picks one of a fixed list of classes, every field is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hitoku.errors import (
    Change,
    DisclosureError,
    EngineError,
    HitokuError,
    InputError,
    LimitError,
    PeerError,
    Refusal,
    RoomError,
    RunAborted,
    SecretError,
    Span,
)

__all__ = ["rebuilt"]

_MAX_TEXT: Final = 100_000
_MAX_EDITS: Final = 1_000
_PLAIN: Final[dict[str, type[HitokuError]]] = {
    "DisclosureError": DisclosureError,
    "InputError": InputError,
    "LimitError": LimitError,
    "NotFound": RoomError,
    "RoomError": RoomError,
    "SecretError": SecretError,
}


def rebuilt(data: Any, status: int | None = None) -> HitokuError:
    """The exception that an error of the API is.

    Args:
        data: what stands at ``error`` in the body.
        status: of the HTTP response, where it came as one.

    Returns:
        A PeerError where `data` is nothing of the kind.
    """
    if not isinstance(data, Mapping):
        said = "" if status is None else f" (status {status})"
        return PeerError(f"the node's answer cannot be read{said}", "BAD_RESPONSE")
    name = _text(data.get("error"))
    message = _text(data.get("message")) or "the node refused, and did not say why"
    code = _text(data.get("code"))
    if name in {"Refusal", "NotSignedIn"}:
        return _refusal(data, code or "REFUSED", message)
    if name == "EngineError":
        return EngineError(message, code or "INTERNAL")
    if name == "RunAborted":
        return _aborted(message)
    if name in _PLAIN:
        return _PLAIN[name](message)
    return PeerError(message, code)


def _aborted(message: str) -> RunAborted:
    error = RunAborted("unknown")
    error.args = (message,)
    return error


def _refusal(data: Mapping[str, Any], code: str, message: str) -> Refusal:
    params = data.get("params")
    return Refusal(
        code,
        message,
        clause=_text(data.get("clause")),
        span=_span(data.get("span")),
        rule=_text(data.get("rule")),
        owner=_text(data.get("owner")),
        remedy=_text(data.get("remedy")),
        params={str(k): str(v) for k, v in params.items()} if isinstance(params, Mapping) else None,
        change=_change(data.get("change")),
    )


def _text(value: Any) -> str | None:
    return value[:_MAX_TEXT] if isinstance(value, str) else None


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _span(value: Any) -> Span | None:
    if isinstance(value, list) and len(value) == 2 and all(_whole(n) for n in value) and value[0] <= value[1]:
        return Span(value[0], value[1])
    return None


def _change(value: Any) -> Change | None:
    if not isinstance(value, Mapping):
        return None
    action, rule = _text(value.get("action")), _text(value.get("rule"))
    if action == "edit":
        edits = value.get("edits")
        if not isinstance(edits, list) or len(edits) > _MAX_EDITS or not all(_edit(e) for e in edits):
            return None
        return Change("edit", edits=tuple((e[0], e[1], e[2]) for e in edits))
    new = value.get("value")
    new = new if new is None or isinstance(new, str | int | Mapping) else None
    if action == "add":
        return Change("add", rule, new)
    return Change("set", rule, new) if action == "set" else None


def _edit(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and _whole(value[0])
        and _whole(value[1])
        and value[0] <= value[1]
        and isinstance(value[2], str)
    )
