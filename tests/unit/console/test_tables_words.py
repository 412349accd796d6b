# SPDX-License-Identifier: Apache-2.0
"""The templates of tables, rules and budgets: every word is there, and none is shown unescaped."""

from __future__ import annotations

import re
from pathlib import Path

import hitoku.console
from hitoku.console.words import catalogue
from hitoku.console.words.budgets import WORDS as BUDGETS
from hitoku.console.words.rules import WORDS as RULES
from hitoku.console.words.tables import WORDS as TABLES

FOLDER = Path(hitoku.console.__file__).parent / "templates"
FILES = sorted(path for area in ("tables", "rules", "budgets") for path in (FOLDER / area).glob("*.html"))
NAMES = re.compile(r"\{([a-z_]+)\}")


def test_every_key_of_the_templates_has_its_words() -> None:
    known = catalogue()
    for path in FILES:
        text = path.read_text("utf-8")
        for key in re.findall(r'\bt\(\s*"([a-z_.A-Z]+)"\s*[,)]', text):
            assert key in known, (path.name, key)
        for start in re.findall(r'\bt\(\s*"([a-z_.]+_)" ~', text):
            assert any(key.startswith(start) for key in known), (path.name, start)


def test_both_languages_put_in_the_same_names() -> None:
    for key, (english, japanese) in {**TABLES, **RULES, **BUDGETS}.items():
        assert set(NAMES.findall(english)) == set(NAMES.findall(japanese)), key
        assert english, key
        assert japanese, key


def test_nothing_is_put_in_unescaped_or_inline() -> None:
    for path in FILES:
        text = path.read_text("utf-8")
        for wrong in ("|safe", "Markup(", " style=", "<script", "onclick", "javascript:"):
            assert wrong not in text, (path.name, wrong)


def test_every_form_that_posts_has_its_token() -> None:
    for path in FILES:
        for form in re.findall(r'<form[^>]*method="post".*?</form>', path.read_text("utf-8"), re.DOTALL):
            assert "csrf" in form, path.name
