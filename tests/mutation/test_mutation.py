# SPDX-License-Identifier: Apache-2.0
"""The runner of mutants, run on a toy: it must tell the mutant that its tests miss from those they notice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .operators import Mutant, mutants
from .run import report
from .sample import ROOT, equivalents, sample, targets
from .workers import Result

TOY = '''\
"""A toy. "Words" stay as they are."""
from typing import Final

__all__ = ["small"]
LIMIT: Final = 3


def small(number: int, sign: bool = False) -> bool:
    """Whether a number is small."""
    if number < 0 and not sign:
        raise ValueError("a negative number")
    return number < LIMIT


def unused(text: str) -> str:
    return text[1:]
'''
TOY_TESTS = """\
import pytest
from toy import small


def test_small_numbers_are_small():
    assert small(0)
    assert small(-5, sign=True)
    assert not small(3)


def test_negative_numbers_need_a_sign():
    with pytest.raises(ValueError):
        small(-1)
"""
DRIVER = """\
import json, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.mutation.operators import mutants
from tests.mutation.workers import baseline, run
here = Path({here!r})
path = here / "toy.py"
found = mutants("toy", path.read_text())
base = baseline([path], ["test_toy.py"], here, here)
results = run(found, {{"toy": path}}, base, here, 2, lambda result: None, root=here)
print(json.dumps([[r.mutant.line, r.mutant.change, r.outcome, r.by] for r in results]))
"""


def test_a_mutant_that_no_test_notices_survives(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "test_toy.py").write_text(TOY_TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --import-mode=importlib\npythonpath = .\nmarkers = slow\n"
    )
    driver = DRIVER.format(root=str(ROOT), here=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    outcome = {(line, change): (what, by) for line, change, what, by in json.loads(done.stdout)}
    assert outcome[(5, "3 -> 2")] == ("survived", "")
    assert outcome[(5, "3 -> 4")] == ("killed", "test_toy.py::test_small_numbers_are_small")
    assert outcome[(12, "number < LIMIT -> number <= LIMIT")][0] == "killed"
    assert outcome[(10, "number < 0 and (not sign) -> number < 0 or not sign")][0] == "killed"
    assert outcome[(10, "number < 0 -> number <= 0")][0] == "killed"
    assert outcome[(10, "number < 0 and (not sign) -> if False")] == (
        "killed",
        "test_toy.py::test_negative_numbers_need_a_sign",
    )
    assert {what for (line, _), (what, _) in outcome.items() if line == 16} == {"unreached"}


def changes(source: str) -> set[str]:
    return {mutant.change for mutant in mutants("m", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a, b):\n    return a <= b", {"a <= b -> a < b", "a <= b -> return None"}),
        ("def f(a):\n    return a in {1, 2}", {"a in {1, 2} -> a not in {1, 2}", "1 -> left out"}),
        ("def f(a):\n    return a[1:]", {"a[1:] -> no lower bound", "1 -> 2", "1 -> 0"}),
        ("def f(a, b):\n    g(a, b)", {"g(a, b) -> nothing", "g(a, b) -> arguments swapped"}),
        ("def f(a):\n    raise E(a)", set()),
        ("def f(a):\n    g()\n    raise E(a)", {"raise E(a) -> nothing"}),
        ("def f(a):\n    return [x for x in a if x]", {"x -> all of them"}),
        ("def f(a):\n    return any(x for x in a)", {"any((x for x in a)) -> all((x for x in a))"}),
        ("def f(a):\n    return 1 if a else 2", {"1 if a else 2 -> 1", "1 if a else 2 -> 2"}),
        ("A = {'x': 1, 'y': 2}", {"'x' -> no such key", "'x' -> 'x_mutant'"}),
        ("def f(a):\n    while a:\n        a -= 1", {"a -> if False", "a -= 1 -> a += 1"}),
        (
            "def f(a):\n    try:\n        a()\n    except K:\n        b()",
            {"except K: b() -> the error goes on"},
        ),
        (
            "def f(a):\n    match a:\n        case 1 | 2:\n            b()\n        case _:\n            c()",
            {"1 -> left out"},
        ),
    ],
)
def test_the_kinds_of_mutants(source: str, expected: set[str]) -> None:
    assert expected <= changes(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""Words 1 < 2."""',
        "__all__ = ['a', 'b']",
        "import a, b",
        "def f(a: list[1] = ()) -> d[2]:\n    raise InputError('words' + 'b')",
        "class P(Protocol):\n    def f(self):\n        return 1",
        "if TYPE_CHECKING:\n    a = 1",
    ],
)
def test_what_is_left_alone(source: str) -> None:
    assert changes(source) == set()


def test_a_sample_depends_on_its_seed_and_spreads_over_the_modules() -> None:
    files = targets()
    one, other = sample(files, 300, 1), sample(files, 300, 2)

    def names(made: list[Mutant]) -> list[tuple[str, int, str]]:
        return [(m.module, m.line, m.change) for m in made]

    assert names(one) == names(sample(files, 300, 1))
    assert names(one) != names(other)
    assert len(set(names(one))) == 300
    assert {"hitoku.questions.check", "hitoku.questions.rules", "hitoku.disclosure.release"} <= {
        m.module for m in one
    }
    assert not any(m.module.endswith(("explain", "wording", "edits")) for m in one)


def test_equivalent_mutants_are_counted_apart_and_are_few() -> None:
    found = mutants("m", "def f(a):\n    return a < 1\n")
    results = [Result(m, "survived" if n else "killed", "t") for n, m in enumerate(found)]
    first = (found[1].module, found[1].source, found[1].change)
    figures = report(results, {first: "because"}, 1)
    assert (figures["killed"], figures["equivalent"], figures["survived"]) == (1, 1, len(found) - 2)
    assert figures["share"] == round(1 / (len(found) - 1), 4)
    assert len(equivalents()) <= 30
