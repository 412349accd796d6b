"""`hitoku columns`, with our spellings and with AWS's."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import base64
import csv
import json
import subprocess
import sys

import pytest

from hitoku.cli import columns as cli
from hitoku.cli.main import run

ROOM = "00000000-1111-2222-3333-444444444444"
SECRET = base64.b64encode(bytes(range(32))).decode()
SCHEMA = {
    "headerRow": True,
    "columns": [
        {"sourceHeader": "a", "type": "fingerprint"},
        {"sourceHeader": "b", "type": "sealed", "pad": {"type": "none"}},
    ],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("C3R_SHARED_SECRET", SECRET)
    monkeypatch.delenv("HITOKU_SHARED_SECRET", raising=False)
    (tmp_path / "data.csv").write_text("a,b\n1,x\n2,NIL\n")
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_script_for_c3r_cli_runs(folder, capsys):
    arguments = (
        f"encrypt data.csv --schema=s.json --id={ROOM} --output=out.csv --csvInputNULLValue=NIL "
        "--csvOutputNULLValue=null --overwrite --tempDir=. --fileFormat=CSV --enableStackTraces "
        "--profile=p --region=eu-west-1"
    )
    assert run(["columns", *arguments.split()]) == 0
    assert "2 rows" in capsys.readouterr().err
    assert run(["columns", *arguments.split(), "--dryRun"]) == 0
    back = f"decrypt out.csv --id={ROOM} --output=back.csv --csvOutputNULLValue=NIL"
    assert run(["columns", *back.split()]) == 0
    assert "warning: fingerprints" in capsys.readouterr().err
    with (folder / "back.csv").open() as file:
        assert sorted(r["b_sealed"] for r in csv.DictReader(file)) == ["NIL", "x"]
    assert run(["columns", *back.split(), "--overwrite", "--failOnFingerprintColumns"]) == 4


def test_our_spellings_and_json(folder, capsys):
    arguments = f"encrypt data.csv --schema s.json --id {ROOM} --json --csv-input-null NIL"
    assert run(["columns", *arguments.split()]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["target"]) == (2, "data.out.csv")
    assert (folder / "data.out.csv").exists()
    assert run(["columns", *arguments.split()]) == 4
    assert "exists already" in json.loads(capsys.readouterr().out)["message"]


def test_settings_from_options(folder, capsys):
    (folder / "data.csv").write_text("a,b\n1,x\n1,y\n")
    base = f"encrypt data.csv --schema s.json --id {ROOM} --overwrite"
    assert run(["columns", *base.split()]) == 4
    assert "allow_duplicates" in capsys.readouterr().err
    assert run(["columns", *base.split(), "--allow-duplicates", "--preserveNulls"]) == 0


def test_a_room_gives_settings_and_id(folder, capsys, place):
    room = str(place.room_file)
    assert run(["columns", "encrypt", "data.csv", "--schema", "s.json", "--room", room]) == 0
    assert run(["columns", "decrypt", "data.out.csv", "--room", room, "--output", "b.csv"]) == 0
    again = ["columns", "encrypt", "data.csv", "--schema", "s.json", "--room", room, "--overwrite"]
    assert run([*again, "--id", ROOM]) == 4
    assert run([*again, "--preserve-nulls"]) == 4
    assert "preserve_nulls" in capsys.readouterr().err


def test_what_is_missing_is_said(folder, capsys, monkeypatch):
    assert run(["columns", "encrypt", "data.csv", "--schema", "s.json"]) == 4
    assert "--id" in capsys.readouterr().err
    monkeypatch.delenv("C3R_SHARED_SECRET")
    assert run(["columns", "decrypt", "data.csv", "--id", ROOM]) == 4
    assert "HITOKU_SHARED_SECRET" in capsys.readouterr().err


def test_templates(folder, capsys):
    assert run(["columns", "schema", "data.csv", "--template"]) == 0
    made = json.loads((folder / "data.csv.json").read_text())
    assert made["columns"][0]["type"] == "[fingerprint|sealed|cleartext]"
    assert run(["columns", "schema", "data.csv", "--noHeaders", "--output", "p.json"]) == 0
    assert json.loads((folder / "p.json").read_text())["headerRow"] is False
    assert run(["columns", "schema", "data.csv", "--template", "--interactive"]) == 4
    capsys.readouterr()


def test_interactive(folder, monkeypatch):
    answers = iter(["1", "fingerprint", "a", "0"])
    monkeypatch.setattr(cli, "ask", lambda *_: next(answers))
    assert run(["columns", "schema", "data.csv", "--interactive", "-o", "i.json"]) == 0
    assert json.loads((folder / "i.json").read_text())["columns"] == [
        {"sourceHeader": "a", "targetHeader": "a", "type": "fingerprint"}
    ]


def test_the_prompt_repeats_until_a_choice_is_given(monkeypatch, capsys):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("x\nb\n"))
    assert cli.ask("which?", ["a", "b"], "a") == "b"


def test_importing_the_commands_is_quick():
    program = (
        "import sys, hitoku.cli.columns; "
        "sys.exit(any(m in sys.modules for m in ('pyarrow', 'pydantic', 'cryptography')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
