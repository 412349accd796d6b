# SPDX-License-Identifier: Apache-2.0
"""Who learns what from a question in an enclave, in plain words.

The argument. The host carries, between owners, brokers, worker and receivers: chunks of one size under keys
that it never has (AES-256-GCM; `hitoku.attestation.envelope`), keys sealed for the worker (HPKE), evidence,
and an answer padded and sealed for each receiver (HPKE). Given the numbers of chunks, the padded length and
the moments at which they come, all of it can be simulated without any row: ciphertext of these lengths is
indistinguishable from that of zeros, evidence says what program runs. So the host learns those sizes and
times, while the worker's memory is closed to it. That last is the assumption, and it is the platform's.
"""

from __future__ import annotations

from typing import Final

from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.questions.question import Question
from hitoku.questions.words import protected_by, revealed
from hitoku.room.agreement import Ability, Room

__all__ = ["CLOSED", "SOFTWARE", "enclave_leakage"]

CLOSED: Final = (
    "the hardware that vouches for the enclave is what its maker says, and nobody has taken its keys out "
    "(who holds the machine can, on several makes: TEE.fail, WireTap, Battering RAM); the program that the "
    "owners signed for does what it should; not covered: what memory accesses, power and timing tell who "
    "watches the machine closely"
)
SOFTWARE: Final = (
    "whatever it likes, if it looks: this room accepts evidence that no hardware vouches for, and who runs "
    "the machine can read the enclave's memory. This shows how things go and protects nothing"
)


def enclave_leakage(question: Question, room: Room, host: str) -> Leakage:
    """What each member learns from a run of the question in an enclave at `host`."""
    tables = ", ".join(question.tables)
    learned = [
        Learned(
            host,
            "SIZES",
            f"how large {tables} are, sealed and in steps of about a megabyte, about how large the answer "
            "is, when each step of the run happened, and whether the run came to an answer",
        ),
        Learned(host, "SEALED", f"no value of {tables} and nothing of the answer", CLOSED),
    ]
    attestation = room.agreement.attestation
    if attestation is not None and attestation.software:
        learned.append(Learned(host, "SOFTWARE_ROOTED", SOFTWARE))
    for member in room.agreement.able(Ability.RECEIVE):
        learned.append(
            Learned(
                member.name,
                "ANSWER",
                f"the released answer, where it is a receiver; {protected_by(question)}; it tells of "
                f"{revealed(question)}",
            )
        )
    for owner in question.owners:
        learned.append(
            Learned(
                owner, "EVIDENCE", f"what program ran at {host}, on what platform, and when it got the keys"
            )
        )
    for member in room.agreement.members:
        learned.append(Learned(member.name, "QUESTION", "that the question was asked, by whom, and its text"))
    return Leakage(tuple(learned))
