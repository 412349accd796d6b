# SPDX-License-Identifier: Apache-2.0
"""`hitoku ask` and `hitoku explain`."""

from __future__ import annotations

import csv
import json
import sys
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hitoku import limits
from hitoku.errors import InputError, Refusal

if TYPE_CHECKING:
    from hitoku.ask import Sent
    from hitoku.ask.preview import Preview as Asked
    from hitoku.disclosure.answer import Answer

__all__ = ["ask", "explain"]

Member = Annotated[str | None, Parameter(name="--as")]
Sql = Annotated[str, Parameter(allow_leading_hyphen=True)]
Json = Annotated[bool, Parameter(name="--json", negative="")]
Csv = Annotated[bool, Parameter(name="--csv", negative="")]
Preview = Annotated[bool, Parameter(name="--preview", negative="")]


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
    users_noise: int | None = None,
    epsilon: str | None = None,
    preview: Preview = False,
    plot: Path | None = None,
    json_: Json = False,
    csv_: Csv = False,
) -> int:
    """Ask a question of a room and show the answer. The same question again has the same answer, at no cost.

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
    users_noise
        Where noise is added: how many units' contributions it hides, 10 to 100000. More noise costs less.
    epsilon
        Where noise is added: what the question may cost; the least noise for that is taken.
    preview
        Ask nothing: show what the question would cost each owner's accounts, and what they have left.
    plot
        Draw the answer, with its noise's bands, into this file: .svg, or .json for a Vega-Lite specification.
    json_
        Print one JSON object.
    csv_
        Print the rows as CSV.
    """
    from hitoku.cli.show import TerminalProgress
    from hitoku.node.local import open_room

    text = _sql(sql)
    if plot is not None and plot.suffix not in {".svg", ".json"}:
        raise InputError(f"{plot}: a plot is an .svg or a .json file")
    progress = TerminalProgress()
    found: Asked | None = None
    answer: Answer | Sent | None = None
    try:
        handle = open_room(room, member, progress=progress)
        receivers = tuple(to) if to else handle.receivers
        if preview:
            found = handle.preview(text, receivers=receivers, users_noise=users_noise, epsilon=epsilon)
        elif handle.me in receivers:
            answer = handle.ask(text, receivers=receivers, users_noise=users_noise, epsilon=epsilon)
        else:
            answer = handle.send(text, receivers=receivers, users_noise=users_noise, epsilon=epsilon)
    except Refusal as refusal:
        # For the caret under the clause; `main` shows it.
        refusal.asked_sql = text  # type: ignore[attr-defined]
        raise
    finally:
        progress.close()
    if found is not None:
        words = json.dumps(found.to_dict(), ensure_ascii=False) if json_ else "\n".join(previewed(found))
        sys.stdout.write(words + "\n")
    elif answer is not None:
        _print(answer, json_, csv_)
        if plot is not None:
            _draw(answer, plot)
    return 0


def _draw(answer: Answer | Sent, place: Path) -> None:
    """Write the plot. The answer is shown already: it is not lost where this fails."""
    from hitoku.ask import Sent
    from hitoku.room.files import write_whole

    if isinstance(answer, Sent):
        raise InputError(f"{place}: the answer went to others: there is nothing to draw here")
    drawn = answer.to_svg() if place.suffix == ".svg" else json.dumps(answer.chart(), ensure_ascii=False)
    write_whole(place, drawn.encode())


def previewed(preview: Asked) -> list[str]:
    """A preview in words. Nothing of it is free text: names and numbers were checked when it came."""
    lines = []
    if preview.answered is not None:
        lines.append("Answered already: the same answer would be given again, at no cost.")
    if preview.users_noise is not None:
        lines.append(f"Noise of {preview.users_noise} units' contributions.")
    for owner, account in preview.accounts:
        more = "any number of" if account.questions is None else f"about {account.questions:,}"
        since = "" if account.period == "ever" else f" in {account.period}"
        lines.append(
            f"{owner}'s account for {account.unit}: costs epsilon {_short(account.cost)} alone; "
            f"{_short(account.spent)} of {account.epsilon} are spent{since}; {more} such questions remain."
        )
    if not preview.accounts:
        lines.append("It costs no privacy budget.")
    for owner, window in preview.windows:
        lines.append(f"{owner} allows {window.left:,} more questions of {window.table} ({window.window}).")
    return lines


def _short(number: str) -> str:
    """A decimal with four digits behind the point, rounded up."""
    return str(Decimal(number).quantize(Decimal("0.0001"), ROUND_CEILING))


def _print(answer: Answer | Sent, as_json: bool, as_csv: bool) -> None:
    from hitoku.ask import Sent
    from hitoku.disclosure.render import stamp_words

    if as_json:
        sys.stdout.write(json.dumps(answer.to_dict(), ensure_ascii=False, allow_nan=False) + "\n")
    elif isinstance(answer, Sent):
        sys.stderr.write(f"The answer went to {', '.join(answer.receivers)} (run {answer.run}).\n")
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.column_names)
        writer.writerows(answer.fetchall())
        sys.stderr.write(answer.withheld.words() + "\n")
        stamp = stamp_words(answer)
        if stamp is not None:
            sys.stderr.write(stamp + "\n")
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
    from hitoku.questions.words import reveal_tree

    lines = ["Accepted. What runs, in normal form:", f"  {question['sql']}"]
    if question["template"]:
        lines.append(f"  the template {question['template']}, with its values")
    lines += ["What each output tells, of which columns:", *reveal_tree(question["outputs"])]
    for t in question["thresholds"]:
        lines.append(
            f"  {t['owner']}'s rule: each row must rest on at least {t['minimum']} distinct "
            f"{t['table']}.{t['column']}"
        )
    if not question["thresholds"]:
        lines.append(f"  {question['protected_by'][:1].upper()}{question['protected_by'][1:]}")
    for choice in data["protections"]:
        if not choice["supported"]:
            lines.append(f"Not by {choice['protection']}: {choice['reason']}")
            continue
        lines.append(f"By {choice['protection']}, who learns what:")
        for item in choice["learned"]:
            assumption = f" (assuming {item['assumption']})" if item["assumption"] else ""
            lines.append(f"  {item['member']}: {item['words']}{assumption}")
        lines += [f"  {line}" for line in choice["plan"]]
    return lines
