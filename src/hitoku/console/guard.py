# SPDX-License-Identifier: Apache-2.0
"""Who may: dependencies that every route has. A route without one is a bug; a test looks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request

from hitoku.console.users import May, User
from hitoku.errors import Refusal

__all__ = ["NotSignedIn", "anybody", "need", "signed_in"]


class NotSignedIn(Refusal):
    """Nobody is signed in: pages lead to the sign-in page, the API answers 401."""

    def __init__(self) -> None:
        super().__init__("NOT_SIGNED_IN", "sign in first")


def signed_in(request: Request) -> User:
    """The user of the request (set by the session or token middleware).

    Raises:
        NotSignedIn: there is none.
    """
    user: User | None = getattr(request.state, "user", None)
    if user is None:
        raise NotSignedIn
    return user


def need(*abilities: May) -> Callable[[Request], User]:
    """A dependency: the user, who has at least one of the abilities; anybody signed in where none is named.

    Raises:
        NotSignedIn: nobody is signed in.
        Refusal: ``NOT_ALLOWED``, the user may not.
    """

    def user(request: Request) -> User:
        found = signed_in(request)
        if abilities and not any(found.may(ability) for ability in abilities):
            raise Refusal(
                "NOT_ALLOWED",
                "this needs the ability " + " or ".join(abilities),
                remedy="ask who administers this console for it",
            )
        return found

    marked: Any = user
    marked.guards = abilities
    return user


def anybody(request: Request) -> User | None:
    """A dependency of the few routes that are for everybody, such as the sign-in page."""
    found: User | None = getattr(request.state, "user", None)
    return found
