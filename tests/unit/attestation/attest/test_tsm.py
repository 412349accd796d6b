# SPDX-License-Identifier: Apache-2.0
"""The attester of confidential virtual machines against a fake of the kernel's configfs-tsm directory."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attestation_pki import NOW, AmdWorld, crl

from hitoku.attestation.attest import Attester
from hitoku.attestation.attest import tsm as attesting
from hitoku.attestation.attest.tsm import TsmAttester, certificate_table
from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Kind
from hitoku.attestation.verify import verify
from hitoku.errors import InputError

BINDING = Binding(b"n" * 32, b"d" * 64)
VCEK = uuid.UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes
VLEK = uuid.UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1").bytes
CRL = uuid.UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea").bytes
ASK = uuid.UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782").bytes


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """A host's table: a head of entries, a zero entry, the certificates."""
    at = 24 * (len(entries) + 1)
    head, body = b"", b""
    for name, content in entries:
        head += name + struct.pack("<II", at + len(body), len(content))
        body += content
    return head + bytes(24) + body


class Kernel:
    """What the kernel does behind the directory: attributes appear with an entry, a write makes a report."""

    def __init__(self, folder: Path, provider: bytes = b"sev_guest\n") -> None:
        self.folder, self.provider = folder, provider
        self.world = AmdWorld()
        self.report: Callable[[bytes, int], bytes] = lambda data, level: self.world.report(
            report_data=data, vmpl=level
        )
        self.auxiliary: bytes | None = table((ASK, b"ask"), (VCEK, self.world.endorse().der))
        self.interfere = 0
        self.seen: list[tuple[str, bytes]] = []

    def mkdir(self, path: Path, mode: int = 0o777) -> None:
        assert path.parent == self.folder
        self.real_mkdir(path, mode)
        (path / "provider").write_bytes(self.provider)
        (path / "generation").write_bytes(b"0\n")

    def rmdir(self, path: Path) -> None:
        for file in path.iterdir():
            file.unlink()
        self.real_rmdir(path)

    def written(self, path: Path, name: str, content: bytes) -> None:
        self.seen.append((name, content))
        generation = int((path / "generation").read_bytes()) + 1
        if self.interfere:
            self.interfere -= 1
            generation += 1
        (path / "generation").write_bytes(b"%d\n" % generation)
        data = next(c for n, c in reversed(self.seen) if n == "inblob")
        level = next((int(c) for n, c in self.seen if n == "privlevel"), 0)
        (path / "outblob").write_bytes(self.report(data, level))
        if self.auxiliary is not None:
            (path / "auxblob").write_bytes(self.auxiliary)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        self.real_mkdir, self.real_rmdir = Path.mkdir, Path.rmdir
        patch.setattr(Path, "mkdir", lambda path, mode=0o777: self.mkdir(path, mode))
        patch.setattr(Path, "rmdir", lambda path: self.rmdir(path))
        write = TsmAttester._write

        def writing(attester: TsmAttester, entry: Path, name: str, content: bytes) -> None:
            write(attester, entry, name, content)
            assert (entry / name).read_bytes() == content
            self.written(entry, name, content)

        patch.setattr(TsmAttester, "_write", writing)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    folder = tmp_path / "report"
    folder.mkdir()
    fake = Kernel(folder)
    fake.install(monkeypatch)
    return fake


def test_a_report_answers_its_binding_and_brings_its_certificate(kernel: Kernel) -> None:
    attester: Attester = TsmAttester(directory=kernel.folder)
    assert (attester.kind, attester.identity(), attester.activate(b"credential")) == (Kind.SEV_SNP, {}, b"")
    evidence = attester.attest(BINDING, b"public key")
    assert evidence.endorsements == {"vcek": kernel.world.endorse().der} or set(evidence.endorsements) == {
        "vcek"
    }
    with kernel.world.trusted():
        BINDING.check(verify(evidence, NOW))
    assert kernel.seen == [("inblob", b"d" * 64)]
    assert list(kernel.folder.iterdir()) == []


def test_the_level_is_asked_for(kernel: Kernel) -> None:
    evidence = TsmAttester(privilege=2, directory=kernel.folder).attest(BINDING)
    assert kernel.seen == [("inblob", b"d" * 64), ("privlevel", b"2")]
    with kernel.world.trusted():
        assert verify(evidence, NOW).extra["vmpl"] == 2


def test_the_callers_endorsements_go_along_and_the_hosts_win(kernel: Kernel) -> None:
    given = {"vcek": b"old", "crl": b"crl"}
    evidence = TsmAttester(given, directory=kernel.folder).attest(BINDING)
    assert evidence.endorsements["crl"] == b"crl"
    assert evidence.endorsements["vcek"] != b"old"
    kernel.auxiliary = None
    assert TsmAttester(given, directory=kernel.folder).attest(BINDING).endorsements == given
    found = TsmAttester(lambda report: {"vcek": report[:4]}, directory=kernel.folder).attest(BINDING)
    assert found.endorsements == {"vcek": b"\x03\x00\x00\x00"}


def test_tdx_has_no_table(kernel: Kernel) -> None:
    kernel.provider, kernel.report = b"tdx_guest\n", lambda data, level: b"quote" + data
    evidence = TsmAttester({"collateral": b"{}"}, directory=kernel.folder).attest(BINDING)
    assert evidence.kind is Kind.TDX
    assert evidence.content == b"quote" + b"d" * 64
    assert evidence.endorsements == {"collateral": b"{}"}


def test_a_write_of_somebody_else_makes_it_try_again(kernel: Kernel) -> None:
    attester = TsmAttester(directory=kernel.folder)
    kernel.interfere = 2
    assert attester.attest(BINDING)
    assert len(kernel.seen) == 3
    kernel.interfere = 99
    with pytest.raises(InputError, match="try again"):
        attester.attest(BINDING)
    assert list(kernel.folder.iterdir()) == []


def test_an_unknown_platform_is_an_error(kernel: Kernel) -> None:
    kernel.provider = b"arm_cca_guest\n"
    with pytest.raises(InputError, match="arm_cca_guest"):
        TsmAttester(directory=kernel.folder)


def test_a_report_of_another_size_is_an_error(kernel: Kernel) -> None:
    attester = TsmAttester(directory=kernel.folder)
    for content in (b"", b"short"):
        kernel.report = lambda data, level, content=content: content  # type: ignore[misc]
        with pytest.raises(InputError, match="no report"):
            attester.attest(BINDING)


def test_a_machine_without_the_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="confidential virtual machine"):
        TsmAttester(directory=tmp_path / "none")


def test_errors_of_the_kernel_are_told(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    attester = TsmAttester(directory=kernel.folder)
    with attester._entry() as entry:
        with pytest.raises(InputError, match="gave no `outblob`"):
            attester._read(entry, "outblob", 8)
        with pytest.raises(InputError, match="longer than 2 bytes"):
            attester._read(entry, "provider", 2)
        (entry / "generation").write_bytes(b"many")
        with pytest.raises(InputError, match="no number"):
            attester._number(entry, "generation")
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"took no `inblob` \(.+\)"):
        attester._write(kernel.folder / "none", "inblob", b"")


def test_tables_are_bounded() -> None:
    assert certificate_table(b"") == {}
    assert certificate_table(table((VCEK, b"one"), (VLEK, b"two"), (CRL, b"three"), (ASK, b"four"))) == {
        "vcek": b"one",
        "vlek": b"two",
        "crl": b"three",
    }
    assert certificate_table(table((VCEK, b"one"), (VCEK, b"two"))) == {"vcek": b"one"}
    for offset, size in ((48, 4), (1 << 31, 1), (48, 0), (0xFFFFFFFF, 0xFFFFFFFF)):
        assert certificate_table(VCEK + struct.pack("<II", offset, size) + bytes(24) + b"abc") == {}
    # Entries without an end are read up to a number.
    assert certificate_table((ASK + struct.pack("<II", 0, 1)) * 100) == {}
    assert certificate_table((ASK + bytes(8)) * 64 + VCEK + struct.pack("<II", 0, 1)) == {}


def test_a_hosts_revocation_list_is_checked_like_any(kernel: Kernel) -> None:
    kernel.auxiliary = table((VCEK, kernel.world.endorse().der), (CRL, crl(kernel.world.ark)))
    evidence = TsmAttester(directory=kernel.folder).attest(BINDING)
    with kernel.world.trusted():
        assert verify(evidence, NOW).not_checked == ()
    assert Path("/sys/kernel/config/tsm/report") == attesting.DIRECTORY
