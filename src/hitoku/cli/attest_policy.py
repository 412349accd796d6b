# SPDX-License-Identifier: Apache-2.0
"""`hitoku attest policy`: what this member asks of evidence beyond what always holds."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from hitoku import limits
from hitoku.cli.attest_member import Json, bounded, opened, out
from hitoku.cli.show import one_line
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.attestation.policy import Policy, Step

__all__ = ["app"]

app = App(name="policy", help="This member's own conditions on evidence.", help_format="plaintext")


@app.command
def check(file: Path, *, json_: Json = False) -> int:
    """Check that a file is a policy, and print what it is called in results.

    Parameters
    ----------
    file
        The policy, JSON.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.policy import Policy

    policy = Policy.from_json(bounded(file, limits.MAX_POLICY_BYTES), str(file))
    out({"policy": policy.digest, "file": str(file)}, f"{file}: a policy, {policy.digest}", json_)
    return 0


@app.command(name="set")
def set_(
    file: Path | None = None,
    *,
    room: Path = Path(),
    member: Path,
    none: bool = False,
    json_: Json = False,
) -> int:
    """Make a policy the one in force in a room; the member's ledger remembers it.

    Parameters
    ----------
    file
        The policy; attestation/policy.json in the member's directory by default.
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    none
        Ask for nothing beyond what always holds.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.kept import POLICY_FILE
    from hitoku.attestation.policy import Policy

    if none and file is not None:
        raise InputError("name a policy or --none, one of them")
    path = member / POLICY_FILE if file is None else file
    policy = Policy() if none else Policy.from_json(bounded(path, limits.MAX_POLICY_BYTES), str(path))
    with opened(room, member) as here:
        here.kept.set_policy(policy)
        kept = here.kept.policy()
    out({"policy": kept.digest}, f"in force: {kept.digest}", json_)
    return 0


@app.command
def show(*, room: Path = Path(), member: Path) -> int:
    """Print the policy in force in a room.

    Parameters
    ----------
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    """
    from hitoku.attestation.policy import FORMAT

    with opened(room, member) as here:
        policy = here.kept.policy()
    if policy.allow is None:
        sys.stdout.write("no policy of its own: only what always holds\n")
    else:
        data = {"format": FORMAT, "allow": policy.allow}
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
    return 0


@app.command
def explain(
    evidence: Path,
    *,
    room: Path = Path(),
    member: Path,
    policy: Path | None = None,
    endorsement: list[Path] | None = None,
    now: str | None = None,
    json_: Json = False,
) -> int:
    """Show how a policy judges evidence, condition by condition: exit code 0 if it allows it, 3 if not.

    The evidence is verified and its program looked up; whom it was made for, and whether it is fresh, is not
    asked, so that recorded evidence can be used.

    Parameters
    ----------
    evidence
        The evidence, as for `hitoku attest verify`.
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    policy
        A policy to try; the one in force by default.
    endorsement
        A file that the check needs; may be repeated.
    now
        The time to check at, such as 2025-06-25T12:00:00Z; the clock's by default.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.appraise import facts
    from hitoku.attestation.judge import Judged
    from hitoku.attestation.policy import Policy
    from hitoku.attestation.recognise import recognise
    from hitoku.attestation.verify import verify

    when = _time(now)
    files = [bounded(path, limits.MAX_EVIDENCE_BYTES) for path in (evidence, *(endorsement or ()))]
    claims = verify(recognise(files[0], files[1:]), when)
    with opened(room, member) as here:
        if policy is None:
            wanted: Policy = here.kept.policy()
        else:
            wanted = Policy.from_json(bounded(policy, limits.MAX_POLICY_BYTES), str(policy))
        registry = here.kept.registry(here.agreement)
        fitting = [e for e in registry.in_force(here.agreement) if e.fits(claims) and not e.revoked]
        judged = Judged(claims, fitting[0]) if fitting else None
        found = dict(claims.flat() if judged is None else facts(judged, here.agreement))
    step = wanted.explain(found)
    notes = [] if fitting else ["no reference value in force fits: the evidence is refused before any policy"]
    if json_:
        data: dict[str, Any] = {"policy": wanted.digest, "allows": step.truth is True, **step.to_dict()}
        out(data | {"facts": found, "notes": notes}, "", True)
    else:
        lines = [f"{wanted.digest}: {'allows' if step.truth is True else 'refuses'}", *_tree(step, 1), *notes]
        out({}, "\n".join(one_line(line).rstrip() for line in lines), False)
    return 0 if step.truth is True and fitting else 3


def _tree(step: Step, depth: int) -> list[str]:
    mark = {True: "yes    ", False: "no     ", None: "unknown"}[step.truth]
    lines = [f"{mark} {'  ' * depth}{step.words}"]
    for part in step.parts:
        lines += _tree(part, depth + 1)
    return lines


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("--now is a time such as 2025-06-25T12:00:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
