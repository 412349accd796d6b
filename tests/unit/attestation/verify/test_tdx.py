# SPDX-License-Identifier: Apache-2.0
"""TDX and SGX quotes of a hierarchy of our own: what is accepted, what each fault is refused with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.attestation_intel import (
    CPU_SVN,
    SEPT_VE_DISABLE,
    TEE_TCB_SVN,
    IntelWorld,
    domain,
    enclave,
    level,
)
from tests.attestation_pki import NOW, pem

from hitoku.attestation import dcap, quote
from hitoku.attestation.certificates import certificate
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import tdx, verify

WORLD = IntelWorld()
FORMS = [(Kind.TDX, 4), (Kind.TDX, 5), (Kind.SGX, 3)]


def code(evidence: Evidence, now: datetime = NOW) -> Code:
    with pytest.raises(Refused) as refused:
        WORLD.verify(evidence, now)
    return refused.value.code


def changed(name: str, value: Any) -> dict[str, Any]:
    """Collateral with one change, signed again."""
    changes: dict[str, Any] = {name: value}
    return WORLD.collateral(**changes)


def chain(pck, platform=WORLD.platform, root=WORLD.root) -> bytes:
    return pem(pck.der, platform.der, root.der)


@pytest.mark.parametrize(("kind", "version"), FORMS)
def test_a_good_quote_says_what_it_is(kind, version):
    claims = WORLD.verify(WORLD.evidence(kind, version=version))
    assert claims.kind is kind
    assert claims.tcb_status == "UpToDate"
    assert claims.software_rooted is False
    assert claims.hardware_id == b"P".hex() * 16
    assert claims.hardware_model == f"Intel {kind.upper()} FMSPC b0c06f000000"
    assert claims.advisories == ()
    assert claims.extra["quote_version"] == version
    assert claims.tcb["pce"] == 11
    assert claims.tcb["evaluation"] == 17
    assert [claims.tcb[f"cpu{i}"] for i in range(16)] == list(CPU_SVN)
    assert (claims.not_before, claims.not_after) == (NOW - timedelta(hours=6), NOW + timedelta(hours=6))
    assert claims.not_checked
    assert (claims.nonce, claims.public_key, claims.made_at) == (None, None, None)


def test_the_fields_of_a_trust_domain_are_told():
    body = domain(5, mrconfigid=b"c" * 48, rtmr0=b"0" * 48, rtmr3=b"3" * 48, report_data=b"r" * 64)
    claims = WORLD.verify(WORLD.evidence(version=5, body=body))
    assert claims.measurements["mrtd"] == "07" * 48
    assert claims.measurements["mrconfigid"] == b"c".hex() * 48
    assert [claims.measurements[f"rtmr{i}"][:2] for i in range(4)] == ["30", "00", "00", "33"]
    assert claims.measurements["mrservicetd"] == "00" * 48
    assert claims.report_data == b"r" * 64
    assert [claims.tcb[f"tdx{i}"] for i in range(16)] == list(TEE_TCB_SVN)
    assert claims.extra["td_attributes"] == SEPT_VE_DISABLE.hex()
    assert claims.extra["fmspc"] == "b0c06f000000"
    assert claims.extra["smt_enabled"] == claims.extra["dynamic_platform"] == "undefined"


def test_the_fields_of_an_enclave_are_told():
    body = enclave(
        mrenclave=b"e" * 32,
        mrsigner=b"s" * 32,
        isvprodid=b"\x02\x01",
        isvsvn=b"\x05\x00",
        report_data=b"r" * 64,
    )
    claims = WORLD.verify(WORLD.evidence(Kind.SGX, body=body))
    assert claims.measurements == {"mrenclave": b"e".hex() * 32, "mrsigner": b"s".hex() * 32}
    assert claims.report_data == b"r" * 64
    assert (claims.extra["isvprodid"], claims.tcb["isvsvn"]) == (258, 5)
    assert claims.extra["attributes"] == "05" + "00" * 15


@pytest.mark.parametrize(
    "status", ["OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"]
)
@pytest.mark.parametrize("kind", [Kind.TDX, Kind.SGX])
def test_no_status_but_up_to_date_is_accepted(kind, status):
    tee = TEE_TCB_SVN if kind is Kind.TDX else None
    info = WORLD.tcb_info(kind, tcbLevels=[level(status, tee=tee)])
    with pytest.raises(Refused, match="INTEL-SA-00615") as refused:
        WORLD.verify(WORLD.evidence(kind, WORLD.collateral(kind, tcb_info=info)))
    assert refused.value.code is Code.TCB
    assert status in refused.value.detail


def test_a_revoked_level_is_revoked():
    info = WORLD.tcb_info(tcbLevels=[level("Revoked", tee=TEE_TCB_SVN)])
    assert code(WORLD.evidence(collateral=WORLD.collateral(tcb_info=info))) is Code.REVOKED


def test_advisories_of_an_up_to_date_platform_are_told():
    up = level(tee=TEE_TCB_SVN) | {"advisoryIDs": ["INTEL-SA-2", "INTEL-SA-1"]}
    info = WORLD.tcb_info(tcbLevels=[up])
    claims = WORLD.verify(WORLD.evidence(collateral=WORLD.collateral(tcb_info=info)))
    assert claims.advisories == ("INTEL-SA-1", "INTEL-SA-2")


def test_advisories_of_what_runs_now_are_told():
    """Of TDX 1.5, whose module was updated since the domain was launched."""
    newer = bytes([6, 1, 4]) + bytes(13)
    levels = [level(tee=newer) | {"advisoryIDs": ["INTEL-SA-9"]}, level(tee=TEE_TCB_SVN)]
    collateral = WORLD.collateral(tcb_info=WORLD.tcb_info(tcbLevels=levels))
    body = domain(5, tee_tcb_svn2=newer)
    claims = WORLD.verify(WORLD.evidence(version=5, body=body, collateral=collateral))
    assert claims.advisories == ("INTEL-SA-9",)


@pytest.mark.parametrize(
    "changes",
    [{"tee_tcb_svn": bytes([6, 1, 2])}, {"tee_tcb_svn2": bytes([6, 1, 2])}],
    ids=["at its launch", "now"],
)
def test_the_module_must_be_up_to_date_at_launch_and_now(changes):
    """The library's status is that of the launch: of a module that was updated under a domain, or was not."""
    levels = [level(tee=TEE_TCB_SVN), level("OutOfDate", tee=bytes(16))]
    collateral = WORLD.collateral(tcb_info=WORLD.tcb_info(tcbLevels=levels))
    assert code(WORLD.evidence(version=5, body=domain(5, **changes), collateral=collateral)) is Code.TCB


@pytest.mark.parametrize("status", ["OutOfDate", "SWHardeningNeeded"])
def test_the_quoting_enclave_must_be_up_to_date(status):
    collateral = WORLD.collateral(qe_identity=WORLD.qe_identity(status=status))
    assert code(WORLD.evidence(collateral=collateral)) is Code.TCB


@pytest.mark.parametrize(
    ("qe", "wanted"),
    [
        ({"isvsvn": b"\x01\x00"}, Code.TCB),
        ({"mrsigner": b"x" * 32}, Code.CHAIN),
        ({"isvprodid": b"\x07\x00"}, Code.CHAIN),
        ({"attributes": b"\x07"}, Code.CHAIN),
        ({"miscselect": b"\x01"}, Code.CHAIN),
        ({"report_data": b"x" * 64}, Code.SIGNATURE),
    ],
)
def test_the_quoting_enclave_is_intels(qe, wanted):
    assert code(WORLD.evidence(qe=qe)) is wanted


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ("0100001000000000", Code.DEBUG),
        ("0100000000000000", Code.DEBUG),
        ("0200001000000000", Code.UNSUPPORTED),
        ("0001001000000000", Code.UNSUPPORTED),
        ("0000003000000000", Code.POLICY),
        ("0000000000000000", Code.POLICY),
    ],
    ids=["debug", "debug, bare", "TUD reserved", "reserved", "migration", "no SEPT_VE_DISABLE"],
)
def test_attributes_that_open_a_domain_are_refused(attributes, wanted):
    assert code(WORLD.evidence(body=domain(td_attributes=bytes.fromhex(attributes)))) is wanted


def test_a_domain_under_a_service_domain_is_refused():
    assert code(WORLD.evidence(version=5, body=domain(5, mrservicetd=b"x"))) is Code.POLICY


def test_a_debug_enclave_is_refused():
    assert code(WORLD.evidence(Kind.SGX, body=enclave(attributes=b"\x07"))) is Code.DEBUG


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [(Kind.TDX, "td_attributes", b"\x80" + bytes(7)), (Kind.SGX, "attributes", b"\x02" + bytes(15))],
)
def test_debug_is_refused_here_too(kind, field, value):
    """Should the library ever let it pass."""
    read = quote.parse(WORLD.quote(kind, 4 if kind is Kind.TDX else 3))
    tdx._check_debug(read)
    opened = replace(read, fields={**read.fields, field: value})
    with pytest.raises(Refused) as refused:
        tdx._check_debug(opened)
    assert refused.value.code is Code.DEBUG


def said(monkeypatch, edit) -> None:
    """Let the library say something else."""
    real = dcap.claims

    def other(*arguments):
        made = real(*arguments)
        edit(made)
        return made

    monkeypatch.setattr(dcap, "claims", other)


@pytest.mark.parametrize(
    ("kind", "version", "name"),
    [(kind, version, name) for kind, version in FORMS for name in tdx._NAMES[kind].values()],
)
def test_two_readings_that_differ_are_refused(monkeypatch, kind, version, name):
    def edit(made):
        (report,) = made["report"].values()
        report = report.get("base", report)
        report[name] = "ff" * (len(report[name]) // 2)

    said(monkeypatch, edit)
    assert code(WORLD.evidence(kind, version=version)) is Code.INTERNAL


@pytest.mark.parametrize("prefix", ["", "qe_iden_"])
@pytest.mark.parametrize(
    ("name", "seconds", "wanted"),
    [
        ("latest_issue_date", 1, Code.NOT_YET),
        ("latest_issue_date", 0, None),
        ("earliest_expiration_date", -1, Code.EXPIRED),
        ("earliest_expiration_date", 0, None),
    ],
)
def test_the_times_that_the_library_found_hold_here_too(monkeypatch, prefix, name, seconds, wanted):
    at = int(NOW.timestamp()) + seconds
    said(monkeypatch, lambda made: made.update({prefix + name: at}))
    if wanted is None:
        assert WORLD.verify(WORLD.evidence()).kind is Kind.TDX
    else:
        assert code(WORLD.evidence()) is wanted


@pytest.mark.parametrize(
    ("missing", "content"),
    [("collateral", None), *[(name, ...) for name in WORLD.collateral()], ("tcb_info", 1)],
    ids=str,
)
def test_collateral_is_needed_whole(missing, content):
    collateral = WORLD.collateral()
    if content is ...:
        del collateral[missing]
    else:
        collateral[missing] = content
    evidence = WORLD.evidence(collateral=collateral)
    if missing == "collateral":
        evidence = Evidence(Kind.TDX, evidence.content)
    assert code(evidence) is Code.MISSING_ENDORSEMENT


@pytest.mark.parametrize("collateral", [b"", b"[]", b"{", b'{"tcb_info": "a", "tcb_info": "b"}', b"\xff"])
def test_collateral_that_is_none_is_malformed(collateral):
    assert code(Evidence(Kind.TDX, WORLD.quote(), {"collateral": collateral})) is Code.MALFORMED


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity"])
def test_collateral_that_was_edited_is_refused(name):
    collateral = WORLD.collateral()
    collateral[name] = collateral[name].replace(
        '"tcbEvaluationDataNumber": 17', '"tcbEvaluationDataNumber": 99'
    )
    assert code(WORLD.evidence(collateral=collateral)) is Code.CHAIN


@pytest.mark.parametrize("name", ["root_ca_crl", "pck_crl"])
def test_a_revocation_list_that_is_none_is_malformed(name):
    assert code(WORLD.evidence(collateral=changed(name, "xy"))) is Code.MALFORMED
    assert code(WORLD.evidence(collateral=changed(name, "3000"))) is Code.MALFORMED


def test_collateral_of_the_other_kind_or_model_is_refused():
    assert code(WORLD.evidence(Kind.TDX, WORLD.collateral(Kind.SGX))) is Code.HARDWARE_MISMATCH
    assert code(WORLD.evidence(Kind.SGX, WORLD.collateral(Kind.TDX))) is Code.HARDWARE_MISMATCH
    other = WORLD.collateral(tcb_info=WORLD.tcb_info(fmspc="010203040506"))
    assert code(WORLD.evidence(collateral=other)) is Code.HARDWARE_MISMATCH
    mixed = WORLD.collateral(qe_identity=WORLD.qe_identity(Kind.SGX))
    assert code(WORLD.evidence(collateral=mixed)) is Code.HARDWARE_MISMATCH


def test_a_platform_below_every_level_is_refused():
    low = WORLD.pck(cpu_svn=bytes(16))
    assert code(WORLD.evidence(chain=chain(low))) is Code.TCB
    assert code(WORLD.evidence(chain=chain(WORLD.pck(pce_svn=1)))) is Code.TCB


@pytest.mark.parametrize(
    ("modules", "wanted"),
    [([], Code.TCB), ([7], Code.TCB)],
    ids=["no such version", "too old"],
)
def test_the_tdx_module_is_looked_up(modules, wanted):
    identity = {"id": "TDX_01", "mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    levels = [
        {"tcb": {"isvsvn": n}, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": "UpToDate"} for n in modules
    ]
    listed = [identity | {"tcbLevels": levels}] if modules else []
    info = WORLD.tcb_info(tdxModuleIdentities=listed)
    assert code(WORLD.evidence(collateral=WORLD.collateral(tcb_info=info))) is wanted


def test_a_tdx_module_that_is_not_intels_is_refused():
    assert code(WORLD.evidence(body=domain(mrsignerseam=b"x" * 48))) is Code.HARDWARE_MISMATCH


def test_the_quote_is_signed_by_the_key_that_intel_vouches_for():
    assert code(WORLD.evidence(vouched="another")) is Code.SIGNATURE
    content = bytearray(WORLD.quote())
    content[700] ^= 1  # inside the signature
    evidence = WORLD.evidence()
    assert code(Evidence(Kind.TDX, bytes(content), evidence.endorsements)) is Code.SIGNATURE
    content = bytearray(WORLD.quote())
    content[184] ^= 1  # MRTD
    assert code(Evidence(Kind.TDX, bytes(content), evidence.endorsements)) is Code.SIGNATURE


def test_only_the_quotes_own_chain_speaks_for_it():
    other = IntelWorld("theirs")
    theirs = chain(other.pck(), other.platform, other.root).decode()
    for beside in (theirs, "x", chain(WORLD.pck()).decode(), None):
        claims = WORLD.verify(WORLD.evidence(collateral=WORLD.collateral(pck_certificate_chain=beside)))
        assert claims.tcb_status == "UpToDate"


def test_a_quote_without_a_chain_takes_the_one_beside_it():
    beside = WORLD.collateral(pck_certificate_chain=chain(WORLD.pck()).decode())
    claims = WORLD.verify(WORLD.evidence(collateral=beside, certification=3))
    assert claims.hardware_id == b"P".hex() * 16
    assert code(WORLD.evidence(certification=3)) is Code.MISSING_ENDORSEMENT


def test_a_chain_may_end_in_zeros():
    assert WORLD.verify(WORLD.evidence(chain=chain(WORLD.pck()) + b"\0")).kind is Kind.TDX


def test_what_lies_behind_the_quote_is_not_read():
    evidence = WORLD.evidence()
    for slack in (bytes(3000), b"anything"):
        longer = Evidence(Kind.TDX, evidence.content + slack, evidence.endorsements)
        assert WORLD.verify(longer) == WORLD.verify(evidence)


def test_a_quote_of_the_other_kind_is_malformed():
    evidence = WORLD.evidence()
    assert code(Evidence(Kind.SGX, evidence.content, evidence.endorsements)) is Code.MALFORMED


@pytest.mark.parametrize("service", ["Intel SGX PCK Certificate", "Intel SGX TCB Signing 2", "Somebody"])
def test_collateral_is_signed_by_intels_service_and_nobody_else_under_its_root(service):
    other = WORLD.issue(service, WORLD.root, authority=False)
    assert code(WORLD.evidence(collateral=WORLD.collateral(service=other))) is Code.CHAIN


def test_a_quote_is_certified_by_a_platform_and_nobody_else_under_the_root():
    wrong = WORLD.pck("Intel SGX TCB Signing", issuer=WORLD.platform)
    assert code(WORLD.evidence(chain=chain(wrong))) is Code.CHAIN


def test_a_revoked_platform_is_refused():
    pck = WORLD.pck(serial=77)
    collateral = WORLD.collateral(pck_crl=WORLD.crl(WORLD.platform, (77,)).hex())
    with pytest.raises(
        Refused, match="certificate 0 of the chain was revoked"
    ) as refused:  # not by the library
        WORLD.verify(WORLD.evidence(collateral=collateral, chain=chain(pck)))
    assert refused.value.code is Code.REVOKED
    assert WORLD.verify(WORLD.evidence(collateral=collateral)).kind is Kind.TDX


def test_a_revoked_authority_or_service_is_refused():
    for victim in (WORLD.platform, WORLD.service):
        crl = WORLD.crl(WORLD.root, (certificate(victim.der).serial,))
        assert code(WORLD.evidence(collateral=WORLD.collateral(root_ca_crl=crl.hex()))) is Code.REVOKED


def test_each_part_has_its_time():
    soon = NOW + timedelta(hours=1)
    collateral = WORLD.collateral(pck_crl=WORLD.crl(WORLD.platform, until=soon).hex())
    evidence = WORLD.evidence(collateral=collateral)
    assert WORLD.verify(evidence).not_after == soon
    assert code(evidence, soon + timedelta(seconds=1)) is Code.EXPIRED
    evidence = WORLD.evidence()
    assert code(evidence, NOW + timedelta(hours=6, seconds=1)) is Code.EXPIRED
    assert code(evidence, NOW - timedelta(hours=6, seconds=1)) is Code.NOT_YET
    assert code(evidence, NOW + timedelta(days=2)) is Code.EXPIRED
    assert code(evidence, NOW - timedelta(days=2)) is Code.NOT_YET
    assert code(evidence, datetime(1969, 1, 1, tzinfo=UTC)) is Code.NOT_YET


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity"])
def test_both_documents_of_the_collateral_have_their_time(name):
    make = {"tcb_info": WORLD.tcb_info, "qe_identity": WORLD.qe_identity}[name]
    past = make(nextUpdate="2026-11-22T11:00:00Z")
    assert code(WORLD.evidence(collateral=changed(name, past))) is Code.EXPIRED
    future = make(issueDate="2026-11-22T13:00:00Z")
    assert code(WORLD.evidence(collateral=changed(name, future))) is Code.NOT_YET


def test_an_old_platform_certificate_is_refused():
    old = WORLD.pck(validity=(NOW - timedelta(days=9), NOW - timedelta(days=8)))
    assert code(WORLD.evidence(chain=chain(old))) is Code.EXPIRED


def test_a_hierarchy_of_somebody_else_is_refused():
    """The names are the same; the root is not."""
    other = IntelWorld("theirs")
    assert code(other.evidence()) is Code.UNTRUSTED_ROOT
    mixed = other.collateral()
    assert code(WORLD.evidence(collateral=mixed)) in {Code.UNTRUSTED_ROOT, Code.CHAIN}
    with pytest.raises(Refused) as refused:
        verify(WORLD.evidence(), NOW)  # the real entrance: only Intel's root
    assert refused.value.code is Code.UNTRUSTED_ROOT


def test_unknown_words_refuse():
    assert dcap.refusal("something new").code is Code.CHAIN
    assert dcap.refusal("").code is Code.CHAIN


def test_the_collateral_may_have_more_in_it():
    evidence = WORLD.evidence(collateral=WORLD.collateral(note="hello"))
    assert WORLD.verify(evidence).kind is Kind.TDX
    assert json.loads(evidence.endorsements["collateral"])["note"] == "hello"
