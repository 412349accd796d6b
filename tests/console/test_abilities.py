# SPDX-License-Identifier: Apache-2.0
"""Every route has a guard, and its abilities are those of the table: a new route is a new line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.console.routes import guards, routes

TABLE = Path(__file__).with_name("abilities.txt")
OPEN = {"/login", "/login/code", "/login/oidc", "/login/oidc/back"}
"""For everybody: before one is signed in."""
UNGUARDED = {"/static", "/api/v1/openapi.json"}
"""Files of the program, the same for everybody."""


def line(method: str, path: str, route: Any) -> str:
    return f"{method:<6} {path}  {' or '.join(guards(route)[0])}"


def test_every_route_has_one_guard(console: Any) -> None:
    wrong = []
    for method, path, route in routes(console.app):
        found = guards(route)
        if path in UNGUARDED:
            continue
        if len(found) != 1:
            wrong.append(f"{method} {path}: {found}")
        elif (found[0] == ("anybody",)) != (path in OPEN):
            wrong.append(f"{method} {path}: for everybody")
    assert not wrong


def test_the_abilities_are_those_of_the_table(console: Any) -> None:
    """After reading what changed: the lines that the failure shows go into abilities.txt."""
    found = {line(m, p, r) for m, p, r in routes(console.app) if p not in UNGUARDED}
    written = {row for row in TABLE.read_text("utf-8").splitlines() if row and not row.startswith("#")}
    assert sorted(found - written) == []
    assert sorted(written - found) == []


def test_what_changes_something_is_never_a_get(console: Any) -> None:
    changing = (
        "/sign",
        "/approve",
        "/remove",
        "/cancel",
        "/reset",
        "/end",
        "/drop",
        "/withdraw",
        "/admit",
        "/logout",
    )
    wrong = [p for m, p, _ in routes(console.app) if m == "GET" and p.endswith(changing)]
    assert not wrong
