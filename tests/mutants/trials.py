"""What a child does: it sees which tests run what is to be changed, or makes a change and runs those tests.

Neither the code nor its tests are imported before, so that a change holds wherever its module is imported.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, NamedTuple

import hypothesis
import pytest

from .changes import MARK, Mutant, marked, mutated
from .children import allow

_OPTIONS: Final = (
    "--quiet", "--tb=short", "--assert=plain", "--disable-warnings", "-p", "no:cacheprovider", "-p", "no:xdist",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip


class Took(NamedTuple):
    """How long something takes: of the processor, and in all."""

    cpu_s: float
    wall_s: float

    def after(self, other: Took) -> Took:
        """How long both take."""
        return Took(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)

    def allow(self) -> None:
        """End this process if what comes next takes far longer. The machine may have much else to do."""
        allow(2 + 4 * self.cpu_s, 60 + 10 * self.wall_s)


_ANYTHING: Final = Took(120.0, 120.0)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the tests of a file."""

    took: dict[str, Took] = field(default_factory=dict)
    """Of those that are used, how long each took."""
    skipped: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    """What those say that fail with the code as it is."""
    runs: dict[Mutant, list[str]] = field(default_factory=dict)
    """Which of them run what is changed. None, if that is only run when it is imported."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A change, and tests in the order in which they are to be run, with how long each takes at most."""

    mutant: Mutant
    tests: Sequence[tuple[Path, Mapping[str, Took]]]


def see(path: Path, among: Sequence[Mutant]) -> Known:
    """Run the tests of a file, and see which of them run what would be changed."""
    watch = _Watch()
    marks: dict[str, dict[int, int]] = {}
    for at, mutant in enumerate(among):
        marks.setdefault(mutant.module, {})[mutant.number] = at
    for module, file in {mutant.module: mutant.path for mutant in among}.items():
        change = functools.partial(marked, marks=marks[module])
        sys.meta_path.insert(0, _Changed(module, file, change, watch.mark))
    if _run(path, watch) in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        raise RuntimeError(f"pytest can't run {path}")
    for test, seen in watch.seen.items():
        for at in seen:
            watch.known.runs.setdefault(among[at], []).extend([test] if test in watch.known.took else [])
    return watch.known


def notice(trial: Trial) -> str:
    """Make a change and run its tests. Returns which of them noticed it first, or nothing."""
    mutant = trial.mutant
    changed = _Changed(mutant.module, mutant.path, lambda source: mutated(source, mutant.number))
    sys.meta_path.insert(0, changed)
    for path, tests in trial.tests:
        failed = _failed(path, tests)
        if not changed.loaded:
            raise RuntimeError(f"the tests of {path} run without {mutant.module}")
        if failed:
            return failed
    return ""


def _failed(path: Path, tests: Mapping[str, Took]) -> str:
    """The first of these tests that fails, twice: a server may be late once, and that is no test's merit."""
    left = dict(tests)
    while failed := _first_failed(path, left):
        if failed not in left or _first_failed(path, {failed: left[failed]}):
            return failed
        del left[failed]
    return ""


def _first_failed(path: Path, tests: Mapping[str, Took]) -> str:
    """The first of these tests that fails, or the file if it can't even be imported."""
    chosen = _Chosen(tests)
    code = _run(path, chosen, "--exitfirst")
    if code == pytest.ExitCode.USAGE_ERROR:
        raise RuntimeError(f"pytest can't run {path}")
    return "" if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else chosen.failed or path.name


def _run(path: Path, plugin: object, *options: str) -> int:
    _ANYTHING.allow()
    own = f"--basetemp={tempfile.mkdtemp()}/pytest"
    return pytest.main([*_OPTIONS, *options, own, str(path)], [plugin, _SameEachTime()])


class _SameEachTime:
    """Hypothesis tries the same examples each time, leaves none behind, and looks for no shorter one."""

    def pytest_configure(self) -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        name = "mutants"
        hypothesis.settings.register_profile(name, derandomize=True, database=None, deadline=None, phases=phases)
        hypothesis.settings.load_profile(name)


class _Watch:
    """Notes of each test how it ends, and which marks are seen while it runs; those of imports belong to no test."""

    def __init__(self) -> None:
        self.known = Known()
        self.seen: dict[str, set[int]] = {"": set()}
        self._test = ""

    def mark(self, number: int) -> None:
        self.seen[self._test].add(number)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        _ANYTHING.allow()
        self._test = item.nodeid
        self.seen.setdefault(item.nodeid, set())
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        result = yield
        if item.nodeid not in self.known.skipped and item.nodeid not in self.known.failed:
            self.known.took[item.nodeid] = Took(time.process_time() - cpu_s, time.perf_counter() - wall_s)
        self._test = ""
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped:
            self.known.skipped.add(report.nodeid)
        elif report.failed:
            self.known.failed[report.nodeid] = str(report.longrepr).strip().rpartition("\n")[2]


class _Chosen:
    """Has some tests of a file run, the quickest first, and notes the first that fails."""

    def __init__(self, took: Mapping[str, Took]) -> None:
        self.failed = ""
        self._took = took

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._took]
        items[:] = sorted(chosen, key=lambda item: self._took[item.nodeid].wall_s)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        self._took[item.nodeid].allow()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


class _Changed(SourceFileLoader):
    """Finds one module, and loads it with a change. Nothing is written."""

    def __init__(
        self,
        module: str,
        path: Path,
        change: Callable[[str], ast.Module],
        mark: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(module, str(path))
        self.loaded = False
        self._change = change
        self._mark = mark

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._change(Path(self.path).read_text()), self.path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        self.loaded = True
        module.__dict__[MARK] = self._mark
        super().exec_module(module)
