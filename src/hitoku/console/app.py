# SPDX-License-Identifier: Apache-2.0
"""The console as an ASGI application: all pages, the API, and what every request passes through."""

from __future__ import annotations

import importlib
import pkgutil

from fastapi import FastAPI

from hitoku.console import api, pages
from hitoku.console.api.description import DESCRIPTION, PREFIX
from hitoku.console.context import Context
from hitoku.console.site import site_of
from hitoku.console.statics import Statics

__all__ = ["create_app"]


def create_app(context: Context) -> FastAPI:
    """The application of a member's console.

    Args:
        context: the node and what belongs to it.
    """
    from hitoku import __version__
    from hitoku.console import failing, passing

    app = FastAPI(
        title="hitoku",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
    )
    app.state.context = context
    app.state.site = site_of(context.node)
    failing.add(app)
    passing.add(app)
    for package, prefix in ((pages, ""), (api, PREFIX)):
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
            found = importlib.import_module(f"{package.__name__}.{module.name}")
            router = getattr(found, "router", None)
            if router is not None:
                app.include_router(router, prefix=prefix, include_in_schema=bool(prefix))
    app.mount("/static", Statics(), name="static")
    return app
