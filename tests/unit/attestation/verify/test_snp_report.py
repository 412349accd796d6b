# SPDX-License-Identifier: Apache-2.0
"""SEV-SNP's report, read: every field at its place, reserved bytes zero."""

from __future__ import annotations

import struct

import pytest
from tests.attestation_pki import AmdWorld

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.verify.snp_report import SIZE, parse


def numbered(version: int = 5) -> bytearray:
    """A report whose bytes are their offsets where anything may stand."""
    raw = bytearray(i * 7 % 251 for i in range(SIZE))
    struct.pack_into("<IIQ", raw, 0, version, 0x01020304, 0x3001F)
    struct.pack_into("<II", raw, 0x30, 2, 1)
    struct.pack_into("<QI", raw, 0x40, 0x1122334455667788, 0b11)
    for start, end in (
        (0x4C, 0x50),
        (0x18B, 0x1A0),
        (0x1EB, 0x1EC),
        (0x1EF, 0x1F0),
        (0x208, 0x2A0),
        (0x330, SIZE),
    ):
        raw[start:end] = bytes(end - start)
    if version < 5:
        raw[0x1F8:0x208] = bytes(16)
    if version < 3:
        raw[0x188:0x18B] = bytes(3)
    return raw


@pytest.mark.parametrize("version", [2, 3, 5])
def test_fields(version: int) -> None:
    raw = numbered(version)
    report = parse(bytes(raw))
    assert (report.version, report.guest_svn, report.policy, report.vmpl) == (version, 0x01020304, 0x3001F, 2)
    assert (report.platform_info, report.key_info) == (0x1122334455667788, 3)
    for name, start, end in (
        ("family_id", 0x10, 0x20),
        ("image_id", 0x20, 0x30),
        ("current_tcb", 0x38, 0x40),
        ("report_data", 0x50, 0x90),
        ("measurement", 0x90, 0xC0),
        ("host_data", 0xC0, 0xE0),
        ("id_key_digest", 0xE0, 0x110),
        ("author_key_digest", 0x110, 0x140),
        ("report_id", 0x140, 0x160),
        ("reported_tcb", 0x180, 0x188),
        ("chip_id", 0x1A0, 0x1E0),
        ("committed_tcb", 0x1E0, 0x1E8),
        ("launch_tcb", 0x1F0, 0x1F8),
        ("signed", 0, 0x2A0),
    ):
        assert getattr(report, name) == raw[start:end], name
    assert report.cpuid == (None if version == 2 else (raw[0x188], raw[0x189]))
    vectors = struct.unpack_from("<QQ", raw, 0x1F8)
    assert report.mitigations == (vectors if version == 5 else None)
    assert report.r == int.from_bytes(raw[0x2A0:0x2E8], "little")
    assert report.s == int.from_bytes(raw[0x2E8:0x330], "little")


def test_bits() -> None:
    raw = numbered()
    report = parse(bytes(raw))
    assert (report.debug, report.migratable, report.signing_key, report.chip_masked) == (
        False,
        False,
        0,
        True,
    )
    struct.pack_into("<Q", raw, 8, 1 << 17 | 1 << 19)
    struct.pack_into("<I", raw, 0x48, 1 << 2)
    report = parse(bytes(raw))
    assert (report.debug, report.migratable, report.signing_key, report.chip_masked) == (
        True,
        False,
        1,
        False,
    )
    struct.pack_into("<Q", raw, 8, 1 << 17 | 1 << 18)
    struct.pack_into("<I", raw, 0x48, 7 << 2)
    report = parse(bytes(raw))
    assert (report.debug, report.migratable, report.signing_key) == (False, True, 7)


@pytest.mark.parametrize("version", [2, 3, 5])
def test_reserved_bytes_are_zero(version: int) -> None:
    free = numbered(version)
    places = [*range(0x4C, 0x50), *range(0x18B, 0x1A0), 0x1EB, 0x1EF, 0x208, 0x29F, 0x330, SIZE - 1]
    places += [0x1F8, 0x207] if version < 5 else []
    places += [0x188, 0x18A] if version < 3 else []
    for place in places:
        raw = bytearray(free)
        raw[place] = 1
        with pytest.raises(Refused, match="reserved") as caught:
            parse(bytes(raw))
        assert caught.value.code is Code.MALFORMED


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1, 2 * SIZE])
def test_another_size_is_malformed(size: int) -> None:
    with pytest.raises(Refused) as caught:
        parse(bytes(numbered().ljust(2 * SIZE, b"\x00")[:size]))
    assert caught.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    ("offset", "form", "value", "code"),
    [
        (0, "<I", 0, Code.UNSUPPORTED),
        (0, "<I", 1, Code.UNSUPPORTED),
        (0, "<I", 4, Code.UNSUPPORTED),
        (0, "<I", 6, Code.UNSUPPORTED),
        (0x34, "<I", 0, Code.UNSUPPORTED),
        (0x34, "<I", 2, Code.UNSUPPORTED),
        (8, "<Q", 0, Code.MALFORMED),
        (0x30, "<I", 4, Code.MALFORMED),
        (0x30, "<I", 0xFFFFFFFF, Code.MALFORMED),
        (0x48, "<I", 1 << 5, Code.MALFORMED),
        (0x48, "<I", 1 << 31, Code.MALFORMED),
    ],
)
def test_values_that_are_refused(offset: int, form: str, value: int, code: Code) -> None:
    raw = numbered()
    struct.pack_into(form, raw, offset, value)
    with pytest.raises(Refused) as caught:
        parse(bytes(raw))
    assert caught.value.code is code


def test_what_our_hierarchy_makes_is_in_form() -> None:
    assert parse(AmdWorld().report(report_data=b"data")).report_data == b"data".ljust(64, b"\x00")
