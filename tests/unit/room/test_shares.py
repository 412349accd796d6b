# SPDX-License-Identifier: Apache-2.0
"""What a room says of secret-shared tables, and the sealed parts of an answer."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.sharing import SERVERS, World, agreement_data, make

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash, canonical
from hitoku.room.changes import changes
from hitoku.room.hpke import NotOpened, open_padded, padded_length, seal_padded
from hitoku.room.parts import (
    SealedPart,
    SharedAnswer,
    Terms,
    check_parts,
    hashes_of,
    open_part,
    parts_digest,
    seal_part,
)
from hitoku.room.shares import Shares

KEYS = [
    "ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
    "ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=",
    "ed25519:bnoc3Smwt4/ROvTFWY/v9O8qlxZuPKby5Pv8zYBQW/E=",
]


def agreement(**changed: Any) -> Agreement:
    data = agreement_data(**changed)
    members = [{**m, "key": key} for m, key in zip(data["members"], KEYS, strict=True)]
    return Agreement.model_validate(data | {"members": members})


def shares(**changed: Any) -> dict[str, Any]:
    return {"shares": {"servers": list(SERVERS)} | changed}


# --- the agreement ---


def test_an_agreement_without_it_is_signed_as_before() -> None:
    data = agreement_data()
    del data["shares"]
    members = [{**m, "key": key} for m, key in zip(data["members"], KEYS, strict=True)]
    assert b"shares" not in canonical(Agreement.model_validate(data | {"members": members})).replace(
        b'"protections":["shares"]', b""
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (shares(servers=["shop", "telco"]), "at least 3 items"),
        (shares(servers=["shop", "telco", "telco"]), "three different members"),
        (shares(servers=["shop", "telco", "nobody"]), "no member with the ability compute"),
        (shares(tables=[{"table": "nothing"}]), "there is no table"),
        (shares(tables=[{"table": "customers"}, {"table": "customers"}]), "two tables are the same"),
        (
            shares(
                tables=[{"table": "customers", "columns": [{"columnName": "age", "lower": 0, "upper": 1}]}]
            ),
            "has no column",
        ),
        (
            shares(
                tables=[{"table": "customers", "columns": [{"columnName": "region", "lower": 0, "upper": 1}]}]
            ),
            "bounds are of numbers and dates",
        ),
        (
            shares(
                tables=[{"table": "customers", "columns": [{"columnName": "spend", "lower": 2, "upper": 1}]}]
            ),
            "lower is above upper",
        ),
        (
            shares(tables=[{"table": "customers", "columns": [{"columnName": "spend", "lower": 2}]}]),
            "given together",
        ),
        (
            shares(tables=[{"table": "customers", "columns": [{"columnName": "spend", "decimals": 2}]}]),
            "float and double columns",
        ),
        (shares(tables=[{"table": "customers", "unique": [["phone", "phone"]]}]), "names a column twice"),
        (shares(tables=[{"table": "customers", "unique": [["mail"]]}]), "unknown columns"),
        (shares(tables=[{"table": "customers", "rows": 0}]), "greater than or equal to 1"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_cannot_be_agreed_on(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        agreement(**changed)
    assert words in str(caught.value)


def test_a_host_computes_on_no_shares() -> None:
    members = agreement_data()["members"]
    members[2] = {"name": "lab", "abilities": ["compute", "host"]}
    with pytest.raises(ValidationError, match="a host computes on no shares"):
        agreement(members=members)


def test_bounds_of_dates_are_written_as_dates() -> None:
    column = "{columnName: d, lower: 1970-01-02, upper: '2000-01-01'}"
    text = f"servers: [a, b, c]\ntables:\n- table: t\n  columns:\n  - {column}\n"
    part = Shares.model_validate(yaml.safe_load(text))
    found = part.tables[0].column("d")
    assert found is not None
    assert (found.lower, found.upper) == (1, 10957)
    assert Shares.model_validate(part.model_dump(mode="json")) == part


def test_owners_and_servers_sign_a_change_of_servers() -> None:
    data = agreement_data()
    members = [*data["members"], {"name": "other", "abilities": ["compute"]}]
    keys = [*KEYS, "ed25519:" + base64.b64encode(bytes([9] * 31 + [1])).decode()]
    signed = [{**m, "key": key} for m, key in zip(members, keys, strict=True)]
    before = Agreement.model_validate(data | {"members": signed})
    after = before.model_copy(
        update={
            "version": 2,
            "previous": agreement_hash(before),
            "shares": Shares(servers=("shop", "telco", "other")),
        }
    )
    (change,) = [c for c in changes(before, after) if c.path == "shares"]
    assert set(change.touches) == {"shop", "telco", "lab", "other"}


# --- sealed parts ---


RUN = "ab" * 16


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("parts"))


def terms(world: World, **changed: str) -> Terms:
    said = {
        "room": agreement_hash(world.room.agreement),
        "run": RUN,
        "question": "sha256:" + "1" * 64,
        "plan": "sha256:" + "2" * 64,
        "program": "sha256:" + "3" * 64,
        "released_at": "2026-01-02T03:04:05Z",
    }
    return Terms.model_validate(said | changed)


def parts(world: World, key: X25519PrivateKey, **changed: str) -> list[SealedPart]:
    public = key.public_key().public_bytes_raw()
    return [
        seal_part(
            f"shares of {server}".encode(),
            public,
            world.members[server].keys({}),
            server=server,
            receiver="shop",
            terms=terms(world, **changed),
        )
        for server in SERVERS
    ]


def checked(world: World, given: list[SealedPart], **changed: str) -> Terms:
    of = terms(world)
    known = {"room": of.room, "run": of.run, "question": of.question, "plan": of.plan, "receiver": "shop"}
    return check_parts(given, world.room.agreement, **(known | changed))


def test_parts_open_for_their_receiver(world: World) -> None:
    key = X25519PrivateKey.generate()
    made = parts(world, key)
    assert checked(world, made) == terms(world)
    assert [open_part(part, key) for part in made] == [f"shares of {s}".encode() for s in SERVERS]
    with pytest.raises(PeerError, match="does not open"):
        open_part(made[0], X25519PrivateKey.generate())


def test_a_part_put_in_anothers_place_does_not_open(world: World) -> None:
    key = X25519PrivateKey.generate()
    made = parts(world, key)
    with pytest.raises(PeerError, match="does not open"):
        open_part(made[0].model_copy(update={"server": "telco"}), key)
    with pytest.raises(PeerError, match="does not open"):
        open_part(made[0].model_copy(update={"terms": terms(world, run="cd" * 16)}), key)


def test_what_is_no_set_of_parts(world: World) -> None:
    key = X25519PrivateKey.generate()
    made = parts(world, key)
    other = parts(world, key, program="sha256:" + "4" * 64)
    later = parts(world, key, released_at="2026-01-02T03:04:06Z")
    content = base64.b64encode(bytes(64)).decode()
    for set_, words in (
        (made[:2], "three servers"),
        ([made[1], made[0], made[2]], "three servers"),
        ([made[0], made[0], made[2]], "three servers"),
        ([*made[:2], other[2]], "computed something else"),
        ([*made[:2], later[2]], "computed something else"),
        ([*made[:2], made[2].model_copy(update={"content": content})], "altered"),
        ([*made[:2], made[2].model_copy(update={"content": "A"})], "is none"),
        ([*made[:2], made[2].model_copy(update={"terms": other[2].terms})], "signature"),
        ([*made[:2], made[2].model_copy(update={"signature": made[1].signature})], "signature"),
        ([*made[:2], made[2].model_copy(update={"signature": ""})], "signature"),
    ):
        with pytest.raises(PeerError, match=words):
            checked(world, set_)
    for wrong in (
        {"run": "cd" * 16},
        {"question": "sha256:" + "9" * 64},
        {"plan": "sha256:" + "9" * 64},
        {"room": "sha256:" + "9" * 64},
        {"receiver": "telco"},
    ):
        with pytest.raises(PeerError, match="of another answer"):
            checked(world, made, **wrong)


def test_an_answer_is_named_by_all_its_parts(world: World) -> None:
    made = parts(world, X25519PrivateKey.generate())
    hashes = hashes_of([[part] for part in made])
    assert hashes == {"shop": [part.hash for part in made]}
    shared = SharedAnswer(parts=made, hashes=hashes)
    assert SharedAnswer.model_validate_json(shared.model_dump_json()) == shared
    name = parts_digest(RUN, hashes)
    assert name != parts_digest("cd" * 16, hashes)
    assert name != parts_digest(RUN, {"shop": [*hashes["shop"][:2], "sha256:" + "0" * 64]})


def test_a_part_has_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SHARES_PART_BYTES", 1000)
    with pytest.raises(LimitError):
        parts(world, X25519PrivateKey.generate())


def test_a_key_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(PeerError, match="sealing key"):
        seal_part(
            b"x", bytes(32), world.members["lab"].keys({}), server="lab", receiver="shop", terms=terms(world)
        )


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=9000), info=st.binary(max_size=40), place=st.integers(0, 10**6))
def test_what_is_sealed_opens_whole_or_not_at_all(content: bytes, info: bytes, place: int) -> None:
    key = X25519PrivateKey.generate()
    sealed = seal_padded(content, key.public_key().public_bytes_raw(), info)
    assert open_padded(sealed, key, info) == content
    assert len(sealed) == padded_length(len(content) + 8) + 48
    changed = bytearray(sealed)
    changed[place % len(sealed)] ^= 1
    for wrong in (bytes(changed), sealed[:-1], sealed + b"x", b""):
        with pytest.raises(NotOpened):
            open_padded(wrong, key, info)
    with pytest.raises(NotOpened):
        open_padded(sealed, key, info + b"x")


def test_lengths_tell_little() -> None:
    lengths = {padded_length(size) for size in range(1, 100_000, 7)}
    assert min(lengths) == 4096
    assert len(lengths) < 100
    assert all(padded_length(size) <= size * 1.12 for size in range(4097, 100_000, 101))
