# SPDX-License-Identifier: Apache-2.0
"""Who must work together to read one bank's updates: the bound, in words for people who sign a plan.

With n members and threshold t, a server that lies together with c members makes a member of the honest ones
unmask two different things only if each of two disjoint sets of answers reaches t: t - c honest members each,
2 (t - c) <= n - c. So 2t > n + c keeps them apart (Bonawitz et al., CCS 2017, section 6.2, active
adversaries). Apart from that, whoever knows c of the contributions to a sum of t knows the sum of the other
t - c: for that to be no single one's, c <= t - 2. Sums of a fixed set (trees) have no shares of keys, so
only the second holds for them; `he` needs every member's part to open, so only the second holds there, too.
"""

from __future__ import annotations

from hitoku.learning.plan import Plan

__all__ = ["bound_words", "colluding_learn", "threshold_words"]


def threshold_words(plan: Plan) -> str:
    """The threshold, in a sentence."""
    count, least = len(plan.members), plan.threshold
    lost = count - least
    rest = (
        "if one member is lost, the run stops"
        if lost == 0
        else f"up to {lost} of {count} may be lost, then the run stops and nothing more opens"
    )
    return f"No sum of fewer than {least} of the {count} members opens; {rest}."


def bound_words(plan: Plan) -> str:
    """How many may collude with the server before one member's updates can be read."""
    count, least, most = len(plan.members), plan.threshold, plan.colluding
    if most == 0:
        with_server = (
            "The server alone, lying as it likes, reads no member's update; one member "
            "that works with it may be enough to."
        )
    else:
        with_server = (
            f"The server, lying as it likes, together with up to {_members(most)} reads no other member's "
            f"update; with {most + 1} it may (2 x {least} must be more than {count} + those that collude, "
            f"and at least two honest members must be in a sum of {least})."
        )
    return with_server


def colluding_learn(plan: Plan) -> str:
    """What members that put their own contributions together take out of a sum."""
    least = plan.threshold
    return (
        "Members that collude subtract their own contributions from a sum that is opened to them: in a "
        f"sum of {least}, {least - 1} of them read the last one's contribution, {_members(least - 2)} the "
        "sum of the other two. No aggregation can change that."
    )


def _members(count: int) -> str:
    return "1 member" if count == 1 else f"{count} members"
