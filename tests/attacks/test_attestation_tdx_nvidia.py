# SPDX-License-Identifier: Apache-2.0
"""Attacks on the verifiers of Intel's and NVIDIA's evidence; numbers are the threats of docs/threat-model.md.

T6 what is past or of the future, T7 debug mode, T8 firmware of old, T15 malformed bytes: on quotes and
measurements of hierarchies of our own, and on real ones where they are at hand.
"""

from __future__ import annotations

import json
import random
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.attestation_gpu import GpuWorld
from tests.attestation_intel import CPU_SVN, TEE_TCB_SVN, IntelWorld, domain, enclave, level
from tests.attestation_pki import NOW, VECTORS, needs_vectors, pem

from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.quote import parse as parse_quote
from hitoku.attestation.recognise import recognise
from hitoku.attestation.spdm import parse as parse_measured
from hitoku.attestation.verify import verify

INTEL, GPU = IntelWorld(), GpuWorld()
FORMS = [(Kind.TDX, 4), (Kind.TDX, 5), (Kind.SGX, 3)]
Check = Callable[[Evidence, datetime], Claims]


def refused(check: Check, evidence: Evidence, now: datetime = NOW) -> Code:
    with pytest.raises(Refused) as caught:
        check(evidence, now)
    return caught.value.code


def with_info(evidence: Evidence, **changes: object) -> Evidence:
    """The same quote with collateral whose TCB info says something else, signed by the same service."""
    info = INTEL.tcb_info(evidence.kind, **changes)
    collateral = INTEL.collateral(evidence.kind, tcb_info=info)
    return Evidence(evidence.kind, evidence.content, {"collateral": json.dumps(collateral).encode()})


# --- T6: expired, or of the future ---


@pytest.mark.parametrize(("kind", "version"), FORMS)
def test_t6_collateral_holds_in_its_window_only(kind, version):
    evidence = INTEL.evidence(kind, version=version)
    assert INTEL.verify(evidence).kind is kind
    for days in (1, 30, 10_000):
        assert refused(INTEL.verify, evidence, NOW + timedelta(days=days)) is Code.EXPIRED
        assert refused(INTEL.verify, evidence, NOW - timedelta(days=days)) is Code.NOT_YET


@pytest.mark.parametrize("part", ["tcb_info", "qe_identity", "root_ca_crl", "pck_crl"])
def test_t6_one_old_part_among_fresh_ones_is_enough_to_refuse(part):
    """Old collateral hides what was revoked or found since; each part is checked for itself."""
    past = IntelWorld(now=NOW - timedelta(days=60))
    old = past.collateral()
    new = INTEL.collateral()
    changed = {name: old[name] for name in (part, f"{part}_signature") if name in old}
    evidence = INTEL.evidence(collateral=new | changed)
    assert refused(INTEL.verify, evidence) is Code.EXPIRED


def test_t6_a_gpus_chain_holds_in_its_window_only():
    evidence = GPU.evidence()
    assert refused(GPU.verify, evidence, NOW + timedelta(days=2)) is Code.EXPIRED
    assert refused(GPU.verify, evidence, NOW - timedelta(days=2)) is Code.NOT_YET


@needs_vectors
@pytest.mark.parametrize("now", ["2025-08-20", "2026-11-20", "2100-01-01"])
def test_t6_real_tdx_evidence_of_old_is_expired(now):
    assert (
        refused(verify, real("phala-tdx_quote"), datetime.fromisoformat(now).replace(tzinfo=UTC))
        is Code.EXPIRED
    )


# --- T7: debug mode ---


@pytest.mark.parametrize("version", [4, 5])
def test_t7_a_trust_domain_that_can_be_debugged_is_refused(version):
    body = domain(version, td_attributes=bytes.fromhex("0100001000000000"))
    assert refused(INTEL.verify, INTEL.evidence(version=version, body=body)) is Code.DEBUG


def test_t7_an_enclave_that_can_be_debugged_is_refused():
    assert refused(INTEL.verify, INTEL.evidence(Kind.SGX, body=enclave(attributes=b"\x07"))) is Code.DEBUG


def test_t7_a_quoting_enclave_in_debug_mode_vouches_for_nothing():
    assert refused(INTEL.verify, INTEL.evidence(qe={"attributes": b"\x07"})) is Code.CHAIN


@needs_vectors
def test_t7_a_real_trust_domain_in_debug_mode_is_refused():
    evidence = real("lunal-tdx_quote_4.dat", "assembled_collateral_50806f.json")
    assert refused(verify, evidence, datetime(2026, 3, 17, tzinfo=UTC)) is Code.DEBUG


def test_t7_a_gpus_debug_mode_is_told_as_not_checked():
    """It shows in measurements only, and NVIDIA's manifests are not here: nobody may think it was checked."""
    told = " ".join(GPU.verify(GPU.evidence()).not_checked)
    assert "debug mode" in told
    assert "intact driver" in told


# --- T8: firmware of old ---


@pytest.mark.parametrize(("kind", "version"), FORMS)
@pytest.mark.parametrize("component", range(8))
def test_t8_one_component_below_the_level_is_enough_to_refuse(kind, version, component):
    """Levels are compared component by component: a higher one does not make up for a lower."""
    if not CPU_SVN[component]:
        return
    lower = bytearray(b"\xff" * 16)
    lower[component] = CPU_SVN[component] - 1
    chain = pem(INTEL.pck(cpu_svn=bytes(lower)).der, INTEL.platform.der, INTEL.root.der)
    assert refused(INTEL.verify, INTEL.evidence(kind, version=version, chain=chain)) is Code.TCB


@pytest.mark.parametrize("field", ["tee_tcb_svn", "tee_tcb_svn2"])
@pytest.mark.parametrize(
    "svn", [bytes([3, 1, 3]), bytes([6, 1, 2]), bytes(3)], ids=["module", "microcode", "all"]
)
def test_t8_an_older_tdx_module_is_refused(field, svn):
    """At the domain's launch, and now, where the module was changed under the domain."""
    assert refused(INTEL.verify, INTEL.evidence(version=5, body=domain(5, **{field: svn}))) is Code.TCB


@pytest.mark.parametrize(
    "status",
    [
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "SWHardeningNeeded",
        "TDRelaunchAdvised",
        "TDRelaunchAdvisedConfigurationNeeded",
    ],
)
def test_t8_a_status_that_the_library_lets_pass_is_refused(status):
    """dcap_qvl returns for each of these without an error."""
    evidence = with_info(INTEL.evidence(), tcbLevels=[level(status, tee=TEE_TCB_SVN)])
    assert refused(INTEL.verify, evidence) is Code.TCB


def test_t8_the_number_of_the_tcb_evaluation_is_told():
    """Older collateral inside its window hides newer findings; the appraisal asks for a least number."""
    new: dict[str, Any] = {"tcbEvaluationDataNumber": 18}
    for info, identity, told in ((new, new, 18), (new, {}, 17), ({}, new, 17)):
        collateral = INTEL.collateral(
            tcb_info=INTEL.tcb_info(**info), qe_identity=INTEL.qe_identity(**identity)
        )
        assert INTEL.verify(INTEL.evidence(collateral=collateral)).tcb["evaluation"] == told


def test_t8_collateral_of_another_platform_does_not_help():
    other = IntelWorld("theirs")
    for collateral in (other.collateral(), INTEL.collateral(tcb_info=INTEL.tcb_info(fmspc="00806f050000"))):
        code = refused(INTEL.verify, INTEL.evidence(collateral=collateral))
        assert code in {Code.HARDWARE_MISMATCH, Code.UNTRUSTED_ROOT, Code.CHAIN}


@needs_vectors
@pytest.mark.parametrize(
    ("quote", "collateral", "now"),
    [
        ("gotdx-tdx_prod_quote_SPR_E4.dat", "assembled_collateral_50806f.json", "2026-03-17"),
        ("phala-tdx_quote_outdated", "phala-tdx_quote_outdated_collateral.json", "2026-02-25"),
    ],
)
def test_t8_real_platforms_below_every_level_are_refused(quote, collateral, now):
    when = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert refused(verify, real(quote, collateral), when) is Code.TCB


@needs_vectors
def test_t8_a_real_enclave_with_open_advisories_is_refused():
    evidence = real("../sgx/phala-sgx_quote", "../sgx/phala-sgx_quote_collateral.json")
    with pytest.raises(Refused, match="INTEL-SA-00289, INTEL-SA-00615") as caught:
        verify(evidence, datetime(2025, 6, 20, 12, tzinfo=UTC))
    assert caught.value.code is Code.TCB


# --- T15: malformed bytes ---


@pytest.mark.parametrize(("kind", "version"), FORMS)
def test_t15_lengths_that_lie_are_malformed(kind, version):
    """Every length inside a quote, set to extremes: refused before anything of that size is made."""
    evidence = INTEL.evidence(kind, version=version)
    start = {3: 432, 4: 632, 5: 702}[version]
    inner = start + 4 + 128 + (6 if kind is Kind.TDX else 0)
    places = [(start, 4), (inner + 448, 2), (inner + 448 + 36, 4)]
    places += [(start + 4 + 128 + 2, 4)] if kind is Kind.TDX else []
    for at, size in places:
        for value in (0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1)):
            content = bytearray(evidence.content)
            content[at : at + size] = value.to_bytes(size, "little")
            forged = Evidence(kind, bytes(content), evidence.endorsements)
            assert refused(INTEL.verify, forged) in {Code.MALFORMED, Code.UNSUPPORTED}


@pytest.mark.parametrize(
    "collateral",
    [
        b"\xff\xfe",
        b"nul",
        b"[" * 200_000,
        b'{"tcb_info":' * 50_000,
        json.dumps(INTEL.collateral(tcb_info_signature="00" * 64)).encode(),
        json.dumps(INTEL.collateral(qe_identity_signature="zz")).encode(),
        json.dumps(INTEL.collateral(tcb_info_issuer_chain="")).encode(),
        json.dumps(INTEL.collateral(tcb_info="{" * 5000)).encode(),
        json.dumps(INTEL.collateral(tcb_info=INTEL.tcb_info(tcbLevels=[]))).encode(),
        json.dumps(INTEL.collateral(tcb_info=INTEL.tcb_info(tcbLevels=...))).encode(),
        json.dumps(INTEL.collateral(tcb_info=INTEL.tcb_info(tcbLevels=[{}]))).encode(),
        json.dumps(INTEL.collateral(tcb_info=INTEL.tcb_info(fmspc="x"))).encode(),
        json.dumps(INTEL.collateral(tcb_info=INTEL.tcb_info(nextUpdate="never"))).encode(),
    ],
)
def test_t15_collateral_that_is_broken_refuses(collateral):
    evidence = Evidence(Kind.TDX, INTEL.quote(), {"collateral": collateral})

    def check(given: Evidence, now: datetime) -> Claims:
        try:
            return INTEL.verify(given, now)
        except RecursionError:
            raise Refused(Code.MALFORMED, "") from None  # as `hitoku.attestation.verify.verify` does

    assert refused(check, evidence) is not Code.INTERNAL


def test_t15_signatures_of_zero_and_beyond_the_order_are_refused():
    """(r, s) = (0, 0) and values that some readers reduce: no parser may see another number."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    evidence = INTEL.evidence()
    gpu = GPU.evidence()
    for value in (0, order, order + 1, (1 << 256) - 1):
        pair = value.to_bytes(32, "big") * 2
        content = evidence.content[:636] + pair + evidence.content[636 + 64 :]
        assert refused(INTEL.verify, Evidence(Kind.TDX, content, evidence.endorsements)) is Code.SIGNATURE
        content = gpu.content[:-96] + value.to_bytes(48, "big") * 2
        assert refused(GPU.verify, Evidence(Kind.NVIDIA, content, gpu.endorsements)) is Code.SIGNATURE


def test_t15_measurements_are_not_read_beyond_their_end():
    gpu = GPU.evidence()
    for more in (b"\0", b"\0" * 96, gpu.content):
        forged = Evidence(Kind.NVIDIA, gpu.content + more, gpu.endorsements)
        assert refused(GPU.verify, forged) in {Code.MALFORMED, Code.SIGNATURE}


# --- every signed byte, and bytes of any kind ---


def real(quote: str, collateral: str | None = None) -> Evidence:
    """Real TDX or SGX evidence."""
    folder = VECTORS / "tdx"
    beside = folder / (collateral or f"{quote}_collateral.json")
    return recognise((folder / quote).read_bytes(), [beside.read_bytes()])


def signed_bytes(content: bytes) -> Iterator[int]:
    """Places in a version 4 quote that a signature covers: body, keys, quoting enclave's report, chain."""
    start = content.index(b"-----BEGIN")
    yield from range(632)
    yield from range(636, 764)
    yield from range(770, 1218)
    yield from range(1220, 1252)
    yield from (at for at in range(start, len(content)) if content[at] not in b"\r\n\0-")


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def _flips(stride: int) -> None:
    evidence, now = real("phala-tdx_quote"), datetime(2025, 6, 25, tzinfo=UTC)
    content = parse_quote(evidence.content).content
    assert verify(Evidence(Kind.TDX, content, evidence.endorsements), now).tcb_status == "UpToDate"
    for number, at in enumerate(signed_bytes(content)):
        if number % stride == 0:
            # Of base64, bits 0 to 4 are flipped: bit 5 turns + and / into signs that decoders differ on.
            forged = Evidence(Kind.TDX, flipped(content, at, number % 5), evidence.endorsements)
            assert refused(verify, forged, now) is not Code.INTERNAL, at


@needs_vectors
def test_a_flipped_bit_of_a_real_quote_is_refused():
    _flips(41)


@pytest.mark.slow
@needs_vectors
def test_every_flipped_byte_of_a_real_quote_is_refused():
    _flips(1)


@needs_vectors
def test_flipped_bytes_of_real_measurements_are_refused():
    folder = VECTORS / "nvidia"
    chain = (folder / "hopperCertChain.txt").read_bytes()
    content = bytes.fromhex((folder / "hopperAttestationReport.txt").read_text())
    good = Evidence(Kind.NVIDIA, content, {"chain": chain})
    assert verify(good, NOW).kind is Kind.NVIDIA
    for at in range(0, len(content), 23):
        forged = Evidence(Kind.NVIDIA, flipped(content, at, at % 8), {"chain": chain})
        assert refused(verify, forged) is not Code.INTERNAL


def mutated(rng: random.Random, content: bytes) -> bytes:
    """The content with some bytes overwritten, cut out, doubled or inserted."""
    made = bytearray(content)
    kinds = rng.choice((1, 4))  # lengths stay as they are in half of the inputs
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(made) + 1)
        size = rng.choice((1, 1, 1, 2, 4, 64))
        what = rng.randrange(kinds)
        if what == 0:
            made[at : at + size] = rng.randbytes(min(size, len(made) - at))
        elif what == 1:
            del made[at : at + size]
        elif what == 2:
            made[at:at] = made[at : at + size]
        else:
            made[at:at] = rng.choice((b"\0", b"\xff", rng.randbytes(1))) * size
    return bytes(made)


def _fuzz(check: Callable[[bytes], object], content: bytes, inputs: int, seed: int = 1) -> None:
    rng = random.Random(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for number in range(inputs):
        given = mutated(rng, content)
        began = time.thread_time()
        try:
            check(given)
        except Refused as error:
            failed = error.code is Code.INTERNAL
        else:
            failed = False
        slowest = max(slowest, time.thread_time() - began)
        assert not failed, (seed, number)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{inputs} inputs, slowest {slowest * 1000:.1f} ms of CPU, {grown / 1024:.0f} MB more")  # noqa: T201
    assert grown < 50 * 1024  # kB


PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "tdx": (parse_quote, INTEL.quote()),
    "sgx": (parse_quote, INTEL.quote(Kind.SGX, 3)),
    "spdm": (parse_measured, GPU.content()),
    "recognise": (recognise, INTEL.quote()),
    "nvidia json": (recognise, GPU.array(GPU.content()).content),
    "collateral": (
        lambda content: INTEL.verify(Evidence(Kind.TDX, PARSERS["tdx"][1], {"collateral": content})),
        json.dumps(INTEL.collateral()).encode(),
    ),
}
SHARES = {"collateral": 50}
"""Of which parser so many times fewer inputs are tried: it verifies, too."""


@pytest.mark.parametrize("name", PARSERS)
def test_t15_parsers_refuse_what_is_mutated(name):
    check, content = PARSERS[name]
    _fuzz(check, content, 1_000 // SHARES.get(name, 1))
