# SPDX-License-Identifier: Apache-2.0
"""Attacks on Nitro's and SEV-SNP's evidence, each named after its threat.

Under hierarchies of our own, which always run, and on the vendors' own evidence where it is at hand. Fuzzing
is short here and whole with HITOKU_LONG=1: every bit of every signed byte, a million mutations through each
parser and 20,000 through each whole verifier, each under 50 ms and 50 MB.
"""

from __future__ import annotations

import os
import random
import secrets
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography import x509 as reference
from tests.attestation_pki import (
    CHIP,
    NOW,
    AmdWorld,
    NitroWorld,
    crl,
    ec_key,
    issue,
    name_of,
    needs_vectors,
    pem,
    sign_pair,
    spki,
    tlv,
    vector,
)

from hitoku.attestation.binding import Binding, bound
from hitoku.attestation.certificates import certificates, revocation_list
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.strict import cbor, der
from hitoku.attestation.verify import nitro, snp_report, verify

LONG = bool(os.environ.get("HITOKU_LONG"))
SEED = int(os.environ.get("HITOKU_FUZZ_SEED", secrets.randbits(32)))
PARSED = 1_000_000 if LONG else 3_000
"""Mutations of each format through its parser."""
VERIFIED = 20_000 if LONG else 100
"""Mutations of each piece of evidence through the whole verifier."""
MOST_SECONDS = 0.05 if LONG else 2.0
"""Processor seconds of one piece of evidence. By default only what hangs fails, whatever the machine does."""
MOST_BYTES = 50 << 20

Trust = Callable[[], Any]


@pytest.fixture(scope="module")
def aws() -> NitroWorld:
    return NitroWorld()


@pytest.fixture(scope="module", params=["milan", "genoa", "turin"])
def amd(request: pytest.FixtureRequest) -> AmdWorld:
    return AmdWorld(request.param)


def check(world: NitroWorld | AmdWorld, evidence: Evidence, now: datetime = NOW) -> Claims:
    with world.trusted():
        return verify(evidence, now)


def code(world: NitroWorld | AmdWorld, evidence: Evidence, now: datetime = NOW) -> Code:
    with pytest.raises(Refused) as caught:
        check(world, evidence, now)
    return caught.value.code


def real(kind: Kind, content: str, now: str, **endorsements: str) -> Claims:
    named = {n: vector(f) for n, f in endorsements.items()}
    return verify(Evidence(kind, vector(content), named), datetime.fromisoformat(now).replace(tzinfo=UTC))


def real_code(*args: Any, **kwargs: Any) -> Code:
    with pytest.raises(Refused) as caught:
        real(*args, **kwargs)
    return caught.value.code


# --- T5: wrong, empty, shortened nonces ---

NONCE = b"\x01" * 31 + b"\x00"
CHALLENGE = Binding(NONCE, bound("hitoku/key-release/1", [NONCE, b"room", b"run", b"key"]))


@pytest.mark.parametrize("nonce", [b"", NONCE[:-1], NONCE + b"\x00", NONCE[::-1], b"\x01" * 32, None, ...])
def test_t5_nonce_nitro(aws: NitroWorld, nonce: object) -> None:
    """A verifier on the market passed a wrong nonce with a warning; prefixes must not pass either."""
    claims = check(aws, aws.evidence(nonce=nonce, user_data=CHALLENGE.digest))
    with pytest.raises(Refused) as caught:
        CHALLENGE.check(claims)
    assert caught.value.code is Code.NONCE_MISMATCH
    CHALLENGE.check(check(aws, aws.evidence(nonce=NONCE, user_data=CHALLENGE.digest)))


def test_t5_nonce_snp(amd: AmdWorld) -> None:
    """A report has no nonce of its own: it stands in the digest that report_data is."""
    other = bound("hitoku/key-release/1", [NONCE[:-1], b"room", b"run", b"key"])
    for data in (b"", NONCE, CHALLENGE.digest[:32], CHALLENGE.digest[:63], other):
        with pytest.raises(Refused) as caught:
            CHALLENGE.check(check(amd, amd.evidence(report_data=data)))
        assert caught.value.code is Code.BINDING
    CHALLENGE.check(check(amd, amd.evidence(report_data=CHALLENGE.digest)))


@needs_vectors
def test_t5_nonce_of_recorded_evidence() -> None:
    """Genuine, in its window, never seen here: still no answer to our challenge."""
    document = real(Kind.NITRO, "nitro/veracruz-doc.cbor", "2022-11-09T23:00:00")
    report = real(
        Kind.SEV_SNP, "sev-snp/virtee-milan-report.hex", "2026-11-22", vcek="sev-snp/virtee-milan-vcek.der"
    )
    for claims, expected in ((document, Code.NONCE_MISMATCH), (report, Code.BINDING)):
        with pytest.raises(Refused) as caught:
            CHALLENGE.check(claims)
        assert caught.value.code is expected


# --- T6: expired, not yet ---


def test_t6_times_nitro(aws: NitroWorld) -> None:
    evidence, second = aws.evidence(), timedelta(seconds=1)
    first, last = NOW - timedelta(hours=1), NOW + timedelta(hours=2)
    assert check(aws, evidence, last)
    assert code(aws, evidence, last + second) is Code.EXPIRED
    early = aws.evidence(timestamp=int(first.timestamp() * 1000))
    assert check(aws, early, first)
    assert code(aws, early, first - second) is Code.NOT_YET
    assert code(aws, evidence, first) is Code.NOT_YET  # made an hour after that


def test_t6_times_of_each_certificate_nitro() -> None:
    """An expired certificate anywhere in the chain, under one leaf that holds."""
    for place in range(3):
        world = NitroWorld()
        above = [world.root, *world.middle]
        late = (NOW - timedelta(days=9), NOW - timedelta(seconds=1))
        old = issue(
            world.middle[place].key,
            world.middle[place].name,
            above[place],
            path_length=2 - place,
            validity=late,
        )
        bundle = [c.der for c in above]
        bundle[place + 1] = old.der
        assert code(world, world.evidence(cabundle=bundle)) is Code.EXPIRED


def test_t6_times_snp(amd: AmdWorld) -> None:
    for name, loaded in (("vcek", False), ("vlek", True)):
        lives = (NOW - timedelta(hours=1), NOW + timedelta(hours=1))
        evidence = amd.evidence(
            loaded=loaded, endorsements={name: amd.endorse(loaded=loaded, validity=lives).der}
        )
        assert check(amd, evidence, lives[1])
        assert code(amd, evidence, lives[1] + timedelta(seconds=1)) is Code.EXPIRED
        assert code(amd, evidence, lives[0] - timedelta(seconds=1)) is Code.NOT_YET
    old = crl(amd.ark, this=NOW - timedelta(days=9), until=NOW - timedelta(days=1))
    assert code(amd, amd.evidence(endorsements={"crl": old})) is Code.EXPIRED
    coming = crl(amd.ark, this=NOW + timedelta(seconds=1))
    assert code(amd, amd.evidence(endorsements={"crl": coming})) is Code.NOT_YET


@needs_vectors
def test_t6_times_of_recorded_evidence() -> None:
    for name in ("evervault-valid-doc", "veracruz-doc", "evervault-debug-mode-doc"):
        assert real_code(Kind.NITRO, f"nitro/{name}.cbor", "2026-11-22") is Code.EXPIRED
        assert real_code(Kind.NITRO, f"nitro/{name}.cbor", "2022-10-01") is Code.NOT_YET
    loaded = ("sev-snp/lunal-test-vlek-report.bin", "sev-snp/lunal-test-vlek.der")
    for now, expected in (("2025-12-11", Code.EXPIRED), ("2024-12-10", Code.NOT_YET)):
        assert real_code(Kind.SEV_SNP, loaded[0], now, vlek=loaded[1]) is expected


# --- T7: debug ---


@pytest.mark.parametrize("registers", [(0, 1, 2), (0,), (1,), (2,)])
def test_t7_debug_nitro(aws: NitroWorld, registers: tuple[int, ...]) -> None:
    pcrs = aws.fields()["pcrs"] | {i: bytes(48) for i in registers}
    assert code(aws, aws.evidence(pcrs=pcrs)) is Code.DEBUG
    assert code(aws, aws.evidence(pcrs=pcrs | {8: b"\x01" * 48, 16: b"\x01" * 48})) is Code.DEBUG


def test_t7_debug_nitro_by_leaving_registers_out(aws: NitroWorld) -> None:
    pcrs = aws.fields()["pcrs"]
    for absent in (0, 1, 2):
        assert code(aws, aws.evidence(pcrs={i: v for i, v in pcrs.items() if i != absent})) is Code.MALFORMED


def test_t7_debug_snp(amd: AmdWorld) -> None:
    for version in (2, 3, 5):
        for loaded in (False, True):
            evidence = amd.evidence(version=version, loaded=loaded, policy=0x3001F | 1 << 19)
            assert code(amd, evidence) is Code.DEBUG


def test_t7_a_guest_that_may_be_moved_snp(amd: AmdWorld) -> None:
    assert code(amd, amd.evidence(policy=0x3001F | 1 << 18)) is Code.POLICY


@needs_vectors
def test_t7_debug_of_recorded_evidence() -> None:
    assert real_code(Kind.NITRO, "nitro/evervault-debug-mode-doc.cbor", "2022-10-12T14:00:00") is Code.DEBUG
    debug = real_code(
        Kind.SEV_SNP, "sev-snp/gosev-milan-report.bin", "2026-11-22", vcek="sev-snp/gosev-milan-vcek.der"
    )
    assert debug is Code.DEBUG


# --- T8: older firmware than it says ---


def test_t8_tcb_above_what_runs_snp(amd: AmdWorld) -> None:
    old, new = amd.tcb(snp=8), amd.tcb(snp=25)
    assert code(amd, amd.evidence(current=old, committed=old)) is Code.TCB
    assert code(amd, amd.evidence(committed=new, current=amd.tcb())) is Code.TCB


def test_t8_tcb_that_the_host_may_go_back_to_counts_snp(amd: AmdWorld) -> None:
    """The claim that minimums are held against is the least of reported and committed."""
    claims = check(amd, amd.evidence(committed=amd.tcb(microcode=200), current=amd.tcb(microcode=255)))
    assert (claims.tcb["microcode"], claims.tcb["snp"]) == (200, 24)


@needs_vectors
def test_t8_tcb_of_recorded_evidence() -> None:
    """Microcode 0xce runs there, 0x73 is reported: the lower one is claimed."""
    claims = real(
        Kind.SEV_SNP, "sev-snp/lunal-test-report.bin", "2026-11-22", vcek="sev-snp/lunal-test-vcek.der"
    )
    assert claims.tcb["microcode"] == 0x73


# --- T9: a root of one's own ---


def test_t9_own_root_nitro(aws: NitroWorld) -> None:
    """All names are AWS's; only the keys are not."""
    thief = NitroWorld("thief")
    assert thief.root.name == aws.root.name
    forged = thief.evidence()
    assert code(aws, forged) is Code.UNTRUSTED_ROOT
    with pytest.raises(Refused) as caught:
        verify(forged, NOW)
    assert caught.value.code is Code.UNTRUSTED_ROOT


def test_t9_own_chain_under_the_true_root_nitro(aws: NitroWorld) -> None:
    thief = NitroWorld("thief")
    bundles = [
        [aws.root.der, *(m.der for m in thief.middle)],
        [aws.root.der],
        [aws.root.der, aws.middle[0].der, *(m.der for m in thief.middle[1:])],
        [aws.root.der, *(m.der for m in aws.middle), thief.root.der, *(m.der for m in thief.middle)],
    ]
    for bundle in bundles:
        assert code(aws, Evidence(Kind.NITRO, thief.document(cabundle=bundle))) is Code.CHAIN
    last = [thief.root.der, *(m.der for m in thief.middle), aws.root.der]
    assert code(aws, Evidence(Kind.NITRO, thief.document(cabundle=last))) is Code.UNTRUSTED_ROOT


def test_t9_an_enclaves_own_certificate_is_no_authority_nitro(aws: NitroWorld) -> None:
    """Who has one genuine leaf's key must not make others."""
    below = issue(ec_key("thief-leaf"), aws.leaf.name, aws.leaf, authority=False)
    bundle = [aws.root.der, *(m.der for m in aws.middle), aws.leaf.der]
    forged = aws.document(certificate=below.der, cabundle=bundle, key=ec_key("thief-leaf"))
    assert code(aws, Evidence(Kind.NITRO, forged)) is Code.CHAIN


def test_t9_own_root_snp(amd: AmdWorld) -> None:
    thief = AmdWorld(amd.product, tag="thief")
    forged = thief.evidence()
    assert code(amd, forged) is Code.CHAIN
    for chain in (pem(thief.ask.der, thief.ark.der), pem(thief.ark.der), pem(thief.ask.der)):
        evidence = replace(forged, endorsements={**forged.endorsements, "chain": chain})
        assert code(amd, evidence) in {Code.UNTRUSTED_ROOT, Code.CHAIN}
        with pytest.raises(Refused):
            verify(evidence, NOW)


def test_t9_an_endorsement_is_no_authority_snp(amd: AmdWorld) -> None:
    """Who has one chip's key must not make others."""
    vcek = amd.endorse()
    below = issue(ec_key("thief"), name_of("SEV-VCEK below"), vcek, authority=False)
    chain = pem(vcek.der, amd.ask.der, amd.ark.der)
    evidence = amd.evidence(endorsements={"vcek": below.der, "chain": chain})
    assert code(amd, evidence) is Code.CHAIN


def test_t9_revoked_authority_snp(amd: AmdWorld) -> None:
    serial = certificates(amd.ask.der)[0].serial
    assert code(amd, amd.evidence(endorsements={"crl": crl(amd.ark, (serial,))})) is Code.REVOKED


# --- T10: certificates of another chip or version ---


def test_t10_vcek_of_another_chip_snp(amd: AmdWorld) -> None:
    """The same key even: what the certificate says must be what the report says."""
    other = CHIP[8:16] if amd.turin else CHIP[::-1]
    for version in (2, 3, 5):
        evidence = amd.evidence(version=version, endorsements={"vcek": amd.endorse(chip=other).der})
        assert code(amd, evidence) is Code.HARDWARE_MISMATCH


@pytest.mark.parametrize("component", ["boot", "tee", "snp", "microcode"])
def test_t10_vcek_of_another_version_snp(amd: AmdWorld, component: str) -> None:
    other = amd.tcb(**{component: 127})
    assert (
        code(amd, amd.evidence(endorsements={"vcek": amd.endorse(tcb=other).der})) is Code.HARDWARE_MISMATCH
    )
    assert code(amd, amd.evidence(reported=other, current=b"\xff" * 8)) is Code.HARDWARE_MISMATCH


def test_t10_vcek_of_another_product_snp() -> None:
    milan, genoa = AmdWorld("milan"), AmdWorld("genoa")
    with milan.trusted():
        assert code(genoa, genoa.evidence(cpuid=(0x19, 0x01))) is Code.HARDWARE_MISMATCH


@needs_vectors
def test_t10_swapped_certificates_of_recorded_evidence() -> None:
    """Every real report with every other's certificate; in version 2 nothing else tells the product."""
    pairs = {
        "gosev-milan-report.bin": "gosev-milan-vcek.der",
        "ms-milan-report.bin": "ms-milan-vcek.pem",
        "ms-genoa-report.bin": "ms-genoa-vcek.pem",
        "virtee-milan-report.hex": "virtee-milan-vcek.der",
        "lunal-test-report.bin": "lunal-test-vcek.der",
    }
    for report, own in pairs.items():
        for vcek in {*pairs.values(), "virtee-turin-vcek.der", "lunal-test-vlek.der"} - {own}:
            swapped = real_code(Kind.SEV_SNP, f"sev-snp/{report}", "2025-11-22", vcek=f"sev-snp/{vcek}")
            assert swapped in {Code.HARDWARE_MISMATCH, Code.NOT_YET}


# --- T15: malformed CBOR and DER ---


def raw_map(*entries: tuple[object, object]) -> bytes:
    """A CBOR map as written, keys twice where they are given twice."""
    return bytes([0xA0 | len(entries)]) + b"".join(cbor2.dumps(k) + cbor2.dumps(v) for k, v in entries)


def test_t15_keys_twice_nitro(aws: NitroWorld) -> None:
    """Signed as it stands: which of two values a reader takes must not matter."""
    fields = aws.fields()
    for name, value in (("user_data", b"other"), ("pcrs", {0: b"\xff" * 48}), ("nonce", None)):
        payload = raw_map(*fields.items(), (name, value))
        assert cbor2.loads(payload)[name] == value  # a lenient reader takes the last
        assert code(aws, Evidence(Kind.NITRO, aws.sign(payload))) is Code.MALFORMED
    pcrs = raw_map((0, bytes(48)), (1, b"\x01" * 48), (2, b"\x01" * 48), (0, b"\x01" * 48))
    payload = cbor2.dumps({k: v for k, v in fields.items() if k != "pcrs"})
    payload = bytes([payload[0] + 1]) + payload[1:] + cbor2.dumps("pcrs") + pcrs
    assert code(aws, Evidence(Kind.NITRO, aws.sign(payload))) is Code.MALFORMED


def test_t15_bytes_behind_nitro(aws: NitroWorld) -> None:
    document = aws.document()
    assert code(aws, Evidence(Kind.NITRO, document + b"\x00")) is Code.MALFORMED
    assert code(aws, Evidence(Kind.NITRO, document + document)) is Code.MALFORMED
    signed = aws.sign(cbor2.dumps(aws.fields()) + b"\xf6")
    assert code(aws, Evidence(Kind.NITRO, signed)) is Code.MALFORMED


@pytest.mark.parametrize(
    "content",
    [
        b"\x9f" + b"\x40" * 4 + b"\xff",
        b"\x5f\x41\x00\xff",
        b"\x9b" + b"\xff" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        b"\x9a\x7f\xff\xff\xff",
        b"\xc2\x5b" + b"\xff" * 8,
        b"\x81" * 16000,
        b"\xd8\x12" * 8000,
        b"\xa1" * 16000,
        b"\xc4" * 5000,
        b"\xd9\xd9\xf7" * 5000,
        b"\x84" + b"\x84" * 5000,
        b"\xfb" + b"\x00" * 8,
    ],
)
def test_t15_huge_lengths_tags_and_depth_nitro(aws: NitroWorld, content: bytes) -> None:
    with bounded():
        assert code(aws, Evidence(Kind.NITRO, content)) is Code.MALFORMED
    with bounded():
        assert code(aws, Evidence(Kind.NITRO, aws.sign(content))) is Code.MALFORMED


@pytest.mark.parametrize("algorithm", [-7, -36, -37, -8, -65535, 0, 5, None, "ES384", "none", -34])
def test_t15_other_algorithms_nitro(aws: NitroWorld, algorithm: object) -> None:
    """Signed with the right key over a header that names another algorithm."""
    payload = cbor2.dumps(aws.fields())
    signed = aws.sign(payload, protected=cbor2.dumps({1: algorithm}))
    assert code(aws, Evidence(Kind.NITRO, signed)) is Code.MALFORMED
    for empty in (b"", b"\xa0"):
        assert code(aws, Evidence(Kind.NITRO, aws.sign(payload, protected=empty))) is Code.MALFORMED


@pytest.mark.parametrize("size", [0, 1, 48, 64, 95, 97, 104, 132])
def test_t15_signatures_of_another_length_nitro(aws: NitroWorld, size: int) -> None:
    protected, unprotected, payload, signature = cbor2.loads(aws.document())
    resized = (signature * 2)[:size]
    assert (
        code(aws, Evidence(Kind.NITRO, cbor2.dumps([protected, unprotected, payload, resized])))
        is Code.MALFORMED
    )


def test_t15_cose_of_other_kinds_nitro(aws: NitroWorld) -> None:
    """COSE_Mac0, COSE_Encrypt0, CWT around it, and a signature whose context is another."""
    document = aws.document()
    for tag in (16, 17, 61, 96, 97, 98, 55799):
        assert (
            code(aws, Evidence(Kind.NITRO, cbor2.dumps(cbor2.CBORTag(tag, cbor2.loads(document)))))
            is Code.MALFORMED
        )
    protected, unprotected, payload, _ = cbor2.loads(document)
    for context in ("Signature", "CounterSignature", "MAC0"):
        r, s = sign_pair(aws.leaf.key, cbor2.dumps([context, protected, b"", payload]))
        signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        forged = cbor2.dumps([protected, unprotected, payload, signature])
        assert code(aws, Evidence(Kind.NITRO, forged)) is Code.SIGNATURE


def test_t15_certificates_out_of_form_nitro(aws: NitroWorld) -> None:
    leaf = aws.leaf.der
    indefinite = b"\x30\x80" + leaf[4:] + b"\x00\x00"
    for bad in (
        leaf + b"\x00",
        leaf[:-1],
        indefinite,
        tlv(0x30, leaf),
        b"\x30\x84\xff\xff\xff\xff",
        pem(leaf),
    ):
        assert code(aws, Evidence(Kind.NITRO, aws.document(certificate=bad[:1024]))) is Code.MALFORMED


def test_t15_endorsements_out_of_form_snp(amd: AmdWorld) -> None:
    leaf = amd.endorse().der
    deep = b""
    for _ in range(3000):
        deep = tlv(0x30, deep)
    wide = tlv(0x30, b"\x05\x00" * 30000)
    long = b"\x30\x84\x7f\xff\xff\xff" + leaf
    for bad in (
        leaf + b"\x00",
        leaf[:-1],
        deep,
        wide,
        long,
        b"",
        b"\x00" * 4096,
        b"-----BEGIN CERTIFICATE-----" * 9000,
    ):
        with bounded():
            assert code(amd, amd.evidence(endorsements={"vcek": bad})) is Code.MALFORMED
        for name in ("chain", "crl"):
            with bounded():
                assert code(amd, amd.evidence(endorsements={name: bad})) is Code.MALFORMED


def crowded(der_content: bytes) -> list[bytes]:
    """Certificates as large as may be, full of elements where a reader looks at each."""
    body, *rest = der(der_content, most=1 << 16).children()
    parts = body.children()
    small = tlv(0x30, b"\x05\x00" * 15000)
    found = []
    for place in (3, 5, 6, 7):
        changed = [part.whole for part in parts]
        changed[place] = tlv(0xA3, small) if place == 7 else small
        found.append(tlv(0x30, tlv(0x30, b"".join(changed)) + b"".join(r.whole for r in rest)))
    found.append(tlv(0x30, tlv(0x30, b"\x05\x00" * 15000) + b"".join(r.whole for r in rest)))
    return found


def test_t15_crowded_certificates_take_no_time_snp() -> None:
    amd = AmdWorld()
    evidence = amd.evidence()
    for bad in crowded(amd.ask.der):
        other = replace(
            evidence, endorsements={"vcek": pem(*[amd.ask.der] * 15, bad), "chain": pem(*[bad] * 16)}
        )
        with amd.trusted():
            assert again(lambda other=other: verify(other, NOW)) < MOST_SECONDS  # type: ignore[misc]


def test_t15_crowded_revocation_lists_take_no_time_snp() -> None:
    amd = AmdWorld()
    entries = tlv(0x30, b"\x02\x01\x05" + tlv(0x17, b"221013085759Z"))
    body, *rest = der(crl(amd.ark), most=1 << 16).children()
    for count in (2048, 2049, 40000):
        crowd = tlv(0x30, b"".join(p.whole for p in body.children()[:5]) + tlv(0x30, entries * count))
        bad = tlv(0x30, crowd + b"".join(r.whole for r in rest))
        evidence = amd.evidence(endorsements={"crl": bad})
        with amd.trusted():
            assert again(lambda evidence=evidence: verify(evidence, NOW)) < MOST_SECONDS  # type: ignore[misc]
        assert code(amd, evidence) is (Code.CHAIN if count == 2048 else Code.MALFORMED)


def test_t15_reports_of_another_size_snp(amd: AmdWorld) -> None:
    evidence = amd.evidence()
    for content in (evidence.content[:-1], evidence.content + b"\x00", b"", evidence.content * 2):
        assert code(amd, replace(evidence, content=content)) is Code.MALFORMED


def test_t15_unsigned_bytes_of_a_report_are_fixed_snp(amd: AmdWorld) -> None:
    """What lies behind the signature is not signed: it must be zero, or a report had many spellings."""
    evidence = amd.evidence()
    for at in (0x2A0 + 48, 0x2A0 + 71, 0x2E8 + 48, 0x2E8 + 71, 0x330, 0x49F):
        bent = bytearray(evidence.content)
        bent[at] ^= 1
        assert code(amd, replace(evidence, content=bytes(bent))) in {Code.MALFORMED, Code.SIGNATURE}


# --- T16: numbers that readers differ in ---

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973


@pytest.mark.parametrize(
    "pair", [(0, 0), (0, 1), (1, 0), (1, 1), (ORDER, 1), (1, ORDER), (ORDER, ORDER), (2**384 - 1, 2**384 - 1)]
)
def test_t16_impossible_signatures_nitro(aws: NitroWorld, pair: tuple[int, int]) -> None:
    protected, unprotected, payload, _ = cbor2.loads(aws.document())
    signature = pair[0].to_bytes(48, "big") + pair[1].to_bytes(48, "big")
    forged = cbor2.dumps([protected, unprotected, payload, signature])
    assert code(aws, Evidence(Kind.NITRO, forged)) is Code.SIGNATURE


@pytest.mark.parametrize(
    "pair", [(0, 0), (0, 1), (1, 0), (ORDER, 1), (1, ORDER), (2**576 - 1, 2**576 - 1), (1, 1)]
)
def test_t16_impossible_signatures_snp(amd: AmdWorld, pair: tuple[int, int]) -> None:
    evidence = amd.evidence()
    bent = bytearray(evidence.content)
    bent[0x2A0:0x2E8], bent[0x2E8:0x330] = (v.to_bytes(72, "little") for v in pair)
    assert code(amd, replace(evidence, content=bytes(bent))) is Code.SIGNATURE


def test_t16_a_signature_plus_the_order_snp(amd: AmdWorld) -> None:
    """r + n fits into the field's 72 bytes and is the same number to a reader that reduces."""
    evidence = amd.evidence()
    for at in (0x2A0, 0x2E8):
        bent = bytearray(evidence.content)
        value = int.from_bytes(bent[at : at + 72], "little") + ORDER
        bent[at : at + 72] = value.to_bytes(72, "little")
        assert code(amd, replace(evidence, content=bytes(bent))) is Code.SIGNATURE


def test_t16_numbers_in_longer_spellings_nitro(aws: NitroWorld) -> None:
    """The same values, lengths spelled longer outside of what is signed: one document, one spelling."""
    protected, _, payload, signature = cbor2.loads(aws.document())
    long = b"\x84" + b"\x58\x04" + protected + b"\xa0" + cbor2.dumps(payload) + cbor2.dumps(signature)
    wide = b"\x98\x04" + aws.document()[1:]
    for content in (long, wide):
        assert cbor2.loads(content)[2] == payload
        assert code(aws, Evidence(Kind.NITRO, content)) is Code.MALFORMED


def test_t16_levels_of_several_bytes_snp(amd: AmdWorld) -> None:
    """0x0200db is 219; neither its last byte alone nor a number above 255 may stand for a level."""
    for value, fits in (
        (b"\x02\x02\x00\xdb", True),
        (b"\x02\x02\x01\xdb", False),
        (b"\x02\x01\xdb", False),
        (b"\x02\x03\x00\x00\xdb", False),
    ):
        leaf = certificates(amd.endorse().der)[0]
        extensions = tuple(
            (
                reference.UnrecognizedExtension(
                    reference.ObjectIdentifier(n), value if n.endswith(".3.8") else e.value
                ),
                False,
            )
            for n, e in leaf.extensions.items()
        )
        key = ec_key("ours-vcek")
        made = issue(
            key,
            name_of("SEV-VCEK"),
            amd.ask,
            authority=False,
            constraints=False,
            bits=(),
            extensions=extensions,
        )
        evidence = amd.evidence(endorsements={"vcek": made.der})
        if fits:
            assert check(amd, evidence).tcb["microcode"] == 219
        else:
            assert code(amd, evidence) in {Code.HARDWARE_MISMATCH, Code.MALFORMED}


# --- fuzzing ---


@contextmanager
def bounded() -> Iterator[None]:
    """No more memory than the bound."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def mutated(source: random.Random, content: bytes) -> bytes:
    """Flipped, overwritten, cut, doubled, moved, filled with what parsers trip over."""
    raw = bytearray(content)
    for _ in range(source.choice((1, 1, 1, 2, 4, 16))):
        at = source.randrange(len(raw) + 1)
        kind = source.randrange(6)
        if kind == 0 and raw:
            raw[min(at, len(raw) - 1)] ^= 1 << source.randrange(8)
        elif kind == 1 and raw:
            raw[min(at, len(raw) - 1)] = source.choice(
                b"\x00\x01\x30\x7f\x80\x84\x9f\xa0\xbf\xc2\xff\x5b\x9b"
            )
        elif kind == 2:
            del raw[at : at + source.choice((1, 1, 2, 8, 64))]
        elif kind == 3:
            raw[at:at] = source.randbytes(source.choice((1, 2, 8)))
        elif kind == 4:
            raw[at:at] = raw[at : at + source.choice((1, 4, 32, 256))]
        else:
            raw[at : at + 8] = source.choice((b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7))
    return bytes(raw)


def pieces(aws: NitroWorld) -> dict[str, tuple[Callable[[bytes], object], list[bytes]]]:
    """Each parser with what it reads."""
    chips = AmdWorld("turin")
    listing = crl(aws.root, (1, 2, 3))
    leaf = [aws.leaf.der, chips.endorse().der, chips.endorse(loaded=True).der, chips.ark.der]
    return {
        "nitro": (nitro.parse, [aws.document(), b"\xd2" + aws.document(public_key=spki(ec_key("tls")))]),
        "snp": (snp_report.parse, [chips.report(version=5), chips.report(version=2, loaded=True)]),
        "certificates": (certificates, [*leaf, pem(*leaf)]),
        "revocation list": (revocation_list, [listing]),
        "cbor": (
            lambda content: cbor(content, most=1 << 15, tags={18}),
            [aws.document(), cbor2.dumps(aws.fields())],
        ),
        "der": (lambda content: der(content, most=1 << 16), leaf),
    }


@pytest.mark.parametrize("name", ["nitro", "snp", "certificates", "revocation list", "cbor", "der"])
def test_t15_mutations_through_each_parser(aws: NitroWorld, name: str) -> None:
    """They are read or refused, nothing else; no one takes long."""
    read, seeds = pieces(aws)[name]
    source = random.Random(f"{name} {SEED}")
    slowest, worst = 0.0, b""
    for _ in range(PARSED):
        content = mutated(source, source.choice(seeds))
        start = time.thread_time()
        try:
            read(content)
        except Refused as refused:
            if refused.code not in {Code.MALFORMED, Code.UNSUPPORTED}:
                pytest.fail(f"{refused.code} of a parser (HITOKU_FUZZ_SEED={SEED})")
        took = time.thread_time() - start
        if took > slowest:
            slowest, worst = took, content
    assert again(lambda: read(worst)) < MOST_SECONDS, f"HITOKU_FUZZ_SEED={SEED}"


def again(run: Callable[[], object]) -> float:
    """The least of five runs, in processor seconds; a sixth is within the bound of memory."""
    times = []
    for _ in range(5):
        start = time.thread_time()
        with suppress(Refused):
            run()
        times.append(time.thread_time() - start)
    with bounded(), suppress(Refused):
        run()
    return min(times)


def evidences(aws: NitroWorld) -> list[tuple[NitroWorld | AmdWorld, Evidence]]:
    """What is mutated through the whole verifier."""
    found: list[tuple[NitroWorld | AmdWorld, Evidence]] = [(aws, aws.evidence())]
    for product, loaded, version in (("milan", False, 2), ("genoa", True, 3), ("turin", False, 5)):
        world = AmdWorld(product)
        more = {"chain": pem(world.ask.der, world.asvk.der, world.ark.der), "crl": crl(world.ark)}
        found.append((world, world.evidence(loaded=loaded, version=version, endorsements=more)))
    return found


def test_t15_mutations_through_the_verifier(aws: NitroWorld) -> None:
    """Content or an endorsement changed: refused with a code that is not INTERNAL, or claims are the same.

    Claims may stand where what was changed is not signed and says the same: text between PEM blocks, a
    certificate of the chain that is not needed.
    """
    source = random.Random(f"verifier {SEED}")
    for world, evidence in evidences(aws):
        good = check(world, evidence)
        with world.trusted():
            for _ in range(VERIFIED):
                part = source.choice(["", *evidence.endorsements])
                if part:
                    endorsements = {
                        **evidence.endorsements,
                        part: mutated(source, evidence.endorsements[part]),
                    }
                    other = replace(evidence, endorsements=endorsements)
                else:
                    other = replace(evidence, content=mutated(source, evidence.content))
                start = time.thread_time()
                try:
                    claims = verify(other, NOW)
                except Refused as refused:
                    if refused.code is Code.INTERNAL:
                        pytest.fail(f"{refused.detail} (HITOKU_FUZZ_SEED={SEED})")
                else:
                    assert claims.flat() == good.flat(), f"HITOKU_FUZZ_SEED={SEED}"
                    assert part or other.content == evidence.content, f"HITOKU_FUZZ_SEED={SEED}"
                if time.thread_time() - start > MOST_SECONDS:
                    assert again(lambda other=other: verify(other, NOW)) < MOST_SECONDS  # type: ignore[misc]


def flips(content: bytes, start: int, end: int, every: int) -> Iterator[bytes]:
    """Each signed byte with a bit flipped; with HITOKU_LONG every bit of every byte."""
    bits = range(8) if LONG else (None,)
    for at in range(start, end, 1 if LONG else every):
        for bit in bits:
            bent = bytearray(content)
            bent[at] ^= 1 << (at % 8 if bit is None else bit)
            yield bytes(bent)


def signed_part(document: bytes) -> tuple[int, int]:
    """Where the signed bytes of a document lie: from its header to its end, all but the empty map."""
    return 0, len(document)


def refuses(evidence: Evidence, now: datetime) -> bool:
    try:
        verify(evidence, now)
    except Refused as refused:
        return refused.code is not Code.INTERNAL
    return False


def test_t15_every_signed_byte_counts(aws: NitroWorld) -> None:
    """Ours: a sample by default."""
    document = aws.document()
    with aws.trusted():
        for bent in flips(document, *signed_part(document), every=97):
            assert refuses(Evidence(Kind.NITRO, bent), NOW)
    amd = AmdWorld("turin")
    evidence = amd.evidence(version=5)
    with amd.trusted():
        for bent in flips(evidence.content, 0, 0x4A0, every=17):
            assert refuses(replace(evidence, content=bent), NOW)
        for bent in flips(evidence.endorsements["vcek"], 0, len(evidence.endorsements["vcek"]), every=29):
            assert refuses(replace(evidence, endorsements={"vcek": bent}), NOW)


@needs_vectors
@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("evervault-valid-doc", "2022-10-13T09:00:00"),
        ("evervault-debug-mode-doc", "2022-10-12T14:00:00"),
        ("veracruz-doc", "2022-11-09T23:00:00"),
    ],
)
def test_t15_every_signed_byte_of_recorded_documents_counts(name: str, now: str) -> None:
    document = vector(f"nitro/{name}.cbor")
    when = datetime.fromisoformat(now).replace(tzinfo=UTC)
    for bent in flips(document, *signed_part(document), every=97):
        assert refuses(Evidence(Kind.NITRO, bent), when)


@needs_vectors
@pytest.mark.parametrize(
    ("report", "vcek"),
    [
        ("gosev-milan-report.bin", "gosev-milan-vcek.der"),
        ("ms-milan-report.bin", "ms-milan-vcek.pem"),
        ("ms-genoa-report.bin", "ms-genoa-vcek.pem"),
        ("virtee-milan-report.hex", "virtee-milan-vcek.der"),
        ("lunal-test-report.bin", "lunal-test-vcek.der"),
        ("lunal-test-vlek-report.bin", "lunal-test-vlek.der"),
    ],
)
def test_t15_every_signed_byte_of_recorded_reports_counts(report: str, vcek: str) -> None:
    content, certificate = vector(f"sev-snp/{report}"), certificates(vector(f"sev-snp/{vcek}"))[0].der
    name = "vlek" if "vlek" in vcek else "vcek"
    when = datetime(2026, 11, 22, tzinfo=UTC) if name == "vcek" else datetime(2025, 11, 22, tzinfo=UTC)
    for bent in flips(content, 0, 0x4A0, every=17):
        assert refuses(Evidence(Kind.SEV_SNP, bent, {name: certificate}), when)
    for bent in flips(certificate, 0, len(certificate), every=29):
        assert refuses(Evidence(Kind.SEV_SNP, content, {name: bent}), when)
