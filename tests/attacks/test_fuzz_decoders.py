# SPDX-License-Identifier: Apache-2.0
"""Every decoder of what another member sends, on mutated and random bytes: only our own errors come out.

200,000 inputs, or HITOKU_FUZZ many. Half of them are the same in every run, and half follow a seed that is
printed with a failure; HITOKU_FUZZ_SEED takes it again. Messages are found by introspection, so a new kind is
attacked as soon as it is there.
"""

from __future__ import annotations

import base64
import gc
import importlib
import json
import os
import pkgutil
import random
import re
import resource
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from tests.conftest import make_place
from tests.unit.transport.shelves import LABEL, RECORD, records, stream

import hitoku.transport
from hitoku.disclosure.answer import Answer
from hitoku.errors import HitokuError, PeerError
from hitoku.room.consent import Consent
from hitoku.room.files import dump_room, parse_room
from hitoku.room.invitations import Invitation
from hitoku.room.ledger import Head
from hitoku.transport import messages
from hitoku.transport.batches import BatchReader, CutOff, Pieces
from hitoku.transport.https.certificate import carried_key

INPUTS = int(os.environ.get("HITOKU_FUZZ", "200000"))
SEED = int(os.environ.get("HITOKU_FUZZ_SEED", secrets.randbits(32)))
MOST_MORE_MEMORY = 300 * 1024 * 1024
"""Bytes by which the process may grow; one input has some kB."""

Decoder = Callable[[bytes], object]

# --- what is decoded ---


@cache
def kinds() -> dict[str, type[messages.Message]]:
    """All messages, by their kind."""
    for module in pkgutil.walk_packages(hitoku.transport.__path__, "hitoku.transport."):
        importlib.import_module(module.name)
    found: dict[str, type[messages.Message]] = {}
    left: list[type[messages.Message]] = [messages.Message]
    while left:
        model = left.pop()
        left += model.__subclasses__()
        if "kind" in model.model_fields and model.__module__.startswith("hitoku."):
            found[model.model_fields["kind"].default] = model
    return found


_WORDS = (
    "2026-11-21T12:00:00Z", "airport", "0123456789abcdef" * 2, "sha256:" + "0" * 64, "0" * 64,
    "A" * 86 + "==",
    "AB_CD", "1", "person", "ever", "1.5", "tokens", "A" * 43, "x", "released",
    "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11", "0" * 16, "0" * 24, "0" * 40, "https://a:1", "",
)  # fmt: skip


_BY_NAME = dict.fromkeys(("issued", "expires", "until", "time"), "2026-11-21T12:00:00Z") | {
    "key": "ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
}
"""For fields whose form the JSON schema does not tell. The others are names, or any text."""


def example(schema: dict[str, Any], root: dict[str, Any], name: str = "") -> Any:
    """Something that a JSON schema allows, more or less."""
    if "$ref" in schema:
        return example(root["$defs"][schema["$ref"].rpartition("/")[2]], root, name)
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return example(schema[key][0], root, name)
    kind = schema.get("type")
    if kind == "object":
        return {n: example(part, root, n) for n, part in schema.get("properties", {}).items()}
    if kind == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})] * max(1, schema.get("minItems", 1))
        return [example(part, root, name) for part in parts]
    if kind in {"integer", "number"}:
        return schema.get("minimum", 1)
    if kind == "string" and "pattern" not in schema:
        return _BY_NAME.get(name, "airport")
    if kind == "string":
        fit = (w for w in _WORDS if re.search(schema["pattern"], w))
        return next((w for w in fit if len(w) <= schema.get("maxLength", 10**6)), "x")
    return True if kind == "boolean" else None


def decode_message(content: bytes) -> object:
    message = messages.decode(content, "airport")
    return messages.read(kinds().get(message["kind"], messages.Refused), message, "airport")


def decode_consent(content: bytes) -> object:
    message = messages.decode(b'{"kind":"x",' + content[1:], "airport")
    message.pop("kind")
    return messages.read(Consent, message, "airport")


def decode_answer(content: bytes) -> object:
    message = messages.decode(content, "host")
    message.pop("kind")
    return Answer.from_message(message, "host")


MIXED = pa.schema([("json", pa.binary()), ("n", pa.int64()), ("b", pa.bool_()), ("t", pa.string())])


def decode_parcel(content: bytes) -> object:
    for schema, rows in ((RECORD, 20), (MIXED, 3)):
        try:
            return list(BatchReader(schema, rows, LABEL, "host").batches(Pieces(iter([content]))))
        except (PeerError, CutOff) as error:
            last = error
    if isinstance(last, CutOff):  # a connection that broke
        raise PeerError("")
    raise last


def decode_text(read: Callable[[str], object]) -> Decoder:
    return lambda content: read(content.decode("utf-8", "replace"))


# --- honest inputs ---


def message_seeds() -> list[bytes]:
    made = []
    for model in kinds().values():
        schema = model.model_json_schema()
        made.append(json.dumps(example(schema, schema)).encode())
    return [b'{"kind":' + m.partition(b'"kind":')[2] if m.startswith(b'{"kind":') else m for m in made]


def consent_seeds() -> list[bytes]:
    schema = Consent.model_json_schema()
    return [json.dumps(example(schema, schema)).encode()]


def head_seeds() -> list[bytes]:
    return [Head("r", "airport", 7, bytes(32), "2026-11-21T12:00:00Z", bytes(64)).to_bytes()]


def parcel_seeds() -> list[bytes]:
    columns = [[b"abc", b"", b"d"], [1, 2, 3], [True, False, True], ["é", "", "x"]]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, MIXED, strict=True)]
    mixed = pa.RecordBatch.from_arrays(arrays, schema=MIXED)
    packed = stream([records(20)], compression="zstd")
    return [
        stream([records(10), records(10, seed=2)]),
        stream([mixed]),
        packed,
    ]


def answer_seeds() -> list[bytes]:
    table = pa.table({"carrier": ["AA", "UA"], "n": pa.array([5, None], pa.int64()), "x": [1.5, 2.5]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    arrow = base64.b64encode(sink.getvalue().to_pybytes()).decode()
    words = ("sql", "question", "room", "run", "asker", "protection", "released_at", "salt")
    message = {
        "kind": "x", "arrow": arrow, "bands": arrow, "receivers": ["airport"], **dict.fromkeys(words, "x"),
        "withheld": {"some": True, "thresholds": [{"table": "t", "column": "c", "owner": "o", "minimum": 3}],
                     "summary": [{"column": "c", "total": 1.5}], "further": False},
        "leakage": [{"member": "a", "code": "c", "words": "w", "assumption": None}],
        "budget": {}, "ledger": None, "noise": {"x": 1},
    }  # fmt: skip
    return [json.dumps(message).encode()]


# --- mutations ---

_JSON: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**400, 1e308, -0.5, "", "\0", "\ud800",
    "x" * 5000, [], {}, [[[[[[]]]]]], {"kind": "x"}, [None] * 70, {"a": {"b": {}}}, "sha256:",
    "2026-99-99T99:99:99Z", "日本", "\u202e",
)  # fmt: skip
_BYTES = (
    b"\0", b"\xff", b"\0\0\0\0", b"%", b"\xc3\x28", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f",
    b"\0\0\0\x80", b"\xff" * 8, b"\1\0",
    b"{", b"}", b"[" * 100, b'"', b"\\", b"\\u0000", b"\\ud800", b"NaN", b"1e999", b"9" * 500, b",", b":",
    b"null", b"\n", b"&a ", b"*a ", b"!!python/object ", b"<<: ", b"- ", b"\xef\xbb\xbf",
)  # fmt: skip


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """An input: a seed with some changes, or noise."""
    if chance.random() < 0.02:
        return chance.randbytes(chance.randrange(200))
    content = bytearray(chance.choice(seeds))
    if chance.random() < 0.5:
        content = bytearray(_other_json(chance, bytes(content)))
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        _change(chance, content, seeds)
    return bytes(content)


def _change(chance: random.Random, content: bytearray, seeds: list[bytes]) -> None:
    at, way = chance.randrange(len(content) + 1), chance.randrange(8)
    end = at + chance.choice((1, 4, 8, chance.randrange(1 + len(content))))
    if way == 0 and at < len(content):
        content[at] ^= 1 << chance.randrange(8)
    elif way == 1:
        del content[at:end]
    elif way == 2:
        content[at:at] = chance.choice(_BYTES)
    elif way == 3:
        piece = chance.choice(_BYTES)
        content[at : at + len(piece)] = piece
    elif way == 4:
        content[at:at] = content[at:end]
    elif way == 5:
        content[at:end] = chance.randbytes(len(content[at:end]))
    elif way == 6:
        other = chance.choice(seeds)
        start = chance.randrange(len(other))
        content[at:end] = other[start : start + end - at]
    else:
        del content[at:]


def _other_json(chance: random.Random, content: bytes) -> bytes:
    """The same document with one of its parts replaced, left out or put in twice."""
    try:
        data = json.loads(content)
    except ValueError:
        return content
    places: list[tuple[Any, Any]] = []
    left = [data]
    while left:
        part = left.pop()
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, value in items:
            places.append((part, key))
            left.append(value)
    if places:
        part, key = chance.choice(places)
        way = chance.randrange(4)
        if way == 0:
            del part[key]
        elif way == 1 and isinstance(part, dict):
            part["x"] = part[key]
        else:
            part[key] = chance.choice(_JSON)
    return json.dumps(data).encode()


# --- the runs ---

_SHARES: dict[str, tuple[float, Decoder]] = {
    "messages": (0.50, decode_message),
    "consents": (0.12, decode_consent),
    "parcels": (0.18, decode_parcel),
    "heads": (0.08, Head.from_bytes),
    "answers": (0.05, decode_answer),
    "certificates": (0.04, carried_key),
    "invitations": (0.02, decode_text(Invitation.from_text)),
    "rooms": (0.01, decode_text(parse_room)),
}


@pytest.fixture
def seeds(tmp_path) -> dict[str, list[bytes]]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding

    from hitoku.transport.https.certificate import anchor, make_certificate

    place = make_place(tmp_path)
    made = x509.load_pem_x509_certificate(make_certificate(Ed25519PrivateKey.from_private_bytes(bytes(32))))
    schema = Invitation.model_json_schema()
    packed = base64.urlsafe_b64encode(json.dumps(example(schema, schema)).encode())
    return {
        "messages": message_seeds(),
        "consents": consent_seeds(),
        "parcels": parcel_seeds(),
        "heads": head_seeds(),
        "answers": answer_seeds(),
        "certificates": [made.public_bytes(Encoding.DER), anchor(place.agreement.members[0].key)],
        "invitations": [packed],
        "rooms": [dump_room(place.room).encode()],
    }


def test_the_honest_inputs_are_taken(seeds):
    """Otherwise the changed ones would be refused too early to be of use."""
    for name, (_, decoder) in _SHARES.items():
        taken = 0
        for seed in seeds[name]:
            try:
                taken += decoder(seed) is not None
            except HitokuError:
                continue
        assert taken >= 0.5 * len(seeds[name]), (name, taken)
    assert len(seeds["messages"]) >= 20
    assert "hitoku/version-given/1" in kinds()


def test_an_error_of_another_kind_would_be_noticed():
    def decoder(content: bytes) -> object:
        return content[3]

    with pytest.raises(AssertionError, match=r"IndexError.*HITOKU_FUZZ_SEED=7"):
        attack("x", decoder, [b"abcd"], 1000, 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(_SHARES))
def test_only_our_own_errors_come_out(name, seeds):
    share, decoder = _SHARES[name]
    count = max(1, round(INPUTS * share))
    attack(name, decoder, seeds[name], count // 20, 0)  # so that what is imported late is there
    before = most_memory()
    attack(name, decoder, seeds[name], count // 2, 1)
    attack(name, decoder, seeds[name], count - count // 2, SEED)
    assert most_memory() - before < MOST_MORE_MEMORY


def attack(name: str, decoder: Decoder, seeds: list[bytes], count: int, seed: int) -> None:
    """Decode so many inputs."""
    chance = random.Random(f"{name} {seed}")
    for number in range(count):
        content = mutated(chance, seeds)
        try:
            decoder(content)
        except HitokuError:
            continue
        except Exception as error:
            shown = content if len(content) < 2000 else content[:2000] + b"..."
            raise AssertionError(
                f"{name}: {type(error).__name__} from input {number} of HITOKU_FUZZ_SEED={seed}: {shown!r}"
            ) from error


def most_memory() -> int:
    """The most that this process ever had, in bytes."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
