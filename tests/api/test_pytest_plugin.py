"""The plug-in of pytest: what a person reads of a run that is a test, alone and in several processes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

import evload
from evload.api import pytest_plugin
from tests.rigs.pipelines import EMBEDDED

pytest_plugins = ("pytester",)

CONFIG: Final = (
    EMBEDDED.replace("for: 2s", "for: 300ms")
    .replace("  - {objective: p95(consistency) < 2s, scenario: steady}\n", "  - p50(consistency) < 5s\n")
    .replace("lost == 0, scenario: steady", "lost == 0")
    .replace("  - {objective: duplicates == 0, scenario: steady}\n", "")
)
PLAIN: Final = ("--strict-markers", "-p", "no:cacheprovider", "-W", "default")
TESTS: Final = """
    import pytest

    @pytest.mark.evload("shop.yaml", scenarios="steady")
    def test_good(evload):
        (measured,) = evload.measurements
        assert measured.counts["visible"] == measured.counts["scheduled"] == 30

    @pytest.mark.evload("shop.yaml", scenarios="steady", sets={"slos": ["p50(end_to_end) < 1ms", "lost == 0"]})
    def test_bad():
        pass
"""
MORE: Final = """
    import pytest

    @pytest.mark.evload("nowhere.yaml")
    def test_without_a_file():
        pass

    @pytest.mark.evload
    def test_without_an_argument():
        pass

    def test_slip(evload):
        evload("shop.yaml", sets={"sed": 7})

    @pytest.mark.evload("shop.yaml", sets={"setup": [{"get": "http://127.0.0.1:9/"}]})
    def test_without_a_target():
        pass
"""


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a config, in which no plug-in is loaded but those that are named."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.path.joinpath("shop.yaml").write_text(CONFIG)
    return pytester


@pytest.fixture(autouse=True, scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All that a run needs: what is loaded in a session within the session is gone with it, and half of it isn't."""
    evload.measure(CONFIG, scenarios="steady", out=tmp_path_factory.mktemp("first") / "out")


def run(tests: pytest.Pytester, *options: str) -> tuple[pytest.RunResult, str]:
    result = tests.runpytest_subprocess("-p", pytest_plugin.__name__, *PLAIN, *options)
    return result, result.stdout.str()


def test_each_objective_is_a_result_and_what_failed_says_what_a_person_needs(tests: pytest.Pytester) -> None:
    tests.makepyfile(TESTS)
    result, told = run(tests, "-v", "-W", "ignore::evload.api.pytest_plugin.EvloadWarning")
    for line in (
        "test_good SUBPASSED[p50(consistency) < 5s]", "test_good SUBPASSED[lost == 0]", "test_good PASSED",
        "test_bad SUBFAILED[p50(end_to_end) < 1ms]", "test_bad SUBPASSED[lost == 0]", "test_bad FAILED",
    ):  # fmt: skip
        assert line in told
    failure = re.search(
        r"_ test_bad \[p50\(end_to_end\) < 1ms\] _+\n"
        r"FAIL  p50\(end_to_end\) < 1ms\n"
        r"  value   [\d.]+ … [\d.]+ ms\n"
        r"(  event   [0-9a-f-]{36}: end_to_end .*\n)+"
        r"results in (.*)\n"
        r"_+ test_bad _+\n"
        r"FAIL  short: 1 of 2 objectives failed: p50\(end_to_end\) .*, limit < 1ms\n"
        r"results in (.*)\n"
        r"=",
        told,
    )
    assert failure is not None, told
    kept = Path(failure[2])
    assert kept.is_relative_to(tests.path.parent) or "test_bad0" in kept.parts
    assert (kept / "summary.json").is_file()
    assert "Traceback" not in told
    assert "measure.py" not in told
    assert result.ret == 1


def test_what_never_ran_fails_in_a_line_and_without_a_traceback_of_evload(tests: pytest.Pytester) -> None:
    tests.makepyfile(MORE)
    result, told = run(tests)
    result.assert_outcomes(failed=4)
    assert "_ test_without_a_file _" in told
    assert f"\n{tests.path / 'nowhere.yaml'}: there is no such file; check the path\n" in told
    assert (
        "\n@pytest.mark.evload: missing a required argument: 'config'; write @pytest.mark.evload('shop.yaml')\n"
        in told
    )
    assert '>       evload("shop.yaml", sets={"sed": 7})\n' in told
    assert "ConfigError: --set sed: unknown key 'sed'; did you mean 'seed'?\n" in told
    assert "\nset-up, step 1 of 1: GET http://127.0.0.1:9/: connection refused; nothing was sent\n" in told
    for hidden in ("Traceback", "measure.py", "pytest_plugin.py", "During handling", "--full-trace"):
        assert hidden not in told


STUB: Final = """
    from pathlib import Path

    import evload.api.measure
    import pytest
    from evload import Interval, Measurement, Objective, Result, SelfCheck

    @pytest.fixture(autouse=True)
    def no_runs(monkeypatch):
        monkeypatch.setattr(evload.api.measure, "measure", measured)

    def measured(config, *, out, sets, **_):
        verdict, check, objective = (Result(one) for one in sets)
        return Measurement(
            name="shop", run_id="r", verdict=verdict, exit_code=0, headline="so it is", path=out, pages=(),
            objectives=(Objective("lost < 3", "lost < 3", None, objective, Interval(2, 2), 3.0, "2", "as it was"),),
            self_checks=(SelfCheck("lateness", check, 0.2, 0.1, "200 ms (limit 100 ms)"),),
            counts={}, distributions={}, scenarios={}, interrupted=False, remarks=("the wind blows",), summary={},
        )
"""


def test_warn_passes_with_a_warning_and_whatever_is_no_pass_fails_with_its_reason(tests: pytest.Pytester) -> None:
    tests.makeconftest(STUB)
    tests.makepyfile("""
        import pytest

        @pytest.mark.evload("shop.yaml", sets=["warn", "warn", "warn"])
        def test_warn():
            pass

        @pytest.mark.evload("shop.yaml", sets=["invalid", "invalid", "pass"])
        def test_invalid():
            pass

        @pytest.mark.evload("shop.yaml", sets=["inconclusive", "pass", "inconclusive"])
        def test_inconclusive():
            pass

        @pytest.mark.evload("shop.yaml", sets=["inconclusive", "pass", "pass"])
        class TestBlind:
            def test_in_a_class(self):
                pass
    """)
    result, told = run(tests)
    result.assert_outcomes(passed=1, failed=4, warnings=2)  # of these one is an objective
    assert "EvloadWarning: shop: lost < 3 holds, but only just: 2; results in " in told
    assert "EvloadWarning: shop: self-check lateness: 200 ms (limit 100 ms); results in " in told
    assert "_ test_warn _" not in told
    assert "INVALID  shop: so it is\nINVALID  self-check lateness: 200 ms (limit 100 ms)\nresults in " in told
    assert "\nINCONCLUSIVE  lost < 3\n  value   2\n  why     as it was\nresults in " in told
    assert re.search(r"_ TestBlind.test_in_a_class _+\nINCONCLUSIVE  shop: so it is\nresults in ", told)
    assert "\nthe wind blows\n" in told
    _, strict = run(tests, "-W", "error::pytest.PytestWarning", "-k", "test_warn")
    assert re.search(r"_ test_warn _+\nshop: lost < 3 holds, but only just: 2; results in ", strict)


def test_in_several_processes_and_without_subtests(tests: pytest.Pytester) -> None:
    tests.makepyfile(TESTS)
    options = ("-p", "xdist", "-n", "2", "-p", "no:subtests", "-W", "ignore::evload.api.pytest_plugin.EvloadWarning")
    result, told = run(tests, *options)
    result.assert_outcomes(passed=1, failed=1)
    assert "\nFAIL  p50(end_to_end) < 1ms\n  value   " in told
    assert re.search(r"\nresults in .*/popen-gw\d/test_bad0/evload/run-1\n", told)


def test_it_can_be_left_out_and_then_nothing_of_it_is_there(tests: pytest.Pytester) -> None:
    tests.makepyfile(TESTS)
    result = tests.runpytest_subprocess("--strict-markers")
    assert "'evload' not found in `markers` configuration option" in result.stdout.str()
    marks = tests.runpytest_subprocess("-p", pytest_plugin.__name__, "--markers").stdout.str()
    assert "@pytest.mark.evload(config, *, sets, " in marks
