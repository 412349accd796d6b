# SPDX-License-Identifier: Apache-2.0
"""Sums under threshold encryption: one member, the leader, opens them; the server adds and reads nothing.

`HeMember` stands behind every member's door, `HeRelay` runs at the server, `HeDriver` is the `Summer` that
grows the model, in a thread of the leader. What is protected from whom, and why, is in `argument`.
"""

from hitoku.learning.aggregate.he.driver import HeDriver
from hitoku.learning.aggregate.he.member import HE_LEDGER, HeMember
from hitoku.learning.aggregate.he.relay import HeRelay, LeaderLost

__all__ = ["HE_LEDGER", "HeDriver", "HeMember", "HeRelay", "LeaderLost"]
