# SPDX-License-Identifier: Apache-2.0
"""A program's name: the hash by which three servers see that they are about to compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from hitoku.room.canonical import canonical_json, digest

if TYPE_CHECKING:
    from hitoku.protections.shares.program import Program

__all__ = ["program_hash", "run_name"]


def program_hash(program: Program) -> str:
    """``sha256:`` and the hash of all of a program; two programs that differ anywhere have two names."""
    return digest("hitoku/shares-program/1", canonical_json({"program": _plain(program)}))


def run_name(program: Program, manifests: Mapping[str, str]) -> str:
    """What servers compare before they begin, and sign: the program, and of which uploads it is computed.

    With the manifests' hashes in it, an owner that gives servers different manifests is noticed before
    anything is computed. And they have hashes of random seeds in them: a receiver, which gets this name,
    could otherwise try programs of all sizes that a table may have until it finds the one that has it.

    Args:
        program: the program.
        manifests: by table, the manifest's hash.
    """
    named = {"program": program_hash(program), "manifests": dict(manifests)}
    return digest("hitoku/shares-run/1", canonical_json(named))


def _plain(value: Any) -> Any:
    """As JSON. What kind of thing it is stands beside its fields; whole numbers are texts, for any size."""
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {f.name: _plain(getattr(value, f.name)) for f in fields(value)}]
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is int:
        return {"int": str(value)}
    raise TypeError(f"a program has no {type(value).__name__}")
