# SPDX-License-Identifier: Apache-2.0
"""No server learns another's noise: the messages of `addends` against their simulator; planted faults."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
import pytest
from tests.shares import views
from tests.shares.machines import generator
from tests.shares.views import FAR

from hitoku.hazmat import shares
from hitoku.protections.shares.operators.draws import OwnDraws

ROWS = 3000


def given(seed, kind, what):
    """Each party's addends: zeros, the largest numbers, draws of noise, or random ones."""
    bits = min(int(kind[1:]), 64)
    if what == "noise":
        return [np.array(OwnDraws().take(30, ROWS), np.int64) for _ in range(3)]
    made = []
    for party in range(3):
        rng = generator(seed, kind, what, party)
        top = np.iinfo(f"int{bits}").max
        fixed = {"zeros": 0, "ones": top}
        made.append(
            np.full(ROWS, fixed[what], np.int64) if what in fixed else rng.integers(-top, top, ROWS, np.int64)
        )
    return made


def seen(kind, addends, send=None, times=2):
    """What each party received in each of some executions, and the opened sums."""

    def work(party):
        received = []
        for _ in range(times):
            before = len(party.received())
            made = (send or shares.Party.addends)(party, kind, addends[party.index])
            received.append(party.received()[before:])
        return received, shares.as_integers(kind, party.open(made), signed=True) if made is not None else None

    return shares.run_three(work, record=True)


@pytest.mark.parametrize("kind", shares.RINGS)
@pytest.mark.parametrize("what", ["zeros", "noise", "random"])
def test_the_sum_is_that_of_all_three(kind, what):
    addends = given(1, kind, what)
    half = 2 ** (int(kind[1:]) - 1)
    expected = [(sum(int(v) for v in row) + half) % (2 * half) - half for row in zip(*addends, strict=True)]
    assert all(opened == expected for _, opened in seen(kind, addends))


def worst(kind, addends, send=None):
    """The worst statistic over parties: bytes that are not uniform, executions that are alike, words met."""
    found = 0.0
    secret = [np.asarray(values, np.int64).astype("<u8") for values in addends]
    for index, (received, _) in enumerate(seen(kind, addends, send)):
        others = np.concatenate([values for party, values in enumerate(secret) if party != index])
        known = np.unique(others[(others != 0) & (others != 2**64 - 1)])
        for data in received:
            if data:
                found = max(found, views.spread(data), 100.0 * views.met(data, known))
        if received[0]:
            found = max(found, views.differ(*received))
    return found


@pytest.mark.parametrize("kind", shares.RINGS)
@pytest.mark.parametrize("what", ["zeros", "ones", "noise", "random"])
def test_messages_are_uniform_whatever_the_addends_are(kind, what):
    assert worst(kind, given(2, kind, what)) < FAR


def test_sizes_of_messages_follow_from_the_number_of_addends():
    sizes = {
        what: [[len(data) for data in received] for received, _ in seen("r64", given(3, "r64", what))]
        for what in ("zeros", "ones", "noise")
    }
    assert sizes["zeros"] == sizes["ones"] == sizes["noise"] == [[8 * ROWS] * 2] * 3


def test_an_addend_that_is_sent_as_it_is_is_found():
    def plainly(party, kind, values):
        party.relay(values.tobytes() if party.index == 1 else None, values.nbytes)

    assert worst("r64", given(4, "r64", "noise"), plainly) > 10 * FAR


def test_an_addend_under_a_mask_that_is_used_twice_is_found():
    mask = generator("mask").integers(0, 2**63, ROWS, np.int64)

    def masked_once(party, kind, values):
        party.relay((values + mask).tobytes() if party.index == 1 else None, values.nbytes)

    assert worst("r64", given(5, "r64", "noise"), masked_once) > 10 * FAR


@pytest.mark.parametrize("kind", ["u64", "r65", None])
def test_addends_are_of_rings(kind):
    with pytest.raises(shares.SharesError):
        shares.run_three(lambda party: party.addends(kind, [1, 2]))


def test_addends_that_do_not_fit_are_refused():
    with pytest.raises(shares.SharesError):
        shares.run_three(lambda party: party.addends("r32", [2**40]))
