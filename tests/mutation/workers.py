# SPDX-License-Identifier: Apache-2.0
"""Runs tests in forked processes: once as they are, to see which test reaches which line, then per mutant.

The parent has imported what is slow to import and is not mutated; each child imports the mutated package
itself, with one module replaced. So a mutant costs a fork and the tests that reach its line, fastest first.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import pickle
import pkgutil
import resource
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from .operators import Mutant
from .sample import ROOT

__all__ = ["Baseline", "Result", "baseline", "run", "warm_up"]

_HEAVY: Final = (
    *("coverage", "cryptography.hazmat.primitives.asymmetric.ed25519", "duckdb", "hypothesis", "opendp"),
    *("pandas", "pyarrow", "pyarrow.compute", "pyarrow.parquet", "pydantic", "rich.console", "rich.table"),
    *("sqlalchemy", "sqlglot", "sqlglot.dialects.duckdb", "yaml"),
)
_BELOW: Final = ("hitoku.room", "hitoku.engine", "hitoku.transport", "hitoku.columns", "hitoku.sources")
_SECONDS: Final = 15.0  # beside ten times what a test takes without a mutant
_MEMORY: Final = 8 << 30
_SHARED: Final = "shared:"


def warm_up(modules: Sequence[str]) -> None:
    """Import third parties, and of hitoku what stands below the mutated modules.

    Raises:
        RuntimeError: a module that is to be mutated came along.
    """
    for name in _HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in _BELOW:
        for part in pkgutil.iter_modules(importlib.import_module(name).__path__, name + "."):
            if not part.name.endswith(("__main__", ".worker")):
                importlib.import_module(part.name)
    came = [name for name in modules if name in sys.modules]
    if came:
        raise RuntimeError(f"imported before they were mutated: {', '.join(came)}")


@dataclass(slots=True)
class Baseline:
    """The tests as they are.

    Attributes:
        seconds: how long each test took, in the order in which they ran.
        reached: by file and line, the tests that run it.
        failed: tests that fail without any mutant.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def leave_out(self, tests: set[str]) -> None:
        """Run these tests for no mutant."""
        self.seconds = {test: took for test, took in self.seconds.items() if test not in tests}
        self.failed = [test for test in self.failed if test not in tests]
        for lines in self.reached.values():
            for by in lines.values():
                by -= tests

    def tests_of(self, mutant: Mutant, path: Path, budget: float) -> list[str]:
        """The tests to run for a mutant, fastest first, as many as take `budget` seconds without it.

        Code that runs at import is tested by whatever reaches its module. To leave tests out can only make a
        mutant survive that would not.
        """
        lines = self.reached.get(str(path), {})
        first, last = mutant.statement
        reached = lines.values() if mutant.at_import else (lines.get(n, ()) for n in range(first, last + 1))
        ordered = sorted(set[str]().union(*reached), key=self.seconds.__getitem__)
        spent = accumulate(self.seconds[test] for test in ordered)
        return [test for test, total in zip(ordered, spent, strict=True) if total <= budget] or ordered[:1]


@dataclass(slots=True)
class Result:
    """What became of a mutant: ``killed``, ``survived`` or ``unreached``; by which test, or how."""

    mutant: Mutant
    outcome: str
    by: str = ""
    seconds: float = 0.0


# --- without a mutant ---


class _Watch:
    """Notes for every line of the mutated modules which tests run it."""

    def __init__(self, files: Sequence[Path]) -> None:
        import coverage

        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[str(f) for f in files], messages=False
        )
        self.files = files
        self.found = Baseline()
        self.context = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.context = item.nodeid
        self.coverage.switch_context(item.nodeid)
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.found.seconds[item.nodeid] = time.perf_counter() - start
            self.context = ""
            self.coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[Any]:
        self.coverage.switch_context(_SHARED + collector.nodeid)  # a test module may ask while it is imported
        try:
            return (yield)
        finally:
            self.coverage.switch_context(self.context)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        if fixturedef.scope == "function":
            return (yield)
        self.coverage.switch_context(_SHARED + fixturedef.baseid)
        try:
            return (yield)
        finally:
            self.coverage.switch_context(self.context)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.found.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.found.failed.append(report.nodeid)

    def result(self) -> Baseline:
        data = self.coverage.get_data()
        for path in map(str, self.files):
            by_line: dict[int, set[str]] = defaultdict(set)
            for line, contexts in data.contexts_by_lineno(path).items():
                for context in contexts:
                    under = context.removeprefix(_SHARED)
                    if under != context:  # every test that shares it
                        by_line[line] |= {
                            test for test in self.found.seconds if under and test.startswith(under)
                        }
                    elif context:
                        by_line[line].add(context)
            self.found.reached[path] = dict(by_line)
        return self.found


def baseline(files: Sequence[Path], tests: Sequence[str], scratch: Path, root: Path = ROOT) -> Baseline:
    """Run the tests once as they are.

    Args:
        files: the modules that will be mutated.
        tests: what pytest is told to run.
        scratch: an empty folder.
        root: pytest's root.

    Raises:
        RuntimeError: the run ended without a result.
    """
    out = scratch / "baseline.pickle"

    def child() -> int:
        watch = _Watch(files)
        watch.coverage.start()
        _pytest(tests, scratch / "baseline", root, watch)
        watch.coverage.stop()
        out.write_bytes(pickle.dumps(watch.result()))
        return 0

    pid = _fork(child, scratch / "baseline.log")
    os.waitpid(pid, 0)
    if not out.exists():
        raise RuntimeError(
            f"the tests did not run to their end: {(scratch / 'baseline.log').read_text()[-3000:]}"
        )
    found: Baseline = pickle.loads(out.read_bytes())
    return found


# --- with a mutant ---


class _Chosen:
    """Runs the chosen tests only, in their order, each with a time limit; notes the one that fails."""

    def __init__(self, order: Sequence[str], seconds: dict[str, float], out: Path) -> None:
        self.place = {test: n for n, test in enumerate(order)}
        self.seconds = seconds
        self.out = out
        self.ran = 0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.place), key=lambda item: self.place[item.nodeid]
        )
        missing = len(self.place) - len(items)
        if missing:
            self.out.write_text("a test is collected no more")
            pytest.exit("a test is collected no more", returncode=1)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        signal.setitimer(signal.ITIMER_REAL, _SECONDS + 10 * self.seconds[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.out.write_text(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.out.write_text(f"import of {report.nodeid}")


def run(
    mutants: Sequence[Mutant],
    files: dict[str, Path],
    base: Baseline,
    scratch: Path,
    processes: int,
    progress: Callable[[Result], None],
    budget: float = 30.0,
    root: Path = ROOT,
) -> list[Result]:
    """Run each mutant against the tests that reach it; the results are in the order of the mutants.

    Args:
        mutants: what to run.
        files: the mutated modules' files.
        base: the tests without a mutant; none may fail.
        scratch: a folder for what the tests write.
        processes: how many mutants run at a time.
        progress: told of each result.
        budget: seconds of tests, as they took without a mutant, that one mutant gets at most.
        root: pytest's root.
    """
    results: dict[int, Result] = {}
    waiting = list(range(len(mutants)))
    running: dict[int, tuple[int, float]] = {}

    def done(number: int, result: Result) -> None:
        results[number] = result
        progress(result)

    while waiting or running:
        while waiting and len(running) < processes:
            number = waiting.pop(0)
            mutant = mutants[number]
            order = base.tests_of(mutant, files[mutant.module], budget)
            if not order:
                done(number, Result(mutant, "unreached"))
                continue
            work = partial(_child, mutant, files, order, base, scratch, number, root)
            pid = _fork(work, scratch / f"{number}.log")
            running[pid] = (number, time.perf_counter())
        if not running:
            continue
        pid, status = os.wait()
        if pid not in running:
            continue
        number, start = running.pop(pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the tests left running
        done(number, _result(mutants[number], status, scratch, number, time.perf_counter() - start))
    return [results[number] for number in sorted(results)]


def _child(
    mutant: Mutant,
    files: dict[str, Path],
    order: Sequence[str],
    base: Baseline,
    scratch: Path,
    number: int,
    root: Path,
) -> int:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 60 + _SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    mutant.apply()
    code = compile(mutant.tree, str(files[mutant.module]), "exec")
    sys.meta_path.insert(0, _Finder(mutant.module, files[mutant.module], code))
    chosen = _Chosen(order, base.seconds, scratch / f"{number}.by")
    tests = list(dict.fromkeys(test.split("::")[0] for test in order))
    return _pytest(tests, scratch / str(number), root, chosen, "-x")


def _result(mutant: Mutant, status: int, scratch: Path, number: int, seconds: float) -> Result:
    note = scratch / f"{number}.by"
    by = note.read_text() if note.exists() else ""
    shutil.rmtree(scratch / str(number), ignore_errors=True)
    if os.WIFSIGNALED(status):
        timeout = os.WTERMSIG(status) == signal.SIGALRM
        return Result(mutant, "killed", "time limit" if timeout else f"signal {os.WTERMSIG(status)}", seconds)
    code = os.WEXITSTATUS(status)
    if code == 0:
        return Result(mutant, "survived", "", seconds)
    if code in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}:
        log = (scratch / f"{number}.log").read_text()
        if "ImportError while loading conftest" in log and "in exec_module" in log:
            return Result(mutant, "killed", "import of a conftest", seconds)  # without a mutant it loads
        raise RuntimeError(f"no tests ran: {log[-3000:]}")
    return Result(mutant, "killed", by or "pytest stopped", seconds)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the mutated module from its changed tree."""

    def __init__(self, module: str, path: Path, code: Any) -> None:
        self.module, self.path, self.code = module, path, code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.module:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def _pytest(tests: Sequence[str], temporary: Path, root: Path, plugin: object, *more: str) -> int:
    from hypothesis import Phase, settings

    # The same examples every time, none remembered, none made small: a failure is all that is asked for.
    settings.register_profile(
        "mutation",
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
    )
    settings.load_profile("mutation")
    os.chdir(root)
    flags = ["-q", "-p", "no:cacheprovider", "-m", "not slow", f"--rootdir={root}", f"--basetemp={temporary}"]
    flags += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # Hypothesis is imported before pytest starts
    return int(pytest.main([*flags, *more, *tests], plugins=[plugin]))


def _fork(work: Callable[[], int], log: Path) -> int:
    """Run `work` in a process group of its own, its output in a file; its exit code is the process's."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        with log.open("wb", buffering=0) as out, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), line_buffering=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), line_buffering=True)
        code = work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
