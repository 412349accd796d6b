# SPDX-License-Identifier: Apache-2.0
"""All routes of a console, and who may use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hitoku.console.guard import anybody


def routes(holder: Any, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Method, path and route of everything that an application answers."""
    for route in holder.routes:
        inside = getattr(route, "original_router", None)
        if inside is not None:
            yield from routes(inside, prefix + route.include_context.prefix)
        elif getattr(route, "methods", None):
            for method in sorted(route.methods - {"HEAD"}):
                yield method, prefix + route.path, route
        else:
            yield "MOUNT", prefix + route.path, route


def guards(route: Any) -> list[tuple[str, ...]]:
    """Of each guard of a route the abilities, of which one is needed; ``("anybody",)`` where all may."""
    found: list[tuple[str, ...]] = []

    def walk(dependant: Any) -> None:
        for one in dependant.dependencies:
            if one.call is anybody:
                found.append(("anybody",))
            elif hasattr(one.call, "guards"):
                found.append(tuple(str(ability) for ability in one.call.guards) or ("signed in",))
            walk(one)

    if getattr(route, "dependant", None) is not None:
        walk(route.dependant)
    return found
