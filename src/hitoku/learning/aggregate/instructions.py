# SPDX-License-Identifier: Apache-2.0
"""Instructions as messages, their hash, their purpose, and the check of what a task contributes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import InputError, PeerError
from hitoku.learning.base import Instruction, Task
from hitoku.learning.wire import pack

__all__ = [
    "checked_contribution",
    "from_message",
    "instruction_hash",
    "is_fresh",
    "kind",
    "purpose",
    "to_message",
    "told_state",
]

_ARRAY: Final = "in:"
_NO_PURPOSE: Final = ("fresh", "attempt")
_FIELDS: Final = ("task", "body", "length", "bound")


def to_message(instruction: Instruction) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The instruction as JSON data and arrays, to be put into a request."""
    # Through JSON once, so that both ends sort and hash the same: a tuple becomes a list, a key a text.
    body = json.loads(json.dumps(dict(instruction.body)))
    data = {**{field: getattr(instruction, field) for field in _FIELDS}, "body": body}
    return data, {_ARRAY + name: values for name, values in sorted(instruction.arrays.items())}


def from_message(data: Any, arrays: Mapping[str, NDArray[Any]]) -> Instruction:
    """The instruction of a request; arrays that do not belong to it are left alone.

    Raises:
        PeerError: it is malformed.
    """
    if not isinstance(data, dict) or set(data) != set(_FIELDS):
        raise PeerError("an instruction is malformed", "MALFORMED")
    task, body, length, bound = (data[field] for field in _FIELDS)
    if (
        not isinstance(task, str)
        or not isinstance(body, dict)
        or type(length) is not int
        or not 0 <= length <= limits.MAX_LEARNING_VALUES
        or type(bound) is not int
        or not 0 <= bound < 1 << 63
    ):
        raise PeerError("an instruction is malformed", "MALFORMED")
    own = {name.removeprefix(_ARRAY): v for name, v in arrays.items() if name.startswith(_ARRAY)}
    return Instruction(task, body, length, bound, own)


def instruction_hash(instruction: Instruction) -> bytes:
    """SHA-256 of the whole instruction, the same at both ends: masks are bound to it."""
    data, arrays = to_message(instruction)
    return hashlib.sha256(b"hitoku/learning-instruction/1\0" + pack(data, arrays)).digest()


def purpose(instruction: Instruction) -> str:
    """What the sum is for: a hash of the instruction without its arrays, `fresh` and `attempt`.

    Without the arrays, since the server makes them: weights that differ in the last digit shall not make
    another purpose; nor shall trying again. A body names its step (round, tree, level) for that reason.
    """
    data, _ = to_message(instruction)
    data["body"] = {key: value for key, value in data["body"].items() if key not in _NO_PURPOSE}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(b"hitoku/learning-purpose/1\0" + text.encode()).hexdigest()


def kind(instruction: Instruction) -> str:
    """The kind of a sum, of which there are few in a run: the task and what it shall do."""
    return json.dumps([instruction.task, instruction.body.get("do")], ensure_ascii=False)


def is_fresh(instruction: Instruction) -> bool:
    """Whether the task must draw fresh rows for it, or refuse."""
    return instruction.body.get("fresh") is True


def told_state(tasks: Mapping[str, Task], instruction: Instruction) -> bytes:
    """After a contribution: a hash of what its task was told before, and what it was made with.

    Masks are bound to it beside the instruction.
    A model's bins and trees, the splits of levels before, the sums of counters are told once and not in every
    instruction. A server that told them to one member otherwise than to the others could have that member's
    rows alone in a cell of the sum (its values in bins where nobody else's are); told otherwise, its masks
    do not cancel, and nothing opens. Empty where a task depends on its instruction alone.
    """
    state = getattr(tasks[instruction.task], "told_state", None)
    return b"" if state is None else bytes(state())


def checked_contribution(
    tasks: Mapping[str, Task],
    instruction: Instruction,
    members: tuple[str, ...],
    whole: bool | None = None,
) -> NDArray[np.int64]:
    """What this member contributes, checked before it is protected.

    Args:
        tasks: the member's.
        instruction: as the server, or the leader, sent it.
        members: the set.
        whole: for a fresh instruction, whether all rows may be in the sum (`Memory.whole`): the task finds it
            in the body, whatever the server wrote there. None: the task decides by what it remembers.

    Raises:
        PeerError: there is no such task, or the sum could overflow.
        InputError: the task made another shape, or a value outside the bound; nothing is sent.
        Refusal: the task's, of what the plan does not allow.
    """
    if instruction.task not in tasks:
        raise PeerError("an instruction is for a task that this member's plan does not have", "NO_SUCH_TASK")
    if len(members) * instruction.bound >= 1 << 63:
        raise PeerError(
            "the members times an instruction's bound reach 2^63: a sum could overflow", "OVERFLOW"
        )
    if whole is not None and is_fresh(instruction):
        instruction = replace(instruction, body={**instruction.body, "whole": whole})
    values = tasks[instruction.task].contribute(instruction, members)
    if values.dtype != np.int64 or values.shape != (instruction.length,):
        raise InputError("a task made another shape or type of vector than its instruction asks for")
    if len(values) and (int(values.min()) < -instruction.bound or int(values.max()) > instruction.bound):
        raise InputError("a task made a value outside its instruction's bound: nothing was sent")
    return values
