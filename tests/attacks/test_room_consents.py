# SPDX-License-Identifier: Apache-2.0
"""Consents that are forged, borrowed, replayed or kept for later."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hitoku.errors import Refusal
from hitoku.room.consent import Consent, check_consents, give_consent, moment

H = "sha256:" + "0" * 64
OTHER = "sha256:" + "1" * 64
RUN = "ab" * 16
FACTS = {
    "room": H,
    "question": H,
    "plan": H,
    "protection": "tokens",
    "asker": "airport",
    "host": "host",
    "run": RUN,
}


@pytest.fixture
def consent(place, clock):
    keys = place.members["registry"].keys({})
    return give_consent(keys, clock.now(), owner="registry", **FACTS)


def _check(place, clock, *consents, owners=("registry",), **changed):
    check_consents(consents, place.agreement, clock.now(), owners=owners, **{**FACTS, **changed})


def test_a_fresh_consent_to_exactly_this_is_taken(place, clock, consent):
    _check(place, clock, consent)
    clock.pass_seconds(299)
    _check(place, clock, consent)
    again = Consent.model_validate(consent.model_dump(mode="json"))
    assert again == consent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("room", OTHER),
        ("question", OTHER),
        ("plan", OTHER),
        ("protection", "shares"),
        ("asker", "registry"),
        ("host", "otherhost"),
        ("run", "cd" * 16),
    ],
)
def test_a_consent_to_something_else_does_not_count(place, clock, consent, name, value):
    with pytest.raises(Refusal) as caught:
        _check(place, clock, consent, **{name: value})
    assert caught.value.code == "CONSENT_MISMATCH"
    # Nor does rewriting the consent to fit.
    with pytest.raises(Refusal) as caught:
        _check(place, clock, consent.model_copy(update={name: value}), **{name: value})
    assert caught.value.code == "CONSENT_FORGED"


def test_a_consent_signed_by_somebody_else_is_forged(place, clock):
    keys = place.members["airport"].keys({})
    forged = give_consent(keys, clock.now(), owner="registry", **FACTS)
    with pytest.raises(Refusal) as caught:
        _check(place, clock, forged)
    assert caught.value.code == "CONSENT_FORGED"
    with pytest.raises(Refusal):
        _check(place, clock, forged.model_copy(update={"signature": ""}))


def test_every_owner_once_and_nobody_else(place, clock, consent):
    with pytest.raises(Refusal) as caught:
        _check(place, clock, consent, owners=("airport", "registry"))
    assert caught.value.code == "CONSENT_MISSING"
    assert caught.value.owner == "airport"
    with pytest.raises(Refusal) as caught:
        _check(place, clock)
    assert caught.value.code == "CONSENT_MISSING"
    with pytest.raises(Refusal) as caught:
        _check(place, clock, consent, consent)
    assert caught.value.code == "CONSENT_UNEXPECTED"
    with pytest.raises(Refusal) as caught:
        _check(place, clock, consent, owners=("airport",))
    assert caught.value.code == "CONSENT_UNEXPECTED"


@pytest.mark.parametrize("seconds", [-61, 361, 86_400])
def test_a_consent_is_for_its_time(place, clock, consent, seconds):
    clock.pass_seconds(seconds)
    with pytest.raises(Refusal) as caught:
        _check(place, clock, consent)
    assert caught.value.code == "CONSENT_EXPIRED"


def test_an_owner_cannot_consent_for_longer_than_the_limit(place, clock, consent):
    import base64

    keys = place.members["registry"].keys({})
    long = consent.model_copy(update={"expires": moment(clock.now() + timedelta(days=1)), "signature": ""})
    long = long.model_copy(update={"signature": base64.b64encode(keys.sign(long.message())).decode()})
    with pytest.raises(Refusal) as caught:
        _check(place, clock, long)
    assert caught.value.code == "CONSENT_EXPIRED"


@pytest.mark.parametrize("time", ["2026-99-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+01:00", "x"])
def test_times_that_are_none(consent, time):
    with pytest.raises(ValueError):
        Consent.model_validate({**consent.model_dump(mode="json"), "issued": time})


def test_a_room_signature_is_no_consent_and_the_other_way_round(place, consent):
    signature = place.room.signatures[1]
    assert signature.member == "registry"
    stolen = consent.model_copy(update={"signature": signature.signature})
    from hitoku.room.keys import valid_signature

    assert not valid_signature(place.agreement.members[1].key, stolen.message(), stolen.signature)
