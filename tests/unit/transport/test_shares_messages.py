# SPDX-License-Identifier: Apache-2.0
"""Messages of runs on shares: nothing but what is declared, and nothing larger."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.transport import messages, shares
from hitoku.transport.https.client import IDEMPOTENT

RUN = "ab" * 16
HASH = "sha256:" + "0" * 64
QUESTION: dict[str, Any] = {
    "sql": "SELECT 1",
    "room": HASH,
    "run": RUN,
    "asker": "shop",
    "receivers": ["shop"],
    "protection": "shares",
    "users_noise": None,
}
OFFER = {
    "table": "t",
    "manifest": "{}",
    "seed_a": "00" * 32,
    "seed_b": None,
    "parcel": "share-0",
}
TERMS = {
    "room": HASH,
    "run": RUN,
    "question": HASH,
    "plan": HASH,
    "program": HASH,
    "released_at": "2026-01-02T03:04:05Z",
}
PART = {
    "format": "hitoku/shares-part/1",
    "server": "a",
    "receiver": "shop",
    "terms": TERMS,
    "hash": HASH,
    "content": "AAAA",
    "signature": "A" * 86 + "==",
}
GOOD: list[tuple[type[messages.Message], dict[str, Any]]] = [
    (shares.SharesBegin, QUESTION | {"consents": [], "sealing": []}),
    (shares.SharesBegun, {"run": RUN}),
    (shares.SharesWhere, {"run": RUN}),
    (shares.SharesAt, {"run": RUN, "program": HASH, "address": "127.0.0.1:1"}),
    (shares.SharesAt, {"run": RUN, "program": None, "address": None}),
    (shares.SharesWait, {"run": RUN}),
    (shares.SharesGoing, {"run": RUN, "done": True}),
    (shares.SharesFinish, {"run": RUN, "released_at": "2026-01-02T03:04:05Z"}),
    (shares.SharesParts, {"run": RUN, "parts": [PART]}),
    (shares.SharesStop, {"run": RUN}),
    (shares.SharesStopped, {"run": RUN}),
    (shares.OfferShares, QUESTION),
    (shares.SharesOffered, {"run": RUN, "tables": None}),
    (shares.SharesOffered, {"run": RUN, "tables": [OFFER]}),
    (shares.DeliverShares, QUESTION | {"shared": {"parts": [PART] * 3, "hashes": {"shop": [HASH] * 3}}}),
]


@pytest.mark.parametrize(
    ("model", "fields"), GOOD, ids=[f"{n}-{m.__name__}" for n, (m, _) in enumerate(GOOD)]
)
def test_a_message_is_what_it_was_when_it_arrives(
    model: type[messages.Message], fields: dict[str, Any]
) -> None:
    made = model.model_validate(fields)
    sent = messages.encode(made.model_dump(mode="json"))
    assert messages.read(model, messages.decode(sent, "a"), "a") == made
    for wrong in (
        fields | {"more": 1},
        {k: v for k, v in fields.items() if k != "run"},
        fields | {"run": "x"},
    ):
        with pytest.raises(PeerError, match=f"no {model.__name__}"):
            messages.read(model, wrong, "a")


@pytest.mark.parametrize(
    ("model", "fields", "change"),
    [
        (shares.SharesOffered, {"run": RUN, "tables": [OFFER]}, {"seed_a": "00" * 31}),
        (shares.SharesOffered, {"run": RUN, "tables": [OFFER]}, {"seed_a": "AA" * 32}),
        (shares.SharesOffered, {"run": RUN, "tables": [OFFER]}, {"parcel": "../etc/passwd"}),
        (shares.SharesOffered, {"run": RUN, "tables": [OFFER]}, {"manifest": {}}),
        (shares.SharesOffered, {"run": RUN, "tables": [OFFER]}, {"table": "T; DROP"}),
        (shares.SharesParts, {"run": RUN, "parts": [PART]}, {"content": "not base64"}),
        (shares.SharesParts, {"run": RUN, "parts": [PART]}, {"signature": "A"}),
        (shares.SharesParts, {"run": RUN, "parts": [PART]}, {"terms": TERMS | {"released_at": "now"}}),
        (shares.SharesParts, {"run": RUN, "parts": [PART]}, {"terms": TERMS | {"program": "x"}}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_inside_is_checked(
    model: type[messages.Message], fields: dict[str, Any], change: dict[str, Any]
) -> None:
    name = "tables" if "tables" in fields else "parts"
    with pytest.raises(PeerError):
        messages.read(model, fields | {name: [fields[name][0] | change]}, "a")


@pytest.mark.parametrize("address", ["", "host", "a b:1", "h:1\n", "x" * 300 + ":1", "http://h/:1?"])
def test_an_address_is_bounded(address: str) -> None:
    if address == "host":  # where it goes to is looked at before it is called
        shares.SharesAt(run=RUN, program=HASH, address=address)
        return
    with pytest.raises(PeerError):
        messages.read(shares.SharesAt, {"run": RUN, "program": HASH, "address": address}, "a")


def test_an_answer_has_three_parts_of_three_servers() -> None:
    for parts in ([], [PART] * 2, [PART] * 4):
        wrong = QUESTION | {"shared": {"parts": parts, "hashes": {"shop": [HASH] * 3}}}
        with pytest.raises(PeerError):
            messages.read(shares.DeliverShares, wrong, "a")
    for hashes in ({}, {"shop": [HASH]}, {"shop": [HASH] * 4}, {"Shop!": [HASH] * 3}):
        wrong = QUESTION | {"shared": {"parts": [PART] * 3, "hashes": hashes}}
        with pytest.raises(PeerError):
            messages.read(shares.DeliverShares, wrong, "a")


def test_only_parts_and_manifests_may_be_large() -> None:
    large = "x" * (limits.MAX_CONTROL_BYTES + 1)
    for kind in ("begun", "where", "at", "wait", "going", "finish", "stop", "stopped"):
        with pytest.raises(LimitError):
            messages.encode({"kind": f"hitoku/shares-{kind}/1", "run": large})
        content = json.dumps({"kind": f"hitoku/shares-{kind}/1", "run": large}).encode()
        with pytest.raises(PeerError, match="larger"):
            messages.decode(content, "a")
    assert messages.encode({"kind": "hitoku/shares-offered/1", "run": large})
    assert messages.encode({"kind": "hitoku/shares-parts/1", "run": large})


def test_what_gives_parts_out_is_not_sent_twice() -> None:
    """A second one would find nothing, and be taken for the answer to the first."""
    assert "hitoku/shares-finish/1" not in IDEMPOTENT
    assert "hitoku/shares-begin/1" not in IDEMPOTENT
    assert {"hitoku/offer-shares/1", "hitoku/shares-wait/1", "hitoku/deliver-shares/1"} <= IDEMPOTENT


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([m for m, _ in GOOD]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
)
def test_whatever_comes_is_read_or_refused(kind: type[messages.Message], value: Any) -> None:
    fields = {k: value for k in kind.model_fields if k != "kind"}
    try:
        messages.read(kind, fields, "a")
    except PeerError:
        return
    assert isinstance(value, bool) or value is None
