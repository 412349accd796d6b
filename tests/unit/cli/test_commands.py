# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hitoku.cli import main as cli
from hitoku.errors import EngineError, HitokuError
from hitoku.room.files import save_room
from hitoku.room.versions import revise


def test_ask(hitoku, filled, question):
    code, out, err = hitoku("ask", question, "--room", filled.path)
    assert code == 0
    assert "BIG" in out
    assert "SMALL" not in out
    assert "are not shown" in out
    assert err == ""


def test_who_signed_is_said_as_it_is(hitoku, place):
    """A later version needs only those whom it touches: nobody is told that all signed it."""
    path = place.room_file
    code, out, _ = hitoku("room", "show", path)
    assert (code, f"id: {place.agreement.id}" in out, "in force: every member signed it" in out) == (
        0,
        True,
        True,
    )
    assert "In force: all 3 members signed sha256:" in hitoku("room", "verify", path)[1]
    text = path.read_text("utf-8")
    tables = place.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)["tables"]
    flights = next(one for one in tables if one["owner"] == "airport")
    flights["rule"]["outputConstraints"][0]["minimum"] = 2
    save_room(revise(place.room, {"tables": tables}), path)
    try:
        said = hitoku("room", "sign", path, "--member", place.members["airport"].path)[1]
        assert "; all have signed whose data or duty it touches" in said
        said = hitoku("room", "show", path)[1]
        assert "in force: signed by airport, all whose data or duty it touches" in said
        said = hitoku("room", "verify", path)[1]
        assert "In force: 1 of 3 members signed sha256:" in said
    finally:
        path.write_text(text, "utf-8")


def test_ask_json_is_one_object(hitoku, filled, question):
    code, out, err = hitoku("ask", question, "--room", filled.room_file, "--as", "airport", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["rows"][0][:2] == ["BIG", 18]
    assert data["withheld"]["some"] is None
    assert out.count("\n") == 1
    assert err == ""


def test_ask_csv(hitoku, filled, question):
    code, out, err = hitoku("ask", question, "--room", filled.path, "--csv")
    assert code == 0
    assert out.splitlines()[0] == "manufacturer,aircraft,delay"
    assert out.splitlines()[1].startswith("BIG,18,")
    assert "are not shown" in err


def test_ask_for_others(hitoku, filled, question):
    code, out, err = hitoku("ask", question, "--room", filled.path, "--to", "registry")
    assert (code, out) == (0, "")
    assert "The answer went to registry" in err


def test_ask_from_standard_input(hitoku, filled, question, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(question))
    assert hitoku("ask", "-", "--room", filled.path)[0] == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("x" * 100_001))
    assert hitoku("ask", "-", "--room", filled.path)[0] == 4


def test_a_refusal_on_the_command_line(hitoku, filled, refused):
    code, out, err = hitoku("ask", refused, "--room", filled.path)
    assert code == 3
    assert out == ""
    assert "Refused (" in err
    assert "^^^" in err
    assert "what to do" in err
    code, out, err = hitoku("ask", refused, "--room", filled.path, "--json")
    assert code == 3
    data = json.loads(out)
    assert data["error"] == "Refusal"
    assert data["span"][0] > 0
    assert err == ""


def test_explain(hitoku, filled, question, refused):
    code, out, _ = hitoku("explain", question, "--room", filled.path)
    assert code == 0
    assert "Accepted" in out
    assert "host:" in out
    assert "at least 3 distinct flights.tailnum" in out
    code, out, _ = hitoku("explain", question, "--room", filled.path, "--json")
    assert json.loads(out)["verdict"] == "accept"
    code, out, _ = hitoku("explain", refused, "--room", filled.path)
    assert code == 3
    assert "Refused" in out
    code, out, _ = hitoku("explain", refused, "--room", filled.path, "--json")
    assert code == 3
    assert json.loads(out)["verdict"] == "refuse"


def test_a_room_by_the_command_line(hitoku, tmp_path):
    keys = {}
    for name in ("bank", "shop", "host"):
        code, out, _ = hitoku("room", "member", tmp_path / name, "--name", name, "--json")
        assert code == 0
        keys[name] = json.loads(out)["key"]
    room = tmp_path / "room.yaml"
    code, out, _ = hitoku(
        "room", "new", room, "--name", "A test", "--founder", tmp_path / "bank",
        "--ability", "query", "--ability", "receive", "--allow-cleartext",
    )  # fmt: skip
    assert code == 0
    assert hitoku("room", "new", room, "--name", "x", "--founder", tmp_path / "bank")[0] == 4
    assert hitoku("room", "add-member", room, "shop", keys["shop"])[0] == 0
    assert hitoku("room", "add-member", room, "host", keys["host"], "--ability", "host")[0] == 0
    assert hitoku("room", "add-member", room, "host", keys["host"])[0] == 5
    table = tmp_path / "table.yaml"
    table.write_text("""
name: customers
owner: bank
columns:
- {name: id, type: string, protection: fingerprint}
- {name: age, type: bigint, protection: cleartext}
rule:
  type: aggregation
  aggregateColumns: [{function: AVG, columnNames: [age]}]
  joinColumns: [id]
  outputConstraints: [{columnName: id, minimum: 50}]
""")
    code, out, _ = hitoku("room", "add-table", room, table)
    assert code == 0
    assert "'customers' of 'bank'" in out
    table.write_text("[1]")
    assert hitoku("room", "add-table", room, table)[0] == 5
    table.write_text("name: x")
    assert hitoku("room", "add-table", room, table)[0] == 5

    code, _, err = hitoku("room", "verify", room)
    assert code == 5
    assert "'shop' has not signed yet" in err
    code, out, _ = hitoku("room", "sign", room, "--member", tmp_path / "bank")
    assert code == 0
    assert "still to sign: shop, host" in out
    for name in ("shop", "host"):
        code, out, _ = hitoku("room", "sign", room, "--member", tmp_path / name)
        assert code == 0
    assert "all members have signed" in out
    code, out, _ = hitoku("room", "verify", room, "--member", tmp_path / "bank", "--json")
    assert code == 0
    assert json.loads(out)["in_force"] is True
    code, out, _ = hitoku("room", "show", room)
    assert "in force" in out
    assert "at least 50 distinct id" in out
    assert "AVG of age" in out
    code, out, _ = hitoku("room", "show", room, "--json")
    assert json.loads(out)["agreement"]["name"] == "A test"
    old = tmp_path / "old.yaml"
    old.write_bytes(room.read_bytes())
    code, _, err = hitoku("room", "diff", room)
    assert code == 4
    assert "version 1 only" in err
    # A change of a room in force begins a version, which those sign whom it touches.
    assert hitoku("room", "add-member", room, "new", hitoku_key(hitoku, tmp_path))[0] == 0
    code, out, _ = hitoku("room", "verify", room)
    assert code == 5
    code, out, _ = hitoku("room", "diff", room)
    assert code == 0
    assert "members.new: nothing -> " in out
    assert "must sign: bank, new" in out
    assert json.loads(hitoku("room", "diff", room, old, "--json")[1])["must_sign"] == ["bank", "new"]
    for name in ("bank", "new"):
        assert hitoku("room", "sign", room, "--member", tmp_path / name)[0] == 0
    for name in ("bank", "shop"):
        assert hitoku("room", "verify", room, "--member", tmp_path / name)[0] == 0
    # Who knows version 2 does not go back, and what was signed is not signed as something else.
    code, _, err = hitoku("room", "sign", old, "--member", tmp_path / "bank")
    assert code == 5
    assert "rolled back" in err
    code, out, _ = hitoku("room", "export", room)
    assert code == 0
    assert json.loads(out)["version"] == 2
    assert hitoku("room", "export")[0] == 4
    assert "SignedVersion" in hitoku("room", "export", "--schema")[1]


def test_a_signed_draft_leaves_the_version_in_force_in_use(hitoku, place):
    """Who signed the next version goes on with the one in force, until the others signed too."""
    from hitoku.room.agreement import Agreement
    from hitoku.room.files import load_room, save_room
    from hitoku.room.signing import problems
    from hitoku.room.versions import newest_in_force

    airport = place.members["airport"]
    key = hitoku_key(hitoku, place.path)
    assert hitoku("room", "add-member", place.room_file, "new", key)[0] == 0
    code, out, _ = hitoku("room", "sign", place.room_file, "--member", airport.path)
    assert code == 0
    assert "still to sign" in out
    draft = load_room(place.room_file)
    assert problems(draft)
    assert airport.room(newest_in_force(draft)).agreement == place.agreement
    assert airport.known(draft) == place.agreement
    # The signature binds: no other draft of that number.
    data = draft.agreement.model_dump(mode="json", by_alias=True, exclude_none=True) | {"name": "Other"}
    other = draft.model_copy(update={"agreement": Agreement.model_validate(data), "signatures": ()})
    save_room(other, place.path / "other.yaml")
    code, _, err = hitoku("room", "sign", place.path / "other.yaml", "--member", airport.path)
    assert code == 5
    assert "signed another draft of version 2" in err
    assert load_room(place.path / "other.yaml").signatures == ()
    # Signed again it is the same; when all have signed, it is the member's word on the room.
    assert hitoku("room", "sign", place.room_file, "--member", airport.path)[0] == 0
    for name in ("registry", "new"):
        assert hitoku("room", "sign", place.room_file, "--member", place.path / name)[0] == 0
    done = load_room(place.room_file)
    assert problems(done) == ()
    assert airport.room(done).agreement.version == 2
    assert airport.known(done) == done.agreement


def hitoku_key(hitoku, tmp_path):
    _, out, _ = hitoku("room", "member", tmp_path / "new", "--name", "new", "--json")
    return json.loads(out)["key"]


def test_a_host_with_the_secret_cannot_sign(hitoku, place):
    (place.path / "host" / "shared.secret").write_text("x")
    code, _, err = hitoku("room", "sign", place.room_file, "--member", place.path / "host")
    assert code == 5
    assert "must not hold the shared secret" in err


def test_a_member_with_an_odd_name_is_not_made(hitoku, tmp_path):
    code, _, err = hitoku("room", "member", tmp_path / "x", "--name", "../x")
    assert code == 5
    assert "a name is" in err
    assert not (tmp_path / "x").exists()


def test_doctor(hitoku, place, monkeypatch):
    monkeypatch.delenv("C3R_SHARED_SECRET", raising=False)
    monkeypatch.delenv("HITOKU_SHARED_SECRET", raising=False)
    code, out, _ = hitoku("doctor", "--room", place.path)
    assert code == 0
    assert "room: Test room: in force, 3 members signed" in out
    monkeypatch.setenv("HITOKU_SHARED_SECRET", "PLANTED-not-base64")
    code, out, _ = hitoku("doctor", "--json")
    assert code == 1
    data = json.loads(out)
    assert data["ok"] is False
    assert "PLANTED" not in out
    monkeypatch.setenv("HITOKU_SHARED_SECRET", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    code, out, _ = hitoku("doctor", "--room", place.path)
    assert code == 0
    assert "32 bytes" in out
    assert "a real host must never hold the secret" in out
    place.members["airport"].key_file.chmod(0o644)
    code, out, _ = hitoku("doctor", "--room", place.path)
    assert code == 1
    assert "chmod 600" in out
    place.room_file.write_text("nonsense")
    code, out, _ = hitoku("doctor", "--room", place.path)
    assert code == 1


@pytest.mark.parametrize("arguments", [["nothing"], ["ask"], ["ask", "x", "--bad"], ["room", "sign"]])
def test_usage_errors(hitoku, arguments):
    code, out, err = hitoku(*arguments)
    assert (code, out) == (2, "")
    assert "UsageError" in err
    code, out, err = hitoku(*arguments, "--json")
    assert code == 2
    assert json.loads(out)["error"] == "UsageError"


def test_version_and_help(hitoku):
    code, out, _ = hitoku("--version")
    assert code == 0
    assert out.startswith("hitoku ")
    code, out, _ = hitoku("--help")
    assert code == 0
    for exit_code in cli.EXIT_CODES:
        assert f"{exit_code} {cli.EXIT_CODES[exit_code].split()[0]}" in " ".join(out.split())


def test_the_exit_codes_of_the_documentation_are_these():
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
    for exit_code, meaning in cli.EXIT_CODES.items():
        assert f"| {exit_code} | {meaning} |" in text


def test_every_error_class_has_a_documented_exit_code():
    def all_of(cls):
        return {cls, *(s for c in cls.__subclasses__() for s in all_of(c))}

    for cls in all_of(HitokuError):
        if cls.__module__.startswith("hitoku"):
            assert cls.exit_code in cli.EXIT_CODES


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("debug", ["0", "1"])
def test_an_unexpected_error_shows_its_place_and_no_value(
    hitoku, filled, question, monkeypatch, as_json, debug
):
    from hitoku.room.directory import Workspace

    def broken(*_, **__):
        raise KeyError("PLANTED")

    monkeypatch.setattr(Workspace, "open", broken)
    monkeypatch.setenv("HITOKU_DEBUG", debug)
    code, out, err = hitoku("ask", question, "--room", filled.path, *(["--json"] if as_json else []))
    assert code == 1
    assert ("PLANTED" in err) is (debug == "1")
    assert "PLANTED" not in out
    assert "KeyError at hitoku/node/local.py" in (out if as_json else err)


def test_interrupts_and_errors_end_in_their_codes(hitoku, filled, question, monkeypatch):
    from hitoku.node.local import RoomHandle

    def stop(error):
        def ask(*_, **__):
            raise error

        monkeypatch.setattr(RoomHandle, "ask", ask)

    stop(KeyboardInterrupt())
    code, out, _ = hitoku("ask", question, "--room", filled.path)
    assert (code, out) == (130, "")
    code, out, _ = hitoku("ask", question, "--room", filled.path, "--json")
    assert code == 130
    assert json.loads(out)["error"] == "Interrupted"
    stop(EngineError("The engine ran out of memory.", "OUT_OF_MEMORY"))
    code, out, _ = hitoku("ask", question, "--room", filled.path, "--json")
    assert code == 7
    assert json.loads(out)["code"] == "OUT_OF_MEMORY"


def test_a_reader_that_leaves_is_no_error(filled, question):
    script = f"{sys.executable} -m hitoku.cli.main --help | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 141}


def test_starting_is_cheap():
    heavy = ("pyarrow", "sqlglot", "duckdb", "pydantic", "rich")
    code = f"import hitoku, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ},
        timeout=300,
    )
    assert done.stdout.strip() == "[]"


def test_asking_does_not_import_what_it_does_not_need(filled, question, hitoku):
    hitoku("ask", question, "--room", filled.path)  # makes the members' databases, by migrations
    needless = ("pandas", "duckdb", "pyarrow.dataset", "alembic")
    code = (
        "import sys; from hitoku.cli.main import run; run(sys.argv[1:]);"
        f"print([m for m in {needless} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "ask", question, "--room", str(filled.path)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.strip().endswith("[]")
