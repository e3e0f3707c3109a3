"""evload from pytest: the fixture `evload`, and the mark that makes a run of a config with its objectives a test.

It loads nothing of a run before a test asks for one. PYTEST_DONT_REWRITE, as there is nothing to rewrite.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import pytest

if TYPE_CHECKING:
    from .measure import Config, Names, Sets
    from .measurement import Measurement, Objective

__all__ = ["Evload", "EvloadWarning"]

_MARK: Final = "evload"
_SUBTESTS: Final = "subtests"


class EvloadWarning(pytest.PytestWarning):
    """A run passed with a warning: an objective holds, but only just, or a self-check has something to say."""


class _Subtests(Protocol):
    def test(self, msg: str | None = None, **kwargs: Any) -> AbstractContextManager[None]: ...


class Evload:
    """Runs configs for one test. Their results lie in a directory of the test's own.

    measurements  what came of them so far; a test with the mark finds its run there
    """

    def __init__(self, request: pytest.FixtureRequest, directory: Path) -> None:
        self._node = cast(pytest.Item, request.node)
        self._beside = request.path.parent
        self._directory = directory
        self.measurements: list[Measurement] = []

    def __call__(
        self,
        config: Config,
        *,
        out: str | os.PathLike[str] | None = None,
        sets: Sets = (),
        profiles: Names = (),
        scenarios: Names = (),
        seed: int | None = None,
        may_load: Names = (),
        environ: Mapping[str, str] | None = None,
        verbose: bool = False,
        keep: bool = False,
    ) -> Measurement:
        """As `evload.measure`. A relative path of a config, and those in one without a file, start beside the test.

        By default the results go below `tmp_path`. Raises EvloadError, without a traceback of evload.
        """
        __tracebackhide__ = True
        measured = self.run(
            config, out=out, sets=sets, profiles=profiles, scenarios=scenarios, seed=seed, may_load=may_load,
            environ=environ, verbose=verbose, keep=keep,
        )  # fmt: skip
        self._node.add_report_section("call", "evload", f"{measured.title}\n{measured.where}")
        return measured

    def run(self, config: Config, *, out: str | os.PathLike[str] | None = None, **options: Any) -> Measurement:
        """The same without a word about what came of it where the test fails."""
        __tracebackhide__ = True
        from ..errors import EvloadError
        from .measure import measure

        is_path = not isinstance(config, Mapping) and not (isinstance(config, str) and "\n" in config)
        if out is None:
            out = self._directory / f"run-{len(self.measurements) + 1}"
        try:
            measured = measure(
                self._beside / cast(str, config) if is_path else config,
                out=out, base_dir=None if is_path else self._beside, **options,
            )  # fmt: skip
        except EvloadError as error:
            raise error.with_traceback(None) from None
        self.measurements.append(measured)
        if measured.remarks:
            self._node.add_report_section("call", "evload said", "\n".join(measured.remarks))
        return measured


@pytest.fixture(name="evload")
def _evload(request: pytest.FixtureRequest, tmp_path: Path) -> Evload:
    """Run a config: `evload("shop.yaml").raise_for_verdict()`. Results go below tmp_path."""
    return Evload(request, tmp_path / "evload")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers",
        "evload(config, *, sets, profiles, scenarios, seed, may_load, environ, verbose, keep): run this config "
        "before the body of the test; each of its objectives is reported by itself, and the test fails unless the "
        "verdict is pass or warn.",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test with the mark has what that needs."""
    if item.get_closest_marker(_MARK) is None or not isinstance(item, pytest.Function):
        return
    wanted = [_MARK]
    if item.config.pluginmanager.has_plugin(_SUBTESTS):  # of pytest 9, or the plug-in that was there before it
        wanted.append(_SUBTESTS)
    item.fixturenames.extend(name for name in wanted if name not in item.fixturenames)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run the config of the mark, report its objectives, then the body of the test, then the verdict."""
    mark = item.get_closest_marker(_MARK)
    if mark is None:
        return (yield)
    if not isinstance(item, pytest.Function):
        pytest.fail("@pytest.mark.evload is for tests that are functions; mark one of these", pytrace=False)
    measured = _measured(mark, cast(Evload, item.funcargs[_MARK]))
    failed = list(_failed(measured, item))
    for text in _warnings(measured):
        try:
            item.warn(EvloadWarning(text))
        except EvloadWarning:  # warnings are errors here
            pytest.fail(text, pytrace=False)
    result = yield
    if not measured.passed:
        # What was told of each objective isn't told twice.
        pytest.fail(f"{measured.title}\n{measured.where}" if failed else str(measured), pytrace=False)
    return result


def _measured(mark: pytest.Mark, evload: Evload) -> Measurement:
    from ..errors import EvloadError

    try:
        signature(evload).bind(*mark.args, **mark.kwargs)
    except TypeError as error:
        trouble = f"@pytest.mark.evload: {error}; write @pytest.mark.evload('shop.yaml')"
    else:
        try:
            return evload.run(*mark.args, **mark.kwargs)
        except EvloadError as error:
            trouble = str(error)
    pytest.fail(trouble, pytrace=False)


def _failed(measured: Measurement, item: pytest.Function) -> Iterable[Objective]:
    """Report each objective by itself, where pytest has the means for that; returns those that failed so."""
    subtests = cast("_Subtests | None", item.funcargs.get(_SUBTESTS))
    if subtests is None:
        return
    for objective in measured.objectives:
        with subtests.test(objective.name):
            if not objective.passed:
                pytest.fail(f"{objective}\n{measured.where}", pytrace=False)
        if not objective.passed:
            yield objective


def _warnings(measured: Measurement) -> Iterable[str]:
    if not measured.passed:
        return
    for objective in measured.objectives:
        if objective.result.value == "warn":
            yield f"{measured.name}: {objective.name} holds, but only just: {objective.value}; {measured.where}"
    for check in measured.self_checks:
        if check.result.value == "warn":
            yield f"{measured.name}: self-check {check.name}: {check.why}; {measured.where}"
