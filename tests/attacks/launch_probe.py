# SPDX-License-Identifier: Apache-2.0
"""Programs for the launcher's tests; each tells over its channel what it found, as one line of JSON."""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import socket
import sys
from pathlib import Path
from typing import Any


def look() -> None:
    """Import an extension under an audit hook; tell what was opened, and what can be reached."""
    opened: list[str] = []

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            opened.append(os.fsdecode(arguments[0]))

    sys.addaudithook(hear)
    import cbor2

    modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    told = {
        "argv": sys.argv,
        "modules": [file for file in modules if file],
        "opened": [path for path in opened if Path(path).is_file()],
        "path": sys.path,
        "environment": dict(os.environ),
        "packed": cbor2.dumps([1]).hex(),
        "user": os.getuid(),
        "descriptors": [number for number in range(4096) if _open(number)],
        "network": _network(int(sys.argv[1])) if len(sys.argv) > 1 else None,
        "passwd": _errno(lambda: Path("/etc/passwd").read_bytes()),
        "proc": _errno(lambda: list(Path("/proc").iterdir())),
        "write": _errno(lambda: Path("/usr/bin/python3").open("ab").close()),
        "make": _errno(lambda: Path("/new").mkdir()),
        "root": sorted(map(str, Path("/").iterdir())),
    }
    _tell(told)


def quote() -> None:
    """Send evidence of the TPM, bound to the nonce that comes over the channel."""
    from hitoku.attestation.attest.tpm import TpmAttester
    from hitoku.attestation.binding import Binding, bound
    from hitoku.attestation.launch import inside

    device = inside.tpm()
    assert device is not None
    channel = inside.channel()
    nonce = channel.recv(32)
    with TpmAttester(device) as attester:
        evidence = attester.attest(Binding(nonce, bound("test", [nonce])))
    _tell(evidence.to_dict(), channel)


def usurp() -> None:
    """Do what an attacker can: reset PCRs, and extend them with another program's event."""
    from hitoku.attestation.launch import inside
    from hitoku.attestation.program import PROGRAM_PCR, event_digest
    from hitoku.attestation.tpm2.commands import Tpm, TpmError

    device = inside.tpm()
    assert device is not None
    tpm = Tpm(device)
    refused = []
    for number in (PROGRAM_PCR, 16, 23):
        try:
            tpm.pcr_reset(number)
        except TpmError:
            refused.append(number)
    for number in (PROGRAM_PCR, 16, 23):
        tpm.pcr_extend(number, event_digest(sys.argv[1]))
    values = tpm.pcr_read([PROGRAM_PCR, 16, 23])
    _tell({"refused": refused, "pcrs": {str(n): v.hex() for n, v in values.items()}})


def borrow() -> None:
    """Look at data that were lent: can they be read, written, mapped as code?"""
    lent, member = Path("/data"), Path("/member")
    told = {
        "member": _errno(lambda: (member / "new").write_text("x")),
        "root": sorted(map(str, Path("/").iterdir())),
        "read": (lent / "data").read_text(),
        "write": _errno(lambda: (lent / "new").write_text("x")),
        "map": _errno(lambda: _map(lent / "data")),
        "execute": _errno(lambda: os.execv("/data/data", ["data"])),
    }
    sys.path.insert(0, "/data")
    with contextlib.suppress(ImportError):
        __import__("_planted")
    _tell(told | {"extension": "_planted" in sys.modules})


def _map(path: Path) -> None:
    with path.open("rb") as file:
        mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def _open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _network(port: int) -> str | None:
    with socket.socket() as client:
        return _errno(lambda: client.connect(("127.0.0.1", port)))


def _errno(do: Any) -> str | None:
    try:
        do()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return None


def _tell(told: dict[str, Any], channel: socket.socket | None = None) -> None:
    from hitoku.attestation.launch import inside

    channel = channel or inside.channel()
    channel.sendall(json.dumps(told).encode() + b"\n")
    channel.recv(1)
