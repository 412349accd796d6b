# SPDX-License-Identifier: Apache-2.0
"""One sum at a member: an encrypted vector, a part of the sum's decryption, and at the leader the opening."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.hazmat import ring_threshold as ring
from hitoku.learning.aggregate.he.sealing import Group, opened, sealed
from hitoku.learning.aggregate.instructions import checked_contribution, from_message, to_message, told_state
from hitoku.learning.aggregate.memory import Memory
from hitoku.learning.base import Instruction, Task
from hitoku.learning.wire import pack, unpack

__all__ = ["Asked", "ask", "finish", "give", "open_part", "read_asked"]

Arrays = Mapping[str, NDArray[Any]]
Mode = Literal["session", "round"]
_TAG: Final = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What the leader asks all members for, in one sum."""

    mode: Mode
    session: int
    instruction: Instruction

    def remember(self, memory: Memory, members: tuple[str, ...]) -> None:
        """Ask this member's memory, before anything goes out that lets the sum open.

        Raises:
            Refusal: a rule about sets forbids it.
        """
        if self.mode == "session":
            memory.session(self.session, self.instruction, members)
        else:
            memory.round(self.session, self.instruction, members)

    def shape(self, members: tuple[str, ...]) -> ring.Layout:
        """How the sum lies in ciphertexts."""
        return ring.layout(len(members), self.instruction.bound, self.instruction.length)


def ask(asked: Asked) -> bytes:
    """The leader's words as bytes, to be sealed."""
    data, arrays = to_message(asked.instruction)
    return pack({"mode": asked.mode, "session": asked.session, "instruction": data}, arrays)


def read_asked(content: bytes) -> Asked:
    """What `ask` wrote.

    Raises:
        PeerError: it is malformed.
    """
    header, arrays = unpack(content)
    mode, session = header.get("mode"), header.get("session")
    if mode not in ("session", "round") or type(session) is not int or not 0 < session < 1 << 52:
        raise PeerError("an instruction is malformed", "MALFORMED")
    return Asked(mode, session, from_message(header.get("instruction"), arrays))


def give(
    group: Group, number: int, box: Any, tasks: Mapping[str, Task], memory: Memory, threads: int | None
) -> dict[str, NDArray[Any]]:
    """This member's vector: masked, encrypted, with its sealed hashes.

    Raises:
        PeerError: the instruction is not the leader's, or malformed.
        Refusal: the task's, or one of the rules about sets.
    """
    content = opened(group.message_key("sum", number), box)
    asked = read_asked(content)
    shape = asked.shape(group.members)
    if asked.mode == "session":
        asked.remember(memory, group.members)
    values = checked_contribution(tasks, asked.instruction, group.members, memory.whole(group.members))
    if group.joint is None:
        raise PeerError("the set's keys are not complete", "NO_SESSION")
    masked = group.masked(values, number, content + told_state(tasks, asked.instruction), threads)
    first, second = group.joint.encrypt(shape, masked, threads=threads)
    low, high = ring.linear_hash(shape, group.message_key("vectors", number), first, second, threads=threads)
    check = sealed(group.message_key("check", number, group.name), low.tobytes() + high.tobytes())
    group.pending.clear()
    group.pending[number] = (asked, shape)
    return {"encrypted/first": first, "encrypted/second": second, "sealed/check": check}


def _pending(group: Group, number: Any) -> tuple[Asked, ring.Layout]:
    found = group.pending.pop(number, None) if type(number) is int else None
    if found is None:
        raise PeerError("this member has given nothing to such a sum, or its part already", "ANSWERED")
    asked, shape = found
    return asked, shape


def _rows(given: Any, count: int, size: int) -> NDArray[np.uint8]:
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.shape != (count, size + _TAG):
        raise PeerError("the sealed hashes of a sum are malformed", "MALFORMED")
    return given


def _sum_hashes(group: Group, number: int, shape: ring.Layout, given: Any) -> tuple[Any, Any]:
    """What the hashes of both halves of the sum must be, from every member's own."""
    size = 8 * shape.hash_length
    halves: tuple[list[Any], list[Any]] = ([], [])
    for member, row in zip(group.members, _rows(given, len(group.members), 2 * size), strict=True):
        both = np.frombuffer(opened(group.message_key("check", number, member), row), np.uint64)
        halves[0].append(both[: shape.hash_length])
        halves[1].append(both[shape.hash_length :])
    return ring.add_hashes(shape, halves[0]), ring.add_hashes(shape, halves[1])


def _same(found: NDArray[np.uint64], right: NDArray[np.uint64]) -> None:
    if not hmac.compare_digest(found.tobytes(), right.tobytes()):
        raise PeerError(
            "what the server shows is not the sum of what the members gave: nothing is decrypted", "WRONG_SUM"
        )


def open_part(
    group: Group, number: Any, arrays: Arrays, memory: Memory, threads: int | None
) -> dict[str, NDArray[Any]]:
    """This member's part of the sum's decryption, with its sealed hash; once, and for the sum alone.

    Raises:
        PeerError: it is not the sum.
        Refusal: one of the rules about sets.
    """
    if group.name == group.leader:
        raise PeerError("the leader's part of a decryption never leaves it", "WRONG_MEMBER")
    asked, shape = _pending(group, number)
    second = _half(arrays.get("encrypted/second"), shape.second_bytes)
    vectors = group.message_key("vectors", number)
    _, right = _sum_hashes(group, number, shape, arrays.get("sealed/checks"))
    _, found = ring.linear_hash(shape, vectors, None, second, threads=threads)
    _same(found, right)
    if asked.mode == "round":
        asked.remember(memory, group.members)
    part = group.key.partial(shape, second, threads=threads)
    low, _ = ring.linear_hash(shape, vectors, part, None, threads=threads)
    return {
        "encrypted/part": part,
        "sealed/check": sealed(group.message_key("part", number, group.name), low.tobytes()),
    }


def finish(
    group: Group, number: int, arrays: Arrays, memory: Memory, threads: int | None
) -> NDArray[np.int64]:
    """At the leader: the sum, or nothing.

    Raises:
        PeerError: what came is not the sum and the parts of its decryption, or no sum within the bound.
        Refusal: one of the rules about sets.
    """
    asked, shape = _pending(group, number)
    first = _half(arrays.get("encrypted/first"), shape.first_bytes)
    second = _half(arrays.get("encrypted/second"), shape.second_bytes)
    low, high = _sum_hashes(group, number, shape, arrays.get("sealed/checks"))
    size = 8 * shape.hash_length
    for peer, row in zip(group.peers, _rows(arrays.get("sealed/parts"), len(group.peers), size), strict=True):
        of_part = np.frombuffer(opened(group.message_key("part", number, peer), row), np.uint64)
        low = ring.add_hashes(shape, [low, of_part])
    found = ring.linear_hash(shape, group.message_key("vectors", number), first, second, threads=threads)
    _same(found[0], low)
    _same(found[1], high)
    if asked.mode == "round":
        asked.remember(memory, group.members)
    values = group.key.finish(shape, first, second, threads=threads)
    most = len(group.members) * asked.instruction.bound
    if len(values) and not (-most <= int(values.min()) and int(values.max()) <= most):
        raise PeerError(
            "what opened is no sum of vectors within their bound: a member sent something else, or members "
            "were told different things",
            "NO_SUM",
        )
    return values


def _half(given: Any, size: int) -> NDArray[np.uint8]:
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.shape != (size,):
        raise PeerError("a sum's ciphertext is of another size than this sum's", "MALFORMED")
    return given
