# SPDX-License-Identifier: Apache-2.0
"""Reads pages as a browser would parse them, and follows their links: what should not be there?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

IMAGE = '<img src=x onerror="alert(1)">'
TEMPLATE = "{{7*7}}${7*7}"
ADDRESS = "javascript:alert(1)"
BREAKOUT = "\"'><script>alert(1)</script>"
HOSTILE = IMAGE + TEMPLATE + BREAKOUT
LINKS = ("href", "src", "action", "formaction", "hx-get", "hx-post", "data", "poster", "srcset")
CONTROLS = frozenset("\u202e\u2066\u2067\u2068\u200f\x1b\x07")


@dataclass
class Found(HTMLParser):
    """What a page has in it."""

    text: str
    links: list[str] = field(default_factory=list)
    forms: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)
    inside: str = ""
    action: str = ""
    headings: int = 0

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.text)
        self.close()
        if len(set(self.ids)) != len(self.ids):
            twice = sorted({name for name in self.ids if self.ids.count(name) > 1})
            self.wrong.append(f"ids are there twice: {twice}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        if tag in {"script", "style", "textarea"}:
            self.inside = tag
        if tag in {"script", "style"} and "src" not in held:
            self.wrong.append(f"inline {tag}")
        if tag == "h1":
            self.headings += 1
        if tag in {"iframe", "object", "embed", "base", "applet"}:
            self.wrong.append(f"element {tag}")
        for name, value in held.items():
            if name.startswith("on") or name == "style":
                self.wrong.append(f"attribute {name} of {tag}")
            if name in LINKS and value:
                parts = urlsplit(value.strip())
                if parts.scheme or parts.netloc or value.strip().startswith(("//", "\\")):
                    self.wrong.append(f"{name} of {tag} leads outside: {value[:80]}")
        if tag == "img" and not held.get("src", "").startswith("/"):
            self.wrong.append(f"an image from elsewhere: {held.get('src')}")
        if tag == "a" and held.get("href"):
            self.links.append(held["href"])
        if "id" in held:
            self.ids.append(held["id"])
        if tag == "form":
            self.action = held.get("action", "")
            self.forms.append((held.get("method", "get").lower(), self.action))
        if tag in {"input", "textarea", "select"} and "name" in held:
            self.fields.setdefault(self.action, []).append(held["name"])

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style", "textarea"}:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "textarea":
            return  # what is to be edited stands there as it is
        if self.inside and data.strip():
            self.wrong.append(f"text in {self.inside}")
        if CONTROLS & set(data):
            self.wrong.append("control or bidirectional characters in text")


def crawl(browser: Any, starts: tuple[str, ...], most: int = 400) -> Iterator[tuple[str, Any]]:
    """Every page that links of the pages before lead to, with its answer."""
    waiting, seen = list(starts), set(starts)
    while waiting and most:
        path = waiting.pop(0)
        most -= 1
        answer = browser.get(path)
        yield path, answer
        found = []
        if answer.is_redirect:
            found = [answer.headers["location"]]
        elif answer.headers.get("content-type", "").startswith("text/html"):
            found = Found(answer.text).links
        for link in found:
            parts = urlsplit(urljoin(path, link))
            where = parts.path + (f"?{parts.query}" if parts.query else "")
            if not parts.netloc and where not in seen and not where.startswith("/static/"):
                seen.add(where)
                waiting.append(where)
