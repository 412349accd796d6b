# SPDX-License-Identifier: Apache-2.0
"""What browsers call this console: which Host and Origin are ours, and the cookies' names and flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.responses import Response

    from hitoku.console.context import NodeView

__all__ = ["DEFAULT_URL", "Site", "site", "site_of"]

DEFAULT_URL: Final = "http://127.0.0.1:8480"


@dataclass(frozen=True, slots=True)
class Site:
    """The console's address, as people type it.

    Attributes:
        url: without a slash at its end, e.g. ``https://console.example:8480``.
        host: what the ``Host`` header must be.
        secure: whether it is HTTPS.
    """

    url: str
    host: str
    secure: bool

    @classmethod
    def of(cls, url: str) -> Site:
        """The site at a URL.

        Browsers leave a default port out of Host and Origin, so it is left out here, too.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "127.0.0.1").lower()
        host = f"[{host}]" if ":" in host else host
        if parts.port is not None and parts.port != {"http": 80, "https": 443}.get(parts.scheme):
            host = f"{host}:{parts.port}"
        return cls(f"{parts.scheme}://{host}", host, parts.scheme == "https")

    def cookie(self, kind: str) -> str:
        """The name of a cookie: ``session``, ``visitor``, ``known`` or ``oidc``.

        ``__Host-`` makes browsers refuse it from anywhere but this host over HTTPS. Browsers do not keep the
        cookies of two ports apart, so the port is part of the name: two consoles on one machine do not
        sign each other's users out.
        """
        port = self.host.rpartition(":")[2] if self.host[-1:].isdigit() and ":" in self.host else ""
        return ("__Host-" if self.secure else "") + f"hitoku-{kind}" + (f"-{port}" if port else "")

    def set_cookie(
        self, response: Response, kind: str, value: str, *, strict: bool = False, seconds: int | None = None
    ) -> None:
        """Put a cookie on a response, unreadable for scripts: for `seconds`, or until the browser ends."""
        response.set_cookie(
            self.cookie(kind),
            value,
            max_age=seconds,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="strict" if strict else "lax",
        )

    def drop_cookie(self, response: Response, kind: str) -> None:
        """Take a cookie back."""
        response.delete_cookie(self.cookie(kind), path="/", secure=self.secure, httponly=True, samesite="lax")


def site_of(node: NodeView) -> Site:
    """The site that node.toml names in ``[console] url``."""
    console = getattr(node.settings(), "console", None)
    return Site.of(str(getattr(console, "url", None) or DEFAULT_URL))


def site(request: Request) -> Site:
    """The site of a request's application."""
    found: Site = request.app.state.site
    return found
