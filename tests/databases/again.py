# SPDX-License-Identifier: Apache-2.0
"""Takes tests and fixtures of a unit test module into another one, where other fixtures hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

_UNIT = Path(__file__).parents[1] / "unit"


def take(into: dict[str, Any], path: str, without: frozenset[str] = frozenset()) -> ModuleType:
    """Put a module's tests and fixtures into the names of another.

    Args:
        into: those names.
        path: of the module, in tests/unit.
        without: tests that look into the SQLite file itself, and names that the caller has its own of.
    """
    where = _UNIT / path
    spec = importlib.util.spec_from_file_location(f"again_{where.stem}", where)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    missing = without - set(vars(module))
    assert not missing, f"{path} has no {missing}"
    for name, thing in vars(module).items():
        fixture = type(thing).__name__ == "FixtureFunctionDefinition"
        if name not in without and (name.startswith(("test_", "Test")) or fixture):
            into.setdefault(name, thing)
    return module
