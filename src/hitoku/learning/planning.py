# SPDX-License-Identifier: Apache-2.0
"""Plans from a few lines, and what a plan means: who learns what, what it costs, what can go wrong.

What `hitoku learn plan` prints before a member signs is made here, from the plan alone: no row is read.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import numpy as np

from hitoku.errors import InputError
from hitoku.learning.collusion import bound_words, colluding_learn, threshold_words
from hitoku.learning.guard import needed
from hitoku.learning.plan import Boosting, Linear, Perceptron, Plan
from hitoku.learning.signing import validated
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS, Charge, epsilon_of
from hitoku.room.agreement import Ability, Agreement
from hitoku.room.canonical import agreement_hash

__all__ = ["Cost", "Meaning", "charges", "cost_of", "inputs", "largest_bound", "made", "meaning"]

_VALUE_BYTES: Final = 8
_KEY_BYTES: Final = 700
"""About what a signed message takes beside its numbers."""
_GIVEN: Final = {"room", "agreement", "salt", "version"}


def made(short: Mapping[str, Any], agreement: Agreement, where: str = "plan") -> Plan:
    """A plan out of the few lines that a person writes: what the room knows is filled in.

    `members` are all that are no host and not the server, where none are named; `server` is the only member
    with the ability compute that owns no table, where none is named.

    Raises:
        InputError: says the path inside it and what is wrong.
    """
    given = sorted(_GIVEN & set(short))
    if given:
        raise InputError(f"{where}: {', '.join(given)} come from the room; leave them out")
    data = dict(short)
    if "server" not in data:
        data["server"] = _only_server(agreement, where)
    if "members" not in data:
        data["members"] = [
            m.name for m in agreement.members if m.name != data["server"] and Ability.HOST not in m.abilities
        ]
    if isinstance(data["members"], list) and all(isinstance(name, str) for name in data["members"]):
        data["members"] = sorted(data["members"])
    data |= {
        "room": str(agreement.id),
        "agreement": agreement_hash(agreement),
        "salt": secrets.token_hex(32),
    }
    return validated(data, where)


def _only_server(agreement: Agreement, where: str) -> str:
    owners = {table.owner for table in agreement.tables}
    able = [m.name for m in agreement.able(Ability.COMPUTE) if m.name not in owners]
    if len(able) != 1:
        raise InputError(
            f"{where}: server: name the member that adds; the room has {len(able)} with the ability compute "
            "and no table"
        )
    return able[0]


def inputs(plan: Plan) -> int:
    """How many features a row has, those of counters among them."""
    return len(plan.data.inputs)


def charges(plan: Plan) -> tuple[Charge, ...]:
    """What the plan costs every member's account, rounded up; nothing without privacy or a unit."""
    if plan.privacy is None or plan.privacy.unit is None:
        return ()
    rho = int((Decimal(repr(plan.privacy.rho)) * RHO_UNITS).to_integral_value(ROUND_CEILING))
    return tuple(Charge(name, plan.privacy.unit, rho, 0) for name in plan.members)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan is predicted to send.

    Attributes:
        steps: trees or rounds.
        rounds: requests and answers, in one after the other.
        values: integers that one member sends in a step.
        bytes_up: what one member sends in a step.
        bytes_down: what one member receives in a step, about.
    """

    steps: int
    rounds: int
    values: int
    bytes_up: int
    bytes_down: int

    def to_dict(self) -> dict[str, int]:
        """JSON-ready form."""
        return {
            "steps": self.steps,
            "rounds": self.rounds,
            "values_per_step": self.values,
            "bytes_up_per_step": self.bytes_up,
            "bytes_down_per_step": self.bytes_down,
        }


def cost_of(plan: Plan) -> Cost:
    """Predict a run's cost from its plan."""
    model = plan.model
    width = inputs(plan)
    if isinstance(model, Boosting):
        # One sum a level, the smaller child of each split only: 1, 1, 2, 4, ... nodes.
        nodes = [1, *(2 ** (level - 1) for level in range(1, model.depth))]
        lengths = [count * width * (model.bins + 1) * 2 for count in nodes]
        steps, phases, down = model.trees, model.depth + 1, 64 * 2**model.depth
    else:
        weights = width + 1 if isinstance(model, Linear) else _parameters(model, width)
        lengths = [5 + weights]
        if isinstance(model, Linear) and model.method == "sums" and plan.privacy is None:
            lengths[0] += weights * (weights + 1) // 2
        steps, phases, down = model.rounds, 5, _VALUE_BYTES * weights
    values = sum(lengths)
    if plan.aggregation.kind == "he":
        from hitoku.hazmat.ring_threshold import layout

        # A member sends both halves of a ciphertext and a part of the sum's decryption, and gets a half.
        shapes = [layout(len(plan.members), largest_bound(plan), length) for length in lengths]
        up = sum(2 * shape.first_bytes + shape.second_bytes for shape in shapes)
        down += sum(shape.second_bytes for shape in shapes)
        phases += 2 * len(lengths)
    else:
        up = values * _VALUE_BYTES
    overhead = phases * _KEY_BYTES
    return Cost(steps, steps * phases, values, up + overhead, down + overhead)


def _parameters(model: Perceptron, width: int) -> int:
    sizes = (width, *model.layers, 1)
    return sum((a + 1) * b for a, b in itertools.pairwise(sizes))


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a plan means, in sentences by topic, and as numbers."""

    plan: Plan
    sentences: Mapping[str, tuple[str, ...]]
    cost: Cost
    epsilon: Decimal | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        privacy = self.plan.privacy
        return {
            "name": self.plan.name,
            "members": list(self.plan.members),
            "server": self.plan.server,
            "threshold": self.plan.threshold,
            "colluding": self.plan.colluding,
            "words": {topic: list(lines) for topic, lines in self.sentences.items()},
            "cost": self.cost.to_dict(),
            "privacy": None
            if privacy is None
            else {
                "rho": privacy.rho,
                "epsilon": str(self.epsilon),
                "delta": privacy.delta,
                "unit": privacy.unit,
            },
        }


def meaning(plan: Plan) -> Meaning:
    """What a member signs with this plan."""
    cost = cost_of(plan)
    epsilon = None
    if plan.privacy is not None:
        units = (int(Decimal(repr(plan.privacy.rho)) * RHO_UNITS), int(plan.privacy.delta * DELTA_UNITS))
        epsilon = epsilon_of(*units)
    sentences = {
        "threshold": (threshold_words(plan),),
        "collusion": (bound_words(plan), colluding_learn(plan)),
        "overflow": _overflow(plan),
        "learns": _learns(plan),
        "cost": _cost(plan, cost),
        "privacy": _privacy(plan, epsilon),
        "guard": _guard(plan),
    }
    return Meaning(plan, sentences, cost, epsilon)


_CROWDED: Final = 25
"""The least child weight at which few single rows can be read off summed histograms, by
`benchmarks/learning_reconstruction.py`."""


def largest_bound(plan: Plan) -> int:
    """No instruction of the plan has a larger bound.

    Raises:
        InputError: the plan's sums would not fit, or would be too coarse.
    """
    counts = plan.data.rows
    if isinstance(plan.model, Boosting):
        from hitoku.learning.boosting.shape import shape_of

        shape = shape_of(plan)
        return max(counts, shape.level_bound, shape.count_bound)
    from hitoku.learning.rounds.work import Work

    work = Work(plan)
    network = work.network(inputs(plan))
    # Only the length of the weights counts here.
    return max(counts, work.instruction(0, network, np.zeros(network.length), {}).bound)


def _overflow(plan: Plan) -> tuple[str, ...]:
    count = len(plan.members)
    most = largest_bound(plan)
    ring = (
        "Sums are exact in a ring of 64 bits: each instruction names a bound, a member sends nothing outside "
        f"it, and no bound of this plan is above {most:,}. {count} members times that are {count * most:,}, "
        f"less than 2^63. Bounds are made of the plan: no member brings more than {plan.data.rows:,} rows."
    )
    honest = (
        "The bound is kept by honest members only: under the masks a poisoned update can be any number of 64 "
        "bits. There is no proof of ranges."
    )
    return ring, honest


def _learns(plan: Plan) -> tuple[str, ...]:
    sums = (
        "sums over the whole set: histograms of gradients for each tree"
        if isinstance(plan.model, Boosting)
        else "sums over the whole set: weights, and means of the columns"
    )
    if plan.data.counters:
        sums += "; rows and frauds per entity and day"
    steps = plan.model.trees if isinstance(plan.model, Boosting) else plan.model.rounds
    noised = ", with noise" if plan.privacy is not None else ""
    if plan.aggregation.kind == "masks":
        server = f"The server ({plan.server}) learns {sums}{noised}; who answers when; lengths and times."
        members = "Each member learns the model after each step, and what the others voted."
    else:
        server = f"The server ({plan.server}) learns who answers when, lengths and times; it reads no sum."
        members = (
            f"The leader, the first member of a set, learns {sums}{noised}. Each other member learns the "
            "model after each step, and what the others voted."
        )
    lines = [
        server,
        members,
        f"Everybody who has the model learns what {steps:,} steps of it tell of all rows.",
    ]
    if plan.aggregation.kind == "he":
        lines.append("Server and leader together learn what the leader learns, and no single member's part.")
    if plan.data.counters:
        lines.append("Members learn the summed counters, since they compute features of them.")
    model = plan.model
    if isinstance(model, Boosting) and plan.privacy is None and model.child_weight < _CROWDED:
        reader = "the server" if plan.aggregation.kind == "masks" else "the leader"
        lines.append(
            f"With child_weight {model.child_weight:g}, cells of the summed histograms may hold single rows, "
            f"which {reader} can put together to whole rows, not knowing whose they are. From {_CROWDED} on "
            "few are left; only privacy bounds what sums tell."
        )
    return tuple(lines)


def _cost(plan: Plan, cost: Cost) -> tuple[str, ...]:
    what = "tree" if isinstance(plan.model, Boosting) else "round"
    return (
        (
            f"Each member sends about {_size(cost.bytes_up)} and receives {_size(cost.bytes_down)} a {what}: "
            f"{_size(cost.steps * cost.bytes_up)} for all {cost.steps:,}, in {cost.rounds:,} requests."
        ),
    )


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def _privacy(plan: Plan, epsilon: Decimal | None) -> tuple[str, ...]:
    privacy = plan.privacy
    if privacy is None or epsilon is None:
        return ("No noise: sums open exactly, and no bound holds for what the model tells of one row.",)
    charged = (
        "No budget of the room is charged: privacy.unit names none."
        if privacy.unit is None
        else f"Charged before a row is read, and never given back: {privacy.rho:g} of rho from the account "
        f"{privacy.unit!r} of {', '.join(plan.members)}."
    )
    return (
        (
            f"Noise: {privacy.rho:g}-zCDP for each row of each member, that is epsilon {epsilon:.3f} at "
            f"delta {privacy.delta:g}, for the whole run, also against {privacy.colluding} of the members "
            "that tell their own noise."
        ),
        charged,
    )


def _guard(plan: Plan) -> tuple[str, ...]:
    count = len(plan.members)
    limits = (
        f"With {count} members there are no groups of three whose medians could be compared, and sums "
        "without one member are never opened beside sums with it: they would show that member. So a "
        "poisoned update is not found in the sum."
    )
    if plan.guard.every == 0:
        return ("No votes: one member's poisoned update can spoil the model, and nobody is asked.", limits)
    then = (
        "one member after the other is left out, on fresh rows, until a block is accepted"
        if plan.guard.rotate
        else "the run stops"
    )
    votes = (
        f"Votes after every {plan.guard.every} steps: each member signs whether its own holdout's loss rose "
        f"by more than {plan.guard.worse:.1%}. If {needed(plan)} of {count} reject, the steps since the last "
        f"vote are taken back, and {then}. That bounds the loss; it does not prove who did it."
    )
    return votes, limits
