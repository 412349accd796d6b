# SPDX-License-Identifier: Apache-2.0
"""Shares of a room's history: who may use how much alone, and that all say the same of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku import limits
from hitoku.room import history
from hitoku.room.agreement import Agreement, Room, SignedVersion
from hitoku.room.canonical import agreement_hash
from hitoku.room.changes import must_sign
from hitoku.room.files import dump_room, parse_room
from hitoku.room.history import GROWTH, JOINS, Standing, standing, written
from hitoku.room.signing import missing, only_needed, problems, sign, signers, verify
from hitoku.room.versions import revise


def data(agreement: Agreement) -> dict[str, Any]:
    return agreement.model_dump(mode="json", by_alias=True, exclude_none=True)


def later(before: Agreement, **change: Any) -> Agreement:
    made = {"version": before.version + 1, "previous": agreement_hash(before)}
    return Agreement.model_validate(data(before) | change | made)


def stricter(before: Agreement, owner: str, minimum: int) -> Agreement:
    """The owner's own rule, changed: it alone must sign."""
    tables = data(before)["tables"]
    mine = next(t for t in tables if t["owner"] == owner)
    mine["rule"]["outputConstraints"][0]["minimum"] = minimum
    return later(before, tables=tables)


def flooded(first: Agreement, owner: str, until: int) -> list[Agreement]:
    versions = [first]
    for number in range(1, until):
        versions.append(stricter(versions[-1], owner, 10 + number))
    return versions


def test_a_change_of_ones_own_needs_ones_own_signature_until_the_share_is_used_up(place):
    share = Standing.first(place.agreement).left["airport"]
    alone = share // limits.MIN_VERSION_BYTES
    versions = flooded(place.agreement, "airport", 1 + alone)
    now = standing(versions)
    assert alone > 100
    assert now.left["airport"] < limits.MIN_VERSION_BYTES
    assert now.left["registry"] == now.left[JOINS] == share  # nobody else's is touched
    more = stricter(versions[-1], "airport", 90_000)
    needed, after = now.next(versions[-1], more)
    assert needed.everybody
    assert needed.current == {"airport", "registry", "host"}
    assert after.left["airport"] == after.left["registry"] > limits.MIN_VERSION_BYTES  # split anew
    others = stricter(versions[-1], "registry", 4)
    assert now.next(versions[-1], others)[0].current == {"registry"}


def test_a_history_beyond_the_share_is_in_force_when_everybody_signed(place, monkeypatch):
    monkeypatch.setattr(limits, "MAX_HISTORY_BYTES", 16 * limits.MIN_VERSION_BYTES)
    keys = {n: d.keys({}) for n, d in place.members.items()}
    room = place.room
    for number in range(1, 4):
        tables = data(stricter(room.agreement, "airport", 10 + number))["tables"]
        room = revise(room, {"tables": tables})
        if missing(room) != ("airport",):
            break
        room = sign(room, "airport", keys["airport"])
        verify(room)
    assert number == 2  # 15 / 2 / 4 is room for one version
    room = sign(room, "airport", keys["airport"])
    assert missing(room) == ("registry", "host")
    assert "'registry' has not signed yet" in problems(room)
    for name in ("registry", "host"):
        room = sign(room, name, keys[name])
    verify(room)
    verify(parse_room(dump_room(room)))


def test_who_makes_the_agreement_larger_pays_for_all_later_versions(place):
    first = Standing.first(place.agreement)
    columns = [{"name": f"c{n}", "type": "string", "protection": "sealed"} for n in range(1_500)]
    big = {"name": "big", "owner": "airport", "columns": columns}
    larger = later(place.agreement, tables=[*data(place.agreement)["tables"], big])
    growth = written(larger) - written(place.agreement)
    assert first.left["airport"] < GROWTH * growth
    assert first.next(place.agreement, larger)[0].everybody
    small = later(place.agreement, tables=[*data(place.agreement)["tables"], big | {"columns": columns[:9]}])
    needed, after = first.next(place.agreement, small)
    assert needed.current == {"airport"}
    paid = first.left["airport"] - after.left["airport"]
    assert paid == limits.MIN_VERSION_BYTES + GROWTH * (written(small) - first.largest)
    # What left can come back: it is paid.
    back = later(small, tables=data(place.agreement)["tables"])
    _, gone = after.next(small, back)
    again = later(back, tables=data(small)["tables"])
    assert gone.left["airport"] - gone.next(back, again)[1].left["airport"] == limits.MIN_VERSION_BYTES


def test_what_touches_nobody_is_paid_from_the_share_of_who_joins(place):
    alone = Agreement.model_validate(
        data(place.agreement) | {"tables": [], "members": data(place.agreement)["members"][:1]}
    )
    two = later(alone, settings={**data(alone)["settings"], "preserve_nulls": True})
    assert must_sign(alone, two).current == frozenset()
    first = Standing.first(alone)
    needed, now = first.next(alone, two)
    assert needed.current == frozenset()
    assert now.left[JOINS] < first.left[JOINS]
    spent = Standing(now.spent, now.largest, {**now.left, JOINS: 0})
    assert spent.next(alone, two)[0].current == {"airport"}


def test_signatures_that_nobody_needs_do_not_decide_and_take_no_room(place):
    keys = {n: d.keys({}) for n, d in place.members.items()}
    made = revise(place.room, {"tables": data(stricter(place.agreement, "airport", 9))["tables"]})
    needed = sign(made, "airport", keys["airport"])
    more = sign(sign(needed, "registry", keys["registry"]), "host", keys["host"])
    verify(more)
    assert only_needed(more) == needed
    assert signers(more) == signers(needed)


def test_versions_that_are_no_chain_have_no_shares(place):
    two = stricter(place.agreement, "airport", 9)
    elsewhere = stricter(place.agreement, "airport", 10)
    three = stricter(elsewhere, "airport", 11)
    for versions in ([two], [place.agreement, two, three]):
        assert standing(versions) == Standing(0, 0, {})
    assert standing([place.agreement, elsewhere, three]).left


def test_what_is_remembered_is_of_that_very_chain(place):
    versions = flooded(place.agreement, "airport", 4)
    known = standing(versions)
    other = stricter(place.agreement, "airport", 50)
    assert standing([place.agreement, other], agreement_hash(versions[-1])) == known  # the hash names it
    assert standing([place.agreement, other]).left != known.left


@pytest.mark.parametrize(
    "text", ["plain", 'quote " and \\ back', "日本語", "a" * 9_000, "\x7f\x85\u2028\ufeff", "\U0001f600"]
)
def test_a_file_is_never_larger_than_it_counts(place, text, monkeypatch):
    """Written as JSON it is read the same, and takes no more than was paid for."""
    template = {"name": "t", "sql": f"SELECT COUNT(tailnum) AS n FROM flights WHERE carrier = '{text}'"}
    try:
        agreement = later(place.agreement, templates=[template])
    except ValueError:
        pytest.skip("no agreement has such text")
    past = SignedVersion(agreement=place.agreement, signatures=place.room.signatures)
    room = Room(agreement=agreement, signatures=place.room.signatures, history=(past,))
    assert parse_room(dump_room(room)) == room
    monkeypatch.setattr("hitoku.room.files._LARGE_CHARS", 0)
    compact = dump_room(room)
    assert parse_room(compact) == room
    counted = sum(written(a) + history._AROUND + 3 * history._SIGNATURE for a in (place.agreement, agreement))
    assert len(compact.encode()) <= counted + 400  # what is said in front


STEP = st.tuples(st.sampled_from(["airport", "registry", "all", "grow", "nobody"]), st.integers(2, 60_000))


@given(st.lists(STEP, max_size=25), st.integers(10, 200))
@settings(max_examples=40, deadline=None)
def test_without_everybody_at_most_half_of_what_is_left_is_taken(steps, versions):
    first = _AGREEMENT
    limit = versions * limits.MIN_VERSION_BYTES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MAX_HISTORY_BYTES", limit)
        now, before = Standing.first(first), first
        base, least = now.spent, dict(now.left)
        for who, number in steps:
            after = _step(before, who, number)
            if after is None:
                continue
            plain = must_sign(before, after)
            needed, then = now.next(before, after)
            everybody = {m.name for m in after.members}
            assert plain.current <= needed.current
            if everybody <= needed.current:
                base, least = then.spent, dict(then.left)
            else:
                assert needed == plain
                assert then.spent - base <= max(0, limit - base) // 2
                payers = [n for n, left in then.left.items() if left < now.left[n]]
                assert len(payers) == 1
                assert payers[0] in plain.current | {JOINS}
                assert all(left >= 0 for left in then.left.values())
                assert sum(least.values()) - sum(then.left.values()) >= then.spent - base
            assert then.spent - now.spent >= limits.MIN_VERSION_BYTES
            now, before = then, after


def _step(before: Agreement, who: str, number: int) -> Agreement | None:
    if who == "all":
        return later(before, name=f"Name {number}")
    if who == "nobody":
        return later(before, members=data(before)["members"]) if number % 2 else None
    if who == "grow":
        columns = [
            {"name": f"c{n}", "type": "string", "protection": "sealed"} for n in range(number % 40 + 1)
        ]
        table = {"name": f"t{number}", "owner": "registry", "columns": columns}
        if any(t.name == table["name"] for t in before.tables) or len(before.tables) > 9:
            return None
        return later(before, tables=[*data(before)["tables"], table])
    return stricter(before, who, number)


def _agreement() -> Agreement:
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from tests.conftest import AGREEMENT

    made: dict[str, Any] = {**AGREEMENT, "members": [dict(m) for m in AGREEMENT["members"]]}
    for number, member in enumerate(made["members"]):
        key = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32).public_key().public_bytes_raw()
        member["key"] = "ed25519:" + base64.b64encode(key).decode()
    return Agreement.model_validate(made)


_AGREEMENT = _agreement()
