# SPDX-License-Identifier: Apache-2.0
"""Large forms as a dependency of routes that run in threads."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.exceptions import HTTPException

from hitoku import limits
from hitoku.console.work.rule_form import Fields
from hitoku.errors import InputError

__all__ = ["posted"]

# A table of many columns has several fields a column; a rule has a box for each column and function.
_MAX_FIELDS: Final = 40 * limits.MAX_SHOWN_COLUMNS


async def posted(request: Request) -> Fields:
    """The fields of a form.

    Raises:
        InputError: it is none, or has too many fields.
    """
    try:
        form = await request.form(
            max_files=0, max_fields=_MAX_FIELDS, max_part_size=limits.MAX_ROOM_FILE_BYTES
        )
    except HTTPException:
        raise InputError("the form cannot be understood") from None
    return Fields(form.multi_items())
