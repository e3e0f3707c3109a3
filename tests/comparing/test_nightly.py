"""`evload compare` each night: one new run against a history, limits, and the last week against the one before."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from evload.comparing.compare import Comparison, compare
from evload.comparing.limits import Standing
from evload.comparing.regression import Outcome
from evload.errors import UsageError
from tests.comparing.test_compare import finding, told, write_run, write_runs
from tests.rigs.commands import evload

NIGHTS = 30


def before(runs: Path, nights: int = NIGHTS, **more: Any) -> str:
    """So many nights that are alike."""
    rng = random.Random(7)
    return write_runs(runs, "a", [rng.gauss(1, 0.02) for _ in range(nights)], **more)


def tonight(runs: Path, p99: float = 1.0, **more: Any) -> str:
    return str(write_run(runs / "b", "b-0", p99=p99, **{"day": NIGHTS, **more}))


def not_acked(events: int) -> dict[str, Any]:
    """What a summary says of 1,000 events of which so many were rejected."""
    ledger = {
        "scheduled": 1000, "unsent": 0, "acked": 1000 - events, "rejected": events, "returned": 0, "in_doubt": 0,
        "visible": 1000 - events, "lost": 0, "regressed": 0, "pending": 0, "unobserved": 0, "recovered": 0,
        "duplicated": 0,
    }  # fmt: skip
    return {"ledger": ledger}


# -- one night ---------------------------------------------------------------------------------------


def test_one_night_beyond_all_before_and_the_tolerance_is_a_regression(tmp_path: Path) -> None:
    base, new = before(tmp_path), tonight(tmp_path, 1.3)
    code, text = told(base, new)
    assert code == 1
    assert text.startswith("REGRESSION  checkout: consistency, 1 run of NEW against 30 of BASE\n")
    assert "p50 is worse than in all 30 runs before: +29.3 %" in text
    assert "and +20 % is tolerated" in text
    assert "p99 is worse than in all 30 runs before: +29.3 %" in text
    assert ", which is tolerated" in text
    said = " ".join(text.split())
    assert "one in 31 at most is beyond all others, in all these figures together" in said
    assert "are few" not in text
    assert finding(compare(base, new), "p99").outcome is Outcome.TOLERATED


def test_a_night_like_the_others_is_a_usual_one_also_where_everything_has_to_be_told(tmp_path: Path) -> None:
    base, new = before(tmp_path), tonight(tmp_path)
    code, text = told(base, new, strict=True)
    assert code == 0
    assert text.startswith("NO REGRESSION")
    assert finding(compare(base, new), "p50").outcome is Outcome.USUAL


def test_below_nineteen_nights_one_run_tells_nothing_and_says_how_many_it_takes(tmp_path: Path) -> None:
    compared = compare(before(tmp_path, 18), tonight(tmp_path, 3.0))
    assert compared.nights == 0
    assert finding(compared, "p50").outcome is Outcome.UNKNOWN
    assert compare(before(tmp_path / "more", 19), tonight(tmp_path / "more", 3.0)).nights == 19


def test_the_history_may_be_several_paths(tmp_path: Path) -> None:
    before(tmp_path)
    runs = ",".join(str(tmp_path / "a" / f"a-{n}") for n in range(NIGHTS))
    assert compare(runs, tonight(tmp_path, 1.3)).exit_code(strict=False) == 1


def test_the_same_as_data(tmp_path: Path) -> None:
    code, data = told(before(tmp_path), tonight(tmp_path, 1.3), form="json", limits=["p99=2s"])
    said = json.loads(data)
    assert (code, said["result"], said["ranked_among"]) == (1, "regression", 30)
    assert said["limits"] == [
        {"figure": "p99", "unit": "s", "limit": 2.0, "new": [1.3, 1.3], "standing": "kept"}
    ]  # fmt: skip


# -- figures -----------------------------------------------------------------------------------------


def costs(per_1000: float | None) -> dict[str, Any]:
    bracket = None if per_1000 is None else [per_1000, per_1000 * 1.001]
    return {"costs": {"services": {}, "total": {"run": bracket, "per_1000_events": bracket}}}


def depth(largest: float) -> dict[str, Any]:
    stats = {"max": largest, "min": 0, "mean": largest / 4, "last": 0}
    return {"gauges": {"work": {"queue_depth": stats, "samples": {"taken": 9, "failed": 0}}, "other": {}}}


def nights_with(tmp_path: Path, usual: dict[str, Any], newest: dict[str, Any], **options: Any) -> Comparison:
    return compare(before(tmp_path, **usual), tonight(tmp_path, **newest), **options)


def test_what_a_thousand_events_cost_is_a_figure(tmp_path: Path) -> None:
    compared = nights_with(tmp_path, costs(0.02), costs(0.03), rules=["cost=20%"])
    assert finding(compared, "cost").outcome is Outcome.WORSE
    assert compared.exit_code(strict=False) == 1
    code, text = told(str(tmp_path / "a"), str(tmp_path / "b"))
    assert code == 0, "without a rule it is shown"
    assert "cost" in text
    assert "0.02" in text
    unknown = nights_with(tmp_path / "u", costs(0.02), costs(None), rules=["cost=20%"])
    assert finding(unknown, "cost").outcome is Outcome.UNKNOWN
    assert unknown.exit_code(strict=True) == 4


def test_bytes_per_second_are_a_figure_where_a_rule_names_them(tmp_path: Path) -> None:
    usual, slow = ({"bytes_per_s": {"bytes_in": [rate, rate], "bytes_out": [9.0, None]}} for rate in (5e6, 3e6))
    name = "throughput(bytes_in)"
    compared = nights_with(tmp_path, usual, slow, rules=[f"{name}=20%"], limits=[f"{name}=4MB/s"])
    assert finding(compared, name).outcome is Outcome.WORSE
    base, new = str(tmp_path / "a"), str(tmp_path / "b")
    code, text = told(base, new, rules=[f"{name}=20%"], limits=[f"{name}=4MB/s"], width=200)
    assert code == 1
    assert re.search(r"throughput\(bytes_in\) +5 MB/s +3 MB/s +-40 %", text)
    assert name not in told(base, new)[1], "without a rule it isn't shown"
    for rules, why in (
        (["throughput(bytes_in)=100%"], "nothing can be worse than that"),
        (["throughput(bytes)=9%"], "isn't a figure"),
    ):
        with pytest.raises(UsageError, match=why):
            compare(base, new, rules=rules)


@pytest.mark.parametrize("name", ["max(work.queue_depth)", "max(queue_depth)", "mean(work.queue_depth)"])
def test_what_gauges_show_is_a_figure_where_a_rule_names_it(name: str, tmp_path: Path) -> None:
    compared = nights_with(tmp_path, depth(40), depth(90), rules=[f"{name}=50%"])
    assert finding(compared, name).outcome is Outcome.WORSE
    assert finding(nights_with(tmp_path / "o", depth(40), depth(50), rules=[f"{name}=50%"]), name).outcome is (
        Outcome.TOLERATED
    )
    assert all("queue_depth" not in one.name for one in compare(str(tmp_path / "a"), str(tmp_path / "b")).figures)


def test_errors_are_a_share_of_what_was_scheduled(tmp_path: Path) -> None:
    compared = nights_with(tmp_path, {}, not_acked(7), rules=["errors=0.5%"])
    errors = finding(compared, "errors")
    assert (errors.outcome, errors.new) == (Outcome.WORSE, (0.007, 0.007))
    assert finding(nights_with(tmp_path / "o", {}, not_acked(3), rules=["errors=0.5%"]), "errors").outcome is (
        Outcome.TOLERATED
    )


# -- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "code", "said"),
    [
        (6, 1, "errors 0.6 % is above its limit of 0.5 %"),
        (5, 0, "warning: errors 0.5 % is above 90 % of its limit of 0.5 %"),
        (4, 0, "Within its limit: errors 0.4 % (limit 0.5 %)."),
    ],
)
def test_a_limit_is_absolute_and_near_it_is_a_warning(events: int, code: int, said: str, tmp_path: Path) -> None:
    """Whatever the nights before were like: they all were as bad."""
    base, new = before(tmp_path, **not_acked(events)), tonight(tmp_path, **not_acked(events))
    found, text = told(base, new, limits=["errors=0.5%"], width=200)
    assert (found, said in text) == (code, True), text
    assert text.startswith("LIMIT EXCEEDED" if code else "NO REGRESSION")


def test_from_which_share_of_a_limit_on_there_is_a_warning_is_an_option(tmp_path: Path) -> None:
    base, new = before(tmp_path, **not_acked(4)), tonight(tmp_path, **not_acked(4))
    for above, near in (("70%", True), ("85%", False), ("off", False)):
        (held,) = compare(base, new, limits=["errors=0.5%"], warn_above=above).limits
        assert held.standing is (Standing.NEAR if near else Standing.KEPT)


def test_a_limit_that_nobody_can_tell_is_open(tmp_path: Path) -> None:
    base, new = before(tmp_path), tonight(tmp_path, 1.0, width=0.3)
    compared = compare(base, new, limits=["p99=1.1s", "p50=1s", "cost=1", "throughput=90/s"])
    assert {one.name: one.standing for one in compared.limits} == {
        "p99": Standing.UNKNOWN, "p50": Standing.KEPT, "cost": Standing.UNKNOWN, "throughput": Standing.KEPT,
    }  # fmt: skip
    assert (compared.exit_code(strict=False), compared.exit_code(strict=True)) == (0, 4)
    assert compare(base, new, limits=["throughput=110/s"]).exit_code(strict=False) == 1


@pytest.mark.parametrize(
    ("option", "rule", "words"),
    [
        ("limits", "error=1%", "--limit error=1%: 'error' isn't a figure; did you mean errors?"),
        ("limits", "errors=1", "'1' is no limit of errors; write for example errors=0.5% or errors=off"),
        ("limits", "p99=2", "'2' is no limit of p99; write for example p99=250ms or p99=off"),
        ("limits", "cost=cheap", "'cheap' is no limit of cost; write for example cost=0.05"),
        ("limits", "cost=-1", "no cost is below 0; write for example cost=0.05"),
        ("weekly", "p50=much", "--week-over-week p50=much: 'much' isn't a tolerance; write for example p99=10%"),
        ("warn_above", "90", "--warn-above 90: '90' is not a share; write a share such as 95%"),
        ("warn_above", "100%", "--warn-above 100%: '100%' is no part of a limit; write for example 90%, or off"),
    ],
)
def test_a_bad_option_is_one_clear_line(option: str, rule: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        compare("nowhere", "nowhere", **{option: rule if option == "warn_above" else [rule]})  # type: ignore[arg-type]
    assert words in str(raised.value)


# -- week over week ----------------------------------------------------------------------------------


def weeks(runs: Path, last: float) -> tuple[str, str]:
    """Twenty nights, of which the last seven are so many times as slow; the newest apart."""
    for day in range(20):
        slower = last if day >= 13 else 1.0
        p99 = slower * (1 + 0.01 * (day * 3 % 5))
        write_run(runs / ("b" if day == 19 else "a"), f"n-{day:02}", p99=p99, day=day)
    return str(runs / "a"), str(runs / "b")


def test_a_week_that_is_slower_than_the_one_before_is_a_regression(tmp_path: Path) -> None:
    """No night of it was beyond all others, and the rule of system 1 is about weeks."""
    base, new = weeks(tmp_path, 1.25)
    assert compare(base, new).exit_code(strict=False) == 0
    code, text = told(base, new, weekly=["p50=20%"], width=200)
    assert code == 1
    assert text.startswith("REGRESSION")
    assert "p50 week over week: +2" in text
    assert ", and +20 % is tolerated" in text.partition("week over week")[2]
    (weekly,) = compare(base, new, weekly=["p50=50%"]).weekly
    assert weekly.outcome is Outcome.TOLERATED


def test_weeks_that_are_alike_are_the_same_and_no_week_before_says_so(tmp_path: Path) -> None:
    (weekly,) = compare(*weeks(tmp_path, 1.0), weekly=["p50=20%"]).weekly
    assert weekly.outcome is Outcome.SAME
    few = before(tmp_path / "few", 5), tonight(tmp_path / "few", day=5)
    code, text = told(*few, weekly=["p50=20%"], width=200, strict=True)
    assert code == 4
    assert "p50 week over week: ~, which can't be told; there is no run of the week before" in text


def test_the_command_has_an_option_for_each_rule(tmp_path: Path) -> None:
    base, new = before(tmp_path), tonight(tmp_path, **not_acked(4))
    rules = ["--limit", "errors=0.5%", "--warn-above", "70%", "--week-over-week", "p50=20%"]
    ended = evload("compare", base, new, *rules, cwd=tmp_path)
    assert ended.code == 0
    assert "errors 0.4 % is above 70 % of its limit of 0.5 %" in ended.out
    assert "p50 week over week: " in ended.out
    assert evload("compare", base, new, "--limit", "errors=0.3%", cwd=tmp_path).code == 1


# -- by config ---------------------------------------------------------------------------------------


def with_rules(run: str, rules: str) -> str:
    path = Path(run) / "config.yaml"
    path.write_text(f"{path.read_text()}compare: {rules}\n")
    return run


def test_the_config_of_the_newest_run_has_rules_that_options_replace(tmp_path: Path) -> None:
    base = before(tmp_path)
    rules = "{max_regression: [p50=10%, p99=off], limit: [p99=1s], warn_above: 80%}"
    new = with_rules(tonight(tmp_path, 1.15), rules)
    compared = compare(base, new)
    assert [one.name for one in compared.regressions] == ["p50"]
    assert finding(compared, "p99").tolerance is None
    assert [one.name for one in compared.broken] == ["p99"]
    replaced = compare(base, new, rules=["p50=20%"], limits=["p99=off"])
    assert replaced.exit_code(strict=False) == 0


def test_a_rule_that_makes_no_sense_in_a_config_that_ran_is_told_and_left_out(tmp_path: Path) -> None:
    base, new = before(tmp_path), with_rules(tonight(tmp_path), "{limit: [p98=1s], max_regression: 5}")
    (warning,) = compare(base, new).warnings
    assert warning.startswith("limit: p98=1s in the config of NEW is left out: 'p98' isn't a figure")


def test_a_file_of_figures_keeps_what_rules_and_figures_need(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    base = before(tmp_path, **costs(0.02), **depth(40))
    assert told(str(baseline), base, save=baseline)[0] == 0
    new = tonight(tmp_path, **costs(0.03), **depth(90))
    compared = compare(str(baseline), new, rules=["cost=20%", "max(work.queue_depth)=50%"])
    assert {one.name for one in compared.regressions} == {"cost", "max(work.queue_depth)"}
