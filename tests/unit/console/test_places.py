# SPDX-License-Identifier: Apache-2.0
"""Which sources the console opens, and which never."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from hitoku.console.work.places import Places, places
from hitoku.errors import InputError
from hitoku.node.settings import NodeSettings


def settings(**console: object) -> NodeSettings:
    data = {"listen": "127.0.0.1:8443", "url": "https://a.example:8443", "rooms": [{"file": "room.yaml"}]}
    return NodeSettings.made({**data, **({"console": console} if console else {})}, "test")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    made = tmp_path / "member"
    for name in ("tables", "data", "data/parts", "outside"):
        (made / name).mkdir(parents=True)
    (made / "data" / "people.csv").write_text("a\n1\n")
    (made / "data" / "a:b.csv").write_text("a\n1\n")
    (made / "data" / "parts" / "0.parquet").write_bytes(b"PAR1")
    (made / "data" / "notes.txt").write_text("x")
    (made / "data" / "base.duckdb").write_bytes(b"x")
    (made / "member.key").write_text("secret")
    (made / "outside" / "other.csv").write_text("a\n1\n")
    return made


@pytest.fixture
def allowed(base: Path) -> Places:
    return places(base, settings())


def test_files_of_the_usual_folders_may_be_opened(allowed: Places, base: Path) -> None:
    assert allowed.allowed("data/people.csv") == "data/people.csv"
    assert allowed.allowed(str(base / "data" / "people.csv")) == "data/people.csv"
    assert allowed.allowed(f"file://{base}/data/people.csv") == "data/people.csv"
    assert allowed.allowed("data/parts") == "data/parts"
    assert allowed.allowed("data/a:b.csv") == "data/a:b.csv"
    assert allowed.allowed("duckdb:data/base.duckdb?table=t") == "duckdb:data/base.duckdb?table=t"


@pytest.mark.parametrize(
    "source",
    [
        "member.key",
        "data/../member.key",
        "data/../outside/other.csv",
        "data/./../outside/other.csv",
        "outside/other.csv",
        "/etc/passwd",
        "/proc/self/environ",
        "file:///etc/passwd",
        "file://elsewhere/data/people.csv",
        "file:data/%2e%2e/outside/other.csv",
        "data/%2e%2e/outside/other.csv",
        "duckdb:/etc/passwd?table=t",
        "duckdb:data/../../x.duckdb?table=t",
        "duckdb:data/base.duckdb?table=t&table=u",
        "duckdb:data/base.duckdb",
        "duckdb:data/base.duckdb?table=t&access_mode=READ_WRITE",
        "duckdb:data/people.csv?table=t",
        "data",
        "data/notes.txt",
        "data/none.csv",
        "data/people.csv\x00.parquet",
        "data/peo\nple.csv",
        "~/people.csv",
        "http://127.0.0.1/people.csv",
        "postgresql://127.0.0.1/base?table=t",
        "s3://bucket/people.parquet",
        "",
        "a" * 5000,
    ],
)
def test_everything_else_is_refused(allowed: Places, source: str) -> None:
    with pytest.raises(InputError) as caught:
        allowed.allowed(source)
    assert "secret" not in str(caught.value)


def test_what_is_not_there_looks_like_what_is_not_allowed(allowed: Places) -> None:
    said = set()
    for source in ("outside/other.csv", "outside/none.csv", "/etc/passwd", "/etc/none-at-all"):
        with pytest.raises(InputError) as caught:
            allowed.allowed(source)
        said.add(str(caught.value))
    assert len(said) == 1


def test_links_that_lead_out_are_refused(allowed: Places, base: Path) -> None:
    (base / "data" / "link.csv").symlink_to(base / "outside" / "other.csv")
    (base / "data" / "folder").symlink_to(base / "outside")
    (base / "data" / "parts" / "1.parquet").symlink_to(base / "member.key")
    (base / "data" / "loop.csv").symlink_to(base / "data" / "loop.csv")
    for source in ("data/link.csv", "data/folder/other.csv", "data/folder", "data/parts", "data/loop.csv"):
        with pytest.raises(InputError):
            allowed.allowed(source)
    assert {f.source for f in allowed.found()}.isdisjoint({"data/link.csv", "data/folder", "data/loop.csv"})


def test_a_link_inside_is_what_it_leads_to(allowed: Places, base: Path) -> None:
    (base / "data" / "same.csv").symlink_to(base / "data" / "people.csv")
    assert allowed.allowed("data/same.csv") == "data/people.csv"


def test_no_pipe_or_device_is_opened(allowed: Places, base: Path) -> None:
    os.mkfifo(base / "data" / "pipe.csv")
    with pytest.raises(InputError):
        allowed.allowed("data/pipe.csv")
    assert "data/pipe.csv" not in {f.source for f in allowed.found()}


def test_what_is_found(allowed: Places) -> None:
    assert {(f.source, f.kind) for f in allowed.found()} == {
        ("data/people.csv", "csv"),
        ("data/parts", "folder"),
        ("data/base.duckdb", "duckdb"),
    } | {("data/a:b.csv", "csv")}


def test_node_toml_names_the_folders(base: Path, tmp_path: Path) -> None:
    far = tmp_path / "exports"
    far.mkdir()
    (far / "a.csv").write_text("a\n")
    named = places(base, settings(sources=[str(far), "none"]))
    assert named.allowed(str(far / "a.csv")) == str(far / "a.csv")
    with pytest.raises(InputError):
        named.allowed("data/people.csv")


def test_a_database_is_named_whole_in_node_toml(base: Path) -> None:
    server = "postgresql://reader@db.example/sales?sslmode=verify-full"
    named = places(base, settings(sources=["data", server]))
    asked = "postgresql://reader@db.example/sales?table=people"
    assert named.allowed(asked) == "postgresql://reader@db.example/sales?sslmode=verify-full&table=people"
    for other in (
        asked + "&host=evil.example",
        "postgresql://reader@db.example/sales?host=evil.example&table=people",
        "postgresql://reader@db.example/other?table=people",
        "postgresql://reader@evil.example/sales?table=people",
        "postgresql://reader@db.example/sales",
    ):
        with pytest.raises(InputError):
            named.allowed(other)


def test_node_toml_keeps_the_places() -> None:
    made = settings(sources=["exports", "postgresql://reader@db.example/sales"])
    assert NodeSettings.made(tomllib.loads(made.text()), "test") == made
    assert "sources" not in settings(listen="127.0.0.1:8480").text()
