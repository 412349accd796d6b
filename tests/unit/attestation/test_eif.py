# SPDX-License-Identifier: Apache-2.0
"""Registers of enclave image files that the test builds itself, as AWS's format has them."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any

import cbor2
import pytest
from tests.attestation_pki import ec_key, issue, name_of, pem

from hitoku.attestation.eif import registers
from hitoku.errors import InputError

KERNEL, COMMAND_LINE, RAMDISK, SIGNATURE, METADATA = 1, 2, 3, 4, 5
BASE = [(KERNEL, b"kernel"), (COMMAND_LINE, b"console=ttyS0"), (RAMDISK, b"init" * 9)]
EMPTY = "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
"""PCR2 of every image with one ramdisk, as many builders of such images have published it."""


def image(path: Path, sections: list[tuple[int, bytes]], **changes: Any) -> Path:
    """An image; changes are of its head."""
    at, body, offsets, sizes = 548, b"", [], []
    for kind, content in sections:
        offsets.append(at)
        sizes.append(len(content))
        body += struct.pack(">HHQ", kind, 0, len(content)) + content
        at += 12 + len(content)
    fields: dict[str, Any] = {
        "magic": b".eif",
        "version": 4,
        "count": len(sections),
        "offsets": offsets + [0] * (32 - len(offsets)),
        "sizes": sizes + [0] * (32 - len(sizes)),
    } | changes
    head = struct.pack(">4sHHQQHH", fields["magic"], fields["version"], 0, 1 << 30, 2, 0, fields["count"])
    head += struct.pack(">32Q32QI", *fields["offsets"], *fields["sizes"], 0)
    checksum = changes.get("checksum", zlib.crc32(body, zlib.crc32(head)))
    path.write_bytes(head + struct.pack(">I", checksum) + body + changes.get("behind", b""))
    return path


def extended(content: bytes) -> str:
    return hashlib.sha384(bytes(48) + hashlib.sha384(content).digest()).hexdigest()


def test_one_ramdisk(tmp_path: Path) -> None:
    found = registers(image(tmp_path / "a.eif", BASE))
    assert found == {
        "pcr0": found["pcr1"],
        "pcr1": extended(b"kernelconsole=ttyS0" + b"init" * 9),
        "pcr2": EMPTY,
    }


def test_the_application_is_in_the_other_ramdisks(tmp_path: Path) -> None:
    sections = [*BASE, (RAMDISK, b"app"), (RAMDISK, b"more"), (METADATA, b"{}")]
    found = registers(image(tmp_path / "a.eif", sections))
    boot = b"kernelconsole=ttyS0" + b"init" * 9
    assert found == {
        "pcr0": extended(boot + b"appmore"),
        "pcr1": extended(boot),
        "pcr2": extended(b"appmore"),
    }


def test_the_signer_is_in_register_8(tmp_path: Path) -> None:
    signer = issue(ec_key("signer"), name_of("signer"), authority=False).der
    section = cbor2.dumps([{"signing_certificate": list(pem(signer)), "signature": [1, 2]}])
    found = registers(image(tmp_path / "a.eif", [*BASE, (SIGNATURE, section)]))
    assert found["pcr8"] == extended(signer)
    assert found["pcr2"] == EMPTY


def test_pieces_larger_than_one_read(tmp_path: Path) -> None:
    app = bytes(range(256)) * 10000
    assert registers(image(tmp_path / "a.eif", [*BASE, (RAMDISK, app)]))["pcr2"] == extended(app)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"magic": b".elf"}, "another head"),
        ({"version": 1}, "another version"),
        ({"version": 5}, "another version"),
        ({"count": 0}, "another head"),
        ({"count": 33}, "another head"),
        ({"count": 4}, "ends too early"),
        ({"count": 2}, "behind its last section"),
        ({"offsets": [0] * 32}, "do not agree"),
        ({"sizes": [1] * 32}, "do not agree"),
        ({"checksum": 1}, "checksum"),
        ({"behind": b"\x00"}, "behind its last section"),
    ],
)
def test_broken_images_are_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=f"a.eif is no enclave image file: .*{why}"):
        registers(image(tmp_path / "a.eif", BASE, **changes))


@pytest.mark.parametrize("kind", [0, 6])
def test_unknown_sections_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(InputError, match=r"a\.eif is no .*do not agree"):
        registers(image(tmp_path / "a.eif", [*BASE, (kind, b"x")]))


@pytest.mark.parametrize(
    "section", [b"", b"\x80", b"\x81\xa0", cbor2.dumps([{"signing_certificate": [300]}])]
)
def test_broken_signatures_are_refused(tmp_path: Path, section: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.eif is no .*signature"):
        registers(image(tmp_path / "a.eif", [*BASE, (SIGNATURE, section)]))


def test_cut_files_are_refused(tmp_path: Path) -> None:
    whole = image(tmp_path / "a.eif", BASE).read_bytes()
    for size in (0, 4, 547, 548, 555, len(whole) - 1):
        (tmp_path / "b.eif").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"b\.eif is no .*too (short|early)"):
            registers(tmp_path / "b.eif")
    with pytest.raises(InputError, match=r"none\.eif cannot be read"):
        registers(tmp_path / "none.eif")
