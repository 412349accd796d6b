# SPDX-License-Identifier: Apache-2.0
"""The API's description (OpenAPI), without a node: what ``/api/v1/openapi.json`` serves."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from fastapi import FastAPI

from hitoku.console import api

__all__ = ["DESCRIPTION", "PREFIX", "document"]

PREFIX = "/api/v1"
DESCRIPTION = """\
The console of a member's node, for programs. A token stands for one user of the member, and may do what that
user may. A question is asked under `asks`: that returns at once; then look at it, or be told under `events`,
and take the `answer`. Every error has one form, `ErrorBody`; decide by its `code`.
"""


def document() -> dict[str, Any]:
    """The description, as JSON-ready data."""
    from hitoku import __version__

    app = FastAPI(title="hitoku", version=__version__, description=DESCRIPTION, openapi_url=None)
    for module in sorted(pkgutil.iter_modules(api.__path__), key=lambda m: m.name):
        router = getattr(importlib.import_module(f"{api.__name__}.{module.name}"), "router", None)
        if router is not None:
            app.include_router(router, prefix=PREFIX)
    return app.openapi()
