# SPDX-License-Identifier: Apache-2.0
"""Values and logs beside a quote: two forms, each read one way."""

from __future__ import annotations

import hashlib
import json

import pytest
from tests.attestation_pki import needs_vectors, vector
from tests.attestation_tpm import PaperTpm, ec_key, public_area

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.tpm2.pcrs import Event, json_of, read_log, read_pcrs, replay
from hitoku.attestation.tpm2.structures import Attest, Public, Signature, pcr_digest, selection

ZERO = "00" * 32


def refused(read, content: bytes) -> Code:
    with pytest.raises(Refused) as caught:
        read(content)
    return caught.value.code


def test_json_values_are_read_by_number():
    assert read_pcrs(json.dumps({"12": "ab" * 32, "0": ZERO}).encode()) == {12: b"\xab" * 32, 0: bytes(32)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"24": "%b"}' % ZERO.encode(),
        b'{"012": "%b"}' % ZERO.encode(),
        b'{"12": "%b", "12": "%b"}' % (ZERO.encode(), ZERO.encode()),
        b'{"12": "AB"}',
        b'{"12": "%b"}' % (b"AB" * 32),
        b'{"12": 5}',
        b'{"12": NaN}',
        b'{"12": 1.5}',
        b"\xff",
    ],
)
def test_values_of_another_form_are_refused(content):
    assert refused(read_pcrs, content) is Code.MALFORMED


@needs_vectors
def test_the_file_of_tpm2_tools_is_what_its_quote_signs():
    values = read_pcrs(vector("tpm-swtpm/quote.pcrs"))
    attest = Attest.parse(vector("tpm-swtpm/quote.msg"))
    assert tuple(sorted(values)) == attest.pcrs
    assert pcr_digest(values) == attest.digest


def test_that_file_is_refused_where_it_is_broken():
    good = file_of_tools({0: bytes(32), 12: b"\1" * 32})
    assert read_pcrs(good) == {0: bytes(32), 12: b"\1" * 32}
    assert refused(read_pcrs, good[:-1]) is Code.MALFORMED
    assert refused(read_pcrs, good + b"\0") is Code.MALFORMED
    assert refused(read_pcrs, good[:4] + b"\x0c\0" + good[6:]) is Code.MALFORMED  # SHA-384
    assert refused(read_pcrs, good[:7] + b"\3" + good[8:]) is Code.MALFORMED  # a PCR without a value
    assert refused(read_pcrs, good[:6] + b"\xff" + good[7:]) is Code.MALFORMED
    assert refused(read_pcrs, good[:132] + b"\xff\xff\xff\xff" + good[136:]) is Code.MALFORMED
    assert refused(read_pcrs, good[:140] + b"\x10" + good[141:]) is Code.MALFORMED  # 16 bytes


def file_of_tools(values: dict[int, bytes]) -> bytes:
    bits = sum(1 << number for number in values).to_bytes(3, "little")
    head = b"\x01\0\0\0" + b"\x0b\0\x03" + bits
    digests = b"".join((32).to_bytes(2, "little") + value.ljust(64, b"\0") for value in values.values())
    return (
        head.ljust(132, b"\0")
        + (1).to_bytes(4, "little")
        + (len(values).to_bytes(4, "little") + digests.ljust(8 * 66, b"\0"))
    )


def test_a_log_is_read_and_replayed():
    events = (Event(12, b"\1" * 32, "a"), Event(4, b"\2" * 32), Event(12, b"\3" * 32, "c"))
    assert read_log(json.dumps([event.to_dict() for event in events]).encode()) == events
    first = hashlib.sha256(bytes(32) + b"\1" * 32).digest()
    assert replay(events)[12] == hashlib.sha256(first + b"\3" * 32).digest()
    assert set(replay(events)) == {4, 12}


@pytest.mark.parametrize(
    "content",
    [
        {},
        [[]],
        [{"pcr": 12, "digest": ZERO}],
        [{"pcr": 24, "digest": ZERO, "what": ""}],
        [{"pcr": -1, "digest": ZERO, "what": ""}],
        [{"pcr": True, "digest": ZERO, "what": ""}],
        [{"pcr": "12", "digest": ZERO, "what": ""}],
        [{"pcr": 12, "digest": "00", "what": ""}],
        [{"pcr": 12, "digest": ZERO, "what": "x" * 257}],
        [{"pcr": 12, "digest": ZERO, "what": None}],
        [{"pcr": 12, "digest": ZERO, "what": ""}] * 257,
    ],
)
def test_a_log_of_another_form_is_refused(content):
    assert refused(read_log, json.dumps(content).encode()) is Code.MALFORMED


def test_json_with_a_key_twice_is_refused():
    assert json_of(b'{"a": {"b": 1}}', "x") == {"a": {"b": 1}}
    for content in (
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b"1e5",
        b"Infinity",
        b'"\xff"',
        b"1" * 5000,
    ):
        assert refused(lambda c: json_of(c, "x"), content) is Code.MALFORMED


# --- structures ---


def test_selection_and_quote_name_the_same_pcrs():
    tpm = PaperTpm(values={n: bytes(32) for n in (0, 7, 8, 15, 16, 23)})
    assert Attest.parse(tpm.quote()).pcrs == (0, 7, 8, 15, 16, 23)
    assert selection([23, 0, 0]) == bytes.fromhex("00000001000b03010080")


def test_structures_that_end_too_early_are_refused():
    tpm = PaperTpm()
    quote = tpm.quote()
    for parse, whole in (
        (Attest.parse, quote),
        (Signature.parse, tpm.sign(quote)),
        (Public.parse, public_area(ec_key("ak"))),
    ):
        parse(whole)
        for size in range(len(whole)):
            assert refused(parse, whole[:size]) in {Code.MALFORMED, Code.UNSUPPORTED}
        assert refused(parse, whole + b"\0") is Code.MALFORMED


def test_lengths_beyond_any_key_are_refused_before_they_are_read():
    assert refused(Signature.parse, bytes.fromhex("0014000b ffff")) is Code.MALFORMED
    assert refused(Signature.parse, bytes.fromhex("0018000b 0043") + bytes(200)) is Code.MALFORMED


@needs_vectors
def test_the_name_of_a_recorded_key_is_the_tpms():
    """The public area that tpm2-tools make for this key, written here, has the name that the TPM gave it."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(vector("tpm-swtpm/ak.pub"))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = key.public_numbers()
    template = public_area(ec_key("ak"))
    area = template[: -2 * 34] + b"\0\x20" + point.x.to_bytes(32) + b"\0\x20" + point.y.to_bytes(32)
    assert Public.parse(area).name == vector("tpm-swtpm/ak.name")
