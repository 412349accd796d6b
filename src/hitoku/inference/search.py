# SPDX-License-Identifier: Apache-2.0
"""Finds a ring for a network: degree, primes, scales, flooding; nobody sets a parameter by hand.

For each plan of when primes are dropped (`chain.Scaling`) a sketch tells which primes a precision takes;
the least precision is taken whose error, predicted by the noise interpreter on ranges seen in calibration,
stays within its share of the tolerance, and whose ranges, widened by a margin, fit the modulus. Among the
plans and degrees the one with the least predicted time wins. What then is left of the last prime's bits
goes to flooding: precision is raised, at no cost in primes, until the noise that hides the circuit's own is
wide.

The tolerance is shared: a third to rounding of weights (`integers`), a third to the noise of encryption and
circuit, a third to the flooding noise.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Final

from hitoku.hazmat.ring import MAX_BITS
from hitoku.inference.attempts import (
    FLOOD_BITS,
    HEADROOM,
    SHARE,
    SIGMAS,
    WORK,
    Attempt,
    Found,
    Layout,
    Task,
    observed,
)
from hitoku.inference.errors import ModelError
from hitoku.inference.layouts.chain import Scaling
from hitoku.inference.layouts.stages import Linear
from hitoku.inference.layouts.writer import Ring

__all__ = ["FLOOD_BITS", "HEADROOM", "SHARE", "SIGMAS", "Found", "Layout", "Task", "observed", "search"]

_PLANS: Final = ((False, True), (True, False), (True, True))
_OFFSETS: Final = (-4.0, 0.0)
_SPARES: Final = (0.0, 0.4)


def search(task: Task, layout: Layout) -> Found:
    """The ring and circuit with the least predicted time.

    Raises:
        ModelError: nothing fits (``NO_PARAMETERS``); it names the layer, the missing bits and what can be
        done.
    """
    best: Found | None = None
    tried: dict[str, float] = {}
    seen: set[tuple[int, ...]] = set()
    for degree in layout.degrees:
        for (early, late), offset, spare, wide in itertools.product(_PLANS, _OFFSETS, _SPARES, layout.widths):
            plan = Attempt(task, layout, degree, Scaling(0.0, offset, 0.0, early, late, spare, wide))
            if best is not None and plan.hopeless(best, seen):
                continue
            found = plan.least(WORK if best is None else _near(best.scaling.work))
            if found is None:
                continue
            what = f"degree {degree}, {len(found.ring.primes)} primes, {plan.words()}"
            tried[what] = min(found.cost, tried.get(what, math.inf))
            if best is None or _better(found, best):
                best = found
        if best is not None:
            # A larger ring costs more a value and permits no fewer primes than one that has enough bits.
            break
    if best is None:
        raise _nothing(task, layout)
    words = [f"{what}: {cost:.3g} ms a sample" for what, cost in sorted(tried.items(), key=lambda t: t[1])]
    return replace(best, tried=tuple(words))


def _near(work: float) -> range:
    """Where another plan's least precision will be, once one is known."""
    return range(max(round(work) - 8, WORK[0]), min(round(work) + 6, WORK[-1] + 1))


def _better(new: Found, old: Found) -> bool:
    """Clearly faster; or as fast and flooded better, then with fewer bits to send."""
    if not 0.97 < new.cost / old.cost < 1.03:
        return new.cost < old.cost
    hidden = min(new.distance, FLOOD_BITS) - min(old.distance, FLOOD_BITS)
    return hidden > 0.5 or (hidden > -0.5 and _total(new.ring) < _total(old.ring))


def _total(ring: Ring) -> float:
    return sum(math.log2(p) for p in ring.primes)


def _nothing(task: Task, layout: Layout) -> ModelError:
    """Why nothing fits: the layer where the bits run out at the largest degree, and how many are missing."""
    degree = layout.degrees[-1]
    attempt = Attempt(task, layout, degree, Scaling(0.0, 0.0, 0.0))
    sketch = attempt.sketch(attempt.scaling(26.0))
    need = sum(sketch.bits()) + max(sketch.bits())
    linears = [part for part in task.parts if isinstance(part, Linear)]
    deepest = max(sketch.needs, key=lambda pair: pair[1])[0]
    where = linears[min(deepest, len(linears) - 1)].name
    missing = need - MAX_BITS[degree]
    if missing > 0:
        message = (
            f"the network needs primes of {need:.0f} bits together; degree {degree}, the largest, has "
            f"{MAX_BITS[degree]}: {missing:.0f} bits are missing"
        )
        remedy = "take activations of a lower degree, fewer of them, or allow a larger tolerance"
    else:
        message = f"no precision up to {WORK[-1]} bits keeps every score within {task.tolerance:.3g}"
        remedy = "allow a larger tolerance, or scale the layer's weights down"
    return ModelError("NO_PARAMETERS", message, where=f'layer "{where}"', remedy=remedy)
