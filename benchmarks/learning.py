# SPDX-License-Identifier: Apache-2.0
"""Joint learning by several banks: what protection costs, what joining gains, what harm does.

`overhead`, `speed`  whole boostings over five banks in one process: sums in the clear over the same signed
    messages, masks, he; CKKS by TenSEAL under a shared key and XGBoost on pooled rows beside them. Each run
    is a process of its own.
`members`  the cost of a sum by the number of members.
`flower`   rounds between real processes over TLS.
`accuracy`, `recall`  joint against pooled and alone, on simulated payments, and on ULB's and IEEE-CIS's where
    those are in the data folder (``HITOKU_DATA``).
`generator`  the simulated payments against the table of the Fraud Detection Handbook.
`privacy`, `poison`  what noise costs, and what a poisoned member does with and without votes.

Parts that are timed run one after another; figures of accuracy are jobs on all cores.
"""

from __future__ import annotations

from _common import report
from learning_accuracy import accuracy, recall
from learning_cost import flower, members, overhead, speed
from learning_generator import generator
from learning_harm import poison, privacy

if __name__ == "__main__":
    report(
        "learning",
        {
            "overhead": overhead,
            "speed": speed,
            "members": members,
            "flower": flower,
            "accuracy": accuracy,
            "recall": recall,
            "generator": generator,
            "privacy": privacy,
            "poison": poison,
        },
    )
