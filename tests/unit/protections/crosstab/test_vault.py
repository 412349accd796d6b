"""No mask meets two inputs, and none two terms; what is on disk is whole, private and erased at the end."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import json
import os
import shutil

import pytest
from tests.unit.protections.crosstab.world import NAMES, inputs, keys, parameters

from hitoku.errors import InputError, PeerError, Refusal, SecretError
from hitoku.hazmat import group
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.prepared import Prepared
from hitoku.protections.crosstab.terms import Offer, Terms
from hitoku.protections.crosstab.vault import ReuseError, Vault

GIVEN = parameters()
PEOPLE = inputs(GIVEN, 5, 20, 5)
KEY = group.new_elgamal_key().public


def vault_of(tmp_path, side="b", given=GIVEN):
    return Vault(tmp_path / side, run=given.run, side=side, peer=NAMES["a" if side == "b" else "b"])


def offer(side, more=0, given=GIVEN, public=KEY):
    sizes = [given.least_size(side) + 7 + more] * given.groups(side)
    return Offer.make(side, given, sizes, bytes(32), public if side == "b" else None, keys(side))


def terms(given=GIVEN, **more):
    return Terms(given, offer("a", more.get("a", 0), given), offer("b", more.get("b", 0), given))


def started(tmp_path, side="b"):
    vault = vault_of(tmp_path, side)
    rows = vault.begin(GIVEN, lambda: PEOPLE.of(side))
    vault.pin(terms())
    return vault, rows


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_mask_is_given_for_its_input_and_terms_alone(tmp_path, side):
    vault, rows = started(tmp_path, side)
    draws = vault.masks(rows, terms())
    assert vault_of(tmp_path, side).masks(rows, terms()) == draws
    changed = inputs(GIVEN, 5, 20, 5, seed=2).of(side)
    assert changed.digest != rows.digest
    with pytest.raises(ReuseError, match="another input"):
        vault.masks(changed, terms())
    for other in (terms(a=1), terms(b=1)):
        with pytest.raises(ReuseError, match="other terms"):
            vault.masks(rows, other)


def meets_two_inputs(tmp_path):
    """Whether a mask can be had for a second input by exchanging the file, as a careless restart would."""
    vault, rows = started(tmp_path)
    first = vault.masks(rows, terms())
    other = inputs(GIVEN, 5, 20, 5, seed=1)
    (vault.path / "input.arrow").unlink()
    other.of("b").write(vault.path / "input.arrow")
    try:
        again = vault_of(tmp_path).begin(GIVEN, lambda: pytest.fail("there is one"))
        return vault.masks(again, terms()).mask == first.mask
    except ReuseError:
        return False


def test_no_mask_meets_two_inputs(tmp_path):
    assert not meets_two_inputs(tmp_path)


def test_a_vault_that_does_not_look_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(Prepared, "digest", property(lambda self: "sha256:" + "0" * 64))
    assert meets_two_inputs(tmp_path)


def test_one_value_one_group_or_one_person_more_is_another_input():
    def digest(rows):
        from tests.unit.protections.crosstab.world import prepared

        return prepared(rows, 1).digest

    rows = PEOPLE.b
    one, number, values = rows[3]
    seen = {
        digest(rows),
        digest([*rows[:3], (one, number, (values[0] + 1,)), *rows[4:]]),
        digest([*rows[:3], (one, 1 - number, values), *rows[4:]]),
        digest([*rows[:3], (bytes(32), number, values), *rows[4:]]),
        digest(rows[:-1]),
        digest([*rows[1:], rows[0]]),
    }
    assert len(seen) == 6


def test_an_input_is_the_same_from_memory_and_from_its_file(tmp_path):
    rows = PEOPLE.of("b")
    rows.write(tmp_path / "file")
    read = Prepared.read(tmp_path / "file")
    assert read.digest == rows.digest
    assert read.ids.equals(rows.ids)
    sliced = Prepared(rows.ids.slice(2, 9), rows.groups.slice(2, 9), (rows.values[0].slice(2, 9),))
    sliced.write(tmp_path / "slice")
    assert Prepared.read(tmp_path / "slice").digest == sliced.digest
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_without_its_input_a_mask_is_of_no_use_any_more(tmp_path):
    vault, _ = started(tmp_path)
    (vault.path / "input.arrow").unlink()
    with pytest.raises(ReuseError, match="for no other"):
        vault.begin(GIVEN, lambda: PEOPLE.of("b"))


@pytest.mark.parametrize(
    "change", [{"users_noise": 20}, {"plan": "sha256:" + "4" * 64}, {"sums": ((0, 99),)}]
)
def test_other_parameters_are_another_run(tmp_path, change):
    vault, _ = started(tmp_path)
    other = parameters(run=GIVEN.run, **change)
    with pytest.raises(ReuseError, match="other parameters"):
        vault.begin(other, lambda: pytest.fail("there is one"))


def test_the_other_side_cannot_change_its_offer(tmp_path):
    vault, _ = started(tmp_path)
    vault.pin(terms())
    with pytest.raises(PeerError, match="another offer"):
        vault.pin(terms(a=1))
    with pytest.raises(ReuseError, match="other terms"):
        vault.pin(terms(b=1))


def test_secrets_are_private_and_stay_the_same(tmp_path):
    vault, rows = started(tmp_path)
    file = vault.path / "secrets"
    before = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert vault.path.stat().st_mode & 0o777 == 0o700
    vault_of(tmp_path).begin(GIVEN, lambda: pytest.fail("there is one"))
    assert file.read_bytes() == before
    assert json.loads(before)["input"] == rows.digest
    file.chmod(0o644)
    with pytest.raises(SecretError, match="others can read"):
        vault.masks(rows, terms())
    file.chmod(0o600)
    file.write_bytes(before[:-5])
    with pytest.raises(SecretError, match="damaged"):
        vault.masks(rows, terms())


def test_secrets_do_not_show_in_text(tmp_path):
    vault, rows = started(tmp_path)
    draws = vault.masks(rows, terms())
    for shown in (repr(draws), str(draws), repr(vault), repr(rows)):
        assert draws.mask.hex() not in shown
        assert repr(draws.mask) not in shown
        assert str(draws.counts[0]) + "," not in shown


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(b"1" * 32, 0, (1,)), (b"1" * 32, 1, (1,))], "identifier"),
        ([(b"1" * 32, 2, (1,))], "not declared"),
        ([(b"1" * 32, 0, (101,))], "not clamped"),
        ([(b"1" * 32, 0, (-1,))], "not clamped"),
    ],
)
def test_an_input_that_would_break_the_sensitivity_is_refused(tmp_path, rows, words):
    from tests.unit.protections.crosstab.world import prepared

    with pytest.raises(InputError, match=words):
        vault_of(tmp_path).begin(GIVEN, lambda: prepared(rows, 1))
    assert not (tmp_path / "b" / "secrets").exists()
    assert not (tmp_path / "b" / "input.arrow").exists()


def test_only_the_other_member_is_served_and_only_what_is_meant_for_it(tmp_path):
    vault, _ = started(tmp_path)
    (vault.path / "parcels" / "offer-b.arrow").write_bytes(b"x")
    assert vault.parcel(NAMES["a"], GIVEN.run, "offer-b") is not None
    assert vault.parcel(NAMES["a"], GIVEN.run, "tags-a") is None
    for asked in (
        ("registry", GIVEN.run, "offer-b"),
        (NAMES["a"], "0" * 32, "offer-b"),
        (NAMES["a"], GIVEN.run, "points-a"),
        (NAMES["a"], GIVEN.run, "../secrets"),
    ):
        with pytest.raises(Refusal) as refused:
            vault.parcel(*asked)
        assert refused.value.code == "NO_SUCH_PARCEL"


def test_what_left_is_known_after_a_restart(tmp_path):
    vault, _ = started(tmp_path)
    assert not vault.told
    vault.left(NAMES["a"], GIVEN.run, "points-b")
    assert vault_of(tmp_path).has_left("points-b")
    assert not vault_of(tmp_path).told
    vault.left(NAMES["a"], GIVEN.run, "tags-a")
    vault.left(NAMES["a"], GIVEN.run, "tags-a")
    assert vault_of(tmp_path).told


def test_an_erased_run_gives_nothing_any_more(tmp_path):
    vault, _ = started(tmp_path)
    (vault.path / "parcels" / "points-b.arrow").write_bytes(b"x")
    vault.erase()
    assert sorted(p.name for p in vault.path.rglob("*") if p.is_file()) == ["ended"]
    with pytest.raises(Refusal) as refused:
        vault.parcel(NAMES["a"], GIVEN.run, "points-b")
    assert refused.value.code == "RUN_ENDED"
    with pytest.raises(InputError, match="has ended"):
        vault_of(tmp_path).begin(GIVEN, lambda: PEOPLE.of("b"))
    vault.erase()


def test_keys_are_overwritten_before_they_are_removed(tmp_path, monkeypatch):
    vault, _ = started(tmp_path)
    # A second name shows what the file's bytes were when it was removed.
    os.link(vault.path / "secrets", tmp_path / "same")
    vault.wipe()
    assert not (vault.path / "secrets").exists()
    assert set((tmp_path / "same").read_bytes()) == {0}


def test_one_process_works_on_a_run_at_a_time(tmp_path):
    with (
        vault_of(tmp_path).locked(),
        pytest.raises(InputError, match="another process"),
        vault_of(tmp_path).locked(),
    ):
        pass
    with vault_of(tmp_path).locked():
        pass


def test_draws_come_back_as_they_were():
    for side in ("a", "b"):
        draws = Draws.draw(side, GIVEN, PEOPLE.of(side).digest)
        assert Draws.load(draws.dump()) == draws
    for damaged in (b"", b"[]", b"{}", b'{"format": "hitoku/crosstab/secrets/1"}', b"\xff"):
        with pytest.raises(SecretError):
            Draws.load(damaged)


class Remembered:
    """What a node's database remembers of a run."""

    def __init__(self):
        self.runs = set()

    def drawn(self, run):
        return run in self.runs

    def note_drawn(self, run):
        self.runs.add(run)


def test_secrets_that_were_lost_are_not_drawn_a_second_time(tmp_path):
    witness = Remembered()
    vault_of(tmp_path).begin(GIVEN, lambda: PEOPLE.of("b"), witness)
    assert witness.runs == {GIVEN.run}
    vault_of(tmp_path).begin(GIVEN, lambda: pytest.fail("there is one"), witness)
    shutil.rmtree(vault_of(tmp_path).path)
    with pytest.raises(ReuseError, match="lost"):
        vault_of(tmp_path).begin(GIVEN, lambda: PEOPLE.of("b"), witness)


def test_what_was_not_drawn_yet_when_the_process_ended_is_drawn(tmp_path):
    witness = Remembered()
    with pytest.raises(RuntimeError):
        vault_of(tmp_path).begin(GIVEN, lambda: (_ for _ in ()).throw(RuntimeError()), witness)
    assert not witness.runs
    vault_of(tmp_path).begin(GIVEN, lambda: PEOPLE.of("b"), witness)
