# SPDX-License-Identifier: Apache-2.0
"""Manifests: one canonical form, one digest, and what a TPM makes of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.attestation.program import (
    DIRECTORY,
    ENDED,
    LENDABLE,
    MACHINE,
    NAMESPACES,
    Confinement,
    Manifest,
    Measured,
    event_digest,
    pcr_of,
    program_digest,
)
from hitoku.errors import InputError

DIGESTS = st.binary(min_size=48, max_size=48).map(bytes.hex)
NAMES = st.text("abcXYZ019_-+. ", min_size=1, max_size=8).filter(lambda n: n.strip(".") != "")
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TEXTS = st.text([chr(n) for n in range(32, 127)], max_size=12)
MANIFESTS = st.builds(
    Manifest,
    st.dictionaries(PATHS, st.builds(Measured, DIGESTS, st.booleans()), max_size=6),
    st.lists(TEXTS, max_size=4).map(tuple),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.builds(
        Confinement,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sets(st.sampled_from(sorted(LENDABLE))).map(lambda places: tuple(sorted(places))),
        st.integers(0, 8),
        st.sampled_from([NAMESPACES, DIRECTORY, MACHINE]),
    ),
    st.just("") | DIGESTS,
)
SMALL = Manifest(
    {"a": Measured("0" * 96), "b/c": Measured("1" * 96, executable=True)}, ("/a", "b"), {"K": "v"}
)


def test_the_canonical_form_is_fixed() -> None:
    assert SMALL.to_bytes() == (
        b'{"argv":["/a","b"],"confinement":{"descriptors":0,"isolation":"namespaces","lent":{},'
        b'"network":false,"output":false,"scratch":false},'
        b'"environment":{"K":"v"},"files":{"a":{"mode":"0444","sha384":"' + b"0" * 96 + b'"},'
        b'"b/c":{"mode":"0555","sha384":"' + b"1" * 96 + b'"}},"policy":"","version":1}'
    )
    assert program_digest(SMALL) == hashlib.sha384(SMALL.to_bytes()).hexdigest()


@given(MANIFESTS)
def test_it_is_as_rfc_8785_has_it_and_comes_back(manifest: Manifest) -> None:
    import rfc8785

    assert manifest.to_bytes() == rfc8785.dumps(manifest.to_dict())
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@given(MANIFESTS, st.randoms())
def test_the_order_of_files_does_not_count(manifest: Manifest, random: object) -> None:
    files = list(manifest.files.items())
    random.shuffle(files)  # type: ignore[attr-defined]
    assert program_digest(replace(manifest, files=dict(files))) == program_digest(manifest)


@given(MANIFESTS, MANIFESTS)
def test_different_manifests_have_different_digests(one: Manifest, other: Manifest) -> None:
    assert (one == other) == (program_digest(one) == program_digest(other))


def test_a_tpm_holds_the_event() -> None:
    program = program_digest(SMALL)
    assert event_digest(program) == hashlib.sha256(bytes.fromhex(program)).digest()
    assert pcr_of(program) == hashlib.sha256(bytes(32) + event_digest(program)).hexdigest()


@pytest.mark.parametrize("lent", [("etc",), ("usr",), ("member", "data"), ("data", "data"), ("member/x",)])
def test_data_is_lent_at_few_places_named_once_in_order(lent: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="at these places only"):
        Confinement(lent=lent)


def test_the_end_of_a_program_is_no_program() -> None:
    value = hashlib.sha256(bytes.fromhex(pcr_of(program_digest(SMALL))) + ENDED).hexdigest()
    assert value not in {pcr_of(program_digest(SMALL)), ENDED.hex()}
    assert hashlib.sha256(b"hitoku/program-ended/1").digest() == ENDED


@pytest.mark.parametrize("digest", ["", "0" * 95, "0" * 97, "G" * 96, "A" * 96, "0" * 96 + "\n"])
def test_a_digest_is_96_hexadecimal_digits(digest: str) -> None:
    with pytest.raises(InputError):
        event_digest(digest)
    with pytest.raises(InputError):
        Measured(digest)


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/../b", "./a", "a/", "é", "a\nb", "a" * 513])
def test_paths_are_relative_and_plain(path: str) -> None:
    with pytest.raises(InputError):
        Manifest({path: Measured("0" * 96)}, ())


def test_words_are_plain() -> None:
    for argv, environment in ((("é",), {}), ((), {"a\0": "b"}), ((), {"a": "\n"})):
        with pytest.raises(InputError):
            Manifest({}, argv, environment)
    with pytest.raises(InputError):
        Manifest({}, (), policy="x")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"version": 2},
        lambda d: d | {"more": 1},
        lambda d: {k: v for k, v in d.items() if k != "policy"},
        lambda d: d | {"files": {"a": {"mode": "0777", "sha384": "0" * 96}}},
        lambda d: d | {"files": {"a": {"mode": "0444", "sha384": "0"}}},
        lambda d: d | {"files": []},
        lambda d: d | {"argv": "ab"},
        lambda d: d | {"argv": [1]},
        lambda d: d | {"environment": []},
        lambda d: d | {"environment": {"a": 1}},
        lambda d: d | {"confinement": {"network": False}},
        lambda d: d | {"confinement": {k: v for k, v in d["confinement"].items() if k != "isolation"}},
        lambda d: d | {"confinement": d["confinement"] | {"network": 0}},
        lambda d: d | {"confinement": d["confinement"] | {"x": True}},
        lambda d: d | {"confinement": d["confinement"] | {"descriptors": -1}},
        lambda d: d | {"confinement": d["confinement"] | {"descriptors": False}},
        lambda d: d | {"confinement": d["confinement"] | {"isolation": "none"}},
        lambda d: d | {"confinement": d["confinement"] | {"lent": ["member"]}},
        lambda d: d | {"confinement": d["confinement"] | {"lent": {"member": "read"}}},
        lambda d: d | {"confinement": d["confinement"] | {"lent": {"etc": "read"}}},
        lambda d: d | {"confinement": d["confinement"] | {"lent": {"member/tables": "read"}}},
        lambda d: d | {"policy": None},
        lambda d: [d],
    ],
)
def test_another_form_is_refused(change: object) -> None:
    changed = json.dumps(change(SMALL.to_dict()), sort_keys=True, separators=(",", ":"))  # type: ignore[operator]
    with pytest.raises(InputError):
        Manifest.from_bytes(changed.encode())


@given(st.binary(max_size=60))
def test_bytes_that_are_none_are_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        Manifest.from_bytes(content)


def test_another_spelling_is_refused() -> None:
    for content in (SMALL.to_bytes() + b" ", SMALL.to_bytes().replace(b'"K":"v"', b'"K": "v"')):
        with pytest.raises(InputError, match="canonical"):
            Manifest.from_bytes(content)
