# SPDX-License-Identifier: Apache-2.0
"""Predictions on encrypted inputs: a model in, a server bundle and a client specification out.

The public names are loaded when they are first used: none of them is needed to ask a question, and some bring
numpy and a model library with them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hitoku.inference.client import Client as Client
    from hitoku.inference.compiler import compile as compile  # noqa: A004 - the name users look for
    from hitoku.inference.errors import ModelError as ModelError
    from hitoku.inference.importing import load as load
    from hitoku.inference.network import Network as Network
    from hitoku.inference.plan import Plan as Plan
    from hitoku.inference.server import Server as Server
    from hitoku.inference.specification import ClientSpec as ClientSpec

_PLACES: Final = {
    "Client": "hitoku.inference.client",
    "ClientSpec": "hitoku.inference.specification",
    "ModelError": "hitoku.inference.errors",
    "Network": "hitoku.inference.network",
    "Plan": "hitoku.inference.plan",
    "Server": "hitoku.inference.server",
    "compile": "hitoku.inference.compiler",
    "load": "hitoku.inference.importing",
}

__all__ = ["Client", "ClientSpec", "ModelError", "Network", "Plan", "Server", "compile", "load"]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(place), name)


def __dir__() -> list[str]:
    return sorted(__all__)
