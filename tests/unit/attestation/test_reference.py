# SPDX-License-Identifier: Apache-2.0
"""Reference values: what may be stated, whose signatures count, which statement is in force."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.appraisals import KEYS, LATER, OWNERS, PCR0, PROGRAM, ROOM, registry_of, room_of, value
from tests.attestation_pki import NOW

from hitoku import limits
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind
from hitoku.attestation.program import pcr_of
from hitoku.attestation.reference import (
    BOOT_CHAIN,
    IDENTITY,
    ReferenceValue,
    Registry,
    names_boot_chain,
)
from hitoku.room.attestation import AcceptedKind
from hitoku.room.canonical import canonical_json

AGREEMENT = ROOM.agreement
OTHER = "ee" * 48
PCR12 = pcr_of(PROGRAM)


def claims(pcr0: str = PCR0, **more: Any) -> Claims:
    return Claims(Kind.NITRO, {"pcr0": pcr0, "pcr1": "02" * 48}, b"", False, **more)


def find(registry: Registry, evidence: Claims | None = None, agreement=AGREEMENT, **more):
    return registry.find(agreement, evidence or claims(), more.pop("now", NOW), **more)


def code(registry: Registry, evidence: Claims | None = None, **more) -> Code:
    with pytest.raises(Refused) as caught:
        find(registry, evidence, **more)
    return caught.value.code


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"program": "00"}, "program"),
        ({"kind": "nvidia"}, "kind"),
        ({"serial": 0}, "serial"),
        ({"serial": True}, "serial"),
        ({"measurements": {}}, "does not tell a program without 'pcr0'"),
        ({"measurements": {"pcr1": [PCR0]}}, "does not tell a program without 'pcr0'"),
        ({"measurements": {"pcr0": []}}, "measurements"),
        ({"measurements": {"pcr0": ["00" * 48]}}, "of zeros is no program"),
        ({"measurements": {"pcr0": [PCR0, "00" * 48]}}, "of zeros is no program"),
        ({"measurements": {"pcr0": [PCR0.upper().replace("1", "A")]}}, "measurements"),
        ({"measurements": {"pcr0": [PCR0], "PCR1": [PCR0]}}, "measurements"),
        ({"minimum_tcb": {"snp": {"at_least": 2, "at_most": 1}}}, "range of a component is empty"),
        ({"minimum_tcb": {"snp": {"at_least": -1}}}, "minimum_tcb"),
        ({"minimum_tcb": {"snp": 3}}, "minimum_tcb"),
        ({"not_after": "2027-06-01"}, "not_after"),
        ({"reason": "because"}, "a reason is for a revocation"),
        ({"version": ""}, "version"),
        ({"version": "1\n2"}, "version"),
        ({"purpose": "shell"}, "purpose"),
        ({"source": {"commit": "main"}}, "commit"),
        ({"kind": "azure-snp", "measurements": {"measurement": ["ab" * 48], "pcr12": [PCR12]}}, "booted"),
        (
            {"kind": "azure-snp", "measurements": {"measurement": ["ab" * 48], "pcr12": ["cd" * 32]}},
            "no other",
        ),
        ({"kind": "tdx", "measurements": {"mrtd": ["ab" * 48]}}, "without 'rtmr0'"),
        ({"kind": "tdx", "measurements": {n: ["ab" * 48] for n in ("mrtd", "rtmr1", "rtmr2")}}, "'rtmr0'"),
        ({"kind": "tpm", "measurements": {"pcr12": ["cd" * 32]}}, "no other value"),
        ({"kind": "tpm", "measurements": {"pcr12": [PCR12, "cd" * 32]}}, "no other value"),
        ({"kind": "dev", "measurements": {"program": [OTHER]}}, "no other value"),
        ({"kind": "dev", "measurements": {"program": [PROGRAM, OTHER]}}, "no other value"),
    ],
)
def test_what_no_statement_may_say(change, words):
    with pytest.raises(ValidationError, match=words):
        value((), **change)


@pytest.mark.parametrize("kind", list(AcceptedKind))
def test_every_kind_needs_what_tells_a_program(kind):
    azure = kind in {AcceptedKind.AZURE_SNP, AcceptedKind.AZURE_TDX}
    full = {name: ["ab" * 48] for name in (*IDENTITY[kind], *((*BOOT_CHAIN, "pcr11") if azure else ()))}
    full |= {n: [v] for n, v in {"pcr12": PCR12, "program": PROGRAM}.items() if n in full}
    value((), kind=kind, measurements=full)
    for name in full:
        with pytest.raises(ValidationError):
            value((), kind=kind, measurements={n: v for n, v in full.items() if n != name})


@pytest.mark.parametrize(
    ("kernel", "enough"),
    [
        (("pcr8", "pcr9"), True),
        (("pcr11",), True),
        (("pcr9", "pcr11"), True),
        (("pcr9",), False),
        (("pcr8",), False),
        ((), False),
    ],
)
def test_a_boot_chain_goes_down_to_the_kernels_command_line(kernel, enough):
    full = {name: ["ab" * 32] for name in (*BOOT_CHAIN, *kernel)} | {"pcr12": [PCR12]}
    made = value((), kind="tpm", measurements=full)
    assert names_boot_chain(made) is enough
    for name in BOOT_CHAIN:
        less = {n: v for n, v in full.items() if n != name}
        assert not names_boot_chain(value((), kind="tpm", measurements=less))
    azure = {"kind": "azure-snp", "measurements": full | {"measurement": ["ab" * 48]}}
    if enough:
        value((), **azure)
    else:
        with pytest.raises(ValidationError, match="booted"):
            value((), **azure)


def test_it_survives_json_and_the_signed_form_has_no_signatures():
    made = value(source={"repository": "the project's", "commit": "ab" * 20, "builder": "acme's CI"})
    again = ReferenceValue.model_validate(json.loads(json.dumps(made.model_dump(mode="json"))))
    assert again == made
    assert made.message() == value(()).model_copy(update={"source": made.source}).message()
    assert made.message().startswith(b"hitoku/reference/1\n{")
    assert b"signature" not in made.message()
    assert b"vmpl" not in made.message()


@given(st.sampled_from(sorted(value().model_fields_set - {"signatures", "format"})))
def test_every_field_is_signed(field):
    made = value()
    changed = {
        "room": "11111111-2222-3333-4444-555555555556",
        "serial": 2,
        "program": OTHER,
        "version": "1.0.1",
        "kind": "sgx",
        "measurements": {"pcr0": [OTHER]},
        "not_after": "2028-06-01T00:00:00Z",
    }
    data = json.loads(made.model_dump_json()) | {field: changed[field]}
    if field == "kind":
        data["measurements"]["mrenclave"] = [OTHER]
    assert ReferenceValue.model_validate(data).signers(AGREEMENT) == frozenset()


def test_fields_that_are_seldom_said_are_signed_too():
    made = value()
    for change in (
        {"purpose": "node"},
        {"minimum_tcb": {"snp": {"at_least": 1}}},
        {"revoked": True},
        {"vmpl": 1},
        {"source": {"builder": "x"}},
    ):
        data = json.loads(made.model_dump_json()) | change
        assert ReferenceValue.model_validate(data).signers(AGREEMENT) == frozenset(), change


def test_signatures_are_of_members_with_the_keys_the_room_names():
    made = value(("acme", "bank", "cloud"))
    assert made.signers(AGREEMENT) == {"acme", "bank", "cloud"}
    assert value(("acme",)).sign("bank", KEYS["stranger"]).signers(AGREEMENT) == {"acme"}
    assert value(()).sign("stranger", KEYS["stranger"]).signers(AGREEMENT) == frozenset()
    # One member's signature under another's name, and twice under its own, is one member's.
    assert value(("acme",)).sign("bank", KEYS["acme"]).signers(AGREEMENT) == {"acme"}
    twice = value(("acme",))
    twice = twice.model_copy(update={"signatures": twice.signatures * 3})
    assert twice.signers(AGREEMENT) == {"acme"}


@pytest.mark.parametrize(
    ("signers", "needed", "counts"),
    [
        (("acme", "bank"), None, True),
        (("acme",), None, False),
        (("acme", "cloud"), None, False),
        (("acme", "cloud"), 2, False),  # the host owns no table: its word is none about others' data
        (("cloud",), 1, False),
        (("acme",), 2, False),
        (("acme",), 1, True),
        ((), 1, False),
        (("acme", "bank"), 2, True),
        (("acme", "bank", "cloud"), 2, True),
    ],
)
def test_how_many_must_sign(signers, needed, counts):
    agreement = room_of(signers=needed).agreement
    assert value(signers).counts(agreement) is counts
    if counts:
        assert find(registry_of(value(signers)), agreement=agreement).program == PROGRAM
    else:
        assert code(registry_of(value(signers)), agreement=agreement) is Code.REFERENCE


def test_a_statement_counts_in_its_room_only():
    assert not value().counts(AGREEMENT.model_copy(update={"attestation": None}))
    elsewhere = value((), room="11111111-2222-3333-4444-555555555556")
    for name in OWNERS:
        elsewhere = elsewhere.sign(name, KEYS[name])
    assert not elsewhere.counts(AGREEMENT)
    with pytest.raises(Refused, match="another room") as caught:
        registry_of(elsewhere)
    assert caught.value.code is Code.REFERENCE
    with pytest.raises(Refused, match="another room") as caught:
        registry_of().put(elsewhere, AGREEMENT)
    assert caught.value.code is Code.REFERENCE


def test_all_named_measurements_must_fit():
    both = registry_of(value(measurements={"pcr0": [OTHER, PCR0], "pcr1": ["02" * 48]}))
    assert find(both).version == "1.0.0"
    assert code(both, claims(pcr0="03" * 48)) is Code.MEASUREMENT_MISMATCH
    third = registry_of(value(measurements={"pcr0": [PCR0], "pcr8": ["04" * 48]}))
    assert code(third) is Code.MEASUREMENT_MISMATCH  # the evidence has no pcr8
    dev = registry_of(value(kind="dev", measurements={"program": [PROGRAM]}))
    assert code(dev) is Code.MEASUREMENT_MISMATCH
    with pytest.raises(Refused, match=f"pcr0 {'03' * 48}"):
        find(registry_of(), claims(pcr0="03" * 48))


def test_time_and_purpose():
    assert code(registry_of(value(not_after="2026-11-22T11:59:59Z"))) is Code.REFERENCE
    assert find(registry_of(value(not_after="2026-11-22T12:00:00Z"))).serial == 1
    assert code(registry_of(value(purpose="node"))) is Code.MEASUREMENT_MISMATCH
    two = registry_of(value(), value(purpose="node", version="n"))
    assert find(two).version == "1.0.0"
    assert find(two, purpose="node").version == "n"


def test_revocation_needs_one_signature_and_comes_first():
    revoked = value(("bank",), serial=2, revoked=True, reason="a hole")
    registry = registry_of().put(revoked, AGREEMENT)
    assert code(registry) is Code.REVOKED
    # A second program of the same measurement does not bring it back.
    twin = value(program=OTHER, version="twin")
    assert code(registry.put(twin, AGREEMENT)) is Code.REVOKED
    # Nobody's, and a stranger's, revocation is none.
    for nobodys in (
        value((), serial=2, revoked=True),
        value((), serial=2, revoked=True).sign("bank", KEYS["stranger"]),
    ):
        assert find(registry_of(value(), nobodys)).serial == 1
    # To take it back all have to sign again.
    assert code(registry.put(value(("bank",), serial=3), AGREEMENT)) is Code.REVOKED
    assert find(registry.put(value(serial=3), AGREEMENT)).serial == 3


def test_a_newer_statement_counts_once_enough_have_signed_it():
    stricter = {"serial": 2, "minimum_tcb": {"snp": {"at_least": 20}}}
    one = registry_of().put(value(("acme",), **stricter), AGREEMENT)
    assert find(one).serial == 1
    two = one.put(value(("bank",), **stricter), AGREEMENT)  # signatures meet
    assert [e.serial for e in two.entries] == [2]
    assert code(two, claims(tcb={"snp": 19})) is Code.TCB
    assert find(two, claims(tcb={"snp": 20})).serial == 2


def test_an_older_statement_is_a_rollback():
    registry = registry_of(value(serial=5, minimum_tcb={"snp": {"at_least": 20}}))
    with pytest.raises(Refused, match="rolled back: serial 4") as caught:
        registry.put(value(serial=4), AGREEMENT)
    assert caught.value.code is Code.REFERENCE
    # A registry that holds both anyhow goes by the newer.
    both = registry_of(value(serial=4), value(serial=5, minimum_tcb={"snp": {"at_least": 20}}))
    assert code(both, claims(tcb={"snp": 19})) is Code.TCB


def test_two_statements_of_one_serial_are_refused():
    with pytest.raises(Refused, match="another statement of serial 1") as caught:
        registry_of().put(value(version="other"), AGREEMENT)
    assert caught.value.code is Code.REFERENCE
    with pytest.raises(Refused, match="have one serial") as caught:
        registry_of(value(), value(version="other"))
    assert caught.value.code is Code.REFERENCE


def test_put_drops_signatures_that_do_not_hold():
    junk = value(("acme",)).sign("bank", KEYS["stranger"])
    registry = Registry(AGREEMENT.id).put(junk, AGREEMENT)
    assert [s.member for s in registry.entries[0].signatures] == ["acme"]
    # A bad signature does not push a good one out.
    again = registry_of().put(junk, AGREEMENT)
    assert again.entries[0].signers(AGREEMENT) == {"acme", "bank"}
    assert again.serial == 1


def test_a_registry_is_bounded():
    many = [value((), program=f"{n:096x}") for n in range(1, limits.MAX_REFERENCE_VALUES + 2)]
    Registry(AGREEMENT.id, many[1:])
    with pytest.raises(Refused, match="at most 256") as caught:
        Registry(AGREEMENT.id, many)
    assert caught.value.code is Code.REFERENCE


def test_the_digest_tells_every_change():
    seen = {
        r.digest
        for r in (
            registry_of(),
            registry_of(value(("acme",))),
            registry_of(value(not_after="2028-01-01T00:00:00Z")),
            Registry(AGREEMENT.id, [value()], 1),
            Registry(AGREEMENT.id),
        )
    }
    assert len(seen) == 5
    assert registry_of().digest == registry_of().digest


def test_the_order_of_entries_means_nothing():
    one, two = value(), value(program=OTHER, measurements={"pcr0": [OTHER]})
    assert registry_of(one, two).digest == registry_of(two, one).digest
    assert registry_of(one, two).about(OTHER) == (two,)
    assert registry_of(one, two).about(OTHER, "tpm") == ()


def test_the_signed_form_is_canonical():
    made = value(())
    assert made.not_after == LATER
    assert made.message() == b"hitoku/reference/1\n" + canonical_json(
        made.model_dump(mode="json", exclude={"signatures"}, exclude_none=True)
    )
