# SPDX-License-Identifier: Apache-2.0
"""A finished circuit: its operations in order, its inputs and outputs. It holds no key and no input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node, Values

__all__ = ["Program", "Release"]


@dataclass(frozen=True, slots=True)
class Release:
    """How one output leaves: how many primes it keeps and how wide the flooding noise is.

    Attributes:
        level: how many primes the ciphertext keeps; None: as few as the range analysis permits.
        flood_bits: each coefficient gets noise uniform in [-2^flood_bits, 2^flood_bits).
    """

    level: int | None
    flood_bits: int | None


@dataclass(frozen=True)
class Program:
    """A circuit in the order of its operations; each is assigned once.

    Attributes:
        slots: how many real numbers a ciphertext has; half of the ring's degree.
        nodes: the operations; an operation takes values of earlier ones only.
    """

    slots: int
    nodes: tuple[Node, ...]

    @cached_property
    def inputs(self) -> Mapping[str, int]:
        """The inputs' names and the nodes they are."""
        return {n.settings["name"]: i for i, n in enumerate(self.nodes) if n.op == "input"}

    @cached_property
    def outputs(self) -> Mapping[str, int]:
        """The outputs' names and the nodes they are."""
        return {n.settings["name"]: i for i, n in enumerate(self.nodes) if n.op == "output"}

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """For each node the last node that takes its value (itself, if none does)."""
        last = list(range(len(self.nodes)))
        for index, node in enumerate(self.nodes):
            for arg in node.args:
                last[arg] = index
        return tuple(last)

    @property
    def constants(self) -> Iterator[tuple[int, str, Values]]:
        """Every array of the circuit with its node and name there: the model's weights, the ranges."""
        for index, node in enumerate(self.nodes):
            for name, values in node.constants.items():
                yield index, name, values

    @property
    def level(self) -> int:
        """How many primes the circuit needs: those of the input with most."""
        return max(n.level for n in self.nodes if n.op == "input")

    def releases(self) -> dict[str, Release]:
        """What has been settled about each output."""
        return {
            name: Release(self.nodes[i].settings["level"], self.nodes[i].settings["flood_bits"])
            for name, i in self.outputs.items()
        }

    def with_releases(self, releases: Mapping[str, Release]) -> Program:
        """The same circuit with other decisions about how its outputs leave.

        Raises:
            CircuitError: an output is not there (``OUTPUT``) or has too few primes (``LEVEL``).
        """
        nodes = list(self.nodes)
        for name, release in releases.items():
            index = self.outputs.get(name)
            if index is None:
                raise CircuitError("OUTPUT", f"the circuit has no output named {name!r}")
            arg = nodes[nodes[index].args[0]]
            if release.level is not None and not 1 <= release.level <= arg.level:
                raise CircuitError(
                    "LEVEL",
                    f"{release.level} primes asked, 1 to {arg.level} are there",
                    where=nodes[index].describe(index),
                )
            settings = {"name": name, "level": release.level, "flood_bits": release.flood_bits}
            nodes[index] = replace(nodes[index], level=release.level or arg.level, settings=settings)
        return Program(self.slots, tuple(nodes))

    def to_bytes(self) -> bytes:
        """The circuit as bytes: a JSON header and raw arrays. See `circuit.codec`."""
        from hitoku.inference.circuit.codec import encode

        return encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read what `to_bytes` wrote; everything is checked as `Builder` checks it.

        Raises:
            CircuitError: the bytes are not such a circuit, or it breaks a limit.
        """
        from hitoku.inference.circuit.codec import decode

        return decode(data)
