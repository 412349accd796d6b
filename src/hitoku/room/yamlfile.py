# SPDX-License-Identifier: Apache-2.0
"""The small, safe part of YAML that room files may use, read from parser events.

Refused: anchors and aliases (bombs), tags (objects), two keys of one name (two readers, two meanings), keys
that are not text, more than one document, NaN and infinity, too large, too deep. Only `true`, `false`,
`null`, decimal integers and decimal numbers are other than text: `no` and `2013-01-01` are text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from hitoku.errors import RoomError

__all__ = ["Dumper", "load_yaml"]

_MAX_DEPTH = 32
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]{0,16})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,3})?")
_NOT_FINITE = {".nan", ".inf", "+.inf", "-.inf"}
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str, max_chars: int) -> Any:
    """Read one document.

    Raises:
        RoomError: the text is not YAML or uses what room files may not; with the line where it is.
    """
    if len(text) > max_chars:
        raise RoomError(f"more than {max_chars} characters")
    events = yaml.parse(text, Loader=_Loader)
    try:
        return _document(events)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise RoomError(f"{where}not valid YAML: {error.problem or 'unreadable'}") from None
    except (yaml.YAMLError, RecursionError, UnicodeError):
        raise RoomError("not valid YAML") from None


def _document(events: Iterator[yaml.Event]) -> Any:
    value: Any = None
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _error(event, "one document only")
            if event.tags:
                raise _error(event, "no tags, please")
            value = _value(next(events), events, 0)
    if documents == 0:
        raise RoomError("the file is empty")
    return value


def _value(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise _error(event, f"nested deeper than {_MAX_DEPTH}")
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise _error(event, "anchors and aliases are not allowed: write it out")
    if getattr(event, "tag", None) is not None:
        raise _error(event, "tags are not allowed")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_value(item, events, depth + 1))
        return items
    if isinstance(event, yaml.MappingStartEvent):
        mapping: dict[str, Any] = {}
        while not isinstance(item := next(events), yaml.MappingEndEvent):
            key = _value(item, events, depth + 1)
            if not isinstance(key, str):
                raise _error(item, "a key must be text")
            if key in mapping:
                raise _error(item, f"key {key[:64]!r} is there twice")
            mapping[key] = _value(next(events), events, depth + 1)
        return mapping
    raise _error(event, "unexpected content")


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.style:  # quoted or block text; plain is None or, from libyaml, ""
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if text.lower() in _NOT_FINITE:
        raise _error(event, "numbers must be finite")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise _error(event, "numbers must be finite")
        return number
    return text


def _is_text(plain: str) -> bool:
    """Whether `load_yaml` reads unquoted text as text."""
    number = _INT.fullmatch(plain) or _FLOAT.fullmatch(plain)
    return not (number or plain in _WORDS or plain.lower() in _NOT_FINITE)


class Dumper(yaml.SafeDumper):
    """Writes what `load_yaml` reads: texts that it would read as something else are quoted (`1e-6`)."""


def _text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    style = None if _is_text(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _text)


def _error(event: yaml.Event, problem: str) -> RoomError:
    mark = event.start_mark
    return RoomError(f"line {mark.line + 1}: {problem}" if mark is not None else problem)
