# SPDX-License-Identifier: Apache-2.0
"""Looking into a source: columns, types, counts, and the first rows where the owner asks for them.

A file that somebody made can ask its reader for all memory and all time: a page of Parquet that unpacks to
gigabytes, ten thousand columns. So it is read in a process of its own, with bounds of memory and time; what
comes back is JSON of bounded size. ``python -m hitoku.console.work.looking`` is that process.

A process takes half a second to come up, so what was said of a file is remembered while the file stays as it
is, by inode, size and time of change; the first rows' values never are.
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.errors import EngineError, HitokuError, InputError, LimitError

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.sources.base import Source

__all__ = ["look"]

_SAMPLE_ROWS: Final = 5
_SHOWN_CHARS: Final = 120
_AT_ONCE: Final = threading.BoundedSemaphore(2)
"""Each may take `LOOK_MEMORY_BYTES`."""
_KEPT: Final = 8
_FLAGS: Final = ("profile", "sample", "upload")
_Stamp = tuple[int, int, int, int, str]
_ERRORS: Final[dict[str, type[HitokuError]]] = {"InputError": InputError, "LimitError": LimitError}
# Every value of a text column must be of a form, or the column is text.
_FORMS: Final = (
    ("boolean", r"^(true|false|TRUE|FALSE|True|False)$"),
    ("bigint", r"^-?(0|[1-9][0-9]{0,17})$"),
    ("decimal", r"^-?[0-9]{1,19}\.[0-9]{1,9}$"),
    # With leading zeros it is an identifier, e.g. a phone number.
    ("double", r"^-?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)$"),
    ("date", r"^[0-9]{4}-[01][0-9]-[0-3][0-9]$"),
    ("timestamp", r"^[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]"),
)


def look(
    source: str, base: Path, *, profile: bool = False, sample: bool = False, upload: bool = False
) -> dict[str, Any]:
    """What a source has.

    Args:
        source: as `hitoku.sources.uri` has it; whether it may be opened is for the caller to know.
        base: the member's directory.
        profile: count, in the first rows.
        sample: also the first rows' values, for the owner's eyes.
        upload: read it to the end, as a file from outside must be that is to be kept.

    What was said of a file before is said again, where that is enough.

    Returns:
        ``columns`` (name, type, guess, with a profile also nulls, distinct, more), ``rows`` counted, ``all``
        (whether these are all), ``total`` (what the file says, or None), ``sample`` (rows of texts).

    Raises:
        InputError, LimitError: the source cannot be used; without a value of it.
        EngineError: the process ended on its own, or took too long.
    """
    path = base / source
    is_uri = ":" in source.split("/", 1)[0]
    before = None if is_uri else _stamp(path)
    known = None if before is None or sample or upload else _known.get(before, profile=profile)
    if known is None:
        flags = dict(zip(_FLAGS, (profile, sample, upload), strict=True))
        known = _asked({"source": source, "base": str(base), **flags})
        if before is not None and not sample and before == _stamp(path):
            _known.put(before, known, profile=profile)
    answer: dict[str, Any] = json.loads(known)
    if "error" in answer:
        raise _ERRORS.get(answer["error"], InputError)(answer["message"])
    if before is not None:
        answer["name"] = path.name  # an upload was looked at under another name
    return answer


def _asked(request: dict[str, Any]) -> bytes:
    """What the process says; see `look`."""
    command = [sys.executable, "-m", "hitoku.console.work.looking"]
    if not _AT_ONCE.acquire(timeout=limits.LOOK_SECONDS):
        raise LimitError("two tables are being looked into: wait until one is done")
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limits.LOOK_SECONDS + 10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LimitError(f"looking into the table took more than {limits.LOOK_SECONDS} seconds") from None
    finally:
        _AT_ONCE.release()
    if done.returncode != 0 or len(done.stdout) > limits.MAX_LOOK_BYTES:
        raise EngineError(
            "the process that looks into the table ended: the file needs more memory or time than is "
            "allowed, or is no whole table",
            "INPUT_FILE",
        )
    return done.stdout


def _stamp(path: Path) -> _Stamp | None:
    """What tells a file from another, and from what it was; None where it is no file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, path.suffix.lower()


class _Known:
    """What was said of the last few files, without errors: what is said to be wrong is looked at again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: OrderedDict[_Stamp, tuple[bool, bytes]] = OrderedDict()

    def get(self, file: _Stamp, *, profile: bool) -> bytes | None:
        with self._lock:
            profiled, said = self._said.get(file, (False, None))
            return said if said is not None and (profiled or not profile) else None

    def put(self, file: _Stamp, said: bytes, *, profile: bool) -> None:
        if said.startswith(b'{"error"'):
            return
        with self._lock:
            profiled, _ = self._said.get(file, (False, b""))
            if profile or not profiled:
                self._said[file] = profile, said
            while len(self._said) > _KEPT:
                self._said.popitem(last=False)


_known: Final = _Known()


# --- in the process ---


def _main() -> int:
    import resource

    memory = limits.LOOK_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (2 * limits.LOOK_SECONDS, 2 * limits.LOOK_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.loads(sys.stdin.buffer.read())
    try:
        answer = _looked(request)
    except (InputError, LimitError) as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except MemoryError:
        return 3
    text = json.dumps(answer).encode()
    sys.stdout.buffer.write(text)
    return 0


def _looked(request: dict[str, Any]) -> dict[str, Any]:
    import pyarrow as pa

    from hitoku.sources.uri import open_uri

    pa.set_cpu_count(1)
    source = open_uri(request["source"], Path(request["base"]))
    schema = source.schema
    if len(schema) > limits.MAX_TABLE_COLUMNS:
        raise LimitError(
            f"{source.name} has {len(schema):,} columns, a table of a room at most "
            f"{limits.MAX_TABLE_COLUMNS:,}: make a file or view of those that you contribute"
        )
    if len({field.name.strip().lower() for field in schema}) != len(schema):
        raise InputError(f"{source.name} has two columns of one name")
    answer: dict[str, Any] = {
        "name": source.name,
        "columns": [{"name": f.name, "type": str(f.type), **_declared(f.type)} for f in schema],
        "rows": None,
        "all": False,
        "total": getattr(source, "_rows", None),
    }
    if request["upload"]:
        answer["rows"], answer["all"] = _read(source), True
    if request["profile"] or request["sample"]:
        _profile(source, answer, sample=request["sample"])
    return answer


def _read(source: Source) -> int:
    """Read a file from outside to its end: whole, well-formed, and not larger than it may be."""
    from hitoku.sources.base import RowError

    stated = getattr(source, "_bytes", 0)
    if stated > limits.MAX_UPLOAD_EXPANSION_BYTES:
        raise LimitError(f"{source.name} says that it unpacks to {stated:,} bytes: too large")
    rows, until = 0, time.monotonic() + limits.LOOK_SECONDS
    for batch in source.batches(range(len(source.schema))):
        try:
            rows += batch().num_rows
        except RowError as error:
            raise error.located(rows) from None
        if rows > limits.MAX_UPLOAD_ROWS:
            raise LimitError(f"{source.name} has more than {limits.MAX_UPLOAD_ROWS:,} rows")
        if time.monotonic() > until:
            raise LimitError(f"reading {source.name} took more than {limits.LOOK_SECONDS} seconds")
    return rows


def _declared(kind: pa.DataType) -> dict[str, Any]:
    """The type that a room would declare."""
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return {"guess": "decimal", "precision": min(kind.precision, 38), "scale": max(0, kind.scale)}
    for test, name in (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_int8, "smallint"),
        (pa.types.is_int16, "smallint"),
        (pa.types.is_uint8, "smallint"),
        (pa.types.is_int32, "int"),
        (pa.types.is_uint16, "int"),
        (pa.types.is_integer, "bigint"),
        (pa.types.is_float32, "float"),
        (pa.types.is_floating, "double"),
        (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "timestamp"),
    ):
        if test(kind):
            return {"guess": name}
    return {"guess": "string"}


def _profile(source: Source, answer: dict[str, Any], *, sample: bool) -> None:
    """Count NULLs and distinct values in the first rows; guess what columns of text are."""
    import pyarrow as pa

    columns = [_Column(pa.types.is_string(f.type) or pa.types.is_large_string(f.type)) for f in source.schema]
    rows, whole = 0, True
    shown: list[list[str | None]] = []
    until = time.monotonic() + limits.LOOK_SECONDS / 3
    for make in source.batches(range(len(columns))):
        if rows >= limits.LOOK_ROWS or time.monotonic() > until:
            whole = False
            break
        batch = make()
        if sample and len(shown) < _SAMPLE_ROWS:
            first = batch.slice(0, _SAMPLE_ROWS - len(shown))
            shown += [[_short(v) for v in row.values()] for row in first.to_pylist()]
        for column, values in zip(columns, batch.columns, strict=True):
            column.add(values)
        rows += batch.num_rows
    answer |= {"rows": rows, "all": whole}
    if sample:
        answer["sample"] = shown
    for said, column in zip(answer["columns"], columns, strict=True):
        said |= {"nulls": column.nulls, "distinct": len(column.seen), "more": column.full}
        if column.form is not None:
            said |= column.form


class _Column:
    """What is counted of one column."""

    def __init__(self, text: bool) -> None:
        self.nulls = 0
        self.seen: set[int] = set()
        self.full = False
        self._text = text
        self._filled = 0
        self._open = list(_FORMS)
        self._digits = [0, 0]

    def add(self, values: pa.Array) -> None:
        """Count a batch."""
        import pyarrow.compute as pc

        self.nulls += values.null_count
        self._filled += len(values) - values.null_count
        if not self.full:
            # Hashes, not values: a set of long texts would take all memory.
            self.seen.update(hash(v) for v in pc.unique(values).to_pylist() if v is not None)
            if len(self.seen) > limits.LOOK_DISTINCT:
                self.full = True
                self.seen = set(list(self.seen)[: limits.LOOK_DISTINCT])
        if self._text and self._open and len(values) > values.null_count:
            self._open = [
                (name, form)
                for name, form in self._open
                if pc.all(pc.match_substring_regex(values, form), skip_nulls=True).as_py()
            ]
            if any(name == "decimal" for name, _ in self._open):
                self._measure(values)

    def _measure(self, values: pa.Array) -> None:
        import pyarrow.compute as pc

        found = pc.extract_regex(values, r"^-?(?P<whole>[0-9]+)\.(?P<part>[0-9]+)$")
        for place, name in enumerate(("whole", "part")):
            longest = pc.max(pc.utf8_length(pc.struct_field(found, name))).as_py()
            self._digits[place] = max(self._digits[place], longest or 0)

    @property
    def form(self) -> dict[str, Any] | None:
        """What a column of text is, if all of it is."""
        if not self._text or not self._open or not self._filled:
            return None
        name = self._open[0][0]
        if name == "decimal":
            whole, part = self._digits
            # Later rows may have more digits than those that were looked at.
            return {"guess": name, "precision": max(18, min(38, whole + part)), "scale": part}
        return {"guess": name}


def _short(value: Any) -> str | None:
    if value is None:
        return None
    text = "".join(c if c.isprintable() else " " for c in str(value)[: _SHOWN_CHARS + 1])
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


if __name__ == "__main__":
    sys.exit(_main())
