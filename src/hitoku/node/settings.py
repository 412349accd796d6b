# SPDX-License-Identifier: Apache-2.0
"""A node's settings, ``node.toml`` in the member's directory: where it listens, its rooms, who is where.

Names of members belong to a room, so each room has its own addresses. No key or secret is in here::

    listen = "0.0.0.0:8443"
    url = "https://airport.example:8443"
    health = "127.0.0.1:8480"

    [[rooms]]
    file = "../room.yaml"

    [rooms.peers]
    host = "https://host.example:8443"
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from hitoku import limits
from hitoku.errors import InputError
from hitoku.findings import findings
from hitoku.node.settings_base import (
    Address,
    Health,
    Listen,
    ListenAnywhere,
    Network,
    Part,
    socket_of,
    toml_text,
)
from hitoku.node.settings_console import ConsoleSettings, MetricsSettings, OidcSettings, QuotaSettings
from hitoku.room.files import write_whole
from hitoku.room.naming import Name
from hitoku.transport.https.client import check_address
from hitoku.transport.https.places import Networks

__all__ = [
    "SETTINGS_FILE",
    "Address",
    "AttesterSettings",
    "ConsoleSettings",
    "EnclaveSettings",
    "KeySettings",
    "MetricsSettings",
    "NodeSettings",
    "OidcSettings",
    "QuotaSettings",
    "RoomSettings",
    "SharesSettings",
    "SparkSettings",
    "TableSettings",
    "socket_of",
]

SETTINGS_FILE: Final = "node.toml"
_MAX_BYTES: Final = 1_000_000
_EVERY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104
"""Listening on all of them says nothing of where the node is."""


class RoomSettings(Part):
    """A room that the node serves.

    Attributes:
        file: the room file that all signed; relative to the member's directory.
        peers: the other members' addresses.
    """

    file: str
    peers: Annotated[dict[Name, Address], Field(max_length=limits.MAX_MEMBERS)] = Field(default_factory=dict)

    def lines(self) -> list[str]:
        """As TOML."""
        made = ["[[rooms]]", f"file = {toml_text(self.file)}", "", "[rooms.peers]"]
        return [*made, *(f"{name} = {toml_text(address)}" for name, address in self.peers.items())]


class TableSettings(Part):
    """One of the member's own plain tables, which never leaves the node.

    Attributes:
        name: the table's name in the room.
        room: the room's name or id; every room with such a table where it is None.
        source: a URI, or a path relative to the member's directory (`hitoku.sources.uri`).
        columns: source columns by room column; the same name where nothing is said.
        person: source columns by kind of identifier, where they are not the person's column itself.
    """

    name: Name
    room: str | None = None
    source: Annotated[str, Field(min_length=1, max_length=4_096)]
    columns: Annotated[dict[str, str], Field(max_length=limits.MAX_TABLE_COLUMNS)] = Field(
        default_factory=dict
    )
    person: Annotated[
        dict[str, Annotated[tuple[str, ...], Field(min_length=1, max_length=16, strict=False)]],
        Field(max_length=8),
    ] = Field(default_factory=dict)

    def lines(self) -> list[str]:
        """As TOML."""
        made = ["[[tables]]", f"name = {toml_text(self.name)}", f"source = {toml_text(self.source)}"]
        if self.room is not None:
            made.append(f"room = {toml_text(self.room)}")
        for name, mapping in (("columns", self.columns), ("person", self.person)):
            if mapping:
                made += ["", f"[tables.{name}]"]
                made += [f"{toml_text(k)} = {toml_text(v)}" for k, v in mapping.items()]
        return made


class SparkSettings(Part):
    """The member's Spark cluster (`docs/spark.md`).

    Attributes:
        master: as Spark has it, e.g. ``spark://spark.example:7077`` or ``local[8]``.
        settings: further settings of Spark; no secrets, which stand in its own spark-defaults.conf.
        folder: the folder that this node and the workers share, for batches of runs; relative to the
            member's directory. Without it Spark only runs SQL on tokens.
        key_file: the path of the wrapping key on every machine; what HITOKU_SPARK_KEY_FILE says where None.
    """

    master: Annotated[str, Field(min_length=1, max_length=1_024)]
    settings: Annotated[dict[str, str], Field(max_length=200)] = Field(default_factory=dict)
    folder: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None
    key_file: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None

    def lines(self) -> list[str]:
        """As TOML."""
        made = ["[spark]", f"master = {json.dumps(self.master)}"]
        made += [
            f"{k} = {json.dumps(v)}" for k in ("folder", "key_file") if (v := getattr(self, k)) is not None
        ]
        if self.settings:
            made += ["", "[spark.settings]"]
            made += [f"{json.dumps(k)} = {json.dumps(v)}" for k, v in self.settings.items()]
        return made


class AttesterSettings(Part):
    """What makes evidence of this node, where a room demands it (docs/protections/attestation-handshake.md).

    Attributes:
        platform: ``tpm``; ``nitro``; ``tsm``, a confidential virtual machine (SEV-SNP, TDX); or ``dev``.
        device: of a TPM, its path, or ``descriptor:4`` where a launcher opened it; of ``dev``, the key file,
            relative to the member's directory. Of the others the platform's own where None.
        chain: of a TPM, a file with the certificates above its endorsement key's, in PEM, the root last;
            relative to the member's directory.
    """

    platform: Literal["tpm", "nitro", "tsm", "dev"]
    device: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None
    chain: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.platform == "dev" and self.device is None:
            raise ValueError("dev needs `device`, the developer's key file")
        if self.platform != "tpm" and self.chain is not None:
            raise ValueError("`chain` is of a TPM")
        return self

    def lines(self) -> list[str]:
        """As TOML."""
        said = {"platform": self.platform, "device": self.device, "chain": self.chain}
        return ["[attestation]", *(f"{n} = {toml_text(v)}" for n, v in said.items() if v is not None)]


class EnclaveSettings(Part):
    """How this node starts enclaves, where it is the place of runs in them (docs/protections/enclave.md).

    Attributes:
        platform: ``swtpm``, a software TPM for each run, which shows the flow and protects nothing; ``tpm``,
            the machine's; ``dev``, a key on disk; or ``vsock``, an enclave or guest that waits for a run.
        device: of ``tpm``, its path; of ``dev``, the key file, relative to the member's directory; of
            ``vsock``, where it waits, ``CID:PORT``.
    """

    platform: Literal["swtpm", "tpm", "dev", "vsock"] = "swtpm"
    device: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.platform == "dev" and self.device is None:
            raise ValueError("dev needs `device`, the key file")
        if self.platform == "vsock" and re.fullmatch(r"[0-9]{1,10}:[0-9]{1,10}", self.device or "") is None:
            raise ValueError("vsock needs `device`, where the guest waits: CID:PORT")
        return self

    def lines(self) -> list[str]:
        """As TOML."""
        said = {"platform": self.platform, "device": self.device}
        return ["[enclave]", *(f"{n} = {toml_text(v)}" for n, v in said.items() if v is not None)]


class KeySettings(Part):
    """Where this owner's key broker keeps its own key, and counts (docs/attestation-deletion.md).

    Attributes:
        kms: the AWS KMS key that wraps data keys, by ARN; without, a file in the member's directory does.
        region: of that key, as AWS names it.
        endpoint: where KMS is, if not at AWS's own address.
        counter: the TPM with a counter that nobody can put back, by its path; without, a file counts.
    """

    kms: Annotated[str, Field(pattern=r"^[A-Za-z0-9:/_-]{1,2048}$")] | None = None
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] | None = None
    endpoint: Annotated[str, AfterValidator(check_address)] | None = None
    counter: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kms is None) != (self.region is None) or (self.kms is None and self.endpoint is not None):
            raise ValueError("`kms` needs `region`, and the other way round")
        return self

    def lines(self) -> list[str]:
        """As TOML."""
        said = self.model_dump(exclude_none=True)
        return ["[keys]", *(f"{n} = {toml_text(v)}" for n, v in said.items())]


class SharesSettings(Part):
    """Where this node listens for the other servers, where it is one of three that compute on shares.

    Attributes:
        listen: HOST:PORT; port 0 takes any that is free.
        advertise: HOST:PORT where the others reach it; the same as `listen` where nothing is said.
    """

    listen: ListenAnywhere = "127.0.0.1:0"
    advertise: Listen | None = None

    def lines(self) -> list[str]:
        """As TOML."""
        said = {"listen": self.listen, "advertise": self.advertise}
        return ["[shares]", *(f"{n} = {toml_text(v)}" for n, v in said.items() if v is not None)]


class NodeSettings(Part):
    """What ``node.toml`` says.

    Attributes:
        listen: where the other members' nodes are listened to.
        url: where they reach it.
        health: where a local supervisor can ask whether the process lives; nowhere if it is None.
        invitations: where who is invited into a room is listened to (`hitoku room invite`); nowhere if None.
        networks: where addresses that others name may be, such as ``10.1.0.0/16``, besides public ones and
            the loopback or private networks that `listen` and `url` are in.
        rooms: the rooms that are served; there may be none yet.
        tables: the member's own tables.
        spark: the cluster that SQL on tokens and batches of runs go to; this machine's cores if it is None.
        attestation: what makes evidence of this node; nothing does if it is None.
        enclave: how this node starts enclaves; with a software TPM if it is None.
        keys: where this owner's key broker keeps its own key; in a file if it is None.
        shares: where this node listens for the other servers of runs on shares; on loopback if it is None.
        console: where the member's people find their console; there is none if it is None.
        quotas: how much members and users may ask of this node.
        metrics: where else metrics are shown than on the health listener.
    """

    listen: Listen
    url: Address
    health: Health | None = None
    invitations: Listen | None = None
    networks: Annotated[tuple[Network, ...], Field(max_length=64, strict=False)] = ()
    rooms: Annotated[tuple[RoomSettings, ...], Field(max_length=64, strict=False)] = ()
    tables: Annotated[tuple[TableSettings, ...], Field(max_length=limits.MAX_TABLES, strict=False)] = ()
    spark: SparkSettings | None = None
    attestation: AttesterSettings | None = None
    enclave: EnclaveSettings | None = None
    keys: KeySettings | None = None
    shares: SharesSettings | None = None
    console: ConsoleSettings | None = None
    quotas: QuotaSettings = QuotaSettings()
    metrics: MetricsSettings | None = None

    @classmethod
    def open(cls, directory: Path) -> NodeSettings:
        """Read the settings of a member's directory.

        Raises:
            InputError: there are none, or they cannot be used.
        """
        path = directory / SETTINGS_FILE
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
            if len(content) > _MAX_BYTES:
                raise InputError(f"{path}: too large")
            data = tomllib.loads(content.decode())
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file: make it with `hitoku node init`") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise InputError(f"{path}: not valid TOML") from None
        return cls.made(data, str(path))

    @classmethod
    def made(cls, data: dict[str, Any], where: str) -> NodeSettings:
        """Settings of data, checked.

        Raises:
            InputError: they cannot be used; says where, and quotes no value.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"{where}: {findings(error, 'settings')}") from None

    def write(self, directory: Path) -> Path:
        """Write the settings into a member's directory. Returns the file.

        Raises:
            InputError: there are some already.
            RoomError: the file cannot be written.
        """
        path = directory / SETTINGS_FILE
        if path.exists():
            raise InputError(f"{path}: is there already; edit it, or move it away")
        write_whole(path, self.text().encode())
        return path

    def text(self) -> str:
        """As the text of a node.toml; reading it gives the same settings."""
        return "\n".join(["# This member's node: `hitoku node serve`.", *self.lines()]) + "\n"

    def lines(self) -> list[str]:
        """As TOML."""
        said = {
            "listen": self.listen,
            "url": self.url,
            "health": self.health,
            "invitations": self.invitations,
            "networks": list(self.networks) or None,
        }
        lines = [f"{name} = {toml_text(value)}" for name, value in said.items() if value is not None]
        for part in (
            *self.rooms,
            *self.tables,
            self.spark,
            self.attestation,
            self.enclave,
            self.keys,
            self.shares,
            self.console,
            self.quotas,
            self.metrics,
        ):
            more = [] if part is None else part.lines()
            lines += ["", *more] if more else []
        return lines

    def places(self) -> Networks:
        """Where an address that somebody else names is called."""
        listen, _ = socket_of(self.listen)
        own = [urlsplit(self.url).hostname or ""]
        return Networks.of(own if listen in _EVERY else [*own, listen], self.networks)

    def room_files(self, directory: Path) -> tuple[Path, ...]:
        """The room files, as paths from here."""
        return tuple(Path(os.path.normpath(directory / room.file)) for room in self.rooms)
