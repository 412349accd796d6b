# SPDX-License-Identifier: Apache-2.0
"""What the owners' appraisals say of the program that made an answer: stamped on it, for its readers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.ear import ear_id, issued_at, verify_ear
from hitoku.attestation.evidence import Kind
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash

__all__ = ["stamp_of"]

_LATE: Final = timedelta(seconds=2 * limits.RUN_SECONDS)
"""So long after its program was appraised an answer may come, beside the room's release intervals."""
_INTERVALS: Final = 2  # the answer leaves at the first after the run, the asker's at the second
_SKEW: Final = timedelta(seconds=limits.CLOCK_SKEW_SECONDS)


def stamp_of(ears: Mapping[str, str], agreement: Agreement, now: datetime) -> dict[str, Any]:
    """The stamp of an answer whose program these owners appraised.

    An appraisal holds for some minutes, in which keys may be released; the answer comes when the run is over,
    and its host could delay it. So what counts is that the appraisal held when it was made, during this run.

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
    late = _LATE + _INTERVALS * timedelta(seconds=agreement.release.interval_seconds)
    programs: set[tuple[str, str]] = set()
    software = False
    for owner, ear in sorted(ears.items()):
        made = issued_at(ear)
        claims = verify_ear(ear, agreement, made)
        if made > now + _SKEW:
            raise Refused(Code.NOT_YET, f"the appraisal of {owner!r} is of the future")
        if now > made + late:
            raise Refused(Code.EXPIRED, f"the appraisal of {owner!r} is of a run that is long over")
        try:
            ((kind, found),) = claims["submods"].items()
            said = found["hitoku"]
            program, room, rooted = said["program"], said["room"], said["software_rooted"]
            if claims["iss"] != owner or room != agreement_hash(agreement) or type(rooted) is not bool:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise Refused(Code.BINDING, f"the appraisal of {owner!r} is of something else") from None
        programs.add((str(kind), str(program)))
        software = software or rooted or kind == Kind.DEV  # no owner's word makes a dev key hardware
    if len(programs) != 1:
        raise Refused(Code.MEASUREMENT_MISMATCH, "the owners appraised different programs")
    kind, program = programs.pop()
    return {
        "program": program,
        "evidence": kind,
        "software_rooted": software,
        "appraisals": {owner: ear_id(ear) for owner, ear in sorted(ears.items())},
    }
