# SPDX-License-Identifier: Apache-2.0
"""Pages from templates: Jinja2 with everything escaped, in the user's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, Final, Literal, cast

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from hitoku.console.context import Context
from hitoku.console.statics import address
from hitoku.console.told import told
from hitoku.console.users import May, User
from hitoku.console.words import LANGUAGES, say
from hitoku.console.work.asks_words import when
from hitoku.errors import Refusal

__all__ = ["context_of", "language_of", "one_line", "render", "spoken"]

_LANGUAGE: ContextVar[str] = ContextVar("language", default="en")
_HIDDEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def one_line(value: object, length: int = 300) -> str:
    """What another member wrote, as one line without control and bidirectional characters.

    The filter ``line`` of templates. Escaping is the template's; this keeps names from looking like others.
    """
    text = str(value)[: length + 1]
    text = "".join(c if c.isprintable() else "\ufffd" for c in text.replace("\n", " ").replace("\t", " "))
    return text if len(text) <= length else text[:length] + "…"


def without_hidden(value: object) -> str:
    """The filter ``lines``: text of several lines without other control and bidirectional characters."""
    return _HIDDEN.sub("\ufffd", str(value))


def spoken(refusal: Refusal | Mapping[str, Any], language: str) -> tuple[str, str]:
    """Message and remedy of a refusal in a language; as it was written where it is none of a question's.

    Args:
        refusal: a Refusal, or what its ``to_dict`` says.
        language: ``en`` or ``ja``.
    """
    from hitoku.questions.wording import CODES, translated

    if isinstance(refusal, Mapping):
        params = {str(k): str(v) for k, v in (refusal.get("params") or {}).items()}
        refusal = Refusal(
            str(refusal.get("code") or ""),
            str(refusal.get("message") or ""),
            remedy=refusal.get("remedy"),
            params=params,
        )
    if refusal.code in CODES and (language == "ja" or not refusal.message):
        return translated(refusal, cast("Literal['en', 'ja']", language))
    return refusal.message, refusal.remedy or ""


def _t(key: str, **names: object) -> str:
    return say(_LANGUAGE.get(), key, **names)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hitoku.console", "templates"),
        autoescape=True,  # everything, whatever the file's name
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Macros that are imported without context know these, too.
    environment.globals.update(
        t=_t, static=address, May=May, spoken=lambda refusal: spoken(refusal, _LANGUAGE.get())
    )
    environment.filters["told"] = lambda text: told(one_line(text, 2000), _LANGUAGE.get())
    environment.filters.update(line=one_line, lines=without_hidden, moment=when)
    return environment


def context_of(request: Request) -> Context:
    """The console's context, of a request."""
    found: Context = request.app.state.context
    return found


def language_of(request: Request) -> str:
    """The language of somebody not signed in: what the browser prefers among ours."""
    for part in request.headers.get("accept-language", "")[:200].split(","):
        code = part.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"


def render(
    request: Request, template: str, user: User | None, *, status: int = 200, **data: Any
) -> HTMLResponse:
    """A page or fragment.

    Templates know, beside `data`: ``user`` (None before sign-in), ``me`` (the member's name), ``t(key,
    **names)`` (words in the user's language), ``language``, ``theme``, ``csrf`` (the token that every form
    posts as ``csrf``, and htmx as header ``X-CSRF-Token``), ``path``, ``fragment`` (whether htmx asked),
    ``room`` (None outside one), ``static(name)`` (a static file's address), ``spoken(refusal)`` (message and
    remedy in the user's language), and the filters ``line`` and ``lines`` (other members' text, cleaned),
    ``told`` (a sentence of who learns what, cleaned: the words, and whether they are in the user's
    language) and ``moment`` (a record's time, for people).
    """
    language = user.language if user is not None else language_of(request)
    names = {
        "user": user,
        "me": context_of(request).me,
        "t": partial(say, language),
        "language": language,
        "theme": "auto" if user is None else user.theme,
        "csrf": getattr(request.state, "csrf", ""),
        "path": request.url.path,
        "fragment": request.headers.get("hx-request") == "true",
        "room": None,
        **data,
    }
    token = _LANGUAGE.set(language)
    try:
        text = _environment().get_template(template).render(names)
    finally:
        _LANGUAGE.reset(token)
    return HTMLResponse(text, status_code=status)
