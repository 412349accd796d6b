# SPDX-License-Identifier: Apache-2.0
"""`hitoku attest reference`: which programs this room's members accept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App
from pydantic import ValidationError

from hitoku import limits
from hitoku.cli.attest_bundle import about, validated
from hitoku.cli.attest_member import Json, bounded, opened, out
from hitoku.cli.attest_shown import facts, show, words
from hitoku.errors import InputError
from hitoku.findings import findings

if TYPE_CHECKING:
    from hitoku.attestation.reference import ReferenceValue

__all__ = ["app"]

app = App(name="reference", help="Which programs this room's members accept.", help_format="plaintext")

for _name, _function, _help in (
    ("export", "export", "Write statements with their signatures, for the other members to import."),
    ("import", "import_", "Take in statements and signatures that another member exported."),
):
    app.command(f"hitoku.cli.attest_bundle:{_function}", name=_name, help=_help)


@app.command
def add(
    program: str,
    *,
    room: Path = Path(),
    member: Path,
    version: str,
    kind: str,
    not_after: str,
    purpose: Literal["enclave", "node"] = "enclave",
    measurement: list[str] | None = None,
    minimum_tcb: list[str] | None = None,
    vmpl: int = 0,
    repository: str | None = None,
    commit: str | None = None,
    builder: str | None = None,
    json_: Json = False,
) -> int:
    """State what a program looks like on one kind of platform, and sign that.

    It counts once as many members have signed it as the room says: export it, and let them import and sign.

    Parameters
    ----------
    program
        The program's digest, as `hitoku attest measure` prints it, or the manifest that it wrote.
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    version
        What people call it.
    kind
        The kind of evidence: nitro, sev-snp, tdx, sgx, tpm, azure-snp, azure-tdx or dev.
    not_after
        Until when it holds, such as 2027-06-01T00:00:00Z.
    purpose
        What it is run as: enclave, the worker; or node.
    measurement
        NAME=HEX, such as pcr0=...; several values with commas are alternatives. May be repeated. Of a TPM
        pcr12, and of dev evidence program, come from the program itself and are no other. A TPM counts as
        hardware only where pcr0, pcr2, pcr4, pcr7, and pcr8 with pcr9, or pcr11, are named.
    minimum_tcb
        COMPONENT=LOWEST or COMPONENT=LOWEST..HIGHEST, such as microcode=219. May be repeated.
    vmpl
        Of SEV-SNP, the privilege level that it runs at.
    repository
        Where its source is.
    commit
        The source's commit.
    builder
        Who built it.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.program import pcr_of
    from hitoku.attestation.reference import ReferenceValue

    digest = _digest(program)
    measurements = {name: values.split(",") for name, values in _pairs(measurement, "--measurement")}
    if kind in {"tpm", "azure-snp", "azure-tdx"}:
        measurements.setdefault("pcr12", [pcr_of(digest)])
    if kind == "dev":
        measurements.setdefault("program", [digest])
    source = {"repository": repository, "commit": commit, "builder": builder}
    with opened(room, member) as here:
        known = [e for e in here.kept.registry(here.agreement).about(digest, kind) if e.purpose == purpose]
        data = {
            "room": here.agreement.id,
            "serial": max((e.serial for e in known), default=0) + 1,
            "program": digest,
            "version": version,
            "kind": kind,
            "purpose": purpose,
            "measurements": measurements,
            "minimum_tcb": {name: _range(text) for name, text in _pairs(minimum_tcb, "--minimum-tcb")},
            "vmpl": vmpl,
            "not_after": not_after,
            "source": {name: text for name, text in source.items() if text is not None},
        }
        try:
            made = ReferenceValue.model_validate(data)
        except ValidationError as error:
            raise InputError(f"the reference value: {findings(error, 'all of it')}") from None
        registry = here.kept.put([made.sign(here.directory.name, here.keys)], here.agreement, "add")
        (entry,) = [e for e in registry.entries if (e.identity, e.serial) == (made.identity, made.serial)]
        out(facts(entry, registry, here), words(entry, registry, here), json_)
    return 0


@app.command
def sign(
    program: str,
    *,
    room: Path = Path(),
    member: Path,
    kind: str | None = None,
    json_: Json = False,
) -> int:
    """Sign the newest statements about a program. Build it from its source and compare the digest before.

    Parameters
    ----------
    program
        Its digest, or its first digits.
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    kind
        Only the statement about this kind of evidence.
    json_
        Print one JSON object.
    """
    with opened(room, member) as here:
        newest = _newest(about(here, program, kind))
        signed = [e.sign(here.directory.name, here.keys) for e in newest]
        registry = here.kept.put(signed, here.agreement, "sign")
        places = {(e.identity, e.serial) for e in newest}
        show([e for e in registry.entries if (e.identity, e.serial) in places], registry, here, json_)
    return 0


@app.command(name="list")
def list_(*, room: Path = Path(), member: Path, json_: Json = False) -> int:
    """Show all statements: who signed them, which are in force, and which lack what.

    Parameters
    ----------
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    json_
        Print one JSON object.
    """
    with opened(room, member) as here:
        registry = here.kept.registry(here.agreement)
        show(registry.entries, registry, here, json_)
    return 0


@app.command
def revoke(
    program: str,
    *,
    room: Path = Path(),
    member: Path,
    reason: str,
    kind: str | None = None,
    json_: Json = False,
) -> int:
    """Revoke a program: this member's signature is enough, here and wherever the export is imported.

    Parameters
    ----------
    program
        Its digest, or its first digits.
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    reason
        Why, for the others.
    kind
        Only on this kind of platform.
    json_
        Print one JSON object.
    """
    with opened(room, member) as here:
        made = []
        for entry in _newest(about(here, program, kind)):
            change = {"serial": entry.serial + 1, "revoked": True, "reason": reason, "signatures": []}
            made.append(validated(json.loads(entry.model_dump_json()) | change))
        signed = [e.sign(here.directory.name, here.keys) for e in made]
        registry = here.kept.put(signed, here.agreement, "revoke")
        show([e for e in registry.entries if e.revoked and e in signed], registry, here, json_)
    return 0


def _digest(program: str) -> str:
    """A digest as it is given, or that of a manifest in a file."""
    from hitoku.attestation.program import Manifest, program_digest

    if len(program) == 96 and set(program) <= set("0123456789abcdef"):
        return program
    return program_digest(Manifest.from_bytes(bounded(Path(program), limits.MAX_REFERENCE_BYTES)))


def _newest(entries: list[ReferenceValue]) -> list[ReferenceValue]:
    """The newest statement of each kind and purpose."""
    return list({e.identity: e for e in sorted(entries, key=lambda e: e.serial)}.values())


def _pairs(given: list[str] | None, what: str) -> list[tuple[str, str]]:
    pairs = []
    for text in given or []:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise InputError(f"{what} {text!r}: NAME=VALUE is expected")
        pairs.append((name.lower(), value.lower()))
    if len({name for name, _ in pairs}) != len(pairs):
        raise InputError(f"{what} names one thing twice")
    return pairs


def _range(text: str) -> dict[str, int]:
    lowest, separator, highest = text.partition("..")
    if not lowest.isdecimal() or (separator and not highest.isdecimal()):
        raise InputError("--minimum-tcb is COMPONENT=LOWEST or COMPONENT=LOWEST..HIGHEST")
    return {"at_least": int(lowest)} | ({"at_most": int(highest)} if separator else {})
