# SPDX-License-Identifier: Apache-2.0
"""What the owners' appraisals say of the program that made an answer: stamped on it, for its readers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.ear import ear_id, verify_ear
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash

__all__ = ["stamp_of"]


def stamp_of(ears: Mapping[str, str], agreement: Agreement, now: datetime) -> dict[str, Any]:
    """The stamp of an answer whose program these owners appraised.

    Args:
        ears: by owner, the signed result of its appraisal.
        agreement: the room's.
        now: the time.

    Returns:
        ``program``, ``evidence`` (its kind), ``software_rooted`` (true where one owner says so), and
        ``appraisals``: by owner, the result's name in its ledger.

    Raises:
        Refused: a result is not its owner's, of another room, or does not hold; or two owners appraised
            different programs.
    """
    programs: set[tuple[str, str]] = set()
    software = False
    for owner, ear in sorted(ears.items()):
        claims = verify_ear(ear, agreement, now)
        try:
            ((kind, found),) = claims["submods"].items()
            said = found["hitoku"]
            program, room, rooted = said["program"], said["room"], said["software_rooted"]
            if claims["iss"] != owner or room != agreement_hash(agreement) or type(rooted) is not bool:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise Refused(Code.BINDING, f"the appraisal of {owner!r} is of something else") from None
        programs.add((str(kind), str(program)))
        software = software or rooted
    if len(programs) != 1:
        raise Refused(Code.MEASUREMENT_MISMATCH, "the owners appraised different programs")
    kind, program = programs.pop()
    return {
        "program": program,
        "evidence": kind,
        "software_rooted": software,
        "appraisals": {owner: ear_id(ear) for owner, ear in sorted(ears.items())},
    }
