# SPDX-License-Identifier: Apache-2.0
"""Every file of the vendors' evidence through the command line: accepted inside its window, else its code.

The table says for each piece of evidence its endorsements, when it holds, a time to check at, the code (None:
accepted) and some of its claims. What is not in it must be an endorsement or no evidence, and is refused.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.attestation_pki import VECTORS, needs_vectors

from hitoku.cli import main as cli

pytestmark = needs_vectors


class Case(NamedTuple):
    file: str
    now: str
    code: str | None
    beside: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    window: tuple[str, str] | None = None


TDX_50806F = ("tdx/assembled_collateral_50806f.json",)
PIECES = tuple(
    f"tdx/lunal-collateral/{name}"
    for name in (
        "td_qe_identity.json",
        "root_ca_crl.der",
        "tcb_info_90c06f000000.json",
        "qe_identity_signing_chain.pem",
        "tcb_info_50806f000000.json",
        "pck_crl_platform.der",
        "tcb_signing_chain.pem",
    )
)
AZURE = "azure-snp-vtpm/"
SNP = "sev-snp/"
MILAN, GENOA = f"{SNP}roots/ask_ark_milan.pem", f"{SNP}roots/ask_ark_genoa.pem"
TPM = tuple(f"tpm-swtpm/{name}" for name in ("quote.sig", "quote.pcrs", "ak.pub", "ek.der", "issuercert.pem"))
TPM_ROOT = "tpm-swtpm/swtpm-localca-rootca-cert.pem"
SNP_CHAIN = (f"{SNP}ms-milan-ask.pem", f"{SNP}ms-milan-ark.pem")
PHALA = ("tdx/phala-tdx_quote_collateral.json",)
VERACRUZ = ("2022-11-09T22:51:57Z", "2022-11-10T01:52:00Z")
LIVE_GPU = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"

CASES = [
    Case(
        "nitro/evervault-valid-doc.cbor",
        "2022-10-13T09:30:00Z",
        None,
        expect=("kind=nitro", "software_rooted=false"),
        window=("2022-10-13T08:57:59Z", "2022-10-13T11:58:02Z"),
    ),
    Case("nitro/veracruz-doc.cbor", "2022-11-09T23:00:00Z", None, window=VERACRUZ),
    Case("nitro/evervault-debug-mode-doc.cbor", "2022-10-12T14:00:00Z", "DEBUG"),
    Case("nitro/veracruz-doc-bad-sig.cbor", "2022-11-09T23:00:00Z", "SIGNATURE"),
    Case(f"{SNP}gosev-milan-report.bin", "2026-11-22", "DEBUG", (f"{SNP}gosev-milan-vcek.der", MILAN)),
    Case(
        f"{SNP}ms-milan-report.bin",
        "2026-11-22",
        None,
        (f"{SNP}ms-milan-vcek.pem", *SNP_CHAIN),
        expect=("vmpl=0",),
        window=("2026-02-05", "2033-02-05"),
    ),
    Case(f"{SNP}ms-milan-report.bin", "2026-11-22", None, (f"{SNP}ms-milan-vcek.pem",)),
    Case(f"{SNP}ms-genoa-report.bin", "2026-11-22", None, (f"{SNP}ms-genoa-vcek.pem", GENOA)),
    Case(f"{SNP}virtee-milan-report.hex", "2026-11-22", None, (f"{SNP}virtee-milan-vcek.der",)),
    Case(f"{SNP}lunal-test-report.bin", "2026-11-22", None, (f"{SNP}lunal-test-vcek.der",)),
    Case(f"{SNP}lunal-test-vlek-report.bin", "2025-11-22", None, (f"{SNP}lunal-test-vlek.der",)),
    Case(f"{SNP}lunal-test-vlek-report.bin", "2026-11-22", "EXPIRED", (f"{SNP}lunal-test-vlek.der",)),
    Case(f"{SNP}ms-milan-report.bin", "2026-11-22", "HARDWARE_MISMATCH", (f"{SNP}virtee-milan-vcek.der",)),
    Case(f"{SNP}ms-milan-report.bin", "2026-11-22", "HARDWARE_MISMATCH", (f"{SNP}virtee-turin-vcek.der",)),
    Case(f"{AZURE}live-evidence.json", "2026-11-22", None, expect=("kind=azure-snp",)),
    Case(f"{AZURE}evidence-v1.json", "2026-11-22", None, expect=("software_rooted=false",)),
    Case(f"{AZURE}quote.bin", "2026-11-22", None, (f"{AZURE}hcl-report.bin", f"{AZURE}vcek.pem")),
    Case(f"{AZURE}hcl-report.bin", "2026-11-22", None, (f"{AZURE}quote.bin", f"{AZURE}vcek.pem")),
    Case(
        f"{AZURE}tpm-quote.msg",
        "2026-11-22",
        "BINDING",
        (f"{AZURE}tpm-quote.sig", f"{AZURE}hcl-report.bin", f"{AZURE}vcek.pem"),
    ),
    Case("tdx/lunal-tdx_quote_4.dat", "2026-03-16T23:34:00Z", "DEBUG", TDX_50806F),
    Case("tdx/gotdx-tdx_prod_quote_SPR_E4.dat", "2026-03-16T23:34:00Z", "TCB", TDX_50806F),
    Case("tdx/lunal-tdx_quote_4.dat", "2026-03-16T23:34:00Z", "DEBUG", PIECES),
    Case("tdx/lunal-tdx_quote_4.dat", "2026-03-16T23:34:00Z", "DEBUG", PIECES[::-1]),
    Case("tdx/lunal-tdx_quote_4.dat", "2026-05-16T23:34:00Z", "EXPIRED", PIECES),
    Case("tdx/lunal-tdx_quote_4.dat", "2026-03-16T23:34:00Z", "MISSING_ENDORSEMENT", PIECES[1:]),
    Case("tdx/gotdx-tdx_prod_quote_SPR_E4.dat", "2026-03-16T23:34:00Z", "TCB", PIECES),
    Case("tdx/lunal-tdx_quote_live.dat", "2026-03-16T23:34:00Z", "NOT_YET", TDX_50806F),
    Case("tdx/lunal-tdx_quote_live.dat", "2026-04-10T00:00:00Z", "HARDWARE_MISMATCH", TDX_50806F),
    Case("tdx/gotdx-ccel-cos-113-tdx-quote.dat", "2026-03-16T23:34:00Z", "HARDWARE_MISMATCH", TDX_50806F),
    Case(
        "tdx/phala-tdx_quote",
        "2025-06-20T00:00:00Z",
        None,
        PHALA,
        expect=("tcb_status=UpToDate", "kind=tdx", "software_rooted=false", "tcb.evaluation=17"),
        window=("2025-06-19T10:32:27Z", "2025-07-19T10:00:35Z"),
    ),
    Case("tdx/phala-tdx_quote", "2026-11-20", "EXPIRED", PHALA),
    Case("tdx/phala-tdx_quote", "2026-03-16T23:34:00Z", "HARDWARE_MISMATCH", TDX_50806F),
    Case("tdx/phala-tdx_quote", "2025-06-20T00:00:00Z", "MISSING_ENDORSEMENT"),
    Case(
        "tdx/phala-tdx_quote_outdated",
        "2026-02-25T00:00:00Z",
        "TCB",
        ("tdx/phala-tdx_quote_outdated_collateral.json",),
    ),
    Case("sgx/phala-sgx_quote", "2025-06-20T12:00:00Z", "TCB", ("sgx/phala-sgx_quote_collateral.json",)),
    Case("sgx/phala-sgx_quote", "2026-11-22", "EXPIRED", ("sgx/phala-sgx_quote_collateral.json",)),
    Case(
        "nvidia/hopperAttestationReport.txt",
        "2026-11-22",
        None,
        ("nvidia/hopperCertChain.txt",),
        expect=("driver_version=535.86.09",),
        window=("2022-03-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ),
    Case(
        "nvidia/hopperAttestationReportExpired.txt",
        "2025-06-11",
        None,
        ("nvidia/hopperCertChainExpired.txt",),
        expect=(f"nonce={LIVE_GPU}", f"report_data={LIVE_GPU.upper()}"),
    ),
    Case(
        "nvidia/hopperAttestationReport.txt",
        "2026-11-22",
        "SIGNATURE",
        ("nvidia/hopperCertChainExpired.txt",),
    ),
    Case(
        "nvidia/hopperAttestationReportInvalidSignature.txt",
        "2026-11-22",
        "SIGNATURE",
        ("nvidia/hopperCertChain.txt",),
    ),
    Case("tpm-swtpm/quote.msg", "2026-11-22", None, TPM, expect=("nonce=0011223344556677",)),
    Case("tpm-swtpm/quote.msg", "2026-11-22", None, (*TPM, TPM_ROOT), expect=("software_rooted=true",)),
]
PARTS = {  # evidence that needs other files beside it, and says so alone
    f"{AZURE}tpm-quote.msg": "MISSING_ENDORSEMENT",
    f"{AZURE}hcl-report.bin": "MISSING_ENDORSEMENT",
    f"{AZURE}quote.bin": "MISSING_ENDORSEMENT",
}


@pytest.fixture
def verify(capsys):
    def run(
        case: Case, *, now: str | None = None, expect: tuple[str, ...] = ()
    ) -> tuple[int, dict[str, Any]]:
        words = ["attest", "verify", str(VECTORS / case.file), "--now", now or case.now, "--json"]
        words += [word for name in case.beside for word in ("--endorsement", str(VECTORS / name))]
        words += [word for one in expect or case.expect for word in ("--expect", one)]
        code = cli.run(words)
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.file}-{c.code or 'accepted'}-{len(c.beside)}")
def test_it_is_what_its_source_says(case, verify):
    code, said = verify(case)
    if case.code is None:
        assert (code, said.get("code")) == (0, None), said
        assert said["accepted"] is True
        assert not said["unused_endorsements"]
    else:
        assert (code, said["code"]) == (3, case.code), said
        assert said["accepted"] is False


@pytest.mark.parametrize("case", [c for c in CASES if c.window], ids=lambda c: c.file)
def test_its_window_is_the_one_that_its_source_gives(case, verify):
    start, end = (datetime.fromisoformat(t) for t in case.window)
    second = timedelta(seconds=1)
    if len(case.window[0]) > 10:  # given to the second
        assert verify(case, now=start.isoformat())[0] == 0
        assert verify(case, now=(start - second).isoformat())[1]["code"] == "NOT_YET"
        assert verify(case, now=(end - second).isoformat())[0] == 0
        if end.year < 9999:
            assert verify(case, now=(end + second).isoformat())[1]["code"] == "EXPIRED"
        assert verify(case)[1]["holds"] == list(case.window)
    else:
        day = timedelta(days=1)
        assert verify(case, now=(start - day).isoformat())[1]["code"] == "NOT_YET"
        assert verify(case, now=(end + day).isoformat())[1]["code"] == "EXPIRED"


def files() -> list[str]:
    if not VECTORS.is_dir():
        return []
    return sorted(str(p.relative_to(VECTORS)) for p in VECTORS.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", [f for f in files() if f not in {c.file for c in CASES} or f in PARTS])
def test_what_is_no_evidence_is_refused(name, verify):
    code, said = verify(Case(name, "2026-11-22", None))
    assert code == 3
    assert said["code"] in ({PARTS[name]} if name in PARTS else {"UNSUPPORTED", "MALFORMED"})


def test_another_answer_is_refused(verify):
    doc = Case("nitro/veracruz-doc.cbor", "2022-11-09T23:00:00Z", None)
    claims = verify(doc)[1]["claims"]
    good = (
        f"nonce={claims['nonce']}",
        f"user_data={claims['report_data']}",
        f"pcr0={claims['pcr0'].upper()}",
    )
    assert verify(doc, expect=good)[0] == 0
    for wrong, code in (
        (f"nonce={claims['nonce'][:-2]}", "NONCE_MISMATCH"),
        ("nonce=", "NONCE_MISMATCH"),
        ("nonce=00", "NONCE_MISMATCH"),
        ("report_data=00", "BINDING"),
        ("public_key=00", "BINDING"),
        (f"pcr0={claims['pcr1']}", "EXPECTATION"),
        ("pcr99=00", "EXPECTATION"),
    ):
        status, said = verify(doc, expect=(*good, wrong))
        assert (status, said["code"]) == (3, code)
        assert said["message"]


def test_every_evidence_of_the_sources_is_in_the_table():
    """A line of SOURCES.md that speaks of real evidence must be tested here."""
    lines = (VECTORS / "SOURCES.md").read_text().splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| ") and "REAL" in line]
    named = {row[1].strip() for row in rows}
    assert len(named) > 10
    assert named <= {case.file for case in CASES}


@pytest.mark.parametrize("wrapped", [True, False])
def test_real_collateral_in_pieces_is_as_good_as_whole(wrapped, tmp_path, capsys):
    """Taken apart into the files that Intel's service gives; Intel's signatures hold over the exact bytes."""
    whole = json.loads((VECTORS / PHALA[0]).read_text())
    files = {name: whole[f"{name}_issuer_chain"].encode() for name in ("tcb_info", "qe_identity")}
    files |= {name: bytes.fromhex(whole[name]) for name in ("pck_crl", "root_ca_crl")}
    for name, outer in (("tcb_info", "tcbInfo"), ("qe_identity", "enclaveIdentity")):
        text, signature = whole[name], whole[f"{name}_signature"]
        if wrapped:
            files[outer] = f'{{"{outer}":{text},"signature":"{signature}"}}'.encode()
        else:
            files |= {outer: text.encode(), f"{outer}.sig": bytes.fromhex(signature)}
    words = ["attest", "verify", str(VECTORS / "tdx/phala-tdx_quote"), "--now", "2025-06-20", "--json"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        words.append(str(tmp_path / name))
    assert cli.run(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["claims"]["tcb_status"] == "UpToDate"
    assert said["unused_endorsements"] == []
    assert cli.run(words[:-1]) == 3
    assert json.loads(capsys.readouterr().out)["code"] == "MISSING_ENDORSEMENT"
