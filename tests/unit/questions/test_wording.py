# SPDX-License-Identifier: Apache-2.0
"""Every code that the checker can raise has sentences in both languages, with the same parameters."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import hitoku.questions
from hitoku.errors import Refusal
from hitoku.questions.wording import CODES, sentences, translated
from hitoku.questions.wording.english import ENGLISH
from hitoku.questions.wording.japanese import JAPANESE

SOURCES = Path(hitoku.questions.__file__).parent


def raised() -> set[str]:
    found: set[str] = set()
    others = ("room/budgets.py", "node/quotas.py", "node/duties.py")
    for path in (*SOURCES.glob("*.py"), *(SOURCES.parent / other for other in others)):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in {"refuse", "_refusal", "_unequal"} and node.args:
                constants = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
                found |= {c for c in constants if isinstance(c, str)}
    return found


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_catalogue_is_the_list_of_codes() -> None:
    assert raised() == CODES - {"UNKNOWN"}


def test_both_languages_say_the_same_with_the_same_names() -> None:
    assert ENGLISH.keys() == JAPANESE.keys()
    for code, (message, remedy) in ENGLISH.items():
        there = fields(JAPANESE[code][0]) | fields(JAPANESE[code][1])
        assert there <= fields(message) | fields(remedy), code
        assert message.endswith("."), code
        assert remedy.endswith("."), code
        assert JAPANESE[code][0].endswith("。"), code


def test_an_unknown_code_has_general_sentences() -> None:
    refusal = Refusal("FROM_THE_FUTURE", "?")
    assert "FROM_THE_FUTURE" in translated(refusal, "en")[0]
    assert "FROM_THE_FUTURE" in translated(refusal, "ja")[0]


def test_names_with_braces_are_only_text() -> None:
    assert "{limit}" in sentences("UNKNOWN_TABLE", {"table": "{limit}"})[0]
