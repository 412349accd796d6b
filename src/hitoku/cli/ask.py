# SPDX-License-Identifier: Apache-2.0
"""`hitoku ask` and `hitoku explain`."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hitoku import limits
from hitoku.errors import InputError, Refusal

if TYPE_CHECKING:
    from hitoku.ask import Sent
    from hitoku.disclosure.answer import Answer

__all__ = ["ask", "explain"]

Member = Annotated[str | None, Parameter(name="--as")]
Sql = Annotated[str, Parameter(allow_leading_hyphen=True)]
Json = Annotated[bool, Parameter(name="--json", negative="")]
Csv = Annotated[bool, Parameter(name="--csv", negative="")]


def _sql(text: str) -> str:
    if text != "-":
        return text
    read = sys.stdin.read(limits.MAX_SQL_CHARS + 1)
    if len(read) > limits.MAX_SQL_CHARS:
        raise InputError(f"the question is longer than {limits.MAX_SQL_CHARS} characters")
    return read


def ask(
    sql: Sql,
    *,
    room: Path = Path(),
    member: Member = None,
    to: list[str] | None = None,
    json_: Json = False,
    csv_: Csv = False,
) -> int:
    """Ask a question of a room and show the answer.

    Parameters
    ----------
    sql
        One SQL statement; `-` reads it from standard input, where no process listing shows it.
    room
        The room's directory, or its room.yaml.
    member
        Who asks; may be left out if only one member on this machine may.
    to
        Who receives the answer; the asker by default.
    json_
        Print one JSON object.
    csv_
        Print the rows as CSV.
    """
    from hitoku.cli.show import TerminalProgress
    from hitoku.node.local import open_room

    text = _sql(sql)
    progress = TerminalProgress()
    try:
        handle = open_room(room, member, progress=progress)
        receivers = tuple(to) if to else handle.receivers
        receive = handle.me in receivers
        answer = handle.ask(text, receivers=receivers) if receive else handle.send(text, receivers=receivers)
    except Refusal as refusal:
        # For the caret under the clause; `main` shows it.
        refusal.asked_sql = text  # type: ignore[attr-defined]
        raise
    finally:
        progress.close()
    _print(answer, json_, csv_)
    return 0


def _print(answer: Answer | Sent, as_json: bool, as_csv: bool) -> None:
    from hitoku.ask import Sent

    if as_json:
        sys.stdout.write(json.dumps(answer.to_dict(), ensure_ascii=False, allow_nan=False) + "\n")
    elif isinstance(answer, Sent):
        sys.stderr.write(f"The answer went to {', '.join(answer.receivers)} (run {answer.run}).\n")
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.column_names)
        writer.writerows(answer.fetchall())
        sys.stderr.write(answer.withheld.words() + "\n")
    else:
        from rich.console import Console

        Console(highlight=False).print(answer)


def explain(sql: Sql, *, room: Path = Path(), member: Member = None, json_: Json = False) -> int:
    """Say whether a question is allowed, and what each member would learn. Runs nothing.

    Parameters
    ----------
    sql
        One SQL statement; `-` reads it from standard input.
    room
        The room's directory, or its room.yaml.
    member
        Who would ask.
    json_
        Print one JSON object.
    """
    from hitoku.cli.show import one_line, refusal
    from hitoku.node.local import open_room

    text = _sql(sql)
    explanation = open_room(room, member).explain(text)
    data: dict[str, Any] = explanation.to_dict()
    refused = explanation.refusal
    if json_:
        sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    elif refused is not None:
        sys.stdout.write(refusal(refused, text))
    else:
        sys.stdout.write("\n".join(one_line(line) for line in _accepted(data)) + "\n")
    return 0 if refused is None else Refusal.exit_code


def _accepted(data: dict[str, Any]) -> list[str]:
    question = data["question"]
    lines = ["Accepted. What runs, in normal form:", f"  {question['sql']}"]
    for t in question["thresholds"]:
        lines.append(
            f"  {t['owner']}'s rule: each row must rest on at least {t['minimum']} distinct "
            f"{t['table']}.{t['column']}"
        )
    for choice in data["protections"]:
        if not choice["supported"]:
            lines.append(f"Not by {choice['protection']}: {choice['reason']}")
            continue
        lines.append(f"By {choice['protection']}, who learns what:")
        for item in choice["learned"]:
            assumption = f" (assuming {item['assumption']})" if item["assumption"] else ""
            lines.append(f"  {item['member']}: {item['words']}{assumption}")
    return lines
