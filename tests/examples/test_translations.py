# SPDX-License-Identifier: Apache-2.0
"""A translated page has the parts of the English one, so that the two cannot drift apart unseen.

Compared are what a translation leaves as it is: code blocks, names in backquotes, the levels of headings, the
sizes of tables and lists, and where links lead.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from hitoku.console.words import catalogue
from hitoku.questions.wording.japanese import JAPANESE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```[^\n]*\n.*?^```$", re.M | re.S)
PAIRS = [(Path("README.md"), Path("README.ja.md"))] + [
    (Path("docs") / page.relative_to(DOCS / "ja"), page.relative_to(ROOT))
    for page in sorted((DOCS / "ja").rglob("*.md"))
]
OTHERS = {
    "規則": "ルール",
    "閾値": "しきい値",
    "受領者": "受信者",
    "課金": "計上",
    "指紋": "フィンガープリント",
    "(?<!副)問い合わせ(?!る)": "質問",
    "フォルダ(?!ー)": "フォルダー",
    "パラメータ(?!ー)": "パラメーター",
    "サーバ(?!ー)": "サーバー",
    "元帳": "台帳",
    "保護方法": "保護方式",
}
translated = pytest.mark.parametrize(("english", "japanese"), PAIRS, ids=[str(page) for _, page in PAIRS])


def text(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return BLOCK.sub("", text(page))


def headings(page: Path) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(page), re.M)]


def names(page: Path) -> set[str]:
    """What stands in backquotes, whatever the line it was broken over."""
    return {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", prose(page))}


def shape(page: Path) -> list[tuple[str, int]]:
    """Tables by their rows' cells, lists by their points, in order."""
    found: list[tuple[str, int]] = []
    for line in prose(page).splitlines():
        if line.startswith("|"):
            found.append(("cells", len(re.findall(r"(?<!\\)\|", line)) - 1))
        elif re.match(r"\s*(?:-|\d+\.) ", line):
            found.append(("point", len(line) - len(line.lstrip())))
    return found


def links(page: Path) -> Counter[str]:
    """Where links lead: pages without their language, and without the part of the page."""
    found = Counter[str]()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(page)):
        if "://" in target:
            found[target] += 1
            continue
        where = (ROOT / page).parent.joinpath(target).resolve()
        assert where.exists(), f"{page}: {target}"
        path = str(where.relative_to(ROOT)).replace("docs/ja/", "docs/").replace(".ja.md", ".md")
        if path not in (str(english_of(page)), "docs/index.md"):  # where the other language is, and begins
            found[path] += 1
    return found


def english_of(page: Path) -> Path:
    return next((english for english, japanese in PAIRS if page in (english, japanese)), page)


@translated
def test_the_page_that_was_translated_is_there(english: Path, japanese: Path) -> None:
    assert (ROOT / english).is_file(), f"{japanese} translates no page"


@translated
def test_headings_are_the_same(english: Path, japanese: Path) -> None:
    assert headings(japanese) == headings(english)


@translated
def test_code_blocks_are_the_same(english: Path, japanese: Path) -> None:
    assert BLOCK.findall(text(japanese)) == BLOCK.findall(text(english))


@translated
def test_names_in_backquotes_are_the_same(english: Path, japanese: Path) -> None:
    assert names(japanese) == names(english)


@translated
def test_tables_and_lists_have_the_same_shape(english: Path, japanese: Path) -> None:
    assert shape(japanese) == shape(english)


@translated
def test_links_lead_to_the_same_pages(english: Path, japanese: Path) -> None:
    assert links(japanese) == links(english)


@translated
def test_the_translation_is_japanese(english: Path, japanese: Path) -> None:
    """A paragraph that nobody translated has no kana."""
    for paragraph in re.split(r"\n\s*\n", prose(japanese)):
        words = re.sub(r"`[^`]*`|\]\([^)]*\)|[^A-Za-z ]", "", paragraph)
        assert re.search(r"[ぁ-んァ-ヶ一-龠]", paragraph) or len(words.split()) < 8, paragraph


def test_one_japanese_word_for_one_thing() -> None:
    """Pages, the console and refusals name a thing alike."""
    texts = {str(japanese): text(japanese) for _, japanese in PAIRS}
    texts |= {key: pair[1] for key, pair in catalogue().items()}
    texts |= {code: " ".join(pair) for code, pair in JAPANESE.items()}
    wrong = [
        f"{where}: {found[0]}, say {word}"
        for where, said in texts.items()
        for other, word in OTHERS.items()
        if (found := re.search(other, said))
    ]
    assert not wrong


def test_every_tutorial_is_translated() -> None:
    there = {japanese.name for _, japanese in PAIRS if japanese.parent.name == "tutorials"}
    assert {page.name for page in (DOCS / "tutorials").glob("*.md")} == there
    assert (DOCS / "ja/index.md").is_file()
