# SPDX-License-Identifier: Apache-2.0
"""A counter in swtpm: it only grows, and what is not there is an error."""

from __future__ import annotations

import pytest
from tests.attestation_tpm import need_swtpm

from hitoku.attestation.nvcounter import FIRST_INDEX, TpmCounter
from hitoku.attestation.swtpm import SwTpm
from hitoku.attestation.tpm2.commands import Tpm
from hitoku.errors import SecretError

SECRET = b"s" * 32


@pytest.fixture(scope="module")
def tpm():
    need_swtpm()
    with SwTpm(certificate=False) as started:
        yield started


def test_it_counts_up_and_stays(tpm):
    counter = TpmCounter(tpm.connect, SECRET, FIRST_INDEX + 1)
    first = counter.define()
    assert counter.read() == first
    counter.advance(first + 5)
    assert counter.read() == first + 5
    counter.advance(first + 2)
    assert counter.read() == first + 5
    assert TpmCounter(tpm.connect, SECRET, FIRST_INDEX + 1).read() == first + 5
    with pytest.raises(SecretError, match="too far behind"):
        counter.advance(first + 1_000_000)
    with pytest.raises(SecretError, match="cannot be made"):
        counter.define()


def test_what_is_not_there_is_no_zero(tpm):
    counter = TpmCounter(tpm.connect, SECRET, FIRST_INDEX + 2)
    for use in (counter.read, lambda: counter.advance(1)):
        with pytest.raises(SecretError, match="no such counter"):
            use()


def test_another_password_reads_and_raises_nothing(tpm):
    counter = TpmCounter(tpm.connect, SECRET, FIRST_INDEX + 3)
    first = counter.define()
    thief = TpmCounter(tpm.connect, b"t" * 32, FIRST_INDEX + 3)
    for use in (thief.read, lambda: thief.advance(first + 1)):
        with pytest.raises(SecretError) as caught:
            use()
        assert SECRET.decode() not in str(caught.value)
    assert counter.read() == first


def test_deleted_and_defined_again_it_starts_above_all_that_was_counted(tpm):
    counter = TpmCounter(tpm.connect, SECRET, FIRST_INDEX + 4)
    counter.advance(counter.define() + 20)
    highest = counter.read()
    with tpm.connect() as device:
        Tpm(device).nv_undefine(FIRST_INDEX + 4)
    with pytest.raises(SecretError):
        counter.read()
    assert counter.define() > highest


def test_a_count_that_does_not_rise_is_an_error(tpm, monkeypatch):
    counter = TpmCounter(tpm.connect, SECRET, FIRST_INDEX + 5)
    first = counter.define()
    monkeypatch.setattr(Tpm, "nv_increment", lambda *_: None)
    with pytest.raises(SecretError, match="did not rise"):
        counter.advance(first + 1)


def test_it_outlives_a_machine_that_is_switched_off():
    need_swtpm()
    with SwTpm(certificate=False) as tpm:
        counter = TpmCounter(tpm.connect, SECRET)
        counter.advance(counter.define() + 3)
        before = counter.read()
        tpm.halt()
        with pytest.raises(SecretError, match="cannot be read"):
            counter.read()
        tpm.resume()
        assert counter.read() >= before  # after a hard end a TPM may skip numbers, never repeat one


def test_places_and_passwords_that_are_none_are_refused(tpm):
    for secret, index in (
        (b"short", FIRST_INDEX),
        (SECRET, 0x01C00002),
        (SECRET, 5),
        (b"s" * 33, FIRST_INDEX),
    ):
        with pytest.raises(SecretError):
            TpmCounter(tpm.connect, secret, index)
