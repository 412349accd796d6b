# SPDX-License-Identifier: Apache-2.0
"""An owner's consent: its signed word that one question may run once, on one host, under one plan, soon.

A consent binds everything that decides what is released: the agreement, the question in normal form, the
disclosure plan (thresholds and receivers), protection, asker, host, the run's id and the time; and whether
it is to compute an answer or to give that of an earlier run again (`repeats`), which costs the owner
nothing. The host checks each of them itself, and lets a run's id be used once.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hitoku import limits
from hitoku.errors import Refusal
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name

__all__ = ["Consent", "Hash", "RunId", "check_consents", "give_consent", "moment"]

_DOMAIN: Final = b"hitoku/consent/1\n"

Hash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


def _moment(text: str) -> str:
    if moment(datetime.fromisoformat(text)) != text:
        raise ValueError("a time is YYYY-MM-DDThh:mm:ssZ")
    return text


def _absent(value: object) -> bool:
    return value is None


Moment = Annotated[str, Field(max_length=20), AfterValidator(_moment)]


def moment(time: datetime) -> str:
    """A time as consents and answers write it: UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class Consent(BaseModel):
    """One owner's consent to one run."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["hitoku/consent/1"] = "hitoku/consent/1"
    owner: Name
    room: Hash
    question: Hash
    plan: Hash
    protection: Annotated[str, Field(pattern=r"^[a-z]{1,32}$")]
    asker: Name
    host: Name
    run: RunId
    repeats: Annotated[RunId | None, Field(exclude_if=_absent)] = None
    """The run whose stored answer may be given again, and nothing else; None lets it be computed."""
    issued: Moment
    expires: Moment
    signature: Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{86}==)?$")] = ""

    def message(self) -> bytes:
        """The bytes that the owner signs."""
        return _DOMAIN + canonical_json(self.model_dump(mode="json", exclude={"signature"}))


def give_consent(
    keys: KeyStore,
    now: datetime,
    *,
    owner: str,
    room: str,
    question: str,
    plan: str,
    protection: str,
    asker: str,
    host: str,
    run: str,
    repeats: str | None = None,
) -> Consent:
    """Sign a consent that ends `limits.CONSENT_SECONDS` from now.

    Raises:
        SecretError: the owner's key cannot be read.
    """
    consent = Consent(
        owner=owner,
        room=room,
        question=question,
        plan=plan,
        protection=protection,
        asker=asker,
        host=host,
        run=run,
        repeats=repeats,
        issued=moment(now),
        expires=moment(now + timedelta(seconds=limits.CONSENT_SECONDS)),
    )
    signature = base64.b64encode(keys.sign(consent.message())).decode()
    return consent.model_copy(update={"signature": signature})


def check_consents(
    consents: Iterable[Consent],
    agreement: Agreement,
    now: datetime,
    *,
    owners: Iterable[str],
    room: str,
    question: str,
    plan: str,
    protection: str,
    asker: str,
    host: str,
    run: str,
    repeats: str | None = None,
) -> None:
    """Accept only one valid consent of every owner, and no other, to exactly this run.

    Raises:
        Refusal: a consent is missing, forged, for something else, too old or from the future.
    """
    wanted = set(owners)
    seen: set[str] = set()
    for consent in consents:
        member = agreement.member(consent.owner)
        if consent.owner not in wanted or member is None or consent.owner in seen:
            raise _refuse(
                "CONSENT_UNEXPECTED", f"{consent.owner!r} need not consent, or did so twice", consent.owner
            )
        if not valid_signature(member.key, consent.message(), consent.signature):
            raise _refuse(
                "CONSENT_FORGED",
                f"the consent of {consent.owner!r} does not carry its signature",
                consent.owner,
            )
        said = (consent.room, consent.question, consent.plan, consent.protection)
        to = (consent.asker, consent.host, consent.run, consent.repeats)
        if said != (room, question, plan, protection) or to != (asker, host, run, repeats):
            raise _refuse("CONSENT_MISMATCH", f"{consent.owner!r} consented to something else", consent.owner)
        issued, expires = (datetime.fromisoformat(t) for t in (consent.issued, consent.expires))
        skew = timedelta(seconds=limits.CLOCK_SKEW_SECONDS)
        longest = timedelta(seconds=limits.CONSENT_SECONDS)
        if not (issued - skew <= now <= expires + skew and expires - issued <= longest):
            raise _refuse(
                "CONSENT_EXPIRED",
                f"the consent of {consent.owner!r} is not for this time: it is older than "
                f"{limits.CONSENT_SECONDS} s, or the clocks of {consent.owner!r} and {host!r} are more than "
                f"{limits.CLOCK_SKEW_SECONDS} s apart (`hitoku node status` tells)",
                consent.owner,
            )
        seen.add(consent.owner)
    lacking = sorted(wanted - seen)
    if lacking:
        raise _refuse("CONSENT_MISSING", f"no consent of {', '.join(lacking)}", lacking[0])


def _refuse(code: str, message: str, owner: str) -> Refusal:
    return Refusal(
        code, message + ": nothing was run", owner=owner, remedy="ask again; consents are for one run"
    )
