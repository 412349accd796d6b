# SPDX-License-Identifier: Apache-2.0
"""Claims against what a caller expects: whole values, known names, the fitting code."""

from __future__ import annotations

import pytest

from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind
from hitoku.attestation.expectations import check, expectation, fresh, named
from hitoku.errors import InputError

NITRO = Claims(
    Kind.NITRO,
    {"pcr0": "ab" * 48},
    b"data",
    False,
    nonce=b"nonce",
    public_key=b"key",
    tcb={"snp": 24},
    extra={"module_id": "i-0A", "vmpl": 0, "secure_boot": True, "log": [1]},
)
TPM = Claims(Kind.TPM, {}, b"challenge", True)
SNP = Claims(Kind.SEV_SNP, {}, b"bound", False)


def code(claims: Claims, text: str) -> Code:
    with pytest.raises(Refused) as refused:
        check(claims, [expectation(text)])
    return refused.value.code


@pytest.mark.parametrize(
    "text",
    [
        f"pcr0={'ab' * 48}",
        f"pcr0={'AB' * 48}",
        f"nonce={b'nonce'.hex()}",
        f"report_data={b'data'.hex()}",
        f"user_data={b'data'.hex()}",
        f"public_key={b'key'.hex()}",
        "module_id=i-0A",
        "vmpl=0",
        "tcb.snp=24",
        "secure_boot=true",
        "secure_boot=True",
        "software_rooted=false",
        "kind=nitro",
        " kind = nitro ",
        "advisories=",
    ],
)
def test_equal_values_pass(text):
    check(NITRO, [expectation(text)])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"nonce={b'nonc'.hex()}", Code.NONCE_MISMATCH),
        (f"nonce={b'nonce!'.hex()}", Code.NONCE_MISMATCH),
        ("nonce=", Code.NONCE_MISMATCH),
        ("nonce=ä", Code.NONCE_MISMATCH),
        ("report_data=", Code.BINDING),
        ("user_data=00", Code.BINDING),
        ("public_key=00", Code.BINDING),
        ("pcr0=", Code.EXPECTATION),
        (f"pcr0={'ab' * 47}", Code.EXPECTATION),
        ("module_id=i-0a", Code.EXPECTATION),
        ("vmpl=1", Code.EXPECTATION),
        ("vmpl=", Code.EXPECTATION),
        ("vmpl=-0x0", Code.EXPECTATION),
        ("vmpl=٠", Code.EXPECTATION),
        ("secure_boot=1", Code.EXPECTATION),
        ("software_rooted=", Code.EXPECTATION),
        ("log=[1]", Code.EXPECTATION),
        ("pcr00=ab", Code.EXPECTATION),
    ],
)
def test_other_values_are_refused(text, wanted):
    assert code(NITRO, text) is wanted


def test_every_expectation_counts():
    with pytest.raises(Refused):
        check(NITRO, [("kind", "nitro"), ("vmpl", "1"), ("vmpl", "0")])
    check(NITRO, [])


def test_an_unknown_name_says_which_names_there_are():
    with pytest.raises(Refused, match=r"no claim 'prc0'.*module_id.*nonce.*pcr0") as refused:
        check(NITRO, [("prc0", "ab")])
    assert refused.value.code is Code.EXPECTATION


def test_a_refusal_says_what_the_claim_is():
    for name, shown in (
        ("vmpl", "0"),
        ("secure_boot", "true"),
        ("advisories", "empty"),
        ("module_id", "i-0A"),
    ):
        with pytest.raises(Refused, match=f"it is {shown}$"):
            check(NITRO, [(name, "other")])


def test_a_challenge_is_a_nonce_where_there_is_no_field_for_it():
    check(TPM, [("nonce", b"challenge".hex())])
    assert code(TPM, "nonce=00") is Code.NONCE_MISMATCH
    assert code(SNP, f"nonce={b'bound'.hex()}") is Code.NONCE_MISMATCH  # it has none
    assert "user_data" not in named(SNP)
    without = Claims(Kind.NITRO, {}, b"", False)
    assert code(without, "nonce=") is Code.NONCE_MISMATCH


@pytest.mark.parametrize("text", ["", "pcr0", "=1", " =1"])
def test_what_is_no_expectation_is_an_error(text):
    with pytest.raises(InputError):
        expectation(text)
    assert expectation("a=b=c") == ("a", "b=c")


def test_what_makes_evidence_fresh():
    assert not fresh([("pcr0", "ab"), ("public_key", "ab")])
    assert all(fresh([(name, "ab")]) for name in ("nonce", "report_data", "user_data"))
