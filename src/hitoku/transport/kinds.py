# SPDX-License-Identifier: Apache-2.0
"""The kinds of messages that this version of hitoku knows."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

__all__ = ["known_kinds"]


@cache
def known_kinds() -> frozenset[str]:
    """All of them, e.g. ``hitoku/run-request/1``."""
    from hitoku import transport
    from hitoku.transport.messages import Message

    for module in pkgutil.walk_packages(transport.__path__, f"{transport.__name__}."):
        importlib.import_module(module.name)

    def kinds(of: type[Message]) -> Iterator[str]:
        for made in of.__subclasses__():
            field = made.model_fields.get("kind")
            if field is not None and isinstance(field.default, str):
                yield field.default
            yield from kinds(made)

    return frozenset(kinds(Message))
