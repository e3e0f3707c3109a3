"""`evload compare`: which runs count, what is a regression, what can't be told, and what is said about it."""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from evload.commands.compare import run
from evload.comparing import history
from evload.comparing.compare import Comparison, compare
from evload.comparing.figures import Span
from evload.comparing.regression import Figure, FigureResult, Outcome, judge
from evload.comparing.rules import Options, rules_of
from evload.errors import OutputError, UsageError
from evload.report.document import document
from evload.sandbox.settings import SandboxSettings
from evload.testing import MemoryWorld
from evload.testing.simulation import Simulation
from tests.rigs.commands import evload
from tests.rigs.pipelines import EMBEDDED

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = "name: {name}\nprobes: {{read-model: {{kind: http, first: {first}}}}}\nslos: [p99(consistency) < 2s]\n"


def write_run(
    runs: Path,
    run_id: str,
    *,
    p99: float = 1.0,
    width: float = 0.0,
    day: float = 0,
    name: str = "checkout",
    scheduled: int = 1000,
    lost: int = 0,
    duplicated: int = 0,
    span: float = 10.0,
    behind: float | None = None,
    first: str | None = "20ms",
    never: bool = False,
    metric: str = "consistency",
    **more: Any,
) -> Path:
    """A run directory with a summary alone: p50 is a tenth of p99, `width` that of the brackets."""

    def bracket(value: float) -> list[float | None]:
        return [value / (1 + width), None if never else value * (1 + width)]

    percentiles = {f"p{p}": bracket(p99 * share) for p, share in ((50, 0.1), (90, 0.5), (95, 0.7), (99, 1.0))}
    visible = scheduled - lost
    scope = {
        "ledger": {
            "scheduled": scheduled, "unsent": 0, "acked": scheduled, "rejected": 0, "returned": 0, "in_doubt": 0,
            "visible": visible, "lost": lost, "regressed": 0, "pending": 0, "unobserved": 0, "regressions": 0,
            "recovered": 0, "duplicated": duplicated, "out_of_order": 0,
        },
        "distributions": {metric: {"count": scheduled, "censored": 0, **percentiles, "p99.9": [1, 1], "max": [1, 1]}},
        "span": span,
        **({} if behind is None else {"behind": behind}),
        "effects": {"1": visible - duplicated, "2": duplicated},
    }  # fmt: skip
    summary = {
        "format": 1, "run_id": run_id, "name": name, "verdict": "pass", "interrupted": False, "crashed": False,
        "started_at": (LONG_AGO + timedelta(days=day)).isoformat(), **scope, "scenarios": {"main": scope}, **more,
    }  # fmt: skip
    directory = runs / run_id
    directory.mkdir(parents=True)
    (directory / "summary.json").write_bytes(orjson.dumps(summary))
    if first is not None:
        (directory / "config.yaml").write_text(CONFIG.format(name=name, first=first))
    return directory


def write_runs(runs: Path, build: str, p99s: Sequence[float], **more: Any) -> str:
    """Runs `build`-0, `build`-1 ..., a day each; returns the directory that holds them."""
    for number, p99 in enumerate(p99s):
        write_run(runs / build, f"{build}-{number}", p99=p99, **{"day": number, **more})
    return str(runs / build)


NOISE = (0.97, 1.04, 1.0, 0.95, 1.02)


def scaled(by: float, values: Sequence[float] = NOISE) -> list[float]:
    return [by * value for value in values]


def finding(compared: Comparison, name: str) -> FigureResult:
    return next(each for each in compared.figures if each.name == name)


def outcomes(compared: Comparison) -> dict[str, str]:
    return {each.name: each.outcome.value for each in compared.figures}


def told(base: str | Path, new: str | Path, *, width: int = 80, **options: Any) -> tuple[int, str]:
    """Exit code and what is printed, on a terminal without colour."""
    text, data = io.StringIO(), io.BytesIO()
    console = Console(file=text, width=width, no_color=True, force_terminal=False)
    code = run(str(base), str(new), write=lambda content: void(data.write(content)), console=console, **options)
    return code, text.getvalue() + data.getvalue().decode()


def void(_: object) -> None:
    pass


# -- outcomes ----------------------------------------------------------------------------------------


def test_a_shift_is_found_with_its_size_and_fails_the_gate(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", scaled(1.15))
    compared = compare(base, new, rules=["p99=10%"])
    p99 = finding(compared, "p99")
    assert p99.outcome is Outcome.WORSE
    assert p99.shift is not None
    assert p99.change(p99.shift.estimate) == pytest.approx(0.15)
    assert 0 < p99.change(p99.shift.lower) < 0.15 < p99.change(p99.shift.upper) < 0.3
    assert p99.shift.confidence == 1 - 4 / 252, "two gated figures share the 5 %; throughput never differed"
    assert outcomes(compared) == {
        "p50": "tolerated", "p90": "worse", "p95": "worse", "p99": "worse",
        "throughput": "=", "errors": "=", "lost": "=", "duplicates": "=",
    }  # fmt: skip
    assert [each.name for each in compared.regressions] == ["p99"]
    assert compared.exit_code(strict=False) == compared.exit_code(strict=True) == 1


def test_the_same_shift_is_tolerated_by_the_default_rules_and_better_the_other_way(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", scaled(1.15))
    compared = compare(base, new)
    assert {each.name: each.tolerance for each in compared.figures if each.tolerance is not None} == {
        "p50": 0.2, "p99": 0.5, "throughput": 0.2,
    }  # fmt: skip
    assert outcomes(compared)["p99"] == "tolerated"
    assert compared.exit_code(strict=True) == 0
    assert outcomes(compare(new, base))["p99"] == "better"


def test_what_is_alike_is_the_same_within_the_tolerance_and_unknown_within_none(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", NOISE[::-1])
    assert outcomes(compare(base, new))["p99"] == "same"
    strictest = compare(base, new, rules=["p99=0"])
    assert outcomes(strictest)["p99"] == "~"
    assert strictest.exit_code(strict=False) == 0
    assert strictest.exit_code(strict=True) == 4


@pytest.mark.parametrize(("by", "outcome"), [(1.45, "tolerated"), (1.55, "worse")])
def test_the_tolerance_is_a_share_of_base(tmp_path: Path, by: float, outcome: str) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", scaled(by))
    assert outcomes(compare(base, new))["p99"] == outcome


def test_tolerance_0_takes_any_certain_worsening_for_a_regression(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", scaled(1.12))
    assert [each.name for each in compare(base, new, rules=["p99=0%"]).regressions] == ["p99"]


@pytest.mark.parametrize("runs", [1, 3, 4])
def test_too_few_runs_tell_nothing_and_say_how_many_it_takes(tmp_path: Path, runs: int) -> None:
    base, new = write_runs(tmp_path, "a", NOISE[:runs]), write_runs(tmp_path, "b", scaled(3, NOISE[:runs]))
    compared = compare(base, new)
    assert outcomes(compared)["p99"] == "~"
    assert finding(compared, "p99").reason == "needs 5 runs each"
    assert any(f"{runs} against {runs} runs are few; take 5 of each" in warning for warning in compared.warnings)
    assert (compared.exit_code(strict=False), compared.exit_code(strict=True)) == (0, 4)
    single = compare(base, new, rules=["p50=off", "lost=0", "duplicates=0"])
    assert outcomes(single)["p99"] == ("worse" if runs == 4 else "~"), (
        "one gated figure that differs takes 4 against 4"
    )


def test_a_long_history_says_how_many_new_runs_it_takes(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE * 3), write_runs(tmp_path, "b", [9.0])
    assert finding(compare(base, new), "p99").reason == "needs 2 runs of NEW against these 15 of BASE"
    assert outcomes(compare(base, write_runs(tmp_path, "c", [9.0, 9.1])))["p99"] == "worse"


def test_wide_brackets_prove_the_sign_and_not_the_size(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "a", NOISE, width=0.2)
    new = write_runs(tmp_path, "b", scaled(1.15), width=0.2)
    p99 = finding(compare(base, new, rules=["p99=10%"]), "p99")
    assert (p99.outcome, p99.shift and p99.shift.lower) == (Outcome.WORSE, 0)
    same = finding(compare(base, write_runs(tmp_path, "c", NOISE, width=0.2), rules=["p99=15%"]), "p99")
    assert same.outcome is Outcome.UNKNOWN
    assert "resolution" in same.reason


@pytest.mark.parametrize("first", ["40ms", None])
def test_another_reading_plan_has_to_prove_the_sign_beyond_the_brackets(tmp_path: Path, first: str | None) -> None:
    base = write_runs(tmp_path, "a", NOISE, width=0.2)
    new = write_runs(tmp_path, "b", scaled(1.15), width=0.2, first=first)
    compared = compare(base, new, rules=["p99=10%"])
    assert outcomes(compared)["p99"] == "~"
    assert any("read by another plan" in warning for warning in compared.warnings)
    unknown = write_runs(tmp_path, "d", NOISE, width=0.2, first=None)
    assert outcomes(compare(unknown, new, rules=["p99=10%"]))["p99"] == "~", "unknown is not the same"
    far = compare(base, write_runs(tmp_path, "c", scaled(3), width=0.2, first=first), rules=["p99=10%"])
    assert outcomes(far)["p99"] == "worse"


def test_other_objectives_are_another_reading_plan(tmp_path: Path) -> None:
    directory = write_run(tmp_path, "run")
    (before,) = history.find(str(directory), void)
    config = directory / "config.yaml"
    config.write_text(config.read_text().replace("< 2s", "< 3s"))
    (after,) = history.find(str(directory), void)
    assert before.reading != after.reading, "reads are pinned at the thresholds"
    config.write_text(
        config.read_text().replace("< 3s", "< 2s").replace("kind: http,", "kind: http, url: elsewhere,")
    )
    (moved,) = history.find(str(directory), void)
    assert moved.reading == before.reading


@pytest.mark.parametrize(
    "config",
    [
        "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairwise("abcdefghij")),
        "probes: &a {b: *a}\n",
        "probes: " + "[" * 100_000,
        "probes: " + "{a: " * 5000,
        "probes: [" + "1, " * 200_000 + "1]",
        "probes: {p: {first: " + "9" * 900 + "}}",
        "slos: [" + "9" * 900 + "]",
        "probes: {p: {first: '" + "x" * 2_000_000 + "'}}",
        "\0",
    ],
    ids=["aliases of aliases", "itself", "lists", "mappings", "values", "number", "objective", "text", "no YAML"],
)
def test_a_config_that_no_run_has_written_is_another_reading_plan(tmp_path: Path, config: str) -> None:
    """And neither fills the memory nor ends the comparison."""
    if config.startswith("b: "):
        config = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + config
    base = write_runs(tmp_path, "a", NOISE, width=0.2)
    new = write_runs(tmp_path, "b", scaled(3), width=0.2)
    (tmp_path / "b" / "b-0" / "config.yaml").write_text(config)
    began = time.process_time()
    compared = compare(base, new)
    assert time.process_time() - began < 4  # CPU
    assert any("read by another plan" in warning for warning in compared.warnings)
    assert outcomes(compared)["p99"] == "worse"


def test_beyond_the_deadline_is_worse_than_anything(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", scaled(15), never=True)
    compared = compare(base, new)
    p99 = finding(compared, "p99")
    assert p99.outcome is Outcome.WORSE
    assert p99.new is not None
    assert p99.new.high is None
    code, text = told(base, new)
    assert code == 1
    assert "… never" in text
    assert "+∞ %" in text
    _, data = told(base, new, form="json")
    change = next(each for each in json.loads(data)["figures"] if each["figure"] == "p99")["change"]
    assert (change["estimate"], change["upper"]) == (None, None)
    assert change["lower"] > 10
    both = compare(new, write_runs(tmp_path, "c", scaled(15), never=True))
    assert outcomes(both)["p99"] == "~"


def test_throughput_is_worse_when_it_falls(tmp_path: Path) -> None:
    spans = (9.8, 10.0, 10.1, 10.2, 9.9)
    for number, span in enumerate(spans):
        write_run(tmp_path / "a", f"a{number}", span=span)
        write_run(tmp_path / "b", f"b{number}", span=span / 0.7)
    there, back = compare(str(tmp_path / "a"), str(tmp_path / "b")), compare(str(tmp_path / "b"), str(tmp_path / "a"))
    throughput = finding(there, "throughput")
    assert throughput.outcome is Outcome.WORSE
    assert throughput.shift is not None
    assert throughput.change(throughput.shift.estimate) == pytest.approx(-0.3)
    assert throughput.base is not None
    assert throughput.base.low == pytest.approx(99.9), "n events span n - 1 gaps"
    assert outcomes(back)["throughput"] == "better"
    lenient = compare(str(tmp_path / "a"), str(tmp_path / "b"), rules=["throughput=40%"])
    assert outcomes(lenient)["throughput"] == "tolerated"


def test_throughput_is_worse_when_the_broker_falls_behind_the_same_schedule(tmp_path: Path) -> None:
    for number in range(5):
        write_run(tmp_path / "a", f"a{number}")
        write_run(tmp_path / "b", f"b{number}", behind=10 / 0.7 - 10)
        write_run(tmp_path / "c", f"c{number}", behind=0.0)
    there = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    throughput = finding(there, "throughput")
    assert throughput.outcome is Outcome.WORSE
    assert throughput.shift is not None
    assert throughput.change(throughput.shift.estimate) == pytest.approx(-0.3)
    assert outcomes(compare(str(tmp_path / "a"), str(tmp_path / "c")))["throughput"] == "="


def test_losses_are_compared_as_shares(tmp_path: Path) -> None:
    for number, lost in enumerate((3, 4, 5, 4, 6)):
        write_run(tmp_path / "a", f"a{number}")
        write_run(tmp_path / "b", f"b{number}", lost=lost, duplicated=lost)
    compared = compare(str(tmp_path / "a"), str(tmp_path / "b"), rules=["lost=0", "duplicates=1%"])
    found = finding(compared, "lost")
    assert found.outcome is Outcome.WORSE
    assert found.shift is not None
    assert found.shift.estimate == pytest.approx(0.004)
    assert outcomes(compared)["duplicates"] == "tolerated"
    assert outcomes(compare(str(tmp_path / "b"), str(tmp_path / "a")))["lost"] == "better"


def test_events_of_unknown_end_leave_the_loss_open() -> None:
    runs = [Span(0.0, 0.1)] * 5
    (found,) = judge([Figure("lost", runs, runs)], {"lost": 0.0}, same_plan=True)
    assert found.outcome is Outcome.UNKNOWN, "zero against zero, but for what nobody saw"
    (found,) = judge([Figure("lost", runs, [Span(0.0, 0.3)] * 5)], {"lost": 0.0}, same_plan=True)
    assert found.outcome is Outcome.UNKNOWN, "more may be lost, and none"


def test_what_nobody_saw_the_end_of_widens_the_shares(tmp_path: Path) -> None:
    directory = write_run(tmp_path, "run", lost=10, duplicated=5, effects={"1": 885, "2": 5})
    summary = json.loads((directory / "summary.json").read_bytes())
    summary["ledger"].update(acked=940, visible=900, pending=10, unobserved=20, in_doubt=60, recovered=25)
    (directory / "summary.json").write_bytes(orjson.dumps(summary))
    (figures,) = history.find(str(directory), void)
    assert figures.figure("lost", "") == (10 / 1000, (10 + 10 + 20 + 35) / 1000)
    assert figures.figure("duplicates", "") == (5 / 1000, (5 + 10) / 1000)


def test_a_gated_figure_that_a_run_lacks_cant_be_told(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", NOISE, effects={})
    compared = compare(base, new, rules=["duplicates=0"])
    assert finding(compared, "duplicates").reason == "not every run has this figure"
    assert [each.name for each in compared.undecided] == ["duplicates"]
    assert "duplicates" in outcomes(compare(base, new))
    assert "duplicates" not in outcomes(compare(new, write_runs(tmp_path, "c", NOISE, effects={})))


# -- rules -------------------------------------------------------------------------------------------


def test_rules_replace_add_and_take_away() -> None:
    assert rules_of({}, Options(), void).tolerated == {"p50": 0.2, "p99": 0.5, "throughput": 0.2}
    assert rules_of({}, Options(["p99 = 10%", "lost=.1 %", "p50=off", "p90=250%"]), void).tolerated == {
        "p99": 0.1, "throughput": 0.2, "lost": 0.001, "p90": 2.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("p98=10%", "did you mean p9"),
        ("losses=1%", "did you mean lost?"),
        ("memory=1%", "choose one of p50"),
        ("p99", "isn't a tolerance"),
        ("p99=10", "write for example p99=10%"),
        ("p99=-10%", "isn't a tolerance"),
        ("throughput=100%", "write less than 100%"),
        ("", "isn't a figure"),
    ],
)
def test_a_bad_rule_is_one_clear_line(rule: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        rules_of({}, Options([rule]), void)
    message = str(raised.value)
    assert message.startswith(f"--max-regression {rule}: ")
    assert words in message
    assert "\n" not in message


# -- which runs --------------------------------------------------------------------------------------


def test_a_directory_of_runs_is_the_history_of_its_newest(tmp_path: Path) -> None:
    for number, noise in enumerate(NOISE):
        write_run(tmp_path, f"r{number}", p99=noise, day=number)
        write_run(tmp_path, f"s{number}", p99=9, day=number, name="other")
    newest = write_run(tmp_path, "r9", p99=1.0, day=9)
    (tmp_path / "notes").mkdir()
    compared = compare(str(tmp_path), str(newest))
    assert [each.id for each in compared.base] == ["r0", "r1", "r2", "r3", "r4"]
    assert [each.id for each in compared.new] == ["r9"]
    assert compared.notes == ["5 runs of other configs in BASE are not looked at"]


def test_several_are_joined_by_commas_and_each_counts_once(tmp_path: Path) -> None:
    directories = [write_run(tmp_path / "a", f"a{number}") for number in range(3)]
    new = write_run(tmp_path, "new")
    compared = compare(f"{directories[0]},{directories[2]}, {directories[0]}/summary.json,{new}", str(new))
    assert [each.id for each in compared.base] == ["a0", "a2"]


def test_runs_with_different_profiles_are_not_mixed_unless_somebody_insists(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "a", scaled(1))
    new = write_runs(tmp_path, "b", scaled(1), profiles=["staging", "smoke"])
    with pytest.raises(UsageError, match="different profiles: a-0 with none, b-0 with staging and smoke; name runs"):
        compare(base, new)
    assert outcomes(compare(base, new, force=True))["p99"] in ("~", "=", "same")
    same = write_runs(tmp_path, "c", scaled(1), profiles=["staging", "smoke"])
    assert len(compare(new, same).new) == 5
    with pytest.raises(UsageError, match="different profiles"):
        compare(same, write_runs(tmp_path, "d", scaled(1), profiles=["smoke", "staging"]))


def test_what_is_no_evidence_is_left_out_and_named(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "a", NOISE)
    write_run(tmp_path / "a", "bad", p99=99, verdict="invalid")
    write_run(tmp_path / "a", "cut", p99=99, interrupted=True)
    write_run(tmp_path / "a", "dead", p99=99, crashed=True)
    (write_run(tmp_path / "a", "torn") / "summary.json").write_text('{"format": 1, "run')
    compared = compare(base, write_runs(tmp_path, "b", NOISE))
    assert len(compared.base) == 5
    assert {each.id for each, _ in compared.left_out} == {"bad", "cut", "dead"}
    for words in ("bad is left out", "cut is left out", "dead is left out", "torn/summary.json is damaged"):
        assert any(words in warning for warning in compared.warnings), words


def test_a_failed_run_is_evidence(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "a", NOISE, verdict="fail")
    assert len(compare(base, write_runs(tmp_path, "b", NOISE, verdict="inconclusive")).base) == 5


def test_within_takes_the_last_days_before_the_newest(tmp_path: Path) -> None:
    write_runs(tmp_path, "a", NOISE * 4)
    write_run(tmp_path / "a", "later", day=30)
    new = write_run(tmp_path, "new", day=20)
    compared = compare(str(tmp_path / "a"), str(new), within="7d")
    assert [each.id for each in compared.base] == [f"a-{day}" for day in range(13, 20)]


def test_another_schedule_is_warned_about(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", NOISE)
    write_run(tmp_path / "a", "short", scheduled=900)
    write_run(tmp_path / "a", "nearly", scheduled=960)
    warnings = compare(base, new).warnings
    assert warnings == ["another schedule: NEW has 1,000 events, and not so short (900)"]


def done(*names: str, error: str = "") -> list[dict[str, Any]]:
    """What was done to the system, as a summary tells it, each a second time as well."""
    return [{"action": name, "number": n, "error": error} for n in range(2) for name in names]


def test_other_actions_are_warned_about(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "a", NOISE, actions=done("slow-workers"))
    write_run(tmp_path / "a", "without", actions=[])
    write_run(tmp_path / "a", "old")
    write_run(tmp_path / "a", "in vain", actions=done("slow-workers", error="HTTP 500"))
    new = write_runs(tmp_path, "b", NOISE, actions=done("slow-workers"))
    assert compare(base, new).warnings == [
        "other actions: with NEW slow-workers was done to the system, and not so with in vain "
        "(slow-workers (failed)), old (nothing), without (nothing)"
    ]
    both = write_runs(tmp_path, "c", NOISE, actions=done("slow-workers", "db-down"))
    (warning,) = compare(new, both).warnings
    assert warning.startswith(
        "other actions: with NEW db-down, slow-workers was done to the system, and not so with b-0"
    )
    assert compare(new, write_runs(tmp_path, "d", NOISE, actions=done("slow-workers"))).warnings == []


def test_a_baseline_keeps_what_was_done(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    told(baseline, write_runs(tmp_path, "a", NOISE, actions=done("slow-workers")), save=baseline)
    assert json.loads(baseline.read_bytes())["runs"][0]["actions"] == ["slow-workers"]
    assert compare(str(baseline), write_runs(tmp_path, "b", NOISE, actions=done("slow-workers"))).warnings == []


def test_one_scenario_of_many(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", scaled(2))
    summary = tmp_path / "b" / "b-0" / "summary.json"
    assert outcomes(compare(base, new, scenario="main"))["p99"] == "worse"
    with pytest.raises(UsageError, match=r"--scenario mian: a-0 has none; did you mean main\?"):
        compare(base, new, scenario="mian")
    assert json.loads(summary.read_bytes())["scenarios"]["main"]


def test_the_metric_is_the_first_that_all_have(tmp_path: Path) -> None:
    watched, published = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", NOISE, metric="publish")
    assert compare(watched, write_runs(tmp_path, "c", NOISE)).metric == "consistency"
    assert compare(published, write_runs(tmp_path, "d", NOISE, metric="publish")).metric == "publish"
    with pytest.raises(UsageError, match="not every run has consistency or end_to_end or publish; name runs"):
        compare(watched, published)
    with pytest.raises(UsageError, match="not every run has hop; they share consistency"):
        compare(watched, str(tmp_path / "c"), metric="hop")
    with pytest.raises(UsageError, match=r"--metric consistancy: no such metric; did you mean consistency\?"):
        compare(watched, str(tmp_path / "c"), metric="consistancy")


def errors_of(tmp_path: Path) -> Mapping[str, tuple[str, str, str]]:
    """What is named, and what has to be said about it."""
    good = str(write_run(tmp_path, "good"))
    other = str(write_run(tmp_path, "other", name="payment"))
    invalid = str(write_run(tmp_path, "invalid", verdict="invalid"))
    torn = write_run(tmp_path, "torn")
    (torn / "summary.json").write_text("{")
    partial = write_run(tmp_path, "partial", ledger={"scheduled": 3})
    newer = write_run(tmp_path, "newer", format=2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "figures.json").write_text('{"format": 7, "runs": []}')
    both = f"{good},{other}"
    return {
        "not there": (str(tmp_path / "nowhere"), good, "nowhere isn't there; name a run's directory"),
        "no run": (str(tmp_path / "empty"), good, "isn't the directory of a run, and holds none"),
        "another config": (other, good, "has no run of checkout, which NEW is, but of payment"),
        "several configs": (good, both, "has runs of several configs: checkout, payment"),
        "torn": (good, str(torn), "torn/summary.json is damaged"),
        "partial": (good, str(partial), "partial/summary.json is damaged: ledger.acked: Field required"),
        "newer": (good, str(newer), "newer/summary.json has format 2, and this version of evload reads 1"),
        "no file of figures": (str(tmp_path / "list.json"), good, "list.json isn't a file of figures"),
        "figures of later": (str(tmp_path / "figures.json"), good, "figures.json has format 7, and this version"),
        "itself": (good, good, "holds no run besides those of NEW"),
        "no evidence": (good, invalid, "no run that counts as evidence: invalid is left out"),
        "no evidence before": (invalid, good, "BASE"),
    }


def test_every_error_is_one_clear_line(tmp_path: Path) -> None:
    for case, (base, new, words) in errors_of(tmp_path).items():
        with pytest.raises(UsageError) as raised:
            compare(base, new)
        assert words in str(raised.value), case
        assert "\n" not in str(raised.value), case
    good, later = str(tmp_path / "good"), str(write_run(tmp_path, "later", day=30))
    with pytest.raises(UsageError, match="--within week: 'week' is not a duration; write a number with a unit"):
        compare(good, later, within="week")
    with pytest.raises(UsageError, match="has no run within 7d before 2026-01-31 00:00"):
        compare(good, later, within="7d")
    with pytest.raises(UsageError, match="--format xml: no such format; choose text, json or md"):
        told(good, later, form="xml")


# -- baselines ---------------------------------------------------------------------------------------


def test_a_baseline_begins_grows_and_needs_no_ledgers(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    first = write_runs(tmp_path, "a", NOISE)
    code, text = told(baseline, first, save=baseline)
    assert (code, text) == (0, f"{baseline} begins with 5 runs; nothing to compare yet\n")
    direct = compare(first, write_runs(tmp_path, "b", NOISE[::-1]), rules=["lost=0"])
    for number in range(5):
        (tmp_path / "a" / f"a-{number}" / "summary.json").unlink()
    kept = compare(str(baseline), str(tmp_path / "b"), rules=["lost=0"])
    assert kept.figures == direct.figures, "the reading plan is kept too"
    code, text = told(baseline, tmp_path / "b", save=baseline)
    assert code == 0
    assert "holds 10 runs now" in text
    code, _ = told(baseline, tmp_path / "b", save=baseline)
    assert [each.id for each in history.read_file(baseline).runs] == [f"{b}-{n}" for n in range(5) for b in "ab"]
    assert list(tmp_path.glob(".*")) == []


def test_a_baseline_doesnt_learn_a_regression_nor_what_is_no_evidence(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    told(baseline, write_runs(tmp_path, "a", NOISE), save=baseline)
    before = baseline.read_bytes()
    code, text = told(baseline, write_runs(tmp_path, "b", scaled(2)), save=baseline)
    assert code == 1
    assert "is left as it was" in text
    assert baseline.read_bytes() == before
    write_run(tmp_path / "c", "bad", verdict="invalid")
    write_runs(tmp_path, "c", NOISE)
    told(baseline, tmp_path / "c", save=baseline)
    assert "bad" not in {each.id for each in history.read_file(baseline).runs}
    with pytest.raises(UsageError, match="has no run that counts as evidence: bad is left out"):
        told(tmp_path / "new.json", tmp_path / "c" / "bad", save=tmp_path / "new.json")


def test_a_baseline_is_data_of_format_1(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    code, data = told(baseline, write_runs(tmp_path, "a", [1.0], width=0.5), save=baseline, form="json")
    assert code == 0
    assert json.loads(data)["result"] == "begun"
    stored = json.loads(baseline.read_bytes())
    assert stored["format"] == 1
    (entry,) = stored["runs"]
    assert (entry["id"], entry["name"], entry["verdict"]) == ("a-0", "checkout", "pass")
    assert entry["started_at"] == "2026-01-01T00:00:00Z"
    assert entry["distributions"]["consistency"]["p99"] == [1 / 1.5, 1.5]
    assert entry["ledger"]["scheduled"] == entry["scenarios"]["main"]["ledger"]["scheduled"] == 1000


def test_a_baseline_that_cant_be_written_or_is_something_else_is_refused(tmp_path: Path) -> None:
    good, new = write_run(tmp_path, "good"), write_run(tmp_path, "new")
    with pytest.raises(OutputError, match="can't write "):
        told(good, new, save=tmp_path / "nowhere" / "b.json")
    config = new / "config.yaml"
    before = config.read_bytes()
    with pytest.raises(UsageError, match=r"config\.yaml is damaged"):
        told(good, new, save=config)
    assert config.read_bytes() == before


# -- what is said ------------------------------------------------------------------------------------


def test_a_person_reads_the_result_first_on_80_columns(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "a", NOISE, width=0.05)
    new = write_runs(tmp_path, "b", scaled(1.15), width=0.05)
    write_run(tmp_path / "b", "bad", verdict="invalid")
    code, text = told(base, new, rules=["p99=10%"])
    assert code == 1
    lines = text.splitlines()
    assert lines[0] == "REGRESSION  checkout: consistency, 5 runs of NEW against 5 of BASE"
    assert all(len(line) <= 80 for line in lines), text
    (row,) = (line for line in lines if line.startswith("p99  "))
    assert row.split("  ")[0] == "p99"
    assert "952 ms … 1.05 s" in row
    assert row.rstrip().endswith("worse")
    (said,) = (line for line in lines if line.startswith("p99 is worse for sure"))
    assert said.startswith("p99 is worse for sure: +15 % (")
    assert "and +10 % is tolerated" in text
    assert "Tolerated: p50 +20 %, p99 +10 %, throughput -20 %." in text
    assert "warning: bad is left out: the measurement was invalid" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("form", ["text", "md", "json"])
def test_names_of_runs_are_shown_and_never_obeyed(tmp_path: Path, form: str) -> None:
    odd = "shop \x1b[31m\u202e ##[error]x\n::error::forged [/red] :smile:"
    base = write_runs(tmp_path, "a", NOISE, name=odd)
    new = write_runs(tmp_path, "b", NOISE, name=odd)
    write_run(tmp_path / "b", "b\x1b[2J\u202e-bad", name=odd, verdict="invalid")
    ended = evload("compare", base, new, "--format", form, cwd=tmp_path, env={"GITHUB_ACTIONS": "true"})
    assert (ended.code, ended.err) == (0, "")
    assert all(letter == "\n" or letter.isprintable() for letter in ended.out)
    assert "##[" not in ended.out
    assert not any(line.lstrip().startswith("::") for line in ended.out.splitlines())
    assert "[/red] :smile:" in ended.out if form == "text" else "smile" in ended.out
    if form == "json":
        assert json.loads(ended.out)["name"] == odd


def test_what_cant_be_told_says_so(tmp_path: Path) -> None:
    code, text = told(write_runs(tmp_path, "a", NOISE[:3]), write_runs(tmp_path, "b", NOISE[:3]), strict=True)
    assert code == 4
    assert text.startswith("UNDECIDED  checkout")
    assert "p50, p99: can't be told; needs 5 runs each" in text
    assert "warning: 3 against 3 runs are few" in text


def test_the_same_as_data(tmp_path: Path) -> None:
    base, new = write_runs(tmp_path, "a", NOISE), write_runs(tmp_path, "b", scaled(1.15))
    code, data = told(base, new, rules=["p99=10%"], form="json")
    said = json.loads(data)
    assert (said["format"], said["result"], said["exit_code"], code) == (1, "regression", 1, 1)
    assert (said["name"], said["metric"], said["scenario"]) == ("checkout", "consistency", None)
    assert said["new"] == [f"b-{n}" for n in range(5)]
    figures = {each["figure"]: each for each in said["figures"]}
    assert list(figures) == ["p50", "p90", "p95", "p99", "throughput", "errors", "lost", "duplicates"]
    p99 = figures["p99"]
    assert (p99["unit"], p99["tolerance"], p99["outcome"], p99["regression"]) == ("s", 0.1, "worse", True)
    assert p99["change"]["estimate"] == pytest.approx(0.15)
    assert p99["base"] == [1.0, 1.0]
    assert figures["p90"]["tolerance"] is None
    assert not figures["p90"]["regression"]


def test_the_same_for_a_pull_request(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "a", NOISE, name="a|b *c*")
    new = write_runs(tmp_path, "b", scaled(1.15), name="a|b *c*")
    _, text = told(base, new, rules=["p99=10%"], form="md")
    lines = text.splitlines()
    assert lines[0].startswith("**REGRESSION** a\\|b \\*c\\*: consistency")
    rows = [line for line in lines if line.startswith("| p")]
    assert len(rows) == 4
    assert all(row.count("|") == 6 for row in rows)
    assert rows[3].endswith("| **worse** |")
    assert any(line.startswith("- p99 is worse for sure") for line in lines)


def test_a_drift_over_weeks_is_one_line(tmp_path: Path) -> None:
    drifting = write_runs(tmp_path, "a", [1.01 ** (7 * week) for week in range(8)])
    new = write_run(tmp_path, "new", p99=1.01**56, day=8)
    drift = compare(drifting, str(new)).drift
    assert drift is not None
    assert (drift.figure, drift.runs) == ("p99", 9)
    assert drift.weekly == pytest.approx(1.01**49 - 1)
    assert drift.p_value < 0.001
    _, text = told(drifting, new)
    assert "Over 9 runs in 1.1 weeks p99 has a trend: +62.8 % a week (Kendall's tau, p =" in " ".join(text.split())


def test_no_drift_is_claimed_of_few_runs_of_one_day_or_of_noise(tmp_path: Path) -> None:
    new = write_run(tmp_path, "new", day=20)
    assert compare(write_runs(tmp_path, "a", NOISE[:4] * 2)[:-1] + "a", str(new)).drift is not None
    assert compare(write_runs(tmp_path, "b", NOISE), str(new)).drift is None
    today = write_runs(tmp_path, "c", NOISE * 2, day=20)
    assert compare(today, str(new)).drift is None
    assert "no clear trend" in told(write_runs(tmp_path, "d", NOISE * 2), new)[1]


# -- real runs ---------------------------------------------------------------------------------------


def simulate(runs: Path, run_id: str, *, seed: int, median_ms: float) -> None:
    """A whole run in virtual time, in a directory of its own."""
    world = {
        "seed": seed,
        "workers": 50,
        "visibility": {"lognormal": {"median": f"{median_ms:.1f}ms", "p99": "900ms"}},
    }
    memory = MemoryWorld(SandboxSettings.model_validate(world))
    directory = runs / run_id
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(CONFIG.format(name="simulation", first="20ms"))
    probe = {"bulk": 500, "deadline": "12s", "confirm": {"reads": 1, "over": "1s"}}
    ran = Simulation(memory, ({"rate": "50/s", "for": "2s"},), seed=seed, probe=probe).run()
    summary = {**document(ran.report), "run_id": run_id, "span": 1.98, "started_at": LONG_AGO.isoformat()}
    (directory / "summary.json").write_bytes(orjson.dumps(summary))


def test_real_runs_of_a_slower_build_are_found(tmp_path: Path) -> None:
    rng = random.Random(3)
    for number in range(5):
        simulate(tmp_path / "a", f"a{number}", seed=number, median_ms=150 * rng.uniform(0.97, 1.03))
        simulate(tmp_path / "b", f"b{number}", seed=50 + number, median_ms=300 * rng.uniform(0.97, 1.03))
    compared = compare(str(tmp_path / "a"), str(tmp_path / "b"), rules=["p99=off"])
    assert [each.name for each in compared.regressions] == ["p50"]
    p50 = finding(compared, "p50")
    assert p50.shift is not None
    assert 0.5 < p50.change(p50.shift.lower) < 1.0 < p50.change(p50.shift.upper) < 2
    assert outcomes(compared)["lost"] == "="


def test_a_ledger_alone_has_the_figures_of_its_summary(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(EMBEDDED)
    ended = evload("run", "short.yaml", "--quiet", cwd=tmp_path)
    assert ended.code in (0, 1, 4, 5), ended
    (directory,) = (tmp_path / "runs").iterdir()
    (whole,) = history.find(str(directory), void)
    bare = shutil.copytree(directory, tmp_path / "bare")
    (bare / "summary.json").unlink()
    (rebuilt,) = history.find(str(bare), void)
    assert rebuilt == whole
    assert whole.ledger.scheduled == 260
    assert whole.reading
    throughput = whole.scenarios["steady"].figure("throughput", "publish")
    assert throughput is not None
    assert throughput.low == pytest.approx(100)
    assert whole.scenarios["steady"].figure("lost", "") == (0, 0)
    assert whole.figure("lost", "") == (0, 60 / 260), "nobody watched 60 of them"
    (directory / "events.sqlite").unlink()
    (told_by_summary,) = history.find(str(directory), void)
    assert told_by_summary.distributions == whole.distributions
    assert told_by_summary.ledger == whole.ledger


# -- directories that somebody hands us --------------------------------------------------------------


def test_a_config_of_aliases_of_aliases_kills_nobody(tmp_path: Path) -> None:
    base = write_runs(tmp_path, "base", scaled(1.0))
    new = write_run(tmp_path, "new", p99=1.0)
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, after in itertools.pairwise("abcdefghij"):
        bomb += f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    (new / "config.yaml").write_text(f"{bomb}probes: {{r: {{deadline: *j}}}}\nslos: *j\n")
    code, said = told(base, new)
    assert (code, "new" in said) == (0, True)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_config_that_is_no_file_of_ours_says_nothing(kind: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", p99=1.0)
    text = (run / "config.yaml").read_text()
    assert history.find(str(run), void)[0].reading != ""
    (run / "config.yaml").unlink()
    if kind == "pipe":
        os.mkfifo(run / "config.yaml")
    else:
        (tmp_path / "else.yaml").write_text(text)
        (run / "config.yaml").symlink_to("../else.yaml")
    assert history.find(str(run), void)[0].reading == ""


def test_a_summary_without_an_end_is_not_read(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", p99=1.0)
    with (run / "summary.json").open("r+b") as summary:
        summary.truncate(100_000_001)
    with pytest.raises(UsageError, match=r"summary.json: it is longer than 100 MB, the most that is read"):
        history.find(str(run), void)
