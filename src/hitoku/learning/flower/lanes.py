# SPDX-License-Identifier: Apache-2.0
"""Flower's middleware only where it does something: a request costs half the time.

A SuperLink wraps each request into eight layers of Starlette's `BaseHTTPMiddleware` (0.3 ms each), most of
which look at the path and do nothing (`superlink/main.py`, `_get_middleware`; the classes' `dispatch`). Here
a layer is put only around the paths that it acts on by the source of its class. A layer that is not in this
list stays as it is, around everything.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Lane", "into_lanes"]

_PATHS: Final = {
    "ControlSensitiveResponseMiddleware": "/v1/control/",
    "ControlAuthenticationMiddleware": "/v1/control/",
    "ControlLicenseMiddleware": "/v1/control/",
    "ControlEventLogMiddleware": "/v1/control/",
    "NodeAuthMiddleware": "/v1/fleet/",
    "FleetEventLogMiddleware": "/v1/fleet/",
    "RuntimeTracingMiddleware": "/v1/runtime/",
}


class Lane:
    """An ASGI app: requests under a path go through a layer, all others past it.

    Args:
        app: what comes after the layer.
        path: the layer's paths begin with it.
        layer: the layer's class, made with `args` and `options`.
    """

    def __init__(
        self, app: Any, path: str, layer: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        self._app = app
        self._path = path
        self._layered = layer(app, *args, **options)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        inside = scope["type"] != "http" or scope["path"].startswith(self._path)
        await (self._layered if inside else self._app)(scope, receive, send)


def into_lanes(app: Any) -> None:
    """Put a Starlette app's layers into their lanes, before its first request."""
    from starlette.middleware import Middleware

    for place, layer in enumerate(app.user_middleware):
        path = _PATHS.get(layer.cls.__name__)
        if path is not None:
            app.user_middleware[place] = Middleware(Lane, path, layer.cls, layer.args, layer.kwargs)
