# SPDX-License-Identifier: Apache-2.0
"""`hitoku`: the entry point. Commands are imported when called, errors end in documented exit codes.

Results go to stdout, everything else to stderr. With `--json`, stdout is exactly one JSON object, also where
the command fails. No value of a table, key or secret is ever printed as part of an error: an unexpected
exception shows its type and place only (HITOKU_DEBUG=1 shows all of it, for developers on their own data).
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hitoku.errors import HitokuError, Refusal

__all__ = ["EXIT_CODES", "main"]

EXIT_CODES: Final = {
    0: "done",
    1: "an error in hitoku itself, or a check that did not pass",
    2: "the command line cannot be understood",
    3: "the question is refused by the room's rules, or the evidence by its check",
    4: "a file, schema, value or key cannot be used",
    5: "the room is not in force: its form, a signature or a duty",
    6: "a documented limit was reached",
    7: "the engine failed",
    8: "another member refused, failed or did not answer",
    9: "the result cannot be released under the plan",
    130: "interrupted",
}
"""What the exit codes mean; the same list is in the help and in docs/cli.md."""


def _app() -> Any:
    from cyclopts import App

    def version() -> str:
        from hitoku._core import __version__

        return f"hitoku {__version__}"

    epilogue = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."
    app = App(
        name="hitoku",
        help="Ask one question of data that nobody may show another.",
        help_epilogue=epilogue,
        help_format="plaintext",
        version=version,
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    app.command("hitoku.cli.ask:ask", name="ask", help="Ask a question of a room.")
    app.command(
        "hitoku.cli.ask:explain", name="explain", help="What would happen to a question; runs nothing."
    )
    app.command("hitoku.cli.room:app", name="room", help="Make, sign, verify and show rooms.")
    app.command("hitoku.cli.ledger:app", name="ledger", help="Show, verify and prove a ledger.")
    app.command("hitoku.cli.node:app", name="node", help="Serve a member's node, and see the others.")
    app.command("hitoku.cli.user:app", name="user", help="Who may use the console of a member's node.")
    app.command("hitoku.cli.table:app", name="table", help="Enter and check a member's own tables.")
    app.command("hitoku.cli.columns:app", name="columns", help="Encrypt and decrypt columns.")
    app.command(
        "hitoku.cli.attest:app", name="attest", help="Evidence of what runs where: verify, explain, make."
    )
    app.command("hitoku.cli.model:app", name="model", help="Models for encrypted inputs.")
    app.command(
        "hitoku.cli.predict:predict", name="predict", help="Have encrypted rows scored by a member's model."
    )
    app.command("hitoku.cli.learn:app", name="learn", help="Learn a model together on updates nobody reads.")
    app.command("hitoku.cli.demo:app", name="demo", help="See it work on real data.")
    app.command("hitoku.cli.doctor:doctor", name="doctor", help="Say what is missing on this machine.")
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    # Importing makes many objects and no garbage: collecting less often saves a fifteenth of a short command.
    gc.set_threshold(50_000, 20, 100)
    _no_core_file()
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def _no_core_file() -> None:
    """A crash must not write keys and plain values to the disk."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, ValueError, OSError):
        return


def run(arguments: list[str]) -> int:
    """Run the command line. Returns the exit code."""
    as_json = "--json" in arguments
    try:
        code = _call(arguments, as_json)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # The reader of our output left; rich, which prints the help, makes a SystemExit of that. Python
        # would complain once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _call(arguments: list[str], as_json: bool) -> int:
    try:
        result = _app()(arguments)
    except KeyboardInterrupt:
        _say(as_json, {"error": "Interrupted", "message": "interrupted; nothing is left behind"})
        return 130
    except HitokuError as error:
        _show(error, as_json)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        if type(error).__module__.startswith("cyclopts"):
            _say(as_json, {"error": "UsageError", "message": _usage(error)})
            return 2
        _unexpected(error, as_json)
        return 1
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _usage(error: Exception) -> str:
    try:
        text = str(error).strip()
    except Exception:
        text = "the command line cannot be understood"
    return text if text.endswith(".") else text + "."


def _show(error: HitokuError, as_json: bool) -> None:
    if as_json or not isinstance(error, Refusal):
        _say(as_json, error.to_dict())
        return
    from hitoku.cli.show import refusal

    sys.stderr.write(refusal(error, getattr(error, "asked_sql", None)))


def _say(as_json: bool, data: dict[str, Any]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    else:
        from hitoku.cli.show import one_line

        sys.stderr.write(f"{data['error']}: {one_line(data['message'])}\n")


def _unexpected(error: Exception, as_json: bool) -> None:
    if os.environ.get("HITOKU_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    where = "?"
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "hitoku" in file.parts:
            where = f"{'/'.join(file.parts[file.parts.index('hitoku') :])}:{trace.tb_lineno}"
        trace = trace.tb_next
    _say(
        as_json,
        {
            "error": "InternalError",
            "message": f"{type(error).__name__} at {where}; its text is not shown, for it may quote data; "
            "HITOKU_DEBUG=1 shows it. Please report this place",
        },
    )


if __name__ == "__main__":
    main()
