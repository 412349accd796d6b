# SPDX-License-Identifier: Apache-2.0
"""After the run: its deletion certificate is checked, altered and checked again; keys are asked for again."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hitoku.attestation.certificate import check_certificate
from hitoku.attestation.codes import Refused
from hitoku.demo.enclave.world import HOST, OWNERS, World
from hitoku.errors import InputError, Refusal
from hitoku.node.enclave import certificate_file
from hitoku.room.canonical import agreement_hash
from hitoku.transport.attested import Challenge

__all__ = ["asked_again", "tell"]


def tell(world: World, run: str, line: Callable[[str], None]) -> dict[str, Any]:
    """Check the certificate that came with a run's answer, and ask for the run's keys once more.

    Args:
        world: the demo's place.
        run: the run.
        line: tells a line of the story.
    """
    file = certificate_file(world.place / "airport", run)
    if not file.exists():
        raise InputError("the answer came without its deletion certificate: the demo failed")
    certificate = json.loads(file.read_text("utf-8"))
    holds = forged = None
    try:
        checked = check_certificate(certificate, world.room)
        holds = checked.run == run and {part.broker for part in checked.brokers} == set(OWNERS)
        line("It holds: the measured program says that it overwrote the keys and kept nothing,")
        for part in checked.brokers:
            line(f"- {part.broker} signed that its keys are destroyed: entry {part.entry} of its ledger")
        line("It does not show that no copy is elsewhere; nothing can. See all of it with:")
        line(f"hitoku ledger verify-deletion {file} --room {world.place}")
    except Refused as refused:
        line(f"It does NOT hold: {refused}")
    later = copy.deepcopy(certificate)
    later["statement"]["ended"] = "2099-01-01T00:00:00Z"
    try:
        check_certificate(later, world.room)
    except Refused as refused:
        forged = str(refused.code)
        line(f"With one date in it changed it does not hold: {forged}.")
    again = asked_again(world, run, line)
    right = holds is True and forged is not None and set(again.values()) == {"TOMBSTONED"}
    return {"right": right, "holds": holds, "forged": forged, "again": again}


def asked_again(world: World, run: str, line: Callable[[str], None]) -> dict[str, str | None]:
    """The host asks both brokers for a run's keys once more. Returns their codes."""
    message = Challenge(room=agreement_hash(world.room.agreement), run=run).model_dump(mode="json")
    codes: dict[str, str | None] = {}
    with world.speaking_for(HOST) as peers:
        for owner in OWNERS:
            try:
                peers.call(owner, message)
                codes[owner] = None
            except Refusal as refusal:
                codes[owner] = refusal.code
            line(
                f"- the host asks {owner} for the keys again: {codes[owner] or 'given: NOT as it should be'}"
            )
    return codes
