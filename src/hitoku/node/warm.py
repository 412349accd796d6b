# SPDX-License-Identifier: Apache-2.0
"""Imports, in one thread, what the threads of a node would otherwise import each at its first need.

That is not only for speed. Where two threads import parts of one package at the same time, each beginning
with another part, Python ends the deadlock by showing one of them a module that is only half there: a node
that was just started again would fail the very runs that it takes up.
"""

from __future__ import annotations

import importlib
import threading
from typing import Final

from hitoku.transport.kinds import known_kinds

__all__ = ["warm"]

_ALWAYS: Final = (
    "httpx",
    "pyarrow",
    "hitoku.questions",
    "hitoku.questions.overlap",
    "hitoku.protections.registry",
    "hitoku.disclosure.answer",
    "hitoku.disclosure.noising",
    "hitoku.disclosure.release",
    "hitoku.transport.preview",
    "hitoku.transport.https.fetching",
)
_RUNS: Final = (
    "opendp.prelude",
    "pyarrow.compute",
    "pyarrow.parquet",
    "hitoku.ask.partner",
    "hitoku.executors.local",
    "hitoku.hazmat.group",
    "hitoku.node.people",
    "hitoku.protections.crosstab.party",
    "hitoku.protections.crosstab.prepare",
    "hitoku.questions.noised",
    "hitoku.sources.uri",
)
"""What runs of private cross statistics need besides."""

_turn = threading.Lock()


def warm(*, runs: bool) -> None:
    """Import what answering questions needs; with `runs`, what taking part in long runs does, too."""
    with _turn:
        for name in (*_ALWAYS, *(_RUNS if runs else ())):
            importlib.import_module(name)
        known_kinds()
