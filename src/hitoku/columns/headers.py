# SPDX-License-Identifier: Apache-2.0
"""Column headers: one spelling, and what a target header may be."""

from __future__ import annotations

import re

from hitoku import limits

__all__ = ["header_problem", "normalise"]

# The format's pattern is `[a-z0-9_](([a-z0-9_ ]+-)*([a-z0-9_ ]+))?`, which backtracks without
# bound on hostile input. What it means: after the first character, runs of letters, digits,
# underscores and spaces joined by single hyphens, none at either end. Written so, it is linear.
_TARGET = re.compile(r"[a-z0-9_](?:[a-z0-9_ ]+(?:-[a-z0-9_ ]+)*)?")


def normalise(header: str) -> str:
    """A header trimmed and in lower case, as both sides of a room compare it."""
    return header.strip().lower()


def header_problem(header: str) -> str | None:
    """Why a normalised header cannot be a target header; None where it can."""
    if not header:
        return "is empty"
    if len(header) > limits.MAX_HEADER_CHARS:
        return f"has more than {limits.MAX_HEADER_CHARS} characters"
    if not _TARGET.fullmatch(header):
        return (
            "may hold a-z, 0-9, underscores, spaces and single hyphens only, and begins "
            "with a letter, digit or underscore"
        )
    return None


def shown(header: str) -> str:
    """A header as messages quote it: bounded, and without control characters."""
    clean = "".join(c if c.isprintable() else "?" for c in header)
    return clean if len(clean) <= limits.MAX_HEADER_CHARS else clean[:100] + "..."
