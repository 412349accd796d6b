# SPDX-License-Identifier: Apache-2.0
"""A room made over the network alone: invited, admitted, signed, served, asked, and changed meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import AGREEMENT, QUESTION, Place, fill
from tests.e2e.nodes import free_ports, hitoku

from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room

pytestmark = pytest.mark.slow

ABILITIES = {m["name"]: m["abilities"] for m in AGREEMENT["members"]} | {"agency": ["query", "receive"]}
SECONDS = 300


def said(*words: object, code: int = 0) -> dict[str, Any]:
    """What a command says with --json."""
    if words[:2] == ("room", "join"):  # nodes in networks that are not the internet's are named
        words = (*words, "--network", "127.0.0.0/8")
    done = hitoku(*words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Company:
    """A company with its own directory, and its node."""

    def __init__(self, place: Path, name: str, port: int, desk: int) -> None:
        self.name, self.path, self.port, self.desk = name, place / name, port, desk
        self.log = place / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def serve(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hitoku.cli.main", "node", "serve", str(self.path)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.heard("serving")

    def count(self, event: str, **facts: object) -> int:
        """How often the node logged something."""
        text = self.log.read_text("utf-8")
        lines = [json.loads(x) for x in text[: text.rfind("\n") + 1].splitlines() if x.startswith("{")]
        return sum(line["event"] == event and facts.items() <= line.items() for line in lines)

    def heard(self, event: str, times: int = 1, **facts: object) -> None:
        """Wait until the node logged something so often."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if self.count(event, **facts) >= times:
                return
            assert self.process is None or self.process.poll() is None, self.log.read_text("utf-8")
            time.sleep(0.05)
        raise AssertionError(self.log.read_text("utf-8"))

    def knows(self, **peers: Company) -> None:
        """Write down where others' nodes are, and wait until the node took that up."""
        before = self.count("room_taken_up")
        with (self.path / "node.toml").open("a", encoding="utf-8") as toml:
            toml.writelines(f'{name} = "{company.url}"\n' for name, company in peers.items())
        self.heard("room_taken_up", before + 1)

    def end(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(SECONDS)


@pytest.fixture
def companies(tmp_path):
    ports = free_ports(2 * len(ABILITIES))
    made = {n: Company(tmp_path, n, ports[2 * i], ports[2 * i + 1]) for i, n in enumerate(ABILITIES)}
    yield made
    for company in made.values():
        company.end()


def invited(inviter: Company, company: Company, *more: object) -> Path:
    """A new invitation, in a file."""
    file = inviter.path.parent / f"{company.name}.{time.monotonic_ns()}.invitation"
    said("room", "invite", inviter.path, "--as", company.name, "--to", file, *more)
    assert file.stat().st_mode & 0o077 == 0
    return file


def abilities(name: str) -> list[str]:
    return [word for ability in ABILITIES[name] for word in ("--ability", ability)]


def signs(company: Company) -> dict[str, Any]:
    """Look, then sign what was shown."""
    shown = said("room", "join", company.path)
    assert (shown["admitted"], shown["signed"]) == (True, False)
    return said("room", "join", company.path, "--yes", "--hash", shown["hash"])


def test_a_room_comes_about_and_changes_between_nodes(tmp_path, companies):
    airport, registry, host, agency = companies.values()
    tables = {}
    for table in AGREEMENT["tables"]:
        tables[table["owner"]] = tmp_path / f"{table['name']}.yaml"
        tables[table["owner"]].write_text(yaml.safe_dump(table), "utf-8")

    # The inviter has a draft that nobody else knows, and a node that serves nothing yet.
    room = airport.path / "room.yaml"
    said("room", "member", airport.path, "--name", "airport")
    said("room", "new", room, "--name", "Test room", "--founder", airport.path, *abilities("airport"),
         "--allow-cleartext", "--allow-duplicates")  # fmt: skip
    said("room", "add-table", room, tables["airport"])
    said("node", "init", airport.path, "--room", room, "--listen", f"127.0.0.1:{airport.port}",
         "--invitations", f"127.0.0.1:{airport.desk}")  # fmt: skip
    airport.serve()

    # Each invited company offers a key of its own; the operator is told it over another way.
    for company in (registry, host):
        file = invited(airport, company, *abilities(company.name))
        brings = ["--table", tables["registry"]] if company is registry else []
        offered = said("room", "join", company.path, file, *brings)
        assert (offered["admitted"], offered["signed"]) == (False, False)
        shown = said("room", "admit", airport.path, company.name)
        assert shown["key"] == offered["key"]
        assert said("room", "admit", airport.path, company.name, "--key", offered["key"])["admitted"]
    assert {i["state"] for i in said("room", "status", airport.path)["invitations"]} == {"has still to sign"}

    # All sign; the last signature puts it in force, and the inviter's node serves it without a restart.
    said("room", "sign", room, "--member", airport.path)
    assert not signs(registry)["in_force"]
    assert signs(host)["in_force"]
    assert said("room", "join", registry.path)["file"] == str(registry.path / "room.yaml")
    airport.heard("room_taken_up", version=1)

    # The other nodes start; the inviter writes down where they are.
    for company in (registry, host):
        others = [c for c in (airport, registry, host) if c is not company]
        peers = [word for c in others for word in ("--peer", f"{c.name}={c.url}")]
        said("node", "init", company.path, "--room", company.path / "room.yaml", "--listen",
             f"127.0.0.1:{company.port}", *peers)  # fmt: skip
        company.serve()
    airport.knows(registry=registry, host=host)
    signed = load_room(room)
    members = {c.name: MemberDirectory.open(c.path) for c in (airport, registry, host)}
    fill(Place(tmp_path, members, signed))
    answer = said("ask", QUESTION, "--room", airport.path)
    assert answer["asker"] == "airport"
    assert len(answer["rows"]) == 1

    # A fourth company joins a room in force: the owners sign too, by invitations for keys that are known.
    file = invited(airport, agency, *abilities("agency"))
    key = said("room", "join", agency.path, file)["key"]
    said("room", "admit", airport.path, "agency", "--key", key)
    assert len(said("ask", QUESTION, "--room", airport.path)["rows"]) == 1  # version 1 is served meanwhile
    assert not signs(agency)["in_force"]
    said("room", "join", registry.path, invited(airport, registry))
    assert not signs(registry)["in_force"]
    said("room", "sign", room, "--member", airport.path)
    assert said("room", "join", registry.path)["in_force"]
    for company in (airport, registry):
        company.heard("room_taken_up", version=2)

    # The host was not asked to sign; it gets the version from the others. So does who comes late.
    pulled = said("room", "pull", host.path)
    assert (pulled["new"], pulled["version"]) == (True, 2)
    host.heard("room_taken_up", version=2)
    assert said("room", "join", agency.path)["in_force"]
    for company in (airport, registry, host):
        company.knows(agency=agency)
    peers = [word for c in (airport, registry, host) for word in ("--peer", f"{c.name}={c.url}")]
    said("node", "init", agency.path, "--room", agency.path / "room.yaml", "--listen",
         f"127.0.0.1:{agency.port}", *peers)  # fmt: skip
    agency.serve()
    assert len(said("ask", QUESTION, "--room", agency.path)["rows"]) == 1
    status = said("node", "status", agency.path)
    assert status["ok"], status
    assert said("room", "pull", agency.path)["new"] is False
