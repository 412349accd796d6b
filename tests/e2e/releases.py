# SPDX-License-Identifier: Apache-2.0
"""Other releases of hitoku for tests: copies of the package, changed, that processes import instead of it.

A copy is truly other code: its own files, its own version, its own protocol, its own schema of the database.
One that changes nothing is a release, too: whoever edits the source meanwhile does not change what runs.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import hitoku
from hitoku.room.store import SCHEMA_VERSION
from hitoku.transport.https.bounds import PROTOCOL

NEXT_SCHEMA = f"{int(SCHEMA_VERSION) + 1:04}"
"""The schema that a release with one more migration has."""

_VERSION = "from hitoku._core import __version__"
_MIGRATION = '''\
"""One table more, and a row in it that says that the migration came to its end."""

import sqlalchemy as sa
from alembic import op

revision = "{next}"
down_revision = "{last}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    made = op.create_table("of_the_next_release", sa.Column("name", sa.String(63), primary_key=True))
    op.add_column("runs", sa.Column("of_the_next_release", sa.Text, nullable=True))
{between}    op.bulk_insert(made, [{{"name": "whole"}}])
'''


@dataclass(frozen=True)
class Release:
    """A copy of the package.

    Attributes:
        path: the folder that it is in, to be put before all others that Python looks into.
    """

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to have in its environment, so that it imports this release."""
        return {"PYTHONPATH": str(self.path), "PYTHONSAFEPATH": "1"}

    def change(self, file: str, before: str, after: str) -> None:
        """Replace a text that stands once in a file of the package."""
        path = self.path / "hitoku" / file
        text = path.read_text("utf-8")
        assert text.count(before) == 1, (file, before, text.count(before))
        path.write_text(text.replace(before, after), "utf-8")


def released(
    path: Path,
    version: str | None = None,
    protocol: str = PROTOCOL,
    *,
    migrates: bool = False,
    between: str = "",
) -> Release:
    """Make a release.

    Args:
        path: an empty folder for it.
        version: what it says it is; as this one where None.
        protocol: what it speaks.
        migrates: whether its database has one more migration.
        between: a statement in the midst of that migration.
    """
    made = Release(path)
    shutil.copytree(Path(hitoku.__file__).parent, path / "hitoku")
    if version is not None:
        files = [f for f in (path / "hitoku").rglob("*.py") if _VERSION in f.read_text("utf-8")]
        assert len(files) >= 5, files
        for file in files:
            text = file.read_text("utf-8")
            file.write_text(re.sub(rf"{_VERSION}( as __version__)?", f'__version__ = "{version}"', text))
        with (path / "hitoku" / "__init__.py").open("a", encoding="utf-8") as file_:
            file_.write(f'\n__version__ = "{version}"\n')
    if protocol != PROTOCOL:
        made.change(
            "transport/https/bounds.py", f'PROTOCOL: Final = "{PROTOCOL}"', f'PROTOCOL: Final = "{protocol}"'
        )
    if migrates:
        made.change(
            "room/store.py", f'SCHEMA_VERSION = "{SCHEMA_VERSION}"', f'SCHEMA_VERSION = "{NEXT_SCHEMA}"'
        )
        text = _MIGRATION.format(
            next=NEXT_SCHEMA, last=SCHEMA_VERSION, between=f"    {between}\n" if between else ""
        )
        (path / "hitoku" / "room" / "migrations" / "versions" / f"v{NEXT_SCHEMA}_next.py").write_text(text)
    return made
