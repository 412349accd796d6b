# SPDX-License-Identifier: Apache-2.0
"""The demo's last model between two members: a signed room, two nodes, HTTPS, a limit that holds."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from hitoku.demo.crosstab.nodes import make, running
from hitoku.errors import Refusal
from hitoku.node.models import BUNDLE, CLIENT, model_folder
from hitoku.node.remote import open_remote_room
from hitoku.node.scoring import scorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from hitoku.inference import Plan

__all__ = ["in_a_room"]

_OWNER: Final = "laboratory"
_ASKER: Final = "clinic"
_MODEL: Final = "tumours"


def in_a_room(
    place: Path, plan: Plan, rows: NDArray[np.float64], margin: NDArray[np.float64], console: Console
) -> dict[str, Any]:
    """Serve the model at one node, ask from another; then ask for more than the room allows.

    Args:
        place: where the members' directories go.
        plan: the model, compiled.
        rows: what the asker has scored.
        margin: the model's own scores of them, to compare with.
        console: hears the story.

    Raises:
        PeerError: a node does not start.
    """
    client = plan.client.to_json().encode()
    theirs = model_folder(place / _OWNER, _MODEL)
    room = plan.client.encoder.samples

    def agreement(keys: dict[str, str]) -> dict[str, Any]:
        # Here the members' directories are there already: the bundle goes to its owner's.
        theirs.mkdir(parents=True, mode=0o700)
        (theirs / BUNDLE).write_bytes(plan.bundle().to_bytes())
        (theirs / CLIENT).write_bytes(client)
        width = scorer(theirs).noise_width
        digits = -math.floor(math.log10(width))
        terms = {
            "name": _MODEL,
            "owner": _OWNER,
            "client": "sha256:" + hashlib.sha256(client).hexdigest(),
            "askers": [_ASKER],
            "rows_per_day": room,
            "rounding": f"{10.0**-digits:.{max(digits, 0)}f}",
        }
        console.print(
            f"room.yaml: {_OWNER} serves {_MODEL!r}; {_ASKER} may ask, {room:,} rows a day; the noise on a "
            f"score is at least {terms['rounding']} wide. Both signed it."
        )
        members = [{"name": n, "key": k, "abilities": []} for n, k in keys.items()]
        return {"id": str(uuid4()), "name": "Tumours", "members": members, "models": [terms]}

    make(place, agreement, {_OWNER: [], _ASKER: []})
    with running(place, [_OWNER, _ASKER]):
        asked = open_remote_room(place / _ASKER)
        found = asked.predict(_MODEL, rows)
        agreed = float(((found.scores[:, 0] > 0) == (margin > 0)).mean())
        console.print(
            f"{len(rows)} rows scored over HTTPS between two nodes, {found.charged:,} charged: the same "
            f"label as XGBoost's own in {100 * agreed:.2f} %"
        )
        refused = ""
        try:
            asked.predict(_MODEL, rows[:1])
        except Refusal as error:
            refused = error.code
            console.print(f"Refused ({error.code}): {error}", markup=False)
    if not refused:
        console.print("[b]A request beyond the day's rows was answered: the demo failed.[/b]")
    return {"agreement": agreed if refused else 0.0, "refused": refused, "charged": found.charged}
