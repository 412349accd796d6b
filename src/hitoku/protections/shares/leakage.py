# SPDX-License-Identifier: Apache-2.0
"""Who learns what from a question on secret shares, in plain words.

The argument is with the primitives (`hitoku.hazmat.shares`) and the operators; this is what follows. A server
holds two of three shares of every value, which are uniformly random together. What is opened to the servers
are permutations that are uniformly random, and, after thresholds and HAVING, which of the shuffled result
rows pass: so a server's view can be simulated from the program, which is public, and the number of released
rows.
"""

from __future__ import annotations

from typing import Final

from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.questions.question import Question
from hitoku.questions.words import protected_by, revealed
from hitoku.room.agreement import Ability, Room

__all__ = ["HONEST_MAJORITY", "TWO_DRAWS", "shares_leakage"]

HONEST_MAJORITY: Final = (
    "no two of the three servers put together what they have, now or later; all three, and the owners, run "
    "the program as agreed, and AES is a pseudorandom function. One server that deviates is noticed only "
    "where that is cheap: opened values and what receivers get are compared; that it makes results wrong, or "
    "learns more by what it does, is not ruled out. The implementation has not been audited"
)


TWO_DRAWS: Final = (
    "two of the three servers draw their noise as agreed and keep it to themselves: then a receiver that "
    "works together with the third still faces as much noise as the accounts ask for. Sizes and widths of "
    "tables, which servers see, carry no noise"
)


def shares_leakage(question: Question, room: Room) -> Leakage:
    """What each member learns from a run of the question on shares."""
    part = room.agreement.shares
    servers = () if part is None else part.servers
    tables = ", ".join(question.tables)
    learned: list[Learned] = []
    for server in servers:
        learned.append(
            Learned(
                server,
                "SIZES",
                f"as a server, how many rows {tables} have, or groups that an owner makes of them, padded; "
                "between which rounded or declared bounds the values of the columns lie, whether some are "
                "missing, how many texts they have and how long these are, rounded up; in how many rows a "
                "value is repeated that tables are joined by, rounded up, or that it is unique; how long "
                "each step took; and how many rows are released",
            )
        )
        learned.append(
            Learned(
                server,
                "SHARES",
                f"as a server, no value of {tables} and nothing of the answer",
                HONEST_MAJORITY,
            )
        )
        if question.privacy is not None:
            learned.append(Learned(server, "NOISE", "its own draws of noise, a third of all", TWO_DRAWS))
    for member in room.agreement.able(Ability.RECEIVE):
        learned.append(
            Learned(
                member.name,
                "ANSWER",
                f"the released answer, where it is a receiver; {protected_by(question)}; it tells of "
                f"{revealed(question)}",
            )
        )
    for member in room.agreement.able(Ability.RECEIVE):
        learned.append(
            Learned(
                member.name,
                "TYPES",
                "where it is a receiver, of the columns of the answer how large their numbers could be and "
                f"how long their texts, rounded up; that follows from how many rows {tables} have, padded, "
                "and from bounds and lengths of their columns, as declared or rounded",
            )
        )
    for owner in question.owners:
        learned.append(
            Learned(
                owner, "PARTS", "hashes of the sealed parts that the receivers got, nothing of the answer"
            )
        )
    for member in room.agreement.members:
        learned.append(Learned(member.name, "QUESTION", "that the question was asked, by whom, and its text"))
    return Leakage(tuple(learned))
