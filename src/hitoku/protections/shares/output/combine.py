# SPDX-License-Identifier: Apache-2.0
"""A receiver puts the three servers' parts of an answer together.

Of x = x_0 xor x_1 xor x_2 each server gives the two shares that it holds, so each share comes twice, from two
servers. They must be equal: one server alone, which may lie, cannot change a value without being seen, and is
one of the two that are named. (Which of the two lied, the receiver cannot tell.) Values that no honest
computation gives (beyond the declared type, validity that is no bit, text that is not UTF-8) are an error
too, never an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from hitoku.errors import PeerError
from hitoku.protections.shares.output.parts import Part, decode
from hitoku.protections.shares.output.values import Malformed, column_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Combined", "combine"]


class Agreed(Protocol):
    """What the parts must be of; `hitoku.room.parts.Terms` is one."""

    @property
    def run(self) -> str:
        """The run."""
        ...

    @property
    def question(self) -> str:
        """The question's hash."""
        ...

    @property
    def plan(self) -> str:
        """The disclosure plan's hash."""
        ...

    @property
    def program(self) -> str:
        """The hash of what the servers computed."""
        ...

    @property
    def released_at(self) -> str:
        """When."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Combined:
    """The released rows, in clear.

    Attributes:
        branches: a `pyarrow.Table` each, with the opened columns by name. Numbers of scale 0 are int64 or
            decimals of scale 0, others decimals of their scale; dates, booleans, texts; ratios are doubles.
        salt: of the answer: all three servers' contributions, XORed; random where one of them was.
        released_at: when.
    """

    branches: list[Any]
    salt: str
    released_at: str


def combine(contents: Sequence[bytes], servers: Sequence[str], terms: Agreed) -> Combined:
    """The answer in three parts.

    Args:
        contents: the three servers' parts, opened, in order.
        servers: their names.
        terms: what they have to be of.

    Raises:
        PeerError: a part is none, of something else, or the parts do not agree. Names the servers.
    """
    if len(contents) != 3 or len(servers) != 3:
        raise PeerError("an answer has three parts")
    parts = [decode(content, server) for content, server in zip(contents, servers, strict=True)]
    wanted = tuple(getattr(terms, name) for name in ("run", "question", "plan", "program", "released_at"))
    for index, (part, server) in enumerate(zip(parts, servers, strict=True)):
        said = part.head.terms
        if (said.run, said.question, said.plan, said.program, said.released_at) != wanted:
            raise PeerError(f"{server!r} sent shares of another answer")
        if part.head.index != index:
            raise PeerError(f"{server!r} sent the shares of another server's place")
        if part.head.branches != parts[0].head.branches:
            raise PeerError(f"{servers[0]!r} and {server!r} sent shares of different columns or rows")
    salts = [np.frombuffer(bytes.fromhex(part.head.salt), np.uint8) for part in parts]
    if len({part.head.salt for part in parts}) != len(parts):
        raise PeerError("two servers gave one and the same salt, which is drawn at random")
    vectors = iter(_summed(parts, servers))
    branches = []
    try:
        for branch in parts[0].head.branches:
            columns = {}
            for column in branch.columns:
                given = [(next(vectors), kind) for kind in column.vectors()]
                columns[column.name] = column_of(column, branch.rows, [_words(v, k) for v, k in given])
            if len(columns) != len(branch.columns):
                raise Malformed("two columns have one name")
            branches.append(_table(columns, branch.rows))
    except Malformed as why:
        raise PeerError(
            f"the parts of {', '.join(map(repr, servers))} do not make an answer: {why}"
        ) from None
    return Combined(branches, (salts[0] ^ salts[1] ^ salts[2]).tobytes().hex(), terms.released_at)


def _summed(parts: Sequence[Part], servers: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Each vector's bytes, after all shares have been compared."""
    arrays = [
        [(np.frombuffer(own, np.uint8), np.frombuffer(after, np.uint8)) for own, after in part.shares]
        for part in parts
    ]
    for index in range(3):
        other = (index + 1) % 3
        same = [
            np.array_equal(mine[1], theirs[0])
            for mine, theirs in zip(arrays[index], arrays[other], strict=True)
        ]
        if not all(same):
            raise PeerError(
                f"{servers[index]!r} and {servers[other]!r} disagree about shares that both hold: one of "
                "them, or what came from it, was altered; nothing of this answer may be used"
            )
    return [a[0] ^ b[0] ^ c[0] for a, b, c in zip(*arrays, strict=True)]


def _words(content: NDArray[np.uint8], kind: str) -> NDArray[Any]:
    """Words; [n, 2] of uint64 for ``u128``."""
    if kind == "u128":
        return content.view("<u8").reshape(-1, 2)
    return content.view(f"<u{int(kind[1:]) // 8}")


def _table(columns: dict[str, Any], rows: int) -> Any:
    if not columns:
        raise Malformed(f"there are {rows} rows of no columns")
    return pa.table(columns)
