# SPDX-License-Identifier: Apache-2.0
"""`hitoku attest collect`, `measure` and `lint-kms`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from hitoku import limits
from hitoku.cli.attest_member import Json, bounded, out
from hitoku.cli.show import one_line
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.attestation.attest import Attester

__all__ = ["collect", "lint_kms", "measure"]

Platform = Literal["auto", "nitro", "tsm", "tpm", "dev"]
_NITRO: Final = Path("/dev/nsm")
_TSM: Final = Path("/sys/kernel/config/tsm/report")
_TPM: Final = Path("/dev/tpmrm0")


def collect(
    *,
    platform: Platform = "auto",
    device: Path | None = None,
    nonce: str | None = None,
    data: str | None = None,
    output: Path | None = None,
    json_: Json = False,
) -> int:
    """Make evidence of what runs here, with what this machine has.

    Parameters
    ----------
    platform
        nitro (/dev/nsm), tsm (a confidential virtual machine: SEV-SNP, TDX), tpm, or dev (a key on disk,
        which proves nothing); auto takes the first of the first three that is there.
    device
        Of tpm: the device, or swtpm's socket. Of dev: the key file.
    nonce
        What it must answer, 8 to 64 bytes in hexadecimal; a random one by default.
    data
        64 bytes in hexadecimal to bind it to; made of the nonce by default.
    output
        The file to write; standard output by default.
    json_
        Print one JSON object, also where the evidence is written to a file.
    """
    from hitoku.attestation.binding import Binding, bound
    from hitoku.room.files import write_whole

    number = secrets.token_bytes(32) if nonce is None else _hex(nonce, "--nonce", range(8, 65))
    digest = bound("hitoku/collect/1", [number]) if data is None else _hex(data, "--data", range(64, 65))
    binding = Binding(number, digest)
    with _attester(platform, device) as attester:
        evidence = attester.attest(binding)
    text = json.dumps(evidence.to_dict())
    expected = binding.report_data(evidence.kind).hex()
    if output is None:
        out({}, text, False)
        return 0
    write_whole(output, text.encode() + b"\n")
    facts = {
        "file": str(output),
        "kind": str(evidence.kind),
        "nonce": number.hex(),
        "report_data": expected,
    }
    words = f"{output}: evidence of kind {evidence.kind}; check it with --expect report_data={expected}"
    out(facts, words, json_)
    return 0


def _hex(text: str, what: str, sizes: range) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) not in sizes:
        raise InputError(f"{what} is hexadecimal, of {sizes[0]} to {sizes[-1]} bytes")
    return raw


@contextmanager
def _attester(platform: Platform, device: Path | None) -> Iterator[Attester]:
    if platform == "auto":
        found = [n for n, p in (("nitro", _NITRO), ("tsm", _TSM), ("tpm", device or _TPM)) if p.exists()]
        if not found:
            raise InputError(
                f"this machine has neither {_NITRO} nor {_TSM} nor {_TPM}: nothing here can attest; name "
                "--platform tpm --device SOCKET for a software TPM, or --platform dev --device KEYFILE"
            )
        platform = found[0]  # type: ignore[assignment]
    if platform == "nitro":
        from hitoku.attestation.attest.nitro import NitroAttester

        yield NitroAttester()
    elif platform == "tsm":
        from hitoku.attestation.attest.tsm import TsmAttester

        yield TsmAttester()
    elif platform == "tpm":
        from hitoku.attestation.attest.tpm import TpmAttester
        from hitoku.attestation.tpm2.device import open_device

        # A TPM holds few keys at once and swtpm serves one connection: neither stays.
        with closing(open_device(device or _TPM)) as channel, TpmAttester(channel) as attester:
            yield attester
    else:
        from hitoku.attestation.attest.dev import DevAttester

        if device is None:
            raise InputError("--platform dev needs --device, the developer's key file")
        yield DevAttester.open(device)


def measure(
    program: Literal["worker", "node"],
    *,
    attester: Literal["tpm", "dev"] = "tpm",
    output: Path | None = None,
    cached: Annotated[bool, Parameter(negative="")] = False,
    json_: Json = False,
) -> int:
    """Say what a program of this installation is: the digest that members sign for. Nothing is launched.

    Parameters
    ----------
    program
        worker, what computes in an enclave; or node.
    attester
        What a worker attests with, which is part of its command line.
    output
        A file for the manifest: every file of the program with its hash.
    cached
        Take bytecode that was made earlier from this user's cache, where whoever wrote there could have
        changed it: quicker, and nothing to sign for. Else all of it is made anew from the sources.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.launch.image import measure as measured
    from hitoku.attestation.launch.images import node_image
    from hitoku.attestation.program import pcr_of, program_digest
    from hitoku.protections.enclave.starting import worker_image
    from hitoku.room.files import write_whole

    manifest = measured(worker_image(attester) if program == "worker" else node_image(), fresh=not cached)
    digest = program_digest(manifest)
    if output is not None:
        write_whole(output, manifest.to_bytes())
    facts = {
        "program": digest,
        "purpose": "enclave" if program == "worker" else "node",
        "pcr12": pcr_of(digest),
        "files": len(manifest.files),
        "manifest": None if output is None else str(output),
    }
    words = f"program {digest}\npcr12   {facts['pcr12']}\nfiles   {len(manifest.files)}"
    out(facts, words if output is None else f"{words}\nmanifest {output}", json_)
    return 0


def lint_kms(file: Path, *, json_: Json = False) -> int:
    """Check an AWS KMS key policy: exit code 0 if only measured enclaves get at plaintext, 3 with findings.

    Only the policy is read, not the account's IAM policies nor existing grants.

    Parameters
    ----------
    file
        The key policy, JSON.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.lint_kms import lint

    findings = lint(bounded(file, limits.MAX_POLICY_BYTES))
    lines = []
    for finding in findings:
        where = f"statement {finding.statement}: " if finding.statement else ""
        lines += [f"{finding.code}: {where}{finding.message}", f"  what to do: {finding.remedy}"]
    words = "\n".join(one_line(line) for line in lines) or f"{file}: nothing found"
    out({"file": str(file), "findings": [f.to_dict() for f in findings]}, words, json_)
    return 3 if findings else 0
