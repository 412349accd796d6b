# SPDX-License-Identifier: Apache-2.0
"""Plants a secret, values and a literal, runs everything there is, and looks for them everywhere.

Searched: stdout and stderr of every command, every file it wrote under the workspace and the temporary
directory, and, while commands run, the command line and environment of the engine's processes.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.conftest import PLANTED, SECRET

SECRET_TEXT = base64.b64encode(SECRET).decode()
RANDOM = re.compile(
    rb"02:(?:hmac|enc):[A-Za-z0-9+/]+={0,2}"  # fingerprints and sealed values
    rb"|[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}="  # signatures; keys and hashes
)


class Watcher(threading.Thread):
    """Reads /proc of all processes that come up, as any user of the machine could try."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen: dict[str, bytes] = {}
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    line = (process / "cmdline").read_bytes()
                    environment = (process / "environ").read_bytes() if b"worker.py" in line else b""
                except OSError:
                    continue
                if b"hitoku" in line:
                    self.seen[process.name + str(hash(line))] = line + b"\n" + environment
            time.sleep(0.01)


@pytest.fixture
def world(filled, tmp_path_factory):
    temporary = tmp_path_factory.mktemp("tmp")
    watcher = Watcher()
    watcher.start()

    def run(*arguments, stdin=None, **environment):
        return subprocess.run(
            [sys.executable, "-m", "hitoku.cli.main", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            cwd=temporary,
            env={**os.environ, "TMPDIR": str(temporary), "HITOKU_SHARED_SECRET": SECRET_TEXT, **environment},
        )

    yield filled, temporary, watcher, run
    watcher.stop.set()
    watcher.join()


def _needles(*more: str) -> list[bytes]:
    texts = [SECRET_TEXT, SECRET.hex(), PLANTED, *more]
    return [t.encode() for t in texts] + [SECRET, base64.b64encode(SECRET)[:24]]


def _holds(content: bytes, needle: bytes) -> bool:
    """Whether a text is there, a short one outside of what is random in Base64.

    Any six letters stand in 88 MB of ciphertexts once in 800 times, any five in the signatures of some
    ledgers once in 100,000.
    """
    return needle in (content if len(needle) > 8 else RANDOM.sub(b"", content))


def _files(*places: Path, but: tuple[Path, ...] = ()) -> list[Path]:
    return [f for p in places for f in p.rglob("*") if f.is_file() and f not in but]


def test_nothing_planted_shows_anywhere(world, question, refused):
    place, temporary, watcher, run = world
    host = place.path / "host"
    mine = tuple(
        (place.path / n / "tables" / f"{t}.parquet")
        for n, t in (("airport", "flights"), ("registry", "planes"))
    )
    damaged = host / "tables" / "flights.csv"
    outputs = []

    def go(*arguments, code, **more):
        done = run(*arguments, **more)
        assert done.returncode == code, done.stderr
        outputs.append(done.stdout + done.stderr)
        return done

    at = ("--room", place.path)
    go("ask", question, *at, code=0)
    go("ask", question, *at, "--json", code=0)
    go("explain", question, *at, code=0)
    # The asker's own literal comes from stdin; the JSON does not echo it, nor does any file.
    go("ask", "-", *at, "--json", code=3, stdin=refused)
    go("explain", "-", *at, "--json", code=3, stdin=refused)
    go("ask", "-", *at, "--json", code=3, stdin="SELECT 'PLANTED-LITERAL' FROM")
    go("ask", "-", *at, "--json", code=3, stdin="SELEC 'PLANTED-LITERAL'")
    go("doctor", *at, "--json", code=0)
    go("room", "show", place.room_file, code=0)
    go("room", "verify", place.room_file, "--member", place.path / "airport", code=0)
    # A table of the host with a value that is no number where a number is declared.
    plain = host / "tables" / "planes.parquet"
    kept = plain.read_bytes()
    plain.write_bytes(b"PAR1" + PLANTED.encode() + b"PAR1")
    go("ask", question, *at, code=8)
    plain.write_bytes(kept)
    (host / "tables" / "flights.parquet").rename(temporary / "away")
    damaged.write_text(f"tailnum,dest_sealed,carrier,arr_delay\n02:hmac:x,y,AA,{PLANTED}\n")
    done = run("ask", question, *at)
    outputs.append(done.stdout + done.stderr)
    damaged.unlink()
    (temporary / "away").rename(host / "tables" / "flights.parquet")
    # Wrong secrets, and a key that others can read.
    go("doctor", code=1, HITOKU_SHARED_SECRET="PLANTED-SECRET!")
    (host / "shared.secret").write_text(SECRET_TEXT)
    go("ask", question, *at, code=5)
    (host / "shared.secret").unlink()

    needles = _needles("PLANTED-LITERAL", "PLANTED-SECRET", "SMALL")
    for output in outputs:
        for needle in needles:
            assert not _holds(output.encode(), needle)
    for file in _files(place.path, temporary, but=(*mine, plain)):
        content = file.read_bytes()
        for needle in needles:
            assert not _holds(content, needle), file
    # Only the manufacturers are in clear in the host's copy of planes, as the room says.
    assert _needles()[0] not in plain.read_bytes()
    keys = [
        (place.path / n / "member.key").read_bytes().splitlines()[1] for n in ("airport", "registry", "host")
    ]
    for output in outputs:
        for key in keys:
            assert key not in output.encode()
    engines = [line for line in watcher.seen.values() if b"worker.py" in line]
    assert engines, "no engine was seen: the test looked too late"
    for line in watcher.seen.values():
        for needle in (*_needles("PLANTED-LITERAL"), *keys):
            assert needle not in line
    assert not list(temporary.rglob("*")), "temporary files are left"


def test_the_demo_leaves_no_secret_outside_the_owners(world):
    _, temporary, watcher, run = world
    done = run("demo", "tokens", "--directory", "d")
    assert done.returncode == 0, done.stderr
    demo = temporary / "d"
    secret = (demo / "airport" / "shared.secret").read_bytes()
    assert secret == (demo / "registry" / "shared.secret").read_bytes()
    assert (demo / "airport" / "shared.secret").stat().st_mode & 0o777 == 0o600
    raw = base64.b64decode(secret)
    keys = [(demo / n / "member.key").read_bytes().splitlines()[1] for n in ("airport", "registry", "host")]
    for needle in (secret, raw, raw.hex().encode(), *keys):
        assert needle not in done.stdout.encode() + done.stderr.encode()
        for line in watcher.seen.values():
            assert needle not in line
        for file in _files(temporary):
            own = file.name == "shared.secret" and file.parent.name in {"airport", "registry"}
            if not own and file.name != "member.key":
                assert needle not in file.read_bytes(), file
    # The host has no tail number, and no destination, only fingerprints and ciphertexts.
    for file in _files(demo / "host"):
        content = file.read_bytes()
        for value in (b"N14228", b"N725MK", b"A320-214"):
            assert not _holds(content, value), file
    # Beside ciphertexts it would be found.
    content = (demo / "host" / "tables" / "planes.parquet").read_bytes()
    assert _holds(content + b"N14228", b"N14228")
    assert [p.name for p in temporary.iterdir()] == ["d"]


@pytest.mark.parametrize("after", [0.2, 0.7, 1.1, 1.5])
def test_an_interrupt_leaves_nothing_behind(filled, question, tmp_path_factory, after):
    import signal

    temporary = tmp_path_factory.mktemp("tmp")
    # It says when Python has started: the moments are of the command.
    program = "print('started', flush=True); from hitoku.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "ask", question, "--room", str(filled.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode in {0, 130, -signal.SIGINT}, err
    assert PLANTED not in err
    for _ in range(600):  # the engine notices that its parent has gone
        if not list(temporary.iterdir()):
            break
        time.sleep(0.1)
    assert not list(temporary.iterdir())
    assert not (filled.path / "airport" / "answers").exists()
