# SPDX-License-Identifier: Apache-2.0
"""Who learns what from private cross statistics, in plain words.

The argument is with the protocol (`hitoku.protections.crosstab.party`). What it does not cover stands here,
because it is printed with every answer and every explanation.
"""

from __future__ import annotations

from typing import Final

from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.protections.crosstab.shape import Shape
from hitoku.questions.question import Question
from hitoku.questions.words import protected_by, revealed
from hitoku.room.agreement import Ability, Room

__all__ = ["ATTESTED", "FOLLOWS", "SOFTWARE", "crosstab_leakage"]

_DEVIATIONS: Final = (
    "{a} leaving out its dummies (then {b}'s noise is lost), {b} encrypting values beyond the bounds, {a} "
    "putting one sum into several cells or shifting it so that {b} cannot open it"
)
_REST: Final = "how long each takes; transcripts kept for years fall to a quantum computer or to a leaked key"

FOLLOWS: Final = (
    "both owners run the program as agreed, decisional Diffie-Hellman is hard in ristretto255 and its hash "
    f"is a random oracle; not covered, and not noticed: {_DEVIATIONS}; {_REST}"
)

# A node keeps what it has made of a run in plain files, so that it can go on after a crash, and seals from
# them: who can write there changes what the measured program sends, and the other side sees nothing of it.
ATTESTED: Final = (
    "each node proves to the other, before anything leaves, that it runs the program that the members signed "
    "for: that holds as far as the platforms' makers and their keys do, and what table a node reads stays "
    "its owner's word; decisional Diffie-Hellman is hard in ristretto255 and its hash is a random oracle; "
    "not covered, and not noticed: who can write to a node's disk, as its operator can, edits the files that "
    f"the node keeps of a run before it sends them, and so can still bring about {_DEVIATIONS}; {_REST}"
)
SOFTWARE: Final = (
    "nothing by it: this room accepts evidence that no hardware vouches for, and who runs a machine can make "
    "such evidence of anything. It shows how mutual attestation goes and protects nothing"
)


def crosstab_leakage(question: Question, shape: Shape, room: Room) -> Leakage:
    """What each member learns from a run."""
    a, b = shape.a.owner, shape.b.owner
    part = room.agreement.attestation
    attests = part is not None and part.crosstab
    software = part is not None and part.software
    assumption = (ATTESTED if attests and not software else FOLLOWS).format(a=a, b=b)
    learned: list[Learned] = []
    if attests:
        for me, other in ((a, b), (b, a)):
            words = f"what {other}'s node runs: the program, versions, and the identity of its hardware"
            learned.append(Learned(me, "PEER_EVIDENCE", words))
            if software:
                learned.append(Learned(me, "SOFTWARE_ROOTED", SOFTWARE))
    for me, other, side in ((a, b, shape.b), (b, a, shape.a)):
        learned.append(
            Learned(
                me,
                "NOISED_SIZES",
                f"how many people {other} has in each of its {side.cells:,} groups, padded with dummies and "
                "noised",
                assumption,
            )
        )
    learned.append(
        Learned(
            a,
            "NOISED_CELLS",
            f"how many people both have in each of the {shape.cells:,} cells, with {b}'s noise; not who they "
            "are, and no exact number of them",
            assumption,
        )
    )
    sums = " and the sums" if shape.b.sums else ""
    learned.append(
        Learned(
            b,
            "NOISED_CELLS",
            f"the noised counts{sums} of all {shape.cells:,} cells, with {a}'s noise; no match at all",
            assumption,
        )
    )
    for member in room.agreement.able(Ability.RECEIVE):
        if member.name not in (a, b):
            learned.append(
                Learned(
                    member.name,
                    "ANSWER",
                    f"the answer, where it is a receiver; {protected_by(question)}; it tells of "
                    f"{revealed(question)}",
                )
            )
    for name in (a, b):
        learned.append(
            Learned(name, "ANSWER", f"the answer; {protected_by(question)}; it tells of {revealed(question)}")
        )
    for member in room.agreement.members:
        learned.append(Learned(member.name, "QUESTION", "that the question was asked, by whom, and its text"))
    return Leakage(tuple(learned))
