# SPDX-License-Identifier: Apache-2.0
"""Signing in by name and password, without HTTP: the order of checks, and which browsers are known."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import Final
from urllib.parse import urlsplit

from hitoku.console import limits as counts
from hitoku.console import onetime, passwords
from hitoku.console.context import Context
from hitoku.console.store import Account, by_id, by_name, change, note

__all__ = ["by_code", "by_password", "known_cookie", "page_after"]

_OUTSIDE: Final = ("/login", "/logout", "/static/", "/api/")


def page_after(given: str) -> str:
    """Where to go after signing in: a page of this console and nothing else, ``/`` where it is none.

    Browsers take two slashes, or a slash and a backslash, for another host, and drop tabs and line ends.
    """
    if not given.startswith("/") or given.startswith(("//", "/\\")) or len(given) > 2_000:
        return "/"
    if "\\" in given or not given.isprintable() or not given.isascii() or " " in given:
        return "/"
    parts = urlsplit(given)
    if parts.scheme or parts.netloc or parts.path.startswith(_OUTSIDE):
        return "/"
    return given


def _mac(context: Context, user: str, mark: str) -> str:
    key = hmac.digest(onetime.console_key(context), b"known browsers", "sha256")
    return urlsafe_b64encode(hmac.digest(key, f"{user} {mark}".encode(), "sha256")).decode().rstrip("=")


def known_cookie(context: Context, user: str) -> str:
    """A cookie for a browser that a user signed in with: its attempts are counted apart from others'."""
    mark = secrets.token_urlsafe(16)
    return f"{mark}.{_mac(context, user, mark)}"


def _known(context: Context, user: str, cookie: str) -> str | None:
    mark, _, mac = cookie[:200].partition(".")
    good = hmac.compare_digest(mac.encode(), _mac(context, user, mark).encode())
    return mark if mark and good else None


def by_password(context: Context, name: str, password: str, address: str, cookie: str) -> Account | None:
    """Who has this name and password; None where nobody has.

    Args:
        context: the console's.
        name: as it was typed.
        password: as it was typed.
        address: where the connection comes from.
        cookie: of a known browser; empty where there is none.

    Raises:
        Slow: too many attempts failed.
    """
    found = by_name(context, name) if len(name) <= 255 else None
    known = None if found is None or not cookie else _known(context, found.id, cookie)
    turn = counts.sign_in(context, name[:255], address, known)
    turn.take()
    stored = None if found is None or found.disabled else found.password
    if not passwords.matches(stored, password) or found is None or stored is None:
        # A name that nobody has is not written down: some type their password there.
        note(context, found, "sign-in failed")
        return None
    turn.passed()
    if passwords.outdated(stored):
        change(context, found.id, password=passwords.hashed(password))
    return found


def by_code(context: Context, user: str, code: str) -> Account | None:
    """Who gave the password and now a one-time or recovery code; None where the code is wrong.

    Raises:
        Slow: too many attempts failed.
    """
    turn = counts.code(context, user)
    turn.take()
    found = by_id(context, user)
    if found.disabled or not onetime.passes(context, user, code):
        note(context, found, "one-time code failed")
        return None
    turn.passed()
    return found
