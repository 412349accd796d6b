# SPDX-License-Identifier: Apache-2.0
"""Chains: every link is checked, each by its own code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509 as reference
from tests.attestation_pki import (
    NOW,
    Issued,
    crl,
    ec_key,
    issue,
    name_of,
    rsa_key,
)

from hitoku.attestation import x509
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.x509 import certificate, path, revocation_list, walk

LIVES = (NOW - timedelta(days=1), NOW + timedelta(days=1))
SECOND = timedelta(seconds=1)


def chain(
    *,
    root: dict[str, Any] | None = None,
    middle: dict[str, Any] | None = None,
    leaf: dict[str, Any] | None = None,
) -> list[Issued]:
    """Leaf, middle, root; each with changes."""
    top = issue(ec_key("root"), name_of("root"), **(root or {}))
    between = issue(ec_key("middle"), name_of("middle"), top, **({"path_length": 0} | (middle or {})))
    last = issue(ec_key("leaf"), name_of("leaf"), between, **({"authority": False} | (leaf or {})))
    return [last, between, top]


def walked(issued: Sequence[Issued], pins: Sequence[Issued] | None = None, **options: Any) -> x509.Window:
    """`walk` over what was issued, whose last is the pin."""
    pinned = {i.fingerprint for i in (issued[-1:] if pins is None else pins)}
    return walk([certificate(i.der) for i in issued], pinned, options.pop("now", NOW), **options)


def refused(issued: Sequence[Issued], **options: Any) -> tuple[Code, str]:
    with pytest.raises(Refused) as caught:
        walked(issued, **options)
    return caught.value.code, caught.value.detail


def test_a_chain_holds_as_long_as_all_of_it() -> None:
    assert walked(chain()) == LIVES
    later, sooner = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    window = walked(chain(middle={"validity": (later, LIVES[1])}, leaf={"validity": (LIVES[0], sooner)}))
    assert window == (later, sooner)


def test_a_pin_alone_is_a_chain() -> None:
    root = chain()[-1]
    assert walked([root]) == LIVES


@pytest.mark.parametrize("place", ["leaf", "middle", "root"])
def test_each_certificate_has_its_time(place: str) -> None:
    ends = NOW + timedelta(hours=1)
    issued = chain(**{place: {"validity": (NOW, ends)}})
    assert walked(issued, now=NOW)
    assert walked(issued, now=ends)
    assert refused(issued, now=NOW - SECOND)[0] is Code.NOT_YET
    assert refused(issued, now=ends + SECOND)[0] is Code.EXPIRED


def test_the_root_must_be_pinned_by_its_bytes() -> None:
    issued, others = chain(), chain(root={"serial": 5})
    assert refused(issued, pins=others[-1:])[0] is Code.UNTRUSTED_ROOT
    assert refused(issued, pins=[])[0] is Code.UNTRUSTED_ROOT
    assert refused(issued[:-1], pins=issued[-1:])[0] is Code.UNTRUSTED_ROOT
    assert refused(issued[:1], pins=issued[-1:])[0] is Code.UNTRUSTED_ROOT
    # A pin in the midst does not help: it must be the end.
    assert refused([*issued, others[-1]], pins=issued[-1:])[0] is Code.UNTRUSTED_ROOT


def test_a_chain_has_few_certificates() -> None:
    root = chain()[-1]
    assert refused([])[0] is Code.CHAIN
    assert refused([root] * 17)[0] is Code.CHAIN


def test_each_link_is_signed_by_the_next() -> None:
    for changes in ({"leaf": {"signer": ec_key("other")}}, {"middle": {"signer": ec_key("other")}}):
        code, why = refused(chain(**changes))
        assert code is Code.CHAIN
        assert "not signed by" in why


def test_each_link_names_the_next() -> None:
    issued = chain()
    stranger = issue(issued[1].key, name_of("stranger"), issued[2], path_length=0)
    code, why = refused([issued[0], stranger, issued[2]])
    assert code is Code.CHAIN
    assert "names another issuer" in why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"middle": {"authority": False, "bits": ("key_cert_sign",)}}, "no authority"),
        ({"middle": {"constraints": False}}, "no authority"),
        ({"middle": {"constraints_critical": False}}, "no authority"),
        ({"root": {"authority": False, "bits": ("key_cert_sign",)}}, "no authority"),
        ({"middle": {"bits": ("digital_signature",)}}, "may not sign certificates"),
        ({"middle": {"bits": ()}}, "may not sign certificates"),
        ({"root": {"bits": ("crl_sign",)}}, "may not sign certificates"),
        ({"root": {"path_length": 0}}, "fewer authorities"),
        ({"leaf": {"authority": True, "bits": ("digital_signature",)}}, "leaf is an authority"),
        ({"leaf": {"bits": ("key_agreement",)}}, "another use"),
    ],
)
def test_constraints(changes: dict[str, Any], why: str) -> None:
    code, said = refused(chain(**changes))
    assert code is Code.CHAIN
    assert why in said


def test_path_lengths_that_suffice() -> None:
    assert walked(chain(root={"path_length": 1}))
    assert walked(chain(middle={"path_length": None}))
    assert walked(chain(leaf={"constraints": False, "bits": ()}))


def test_a_leaf_of_another_use_where_the_caller_says_so() -> None:
    issued = chain(leaf={"bits": ("key_encipherment",)})
    assert refused(issued)[0] is Code.CHAIN
    assert walked(issued, use=x509.KEY_ENCIPHERMENT)
    assert refused(chain(), use=x509.KEY_ENCIPHERMENT)[0] is Code.CHAIN


UNKNOWN = reference.UnrecognizedExtension(reference.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
NAMES = reference.NameConstraints([reference.DNSName("example.org")], None)
POLICY = reference.PolicyConstraints(0, None)


@pytest.mark.parametrize("place", ["leaf", "middle", "root"])
def test_critical_extensions_must_be_understood(place: str) -> None:
    issued = chain(**{place: {"extensions": ((UNKNOWN, True),)}})
    code, why = refused(issued)
    assert code is Code.CHAIN
    assert "1.2.3.4" in why
    assert walked(issued, understood={"1.2.3.4"})
    assert walked(chain(**{place: {"extensions": ((UNKNOWN, False),)}}))


@pytest.mark.parametrize("extension", [NAMES, POLICY, reference.InhibitAnyPolicy(0)])
@pytest.mark.parametrize("critical", [True, False])
def test_constraints_that_are_not_evaluated_refuse(
    extension: reference.ExtensionType, critical: bool
) -> None:
    assert refused(chain(middle={"extensions": ((extension, critical),)}))[0] is Code.CHAIN


def test_a_key_is_not_used_before_it_is_vouched_for() -> None:
    """The leaf's key may be anything; a wrong link above it refuses first."""
    issued = chain(middle={"signer": ec_key("other")}, leaf={"signer": rsa_key("one")})
    assert refused(issued) == (Code.CHAIN, "certificate 1 of the chain is not signed by certificate 2")


# --- revocation ---


def listed(issuer: Issued, *serials: int, **times: Any) -> x509.RevocationList:
    return revocation_list(crl(issuer, serials, **times))


def test_a_revoked_certificate_is_refused() -> None:
    issued = chain(leaf={"serial": 7}, middle={"serial": 8})
    leaf, middle, root = issued
    assert leaf.der
    assert walked(issued, crls=[listed(middle, 8), listed(root, 7)])  # the same numbers of another issuer
    assert refused(issued, crls=[listed(middle, 7)])[0] is Code.REVOKED
    assert refused(issued, crls=[listed(root, 9), listed(root, 8)])[0] is Code.REVOKED


def test_a_list_has_its_time() -> None:
    issued = chain()
    until = NOW + timedelta(hours=1)
    assert walked(issued, crls=[listed(issued[2], this=NOW, until=until)]) == (NOW, until)
    assert refused(issued, crls=[listed(issued[2], this=NOW + SECOND)])[0] is Code.NOT_YET
    old = listed(issued[2], this=NOW - timedelta(hours=2), until=NOW - SECOND)
    assert refused(issued, crls=[old])[0] is Code.EXPIRED


def test_a_list_is_of_an_authority_of_the_chain() -> None:
    issued = chain()
    other = issue(ec_key("other"), name_of("other"))
    assert refused(issued, crls=[listed(other)]) == (
        Code.CHAIN,
        "a revocation list is of another authority than the chain",
    )
    posed = Issued(ec_key("other"), issued[2].name, issued[2].der)
    assert refused(issued, crls=[listed(posed)])[1] == "a revocation list is not signed by its authority"
    assert refused(issued, crls=[listed(issued[0])])[0] is Code.CHAIN


def test_an_authority_that_may_not_sign_lists_cannot() -> None:
    issued = chain(middle={"bits": ("key_cert_sign",)})
    assert refused(issued, crls=[listed(issued[1])])[1] == "a revocation list's authority may not sign one"


# --- paths ---


def test_paths_are_found_by_name() -> None:
    leaf, middle, root = (certificate(i.der) for i in chain())
    assert path(leaf, [root, middle]) == (leaf, middle, root)
    assert path(leaf, [root]) == (leaf,)
    assert path(leaf, [middle]) == (leaf, middle)
    assert path(root, [middle, leaf]) == (root,)


def test_the_first_of_a_name_is_taken() -> None:
    leaf, middle, root = (certificate(i.der) for i in chain())
    double = certificate(chain(middle={"serial": 99})[1].der)
    assert path(leaf, [double, middle, root])[1] == double
    assert path(leaf, [middle, double, root])[1] == middle


def test_paths_end_where_issuers_name_each_other() -> None:
    one = issue(ec_key("one"), name_of("one"))
    two = issue(ec_key("two"), name_of("two"), one)
    back = issue(ec_key("one"), name_of("one"), two)
    found = path(certificate(back.der), [certificate(two.der), certificate(back.der)])
    assert [c.subject for c in found] == [certificate(back.der).subject, certificate(two.der).subject]
