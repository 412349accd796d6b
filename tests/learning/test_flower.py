# SPDX-License-Identifier: Apache-2.0
"""The Flower runtime with real processes: rounds, crashes, rejoining, strangers."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.errors import InputError, PeerError
from hitoku.learning.flower.member import serve_member
from hitoku.learning.flower.server import Served, serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("flwr") is None, reason="the extra `learning` is not installed"
    ),
]

HERE = Path(__file__).parent
CONTEXT = "plan and run"
SECONDS = 300
"""What takes as long as that hangs."""
NAMES = ("chiba", "kobe", "横浜")


@dataclass
class Banks:
    """Members' processes."""

    folder: Path
    keys: dict[str, Ed25519PrivateKey]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def publics(self) -> dict[str, str]:
        return {
            name: "ed25519:" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
            for name, key in self.keys.items()
        }

    def start(self, name: str, address: str, certificate: bytes, **other: object) -> subprocess.Popen[str]:
        settings = {
            "folder": str(self.folder / name),
            "address": address,
            "certificate": certificate.decode(),
            "member": name,
            "key": base64.b64encode(self.keys[name].private_bytes_raw()).decode(),
            "context": CONTEXT,
            "patience": SECONDS,
        } | other
        return self._run("flower_member.py", settings)

    def server(self) -> subprocess.Popen[str]:
        settings = {
            "folder": str(self.folder / "server"),
            "publics": self.publics,
            "context": CONTEXT,
            "members": len(self.keys),
        }
        return self._run("flower_server.py", settings)

    def _run(self, script: str, settings: dict[str, object]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.processes.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Banks, Served]]:
    """One SuperLink for the tests that leave it as it was: to start one takes seconds."""
    folder = tmp_path_factory.mktemp("world")
    banks = Banks(folder, {name: Ed25519PrivateKey.generate() for name in NAMES})
    with serve(folder / "server", banks.publics, CONTEXT.encode()) as served:
        yield banks, served


@pytest.fixture
def served(world: tuple[Banks, Served]) -> Served:
    return world[1]


@pytest.fixture
def banks(world: tuple[Banks, Served], tmp_path: Path) -> Iterator[Banks]:
    """Members of the world's server; their processes end with the test."""
    made = Banks(tmp_path, world[0].keys)
    yield made
    for process in made.processes:
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
    assert until(SECONDS, lambda: world[1].fleet.members == ())


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with suppress(OSError):  # it ends while we look
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return False


def until(seconds: float, true: object) -> bool:
    assert callable(true)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return bool(true())


def test_members_answer_and_hear_the_end(banks: Banks) -> None:
    """Each member gets its own bytes and only these; one that fails or is late is absent, then back."""
    with serve(banks.folder / "server", banks.publics, CONTEXT.encode()) as served:
        names = NAMES
        running = [banks.start(name, served.address, served.certificate) for name in names]
        assert served.fleet.wait(3, SECONDS) == names
        for size in (0, 1, 800_000, 12_000_000):
            bodies = {name: os.urandom(size) for name in names}
            replies = served.fleet.ask({name: b"echo " + body for name, body in bodies.items()}, 120)
            assert replies == bodies
        late = banks.folder / "late"
        wait = b"wait " + bytes(late)
        some = {"chiba": b"raise", "kobe": wait, "横浜": b"echo here", "nobody": b"echo x"}
        assert served.fleet.ask(some, 15) == {"横浜": b"here"}
        late.touch()
        again = dict.fromkeys(names, b"echo again")
        assert served.fleet.ask(again, SECONDS) == dict.fromkeys(names, b"again")
        link = served.process_id
    assert [process.wait(SECONDS) for process in running] == [0, 0, 0]
    assert [said(process) for process in running] == ["ended"] * 3
    assert not alive(link)


def test_a_killed_bank_is_absent_and_joins_again(banks: Banks, served: Served) -> None:
    names = NAMES
    running = {name: banks.start(name, served.address, served.certificate) for name in names}
    assert served.fleet.wait(3, SECONDS) == names
    began = time.monotonic()
    running["kobe"].kill()
    replies = served.fleet.ask(dict.fromkeys(names, b"echo still"), 4 * SECONDS)
    assert replies == {"chiba": b"still", "横浜": b"still"}
    assert time.monotonic() - began < 3 * SECONDS  # its death was noticed: not all of the time was waited for
    assert served.fleet.members == ("chiba", "横浜")
    again = banks.start("kobe", served.address, served.certificate)
    assert served.fleet.wait(3, SECONDS) == names
    replies = served.fleet.ask(dict.fromkeys(names, b"process"), SECONDS)
    assert replies["kobe"] == str(again.pid).encode()


def test_a_bank_that_starts_twice_keeps_the_newer(banks: Banks, served: Served) -> None:
    first = banks.start("kobe", served.address, served.certificate)
    assert served.fleet.wait(1, SECONDS) == ("kobe",)
    second = banks.start("kobe", served.address, served.certificate)
    assert first.wait(SECONDS) == 8
    assert said(first).startswith("REPLACED")
    newer = {"kobe": str(second.pid).encode()}
    assert until(SECONDS, lambda: served.fleet.ask({"kobe": b"process"}, 10) == newer)


def test_a_killed_server_comes_back_on_the_same_folder(banks: Banks) -> None:
    """Its SuperLink ends with it; the banks, which were never told, find the new one by themselves."""
    first = banks.server()
    address, link = said(first).split()
    certificate = (banks.folder / "server" / "server.crt").read_bytes()
    running = [banks.start(name, address, certificate) for name in sorted(banks.keys)]
    assert said(first) == "chiba,kobe,横浜"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert until(SECONDS, lambda: not alive(int(link)))
    second = banks.server()
    again, other = said(second).split()
    assert again == address
    assert other != link
    assert said(second) == "chiba,kobe,横浜"
    assert all(process.poll() is None for process in running)


@pytest.mark.parametrize("wrong", ["key", "context", "name", "certificate"])
def test_strangers_are_not_let_in(banks: Banks, served: Served, wrong: str) -> None:
    certificate = served.certificate
    other: dict[str, object] = {}
    if wrong == "key":
        other["key"] = base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()
    elif wrong == "context":
        other["context"] = "another run"
    elif wrong == "name":
        other["member"] = "chiba"
    else:
        with serve(banks.folder / "another", banks.publics, CONTEXT.encode()) as another:
            certificate = another.certificate
    process = banks.start("kobe", served.address, certificate, **other)
    assert process.wait(SECONDS) == 8
    assert said(process).startswith("CERTIFICATE" if wrong == "certificate" else "REFUSED")
    assert served.fleet.members == ()


def test_the_servers_other_interfaces_are_closed(served: Served) -> None:
    """Stock, anybody who reaches the port may start and stop runs, and register as a node."""
    from hitoku.learning.flower import parts
    from hitoku.learning.flower.clients import client

    for kind, call, request in (
        (parts.ControlHttpClient, "StopRun", parts.StopRunRequest(run_id=1)),
        (parts.ControlHttpClient, "StartRun", parts.StartRunRequest()),
        (parts.RuntimeHttpClient, "AcquireTask", parts.AcquireTaskRequest()),
        (parts.FleetHttpClient, "RegisterNode", parts.RegisterNodeFleetRequest(public_key=b"x")),
    ):
        with (
            client(kind, served.address, served.certificate, []) as http,
            pytest.raises(parts.httpx.HTTPStatusError) as refused,
        ):
            getattr(http, call)(request)
        assert refused.value.response.status_code in (403, 404)


def test_nothing_is_written_outside_the_folder(banks: Banks, monkeypatch: pytest.MonkeyPatch) -> None:
    home = banks.folder / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with serve(banks.folder / "server", banks.publics, CONTEXT.encode()) as served:
        banks.start("kobe", served.address, served.certificate)
        assert served.fleet.wait(1, SECONDS) == ("kobe",)
        assert served.fleet.ask({"kobe": b"echo x"}, SECONDS) == {"kobe": b"x"}
        assert (banks.folder / "server" / "server.key").stat().st_mode & 0o077 == 0
    assert list(home.rglob("*")) == []


def test_without_a_server_patience_ends(banks: Banks, served: Served) -> None:
    with pytest.raises(PeerError, match=r"no server at 127\.0\.0\.1:9 for 1 seconds"):
        serve_member(
            lambda body: body,
            folder=banks.folder / "kobe",
            address="127.0.0.1:9",
            certificate=served.certificate,
            member="kobe",
            sign=banks.keys["kobe"].sign,
            context=b"x",
            patience=1,
        )


def test_a_taken_port_is_said(banks: Banks, served: Served) -> None:
    port = int(served.address.rpartition(":")[2])
    with (
        pytest.raises(InputError, match="the port is taken"),
        serve(banks.folder / "another", banks.publics, b"x", port=port),
    ):
        pass
