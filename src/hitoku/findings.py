# SPDX-License-Identifier: Apache-2.0
"""What pydantic found wrong with data from outside, in words that quote none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["findings"]

_MOST: Final = 8
_OURS: Final = "Value error, "
"""What pydantic puts before the words of a check of ours."""


def findings(error: ValidationError, whole: str, under: tuple[str | int, ...] = ()) -> str:
    """The first findings, each with its place; and how many more there are.

    Args:
        error: pydantic's; its own text quotes what it was given, this does not.
        whole: what all of the data is called.
        under: where the data stands in something larger.
    """
    items = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [
        f"{'.'.join(map(str, (*under, *item['loc']))) or whole}: {item['msg'].removeprefix(_OURS)}"
        for item in items[:_MOST]
    ]
    more = [] if len(items) <= _MOST else [f"and {len(items) - _MOST} more"]
    return "; ".join([*lines, *more])
