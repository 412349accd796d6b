# SPDX-License-Identifier: Apache-2.0
"""SEV-SNP's reports: the vendors' own, and ones of every other content under hierarchies of ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.attestation_pki import (
    CHIP,
    ENGINEERING,
    NOW,
    AmdWorld,
    crl,
    ec_key,
    issue,
    name_of,
    needs_vectors,
    pem,
    vector,
)

from hitoku.attestation.certificates import certificate
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import sev_snp, verify

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
PRODUCTS = ("milan", "genoa", "turin")


@pytest.fixture(scope="module", params=PRODUCTS)
def world(request: pytest.FixtureRequest) -> AmdWorld:
    return AmdWorld(request.param)


@pytest.fixture(scope="module")
def milan() -> AmdWorld:
    return AmdWorld()


def check(world: AmdWorld, now: datetime = NOW, **changes: Any) -> Claims:
    """Through the front door, with our root taken for AMD's of that product."""
    with world.trusted():
        return verify(world.evidence(**changes), now)


def refused(world: AmdWorld, now: datetime = NOW, **changes: Any) -> tuple[Code, str]:
    with pytest.raises(Refused) as caught:
        check(world, now, **changes)
    return caught.value.code, caught.value.detail


# --- the vendors' ---


def real(report: str, now: datetime = TODAY, **endorsements: str) -> Claims:
    named = {n: vector(f"sev-snp/{f}") for n, f in endorsements.items()}
    return verify(Evidence(Kind.SEV_SNP, vector(f"sev-snp/{report}"), named), now)


def real_refused(*args: Any, **kwargs: Any) -> Code:
    with pytest.raises(Refused) as caught:
        real(*args, **kwargs)
    return caught.value.code


@needs_vectors
@pytest.mark.parametrize(
    ("report", "vcek", "model", "measurement", "tcb"),
    [
        ("ms-milan-report.bin", "ms-milan-vcek.pem", "Milan-B0", "5feee30d", (4, 0, 24, 219)),
        ("ms-genoa-report.bin", "ms-genoa-vcek.pem", "Genoa", "5feee30d", (10, 0, 23, 84)),
        ("virtee-milan-report.hex", "virtee-milan-vcek.der", "Milan-B0", "7a1e5c26", (3, 0, 8, 115)),
        ("lunal-test-report.bin", "lunal-test-vcek.der", "Milan-B0", "a1f39304", (3, 0, 8, 115)),
    ],
)
def test_real_reports_hold(
    report: str, vcek: str, model: str, measurement: str, tcb: tuple[int, ...]
) -> None:
    claims = real(report, vcek=vcek)
    assert claims.hardware_model == model
    assert claims.measurements["measurement"].startswith(measurement)
    assert tuple(claims.tcb[c] for c in ("bootloader", "tee", "snp", "microcode")) == tcb
    assert claims.hardware_id is not None
    assert claims.not_after is not None
    assert not claims.software_rooted
    with pytest.raises(Refused) as caught:
        real(report, claims.not_after + timedelta(seconds=1), vcek=vcek)
    assert caught.value.code is Code.EXPIRED


@needs_vectors
@pytest.mark.parametrize(
    ("report", "endorsements"),
    [
        ("ms-milan-report.bin", {"vcek": "ms-milan-vcek.pem", "chain": "ms-milan-ask.pem"}),
        ("ms-genoa-report.bin", {"vcek": "ms-genoa-vcek.pem", "chain": "ms-genoa-ark.pem"}),
        ("virtee-milan-report.hex", {"vcek": "virtee-milan-vcek.der", "chain": "virtee-milan-chain.pem"}),
        (
            "virtee-milan-report.hex",
            {"vcek": "virtee-milan-vcek.der", "chain": "roots/ask_ark_milan_vlek.pem"},
        ),
        ("virtee-milan-report.hex", {"vcek": "virtee-milan-vcek.der", "chain": "roots/ask_ark_genoa.pem"}),
    ],
)
def test_real_chains_of_any_extent_hold(report: str, endorsements: dict[str, str]) -> None:
    assert real(report, TODAY, **endorsements)


@needs_vectors
def test_real_reports_that_must_be_refused() -> None:
    assert real_refused("gosev-milan-report.bin", vcek="gosev-milan-vcek.der") is Code.DEBUG
    loaded = {"vlek": "lunal-test-vlek.der"}
    assert real_refused("lunal-test-vlek-report.bin", **loaded) is Code.EXPIRED
    assert (
        real_refused("lunal-test-vlek-report.bin", datetime(2024, 12, 10, tzinfo=UTC), **loaded)
        is Code.NOT_YET
    )
    claims = real("lunal-test-vlek-report.bin", datetime(2025, 12, 1, tzinfo=UTC), **loaded)
    assert claims.hardware_id is None
    assert claims.extra["cloud"] == "CN=cc-us-east-2.amazonaws.com"
    assert (claims.extra["vmpl"], claims.tcb["microcode"]) == (1, 0xD9)
    assert claims.extra["current_tcb"] == "04000000000018dc"


@needs_vectors
def test_real_certificates_of_other_chips_are_refused() -> None:
    certificates = {
        "gosev-milan-report.bin": "gosev-milan-vcek.der",
        "ms-milan-report.bin": "ms-milan-vcek.pem",
        "ms-genoa-report.bin": "ms-genoa-vcek.pem",
        "virtee-milan-report.hex": "virtee-milan-vcek.der",
        "lunal-test-report.bin": "lunal-test-vcek.der",
    }
    for report, own in certificates.items():
        for vcek in {*certificates.values(), "virtee-turin-vcek.der"} - {own}:
            assert real_refused(report, vcek=vcek) is Code.HARDWARE_MISMATCH


# --- ours ---


@pytest.mark.parametrize("version", [2, 3, 5])
@pytest.mark.parametrize("loaded", [False, True])
def test_every_version_under_every_product(world: AmdWorld, version: int, loaded: bool) -> None:
    claims = check(world, version=version, loaded=loaded, report_data=b"data")
    levels = {"bootloader": 4, "tee": 1, "snp": 24, "microcode": 219}
    assert claims.tcb == levels | ({"fmc": 2} if world.turin else {})
    assert claims.report_data == b"data".ljust(64, b"\x00")
    assert claims.hardware_model == world.product.title()
    assert claims.hardware_id == (None if loaded else world.chip.hex())
    assert claims.extra["signing_key"] == ("vlek" if loaded else "vcek")
    assert ("cloud" in claims.extra) is loaded
    assert claims.extra["report_version"] == version
    assert claims.not_checked


def test_claims(milan: AmdWorld) -> None:
    patches = {
        0x10: b"f" * 16,
        0x20: b"i" * 16,
        0xC0: b"h" * 32,
        0xE0: b"k" * 48,
        0x110: b"a" * 48,
        4: b"\x05",
    }
    claims = check(milan, patches=patches, vmpl=3, key_info=1, policy=0x13001F | 1 << 24)
    assert claims.kind is Kind.SEV_SNP
    assert claims.measurements == {
        "measurement": "07" * 48,
        "host_data": (b"h" * 32).hex(),
        "id_key_digest": (b"k" * 48).hex(),
        "author_key_digest": (b"a" * 48).hex(),
    }
    expected = {
        "vmpl": 3,
        "guest_svn": 5,
        "policy": 0x13001F | 1 << 24,
        "smt": True,
        "single_socket": True,
        "ciphertext_hiding": True,
        "author_key": True,
        "family_id": (b"f" * 16).hex(),
        "image_id": (b"i" * 16).hex(),
        "reported_tcb": "04010000000018db",
    }
    assert expected.items() <= claims.extra.items()
    assert (claims.not_before, claims.not_after) == (NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert (claims.nonce, claims.public_key) == (None, None)


def test_mitigations_of_version_5(milan: AmdWorld) -> None:
    claims = check(milan, version=5, patches={0x1F8: b"\x03", 0x200: b"\x07"})
    assert (claims.extra["launch_mitigations"], claims.extra["current_mitigations"]) == (3, 7)
    assert "current_mitigations" not in check(milan, version=3).extra


def test_the_serial_number_zero_is_amds() -> None:
    assert certificate(AmdWorld().endorse().der).serial == 0


@pytest.mark.parametrize(
    ("family", "product"),
    [
        ((0x19, 0x0F), "milan"),
        ((0x19, 0x1F), "genoa"),
        ((0x19, 0xA0), "genoa"),
        ((0x19, 0xAF), "genoa"),
        ((0x1A, 0x00), "turin"),
        ((0x1A, 0x1F), "turin"),
    ],
)
def test_processors_of_a_product(family: tuple[int, int], product: str) -> None:
    assert check(AmdWorld(product), cpuid=family)


@pytest.mark.parametrize("family", [(0x19, 0x20), (0x19, 0x11), (0x1A, 0x01), (0x17, 0x31), (0x19, 0xA0)])
def test_processors_of_another_product(milan: AmdWorld, family: tuple[int, int]) -> None:
    assert refused(milan, cpuid=family)[0] is Code.HARDWARE_MISMATCH


def test_processors_that_are_not_known_yet() -> None:
    assert refused(AmdWorld("turin"), cpuid=(0x1A, 0x20))[0] is Code.HARDWARE_MISMATCH
    assert refused(AmdWorld("genoa"), cpuid=(0x19, 0xB0))[0] is Code.HARDWARE_MISMATCH
    assert refused(AmdWorld("milan"), cpuid=(0x19, 0x10))[0] is Code.HARDWARE_MISMATCH


def test_siena_stands_under_genoas_root() -> None:
    genoa = AmdWorld("genoa")
    for name in ("Siena", "Siena-B0", "Bergamo-A0", "Genoa-B1"):
        endorsed = {"vcek": genoa.endorse(name=name).der}
        assert check(genoa, version=5, cpuid=(0x19, 0xA0), endorsements=endorsed).hardware_model == name


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"chip": CHIP[::-1]}, "another chip"),
        ({"chip": CHIP[:63]}, "another chip"),
        ({"chip": b""}, "another chip"),
        ({"without": "4"}, "names no chip"),
        ({"name": "Genoa"}, "not of the root"),
        ({"without": "2"}, "names no product"),
        ({"without": "3.8"}, "lacks a security version"),
        ({"without": "3.4"}, "lacks a security version"),
    ],
)
def test_certificates_of_another_chip_or_product(milan: AmdWorld, changes: dict[str, Any], why: str) -> None:
    code, said = refused(milan, endorsements={"vcek": milan.endorse(**changes).der})
    assert code is Code.HARDWARE_MISMATCH
    assert why in said


@pytest.mark.parametrize(
    ("product", "component"),
    [("turin", "fmc")] + [(p, c) for p in PRODUCTS for c in ("boot", "tee", "snp", "microcode")],
)
@pytest.mark.parametrize("loaded", [False, True])
def test_the_certificate_is_of_the_reported_version(product: str, component: str, loaded: bool) -> None:
    """One below and one above: neither certificate is of that report."""
    world = AmdWorld(product)
    own = {"boot": 4, "tee": 1, "snp": 24, "microcode": 219, "fmc": 2}[component]
    for level in (own - 1, own + 1):
        endorsed = {
            "vlek" if loaded else "vcek": world.endorse(
                loaded=loaded, tcb=world.tcb(**{component: level})
            ).der
        }
        assert refused(world, loaded=loaded, endorsements=endorsed)[0] is Code.HARDWARE_MISMATCH


def test_on_turin_eight_bytes_name_the_chip() -> None:
    turin = AmdWorld("turin")
    assert check(turin).hardware_id == turin.chip.hex()
    assert refused(turin, chip=CHIP)[0] is Code.HARDWARE_MISMATCH
    assert refused(turin, chip=CHIP[1:9] + bytes(56))[0] is Code.HARDWARE_MISMATCH


def test_a_host_that_hides_the_chip_is_refused(milan: AmdWorld) -> None:
    assert refused(milan, key_info=0b10, chip=bytes(64))[0] is Code.HARDWARE_MISMATCH
    assert refused(milan, key_info=0b10)[0] is Code.HARDWARE_MISMATCH
    assert check(milan, loaded=True, key_info=0b110).hardware_id is None
    assert check(milan, loaded=True, patches={0x1A0: CHIP}).hardware_id == CHIP.hex()


def test_the_key_is_of_the_kind_that_the_report_says(milan: AmdWorld) -> None:
    vcek, vlek = milan.endorse().der, milan.endorse(loaded=True).der
    assert refused(milan, key_info=0, endorsements={"vcek": vlek})[0] is Code.HARDWARE_MISMATCH
    assert refused(milan, loaded=True, endorsements={"vlek": vcek})[0] is Code.HARDWARE_MISMATCH
    code, said = refused(milan, key_info=0b11100)
    assert (code, said) == (Code.SIGNATURE, "the report is not signed")
    assert refused(milan, key_info=0b01000)[0] is Code.MALFORMED


def test_endorsements_that_are_missing() -> None:
    milan = AmdWorld()
    for loaded, other in ((False, "vlek"), (True, "vcek")):
        report = milan.report(loaded=loaded)
        for named in ({}, {other: milan.endorse(loaded=loaded).der}):
            with milan.trusted(), pytest.raises(Refused) as caught:
                verify(Evidence(Kind.SEV_SNP, report, named), NOW)
            assert caught.value.code is Code.MISSING_ENDORSEMENT


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"policy": 0xB0000}, Code.DEBUG),
        ({"policy": 0x70000}, Code.POLICY),
        ({"key": ec_key("other")}, Code.SIGNATURE),
    ],
)
def test_what_is_refused_always(world: AmdWorld, changes: dict[str, Any], code: Code) -> None:
    assert refused(world, **changes)[0] is code


def test_levels_are_the_least_of_reported_and_committed(milan: AmdWorld) -> None:
    low, high = milan.tcb(snp=20), milan.tcb(microcode=255, boot=7)
    assert check(milan, committed=low, current=high).tcb == {
        "bootloader": 4,
        "tee": 1,
        "snp": 20,
        "microcode": 219,
    }


@pytest.mark.parametrize("component", ["boot", "tee", "snp", "microcode"])
def test_levels_above_what_runs_are_refused(milan: AmdWorld, component: str) -> None:
    own = {"boot": 4, "tee": 1, "snp": 24, "microcode": 219}[component]
    below, above = milan.tcb(**{component: own - 1}), milan.tcb(**{component: own + 1})
    assert refused(milan, current=below, committed=below)[0] is Code.TCB
    assert refused(milan, current=milan.tcb(), committed=above)[0] is Code.TCB


# --- chains ---


def test_chains_may_be_given(world: AmdWorld) -> None:
    leaf = world.endorse()
    for more in (
        {"chain": pem(world.ask.der, world.ark.der)},
        {"chain": pem(world.ark.der, world.ask.der)},
        {"chain": pem(world.ask.der)},
        {"chain": world.ask.der},
        {"vcek": pem(leaf.der, world.ask.der, world.ark.der)},
        {"vcek": pem(leaf.der)},
    ):
        assert check(world, endorsements=more)


def test_a_chain_of_another_root_is_refused(milan: AmdWorld) -> None:
    thief = AmdWorld("milan", tag="thief")
    chain = pem(thief.ask.der, thief.ark.der)
    assert refused(milan, endorsements={"chain": chain})[0] is Code.UNTRUSTED_ROOT
    own = {"vcek": thief.endorse().der, "chain": chain}
    assert refused(milan, endorsements=own, key=ec_key("thief-vcek"))[0] is Code.UNTRUSTED_ROOT
    # Without its chain the packaged authority of that name stands in, which did not sign it.
    assert refused(milan, endorsements={"vcek": thief.endorse().der})[0] is Code.CHAIN


def test_an_unknown_issuer_is_refused(milan: AmdWorld) -> None:
    stranger = issue(ec_key("stranger"), name_of("SEV-Venice", **ENGINEERING))
    assert refused(milan, endorsements={"vcek": milan.endorse(issuer=stranger).der})[0] is Code.UNTRUSTED_ROOT


def test_the_products_root_alone_vouches_for_it() -> None:
    """Genoa's root over a certificate that says Milan."""
    genoa = AmdWorld("genoa")
    endorsed = {"vcek": genoa.endorse(name="Milan-B0").der}
    assert refused(genoa, endorsements=endorsed, cpuid=(0x19, 0x01))[0] is Code.HARDWARE_MISMATCH


def test_the_key_is_on_p384(milan: AmdWorld) -> None:
    leaf = certificate(milan.endorse().der)
    key = ec.generate_private_key(ec.SECP256R1())
    from cryptography import x509 as reference

    extensions = tuple(
        (reference.UnrecognizedExtension(reference.ObjectIdentifier(n), e.value), False)
        for n, e in leaf.extensions.items()
    )
    other = issue(
        key,
        name_of("SEV-VCEK"),
        milan.ask,
        authority=False,
        constraints=False,
        bits=(),
        extensions=extensions,
    )
    assert refused(milan, endorsements={"vcek": other.der}) == (
        Code.CHAIN,
        "the certificate has no P-384 key",
    )


def test_certificates_have_their_time(milan: AmdWorld) -> None:
    assert refused(milan, NOW + timedelta(days=1, seconds=1))[0] is Code.EXPIRED
    assert refused(milan, NOW - timedelta(days=1, seconds=1))[0] is Code.NOT_YET


def test_revocation_lists(milan: AmdWorld) -> None:
    ask = certificate(milan.ask.der)
    harmless, revoking = crl(milan.ark, (1, 2)), crl(milan.ark, (ask.serial,))
    claims = check(milan, endorsements={"crl": harmless})
    assert claims.not_checked == ()
    assert claims.not_after == NOW + timedelta(days=1)
    assert refused(milan, endorsements={"crl": revoking})[0] is Code.REVOKED
    late = crl(milan.ark, this=NOW - timedelta(days=9), until=NOW - timedelta(days=2))
    assert refused(milan, endorsements={"crl": late})[0] is Code.EXPIRED
    assert refused(milan, endorsements={"crl": crl(AmdWorld("genoa").ark)})[0] is Code.CHAIN
    assert check(milan, loaded=True, endorsements={"crl": revoking})  # it names the other authority
    soon = crl(milan.ark, until=NOW + timedelta(hours=1))
    assert check(milan, endorsements={"crl": soon}).not_after == NOW + timedelta(hours=1)


def test_names_in_certificates_are_text(milan: AmdWorld) -> None:
    for name in ("Milan\x1b[31m", "Milan\n"):
        assert refused(milan, endorsements={"vcek": milan.endorse(name=name).der})[0] is Code.MALFORMED


def test_other_roots_only_where_the_caller_names_them(milan: AmdWorld) -> None:
    evidence = milan.evidence()
    assert sev_snp.verify_against(evidence, NOW, milan.products)
    with pytest.raises(Refused) as caught:
        sev_snp.verify(evidence, NOW)
    assert caught.value.code is Code.CHAIN
