# SPDX-License-Identifier: Apache-2.0
"""`hitoku model` and `hitoku predict` on a logistic regression over six columns."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from tests.conftest import make_place
from tests.models import FEATURES, compiled, put, trained

from hitoku.cli.rows import read_rows
from hitoku.errors import InputError

pytest.importorskip("sklearn", reason="needs the extra inference")
pytest.importorskip("xgboost", reason="needs the extra inference")

HEADER = ",".join(f"f{n}" for n in range(FEATURES))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with rows in three forms, a model file, and what they were made of."""
    from xgboost import XGBClassifier

    place = tmp_path_factory.mktemp("model")
    model, rows = trained()
    np.savetxt(place / "rows.csv", rows, delimiter=",", header=HEADER, comments="", fmt="%.17g")
    np.save(place / "rows.npy", rows)
    trees = XGBClassifier(n_estimators=5, max_depth=2, max_bin=8, n_jobs=1)
    trees.fit(rows, model.predict(rows))
    trees.save_model(place / "trees.json")
    put(place / "line")
    return place, trees, rows


@pytest.fixture(scope="module")
def trees(files):
    """The trees compiled by the command line; what it printed."""
    import contextlib
    import io

    import hitoku.cli.main as cli

    place, _, _ = files
    arguments = ["model", "compile", place / "trees.json", "--calibration", place / "rows.csv"]
    arguments += ["--output", place / "compiled", "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
        assert cli.run([str(a) for a in arguments]) == 0
    return place / "compiled", json.loads(out.getvalue())


def test_compile_writes_both_sides_and_the_report(trees):
    folder, report = trees
    assert {p.name for p in folder.iterdir()} == {
        "server.bundle", "client.json", "report.json", "report.html"
    }  # fmt: skip
    assert report["parameters"]["total_bits"] <= report["parameters"]["limit_bits"]
    assert json.loads((folder / "report.json").read_text()) == report
    assert "<svg" in (folder / "report.html").read_text()
    assert "weights" not in json.loads((folder / "client.json").read_text())


def test_report_is_shown(hitoku, trees, tmp_path):
    folder, report = trees
    code, out, _ = hitoku("model", "report", folder, "--html", tmp_path / "page.html")
    assert code == 0
    assert "What the server learns" in out
    assert "What the client learns" in out
    assert (tmp_path / "page.html").read_text() == (folder / "report.html").read_text()
    code, out, err = hitoku("model", "report", folder, "--json")
    assert (code, json.loads(out), err) == (0, report, "")
    assert out.count("\n") == 1


def test_a_budget_that_holds_and_one_that_does_not(hitoku, trees):
    folder, report = trees
    cost = report["cost"]
    fits = ["--assert-ms", 2 * cost["server_ms"], "--assert-mb", 2 * cost["bytes"]["memory"] / 1e6]
    assert hitoku("model", "report", folder, *fits, "--assert-bits", 1)[0] == 0
    code, _, err = hitoku("model", "report", folder, "--assert-ms", cost["server_ms"] / 2)
    assert code == 6
    assert "are allowed" in err
    assert hitoku("model", "report", folder, "--assert-mb", cost["bytes"]["memory"] / 2e6)[0] == 6
    code, _, err = hitoku("model", "report", folder, "--assert-bits", 200)
    assert code == 6
    assert "200.0 are asked" in err


def test_simulate_gives_the_models_scores_with_noise(hitoku, files, trees):
    place, model, rows = files
    folder, report = trees
    wanted = model.predict(rows, output_margin=True)
    call = ("model", "simulate", folder, "--rows", place / "rows.csv", "--seed", 3)
    code, out, _ = hitoku(*call, "--json")
    assert code == 0
    scores = np.array(json.loads(out)["scores"])[:, 0]
    tolerance = report["precision"]["scores"]["tolerance"]
    assert 0 < np.abs(scores - wanted).max() <= tolerance
    code, out, _ = hitoku(*call)
    lines = out.splitlines()
    assert len(lines) == 1 + len(rows)
    assert np.allclose([float(line) for line in lines[1:]], scores, rtol=1e-5, atol=1e-5)
    other = hitoku("model", "simulate", folder, "--rows", place / "rows.npy", "--seed", 4, "--json")[1]
    assert np.abs(np.array(json.loads(other)["scores"])[:, 0] - scores).max() > 0


def test_debug_finds_no_drift_in_a_right_circuit(hitoku, files):
    place, _, _ = files
    code, out, _ = hitoku("model", "debug", place / "line", "--rows", place / "rows.npy", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["drifts"] is None
    assert all(one["error"] <= one["worst"] for one in data["operations"])
    assert (
        "Every operation stays" in hitoku("model", "debug", place / "line", "--rows", place / "rows.npy")[1]
    )


def test_debug_names_the_operation_that_drifts(hitoku, files, monkeypatch):
    """A planted fault: the first linear map's encrypted values are doubled before they are compared."""
    from hitoku.hazmat import ring
    from hitoku.inference import Plan
    from hitoku.inference.interpreters import debug

    place, _, _ = files
    program = Plan.open(place / "line").program
    faulty = next(index for index, node in enumerate(program.nodes) if node.op == "matrix")
    whole = debug.run

    def planted(*arguments):
        return whole(*arguments, tamper=lambda index, c: ring.add(c, c) if index == faulty else None)

    monkeypatch.setattr(debug, "run", planted)
    call = ("model", "debug", place / "line", "--rows", place / "rows.npy")
    code, out, _ = hitoku(*call)
    assert code == 1
    name = program.nodes[faulty].describe(faulty)
    assert f"The first operation that drifts is {name}." in out
    code, out, _ = hitoku(*call, "--json")
    assert (code, json.loads(out)["drifts"]) == (1, name)


def test_serve_puts_it_at_the_member_and_says_what_the_room_needs(hitoku, files, keys_only):
    place, _, _ = files
    member = keys_only
    code, out, _ = hitoku("model", "serve", place / "line", "--member", member, "--name", "score", "--json")
    assert code == 0
    data = json.loads(out)
    entry = data["model"]
    assert entry["owner"] == "registry"
    assert entry["client"] == "sha256:" + hashlib.sha256(compiled()[1]).hexdigest()
    assert 0 < float(entry["rounding"]) <= data["noise_width"]
    assert (member / "models" / "score" / "server.bundle").read_bytes() == compiled()[0]
    code, out, _ = hitoku("model", "serve", place / "line", "--member", member, "--name", "score")
    assert code == 0
    import yaml

    (shown,) = yaml.safe_load(out[out.index("models:") :])["models"]
    assert shown == entry


@pytest.fixture
def keys_only(tmp_path):
    from hitoku.room.directory import MemberDirectory

    return MemberDirectory.create(tmp_path / "registry", "registry").path


def test_what_serve_prints_goes_into_a_room(hitoku, files, tmp_path):
    """Put into a room in force, signed by its owner alone, shown, and taken out again."""
    place, _, _ = files
    room = make_place(tmp_path)
    member = room.members["registry"].path
    call = ("--member", member, "--name", "score", "--asker", "airport", "--rows-per-day", "5000")
    code, out, _ = hitoku("model", "serve", place / "line", *call)
    assert code == 0
    (tmp_path / "offer.yaml").write_text(out)
    assert hitoku("room", "models", room.room_file, tmp_path / "offer.yaml")[0] == 0
    assert hitoku("room", "verify", room.room_file)[0] == 5
    assert hitoku("room", "sign", room.room_file, "--member", member)[0] == 0
    assert hitoku("room", "verify", room.room_file)[0] == 0
    code, out, _ = hitoku("room", "show", room.room_file)
    assert "model score of registry:" in out
    assert "may ask: airport; 5,000 rows a day each" in out
    assert hitoku("room", "models", room.room_file, "--remove", "score")[0] == 0
    assert "model score" not in hitoku("room", "show", room.room_file)[1]
    assert hitoku("room", "models", room.room_file, "--remove", "score")[0] == 5
    assert hitoku("room", "models", room.room_file)[0] == 5


@pytest.mark.parametrize("text", ["[]", "models: 1", "models: [1]", "models: [{name: x}]", "models: [", ""])
def test_what_is_no_list_of_models_is_refused(hitoku, tmp_path, text):
    room = make_place(tmp_path)
    (tmp_path / "part.yaml").write_text(text)
    before = room.room_file.read_bytes()
    assert hitoku("room", "models", room.room_file, tmp_path / "part.yaml")[0] in (4, 5)
    assert room.room_file.read_bytes() == before


def test_serve_refuses_names_and_files_that_cannot_be(hitoku, files, keys_only, tmp_path):
    place, _, _ = files
    code, _, err = hitoku("model", "serve", place / "line", "--member", keys_only, "--name", "../up")
    assert code == 4
    assert "a model's name" in err
    mixed = tmp_path / "mixed"
    put(mixed)
    content = bytearray((mixed / "server.bundle").read_bytes())
    content[len(content) // 2] ^= 1
    (mixed / "server.bundle").write_bytes(bytes(content))
    code, _, err = hitoku("model", "serve", mixed, "--member", keys_only, "--name", "score")
    assert code == 4
    assert "digest" in err
    assert not (keys_only / "models").exists()


def test_the_two_files_of_different_models_are_refused(hitoku, files, trees, tmp_path):
    place, _, _ = files
    mixed = tmp_path / "mixed"
    put(mixed)
    (mixed / "client.json").write_bytes((trees[0] / "client.json").read_bytes())
    code, _, err = hitoku("model", "simulate", mixed, "--rows", place / "rows.npy")
    assert code == 4
    assert "is not the client specification" in err


@pytest.mark.parametrize("name", ["server.bundle", "client.json"])
def test_a_file_that_is_not_there(hitoku, files, tmp_path, name):
    place, _, _ = files
    put(tmp_path / "part")
    (tmp_path / "part" / name).unlink()
    code, _, err = hitoku("model", "simulate", tmp_path / "part", "--rows", place / "rows.npy")
    assert code == 4
    assert name in err


def test_what_is_no_model_no_rows_no_report(hitoku, files, tmp_path):
    place, _, _ = files
    (tmp_path / "x.onnx").write_bytes(b"nothing of the kind")
    target = ("--calibration", place / "rows.csv", "--output", tmp_path / "out")
    assert hitoku("model", "compile", tmp_path / "x.onnx", *target)[0] == 4
    assert hitoku("model", "compile", tmp_path / "absent.onnx", *target)[0] == 4
    assert not (tmp_path / "out").exists()
    code, _, err = hitoku("model", "report", tmp_path)
    assert code == 4
    assert "compile the model first" in err
    for text in ("[]", "{", '{"form": 1, "name": "x"}', '{"form": 99}'):
        (tmp_path / "report.json").write_text(text)
        code, _, err = hitoku("model", "report", tmp_path)
        assert code == 4, text
        assert "is no circuit report" in err


def test_a_refused_compilation_names_what_to_do(hitoku, files, tmp_path):
    place, _, _ = files
    few = tmp_path / "few.npy"
    np.save(few, np.zeros((3, FEATURES)))
    code, out, _ = hitoku(
        "model", "compile", place / "trees.json", "--calibration", few, "--output", tmp_path / "o", "--json"
    )
    assert code == 4
    assert "8 samples" in json.loads(out)["message"]


def test_rows_from_files(files, tmp_path):
    place, _, rows = files
    from_csv, names = read_rows(place / "rows.csv")
    assert np.array_equal(from_csv, rows)
    assert names == tuple(HEADER.split(","))
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [1, None], "b": [0.5, 1.5]}), tmp_path / "r.parquet")
    found, names = read_rows(tmp_path / "r.parquet")
    assert names == ("a", "b")
    assert np.array_equal(found, [[1, 0.5], [np.nan, 1.5]], equal_nan=True)
    assert read_rows(place / "rows.npy", (2, 3))[0].shape == (len(rows), 2, 3)


def npy(dtype: str, shape: str) -> str:
    """A NumPy file whose head says what is not there."""
    head = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}"
    return "\x93NUMPY\x01\x00" + chr(len(head)) + "\x00" + head


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("a,b\n1,planted\n", "r.csv", "column 'b'"),
        ("a,b\n1\n", "r.csv", "is no csv file"),
        ("a,b\n", "r.csv", "no rows"),
        ("1,2\n", "r.txt", ".csv, .parquet or .npy"),
        ("nothing", "r.npy", "array of numbers"),
        ("nothing", "r.parquet", "is no parquet file"),
        ("", "r.npy", "array of numbers"),
        ("PK\x03\x04nothing", "r.npy", "array of numbers"),
        (npy("'<f8'", "(((((((((("), "r.npy", "array of numbers"),
        (npy("'<f8'", "(1000000000000, 10)"), "r.npy", "array of numbers"),
        (npy("'|V0'", "(1000000000000, 10)"), "r.npy", "not numbers"),
        (npy("'<U0'", "(100000000000,)"), "r.npy", "not numbers"),
        (npy("'<c8'", "(1, 1)") + 8 * "0", "r.npy", "not numbers"),
        ("PAR1" + "0" * 100 + "PAR1", "r.parquet", "r.parquet"),
        ("12.5,17.25\n3,4\n", "r.csv", "a row of values"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, content, name, words):
    (tmp_path / name).write_text(content, "latin-1")
    with pytest.raises(InputError) as caught:
        read_rows(tmp_path / name)
    assert words in str(caught.value)
    assert "planted" not in str(caught.value)
    assert "17.25" not in str(caught.value)


def test_columns_may_be_numbered(tmp_path):
    (tmp_path / "r.csv").write_text("0,1\n3,4\n")
    assert read_rows(tmp_path / "r.csv")[1] == ("0", "1")


def test_a_small_file_of_very_many_rows_is_not_unpacked(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    zeros = pa.table({"a": np.zeros(1_000_000)})
    with parquet.ParquetWriter(tmp_path / "r.parquet", zeros.schema, compression="zstd") as file:
        for _ in range(140):
            file.write_table(zeros)
    assert (tmp_path / "r.parquet").stat().st_size < 10_000_000
    with pytest.raises(InputError, match="split it"):
        read_rows(tmp_path / "r.parquet")


def test_rows_are_in_plain_files(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.parquet").mkdir()
    for name in ("pipe.csv", "folder.parquet"):
        with pytest.raises(InputError, match="no plain file"):
            read_rows(tmp_path / name)


def test_serve_refuses_scores_without_noise():
    from hitoku.cli.model import _rounding

    assert _rounding(0.37) == "0.2"
    for width in (0.0, 1e-12, float("nan")):
        with pytest.raises(InputError, match="larger tolerance"):
            _rounding(width)


def test_serve_refuses_a_specification_that_no_message_holds(hitoku, files, tmp_path, monkeypatch):
    from hitoku import limits
    from hitoku.room.directory import MemberDirectory

    monkeypatch.setattr(limits, "MAX_CLIENT_SPEC_CHARS", 100)
    member = MemberDirectory.create(tmp_path / "clinic", "clinic")
    code, _, err = hitoku("model", "serve", files[0] / "line", "--member", member.path, "--name", "score")
    assert code == 6
    assert "at most 100" in err
    assert not (member.path / "models").exists()


def test_a_folder_without_its_client_specification(hitoku, files, tmp_path):
    from hitoku.room.directory import MemberDirectory

    member = MemberDirectory.create(tmp_path / "clinic", "clinic")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "server.bundle").write_bytes((files[0] / "line" / "server.bundle").read_bytes())
    code, _, err = hitoku("model", "serve", tmp_path / "m", "--member", member.path, "--name", "score")
    assert code == 4
    assert "client.json" in err


def test_rows_of_another_width(hitoku, files, tmp_path):
    place, _, _ = files
    np.save(tmp_path / "r.npy", np.zeros((2, FEATURES + 1)))
    code, _, err = hitoku("model", "simulate", place / "line", "--rows", tmp_path / "r.npy")
    assert code == 4
    assert f"the model takes {FEATURES}" in err


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    digest = "sha256:" + hashlib.sha256(compiled()[1]).hexdigest()

    def change(data):
        data["models"] = [
            {
                "name": "score",
                "owner": "registry",
                "client": digest,
                "askers": ["airport"],
                "rows_per_day": 12_000,
                "rounding": "0.01",
            }
        ]

    place = make_place(tmp_path_factory.mktemp("room"), change)
    put(place.members["registry"].path / "models" / "score")
    return place


def test_predict_in_a_room(hitoku, files, room):
    """All three outputs; then the day's rows are spent."""
    place, _, rows = files
    model, _ = trained()
    np.save(place / "some.npy", rows[:10])
    call = ("predict", "score", place / "some.npy", "--room", room.path, "--as", "airport")
    code, out, err = hitoku(*call, "--json")
    assert code == 0, err
    data = json.loads(out)
    wanted = model.decision_function(rows[:10])
    assert np.abs(np.array(data["scores"])[:, 0] - wanted).max() < 0.05 * np.abs(wanted).max()
    assert data["rows"] == 10
    assert {one["member"] for one in data["learned"]} == {"airport", "registry"}
    assert 12_000 // data["rows_charged"] >= 2
    code, out, err = hitoku(*call)
    assert code == 0
    assert len(out.splitlines()) == 11
    assert "Who learned what" in err
    for _ in range(12_000 // data["rows_charged"] - 2):
        assert hitoku(*call, "--csv")[0] == 0
    code, out, err = hitoku(*call, "--json")
    assert code == 3
    refusal = json.loads(out)
    assert refusal["code"] == "MODEL_ROWS_SPENT"
    assert refusal["owner"] == "registry"


def test_predict_refuses_whom_the_room_does_not_name(hitoku, files, room):
    place, _, rows = files
    np.save(place / "one.npy", rows[:1])
    code, out, _ = hitoku(
        "predict", "score", place / "one.npy", "--room", room.path, "--as", "host", "--json"
    )
    assert code == 3
    assert json.loads(out)["code"] == "MODEL_NOT_ALLOWED"


def test_rows_outside_the_models_bounds_never_leave(hitoku, room, tmp_path):
    wild = np.full((1, FEATURES), 1e6)
    np.save(tmp_path / "wild.npy", wild)
    code, out, _ = hitoku(
        "predict", "score", tmp_path / "wild.npy", "--room", room.path, "--as", "airport", "--json"
    )
    assert code == 4
    message = json.loads(out)["message"]
    assert "1000000" not in message
    assert "1e+06" not in message
