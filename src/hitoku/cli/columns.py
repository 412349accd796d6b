# SPDX-License-Identifier: Apache-2.0
"""`hitoku columns`: schema, encrypt, decrypt. AWS C3R's spellings are accepted beside ours.

The secret comes from HITOKU_SHARED_SECRET or C3R_SHARED_SECRET, never from an argument: arguments
are shown in process listings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.room.settings import Settings

__all__ = ["app"]

app = App(
    name="columns",
    help="Encrypt and decrypt columns, in the file format of AWS C3R.",
    help_format="plaintext",
)


def _flag(*names: str) -> Parameter:
    return Parameter(name=list(names), negative="")


Json = Annotated[bool, _flag("--json")]
Overwrite = Annotated[bool, _flag("--overwrite")]
DryRun = Annotated[bool, _flag("--dry-run", "--dryRun")]
Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Id = Annotated[str | None, Parameter(name=["--id"])]
Room = Annotated[Path | None, Parameter(name=["--room"])]
FileFormat = Annotated[str | None, Parameter(name=["--file-format", "--fileFormat"])]
InputNull = Annotated[
    str | None, Parameter(name=["--csv-input-null", "--csvInputNULLValue"], allow_leading_hyphen=True)
]
OutputNull = Annotated[
    str | None, Parameter(name=["--csv-output-null", "--csvOutputNULLValue"], allow_leading_hyphen=True)
]
TempDir = Annotated[Path | None, Parameter(name=["--temp-dir", "--tempDir"])]
BinaryAsString = Annotated[bool, _flag("--parquet-binary-as-string", "--parquetBinaryAsString")]
# Options of c3r-cli that have no meaning without AWS; accepted so that its scripts run.
Ignored = Annotated[str | None, Parameter(show=False, allow_leading_hyphen=True)]
Stack = Annotated[bool, Parameter(name=["--enableStackTraces"], negative="", show=False)]
Clear = Annotated[bool | None, Parameter(name=["--allow-cleartext", "--allowCleartext"])]
Duplicates = Annotated[bool | None, Parameter(name=["--allow-duplicates", "--allowDuplicates"])]
Joins = Annotated[
    bool | None,
    Parameter(
        name=[
            "--allow-joins-on-columns-with-different-names",
            "--allowJoinsOnColumnsWithDifferentNames",
        ]
    ),
]
Nulls = Annotated[bool | None, Parameter(name=["--preserve-nulls", "--preserveNulls"])]


@app.command
def encrypt(
    source: Path,
    *,
    schema: Path,
    id: Id = None,  # noqa: A002
    output: Output = None,
    room: Room = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    csv_input_null: InputNull = None,
    csv_output_null: OutputNull = None,
    temp_dir: TempDir = None,
    file_format: FileFormat = None,
    parquet_binary_as_string: BinaryAsString = False,
    allow_cleartext: Clear = None,
    allow_duplicates: Duplicates = None,
    allow_joins_on_columns_with_different_names: Joins = None,
    preserve_nulls: Nulls = None,
    json_: Json = False,
    profile: Ignored = None,
    region: Ignored = None,
    enable_stack_traces: Stack = False,
) -> int:
    """Encrypt a CSV or Parquet file as a schema says.

    The shared secret is read from HITOKU_SHARED_SECRET, or else C3R_SHARED_SECRET (base64).

    Parameters
    ----------
    source
        The file to encrypt.
    schema
        The table schema (JSON); `hitoku columns schema` makes one.
    id
        The room's UUID; with --room it may be left out.
    output
        The encrypted file; <name>.out.<suffix> by default.
    room
        The room's file, which holds the id and the four settings.
    overwrite
        Replace the output if it exists.
    dry_run
        Do and check everything, write nothing.
    csv_input_null
        The text that means NULL in the input.
    csv_output_null
        The text to write for NULL.
    temp_dir
        Where rows wait, encrypted, when they do not fit memory.
    file_format
        CSV or PARQUET, if the suffix does not tell.
    parquet_binary_as_string
        Plain binary columns hold UTF-8 text.
    allow_cleartext
        Columns may be shared in clear (without --room; off by default).
    allow_duplicates
        Fingerprint columns may hold a value twice (without --room; off by default).
    allow_joins_on_columns_with_different_names
        One fingerprint key for all columns (without --room; off by default).
    preserve_nulls
        NULLs stay NULL in encrypted columns (without --room; off by default).
    json_
        Print one JSON object.
    """
    del profile, region, enable_stack_traces
    from hitoku.columns import encrypt as run
    from hitoku.columns import read_secret

    settings, room_id = _agreement(
        room,
        id,
        {
            "allow_cleartext": allow_cleartext,
            "allow_duplicates": allow_duplicates,
            "allow_joins_on_columns_with_different_names": allow_joins_on_columns_with_different_names,
            "preserve_nulls": preserve_nulls,
        },
    )
    with _Progress() as progress:
        summary = run(
            source,
            output or _default_output(source),
            schema,
            settings,
            room_id,
            read_secret(),
            overwrite=overwrite,
            dry_run=dry_run,
            csv_input_null=csv_input_null,
            csv_output_null=csv_output_null,
            temp_dir=temp_dir,
            source_format=file_format,
            parquet_binary_as_string=parquet_binary_as_string,
            progress=progress,
        )
    _print(summary.to_dict(), json_)
    return 0


@app.command
def decrypt(
    source: Path,
    *,
    id: Id = None,  # noqa: A002
    output: Output = None,
    room: Room = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    fail_on_fingerprint: Annotated[
        bool, _flag("--fail-on-fingerprint", "--failOnFingerprintColumns")
    ] = False,
    csv_input_null: InputNull = None,
    csv_output_null: OutputNull = None,
    file_format: FileFormat = None,
    json_: Json = False,
    profile: Ignored = None,
    region: Ignored = None,
    enable_stack_traces: Stack = False,
) -> int:
    """Open the sealed values of a CSV or Parquet file; fingerprints stay as they are.

    The shared secret is read from HITOKU_SHARED_SECRET, or else C3R_SHARED_SECRET (base64).

    Parameters
    ----------
    source
        The file to decrypt.
    id
        The room's UUID; with --room it may be left out.
    output
        The decrypted file; <name>.out.<suffix> by default.
    room
        The room's file, which holds the id.
    overwrite
        Replace the output if it exists.
    dry_run
        Open and check everything, write nothing.
    fail_on_fingerprint
        A fingerprint in the file is an error.
    csv_input_null
        The text that means NULL in the input.
    csv_output_null
        The text to write for NULL.
    file_format
        CSV or PARQUET, if the suffix does not tell.
    json_
        Print one JSON object.
    """
    del profile, region, enable_stack_traces
    from hitoku.columns import decrypt as run
    from hitoku.columns import read_secret

    _, room_id = _agreement(room, id, {})
    with _Progress() as progress:
        summary = run(
            source,
            output or _default_output(source),
            room_id,
            read_secret(),
            overwrite=overwrite,
            dry_run=dry_run,
            fail_on_fingerprint=fail_on_fingerprint,
            csv_input_null=csv_input_null,
            csv_output_null=csv_output_null,
            source_format=file_format,
            progress=progress,
        )
    _print(summary.to_dict(), json_)
    return 0


@app.command
def schema(
    source: Path,
    *,
    template: Annotated[bool, _flag("--template", "-t")] = False,
    interactive: Annotated[bool, _flag("--interactive", "-i")] = False,
    output: Output = None,
    overwrite: Overwrite = False,
    no_headers: Annotated[bool, _flag("--no-headers", "--noHeaders")] = False,
    id: Id = None,  # noqa: A002
    room: Room = None,
    file_format: FileFormat = None,
    parquet_binary_as_string: BinaryAsString = False,
    allow_cleartext: Clear = None,
    json_: Json = False,
    profile: Ignored = None,
    region: Ignored = None,
    enable_stack_traces: Stack = False,
) -> int:
    """Make a table schema for a file: a template to edit, or by answering questions.

    Parameters
    ----------
    source
        The file whose columns the schema is for.
    template
        Write a template with every choice left open (the default).
    interactive
        Ask for each column.
    output
        The schema file; <file>.json by default.
    overwrite
        Replace the output if it exists.
    no_headers
        The CSV file has no header row.
    id
        Accepted for c3r-cli's sake; a schema does not depend on it.
    room
        The room's file: a room that forbids cleartext is not offered it.
    file_format
        CSV or PARQUET, if the suffix does not tell.
    parquet_binary_as_string
        Plain binary columns hold UTF-8 text.
    allow_cleartext
        Offer cleartext (without --room; on by default here).
    json_
        Print one JSON object.
    """
    del profile, region, enable_stack_traces, id
    from hitoku.columns.template import interactive_schema
    from hitoku.columns.template import template as make_template
    from hitoku.sources import NewFile, open_source

    if template and interactive:
        raise InputError("--template and --interactive exclude each other")
    offer = True if allow_cleartext is None and room is None else allow_cleartext
    settings = _settings(room, {"allow_cleartext": offer})
    columns = open_source(
        source,
        file_format,
        header_row=not no_headers,
        binary_as_string=parquet_binary_as_string,
    ).schema
    target = output or source.with_name(source.name + ".json")
    with NewFile(target, overwrite=overwrite) as file:
        if interactive:
            text = interactive_schema(columns, settings, ask, header_row=not no_headers).to_json()
        else:
            text = make_template(columns, settings, header_row=not no_headers)
        file.file.write(text.encode())
        file.commit()
    done = {"action": "schema", "source": source.name, "target": str(target), "columns": len(columns)}
    _print(done, json_)
    return 0


def ask(question: str, choices: Sequence[str] | None, default: str) -> str:
    """One question on the terminal, on stderr; repeated until one of the choices is given."""
    from rich.console import Console
    from rich.prompt import Prompt

    answer = Prompt.ask(
        question,
        console=Console(stderr=True),
        choices=None if choices is None else list(choices),
        default=default or ...,
    )
    return str(answer)


def _default_output(source: Path) -> Path:
    return source.with_name(f"{source.stem}.out{source.suffix}")


def _settings(room: Path | None, options: dict[str, bool | None]) -> Settings:
    from hitoku.room.settings import Settings

    given = {name: value for name, value in options.items() if value is not None}
    if room is None:
        return Settings(**given)
    settings = _load(room).agreement.settings
    other = [name for name, value in given.items() if getattr(settings, name) != value]
    if other:
        raise InputError(f"the room settles it otherwise: {', '.join(other)}")
    return settings  # type: ignore[no-any-return]


def _agreement(
    room: Path | None, room_id: str | None, options: dict[str, bool | None]
) -> tuple[Settings, str]:
    """Settings and id: from the room where one is named, or else from the options."""
    settings = _settings(room, options)
    if room is None:
        if room_id is None:
            raise InputError("name the room: --id UUID, or --room room.yaml")
        return settings, room_id
    held = str(_load(room).agreement.id)
    if room_id is not None and room_id.lower() != held:
        raise InputError("--id is not the id of the room in --room")
    return settings, held


def _load(room: Path) -> Any:
    from hitoku.room.files import load_room

    return load_room(room / "room.yaml" if room.is_dir() else room)


def _print(summary: dict[str, Any], as_json: bool) -> None:
    for warning in summary.get("warnings", ()):
        sys.stderr.write(f"warning: {warning}\n")
    if as_json:
        sys.stdout.write(json.dumps(summary, ensure_ascii=False) + "\n")
        return
    where = summary["target"] or "nothing (dry run)"
    rows = f"{summary['rows']:,} rows, " if "rows" in summary else ""
    sys.stderr.write(f"{summary['action']}: {rows}wrote {where}\n")


class _Progress:
    """Phases on the terminal, cleared at the end."""

    def __enter__(self) -> Any:
        from hitoku.cli.show import TerminalProgress

        self._shown = TerminalProgress()
        return self._shown

    def __exit__(self, *_: object) -> None:
        self._shown.close()
