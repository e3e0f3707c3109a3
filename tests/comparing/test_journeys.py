"""Comparing runs of journeys: which figures there are, how they are judged, and what isn't the same journey."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evload.comparing import history
from evload.comparing.compare import Comparison, compare
from evload.comparing.limits import Standing
from evload.errors import UsageError
from tests.comparing.test_compare import NOISE, finding, outcomes, scaled, told, write_run
from tests.rigs.planted_journeys import Planted

CONFIG = """\
name: checkout
probes: {view: {kind: http}}
journeys:
  order:
    steps:
      - create: {to: shop, post: /orders}
      - seen: {wait: view, of: "{order}", within: WITHIN}
      - pay: {to: shop, post: /PATH}
  browse: {steps: [{look: {to: shop, get: /}}]}
scenarios:
  buyers: {journeys: {order: 3, browse: 1}, load: [{from: 0 users, to: COUNT users, for: 10s}]}
"""


def percentiles(p95: float, width: float = 0.0, never: bool = False) -> dict[str, Any]:
    """p50 is half of it."""
    ends = {name: [by * p95 / (1 + width), None if never else by * p95 * (1 + width)] for name, by in
            (("p50", 0.5), ("p90", 0.8), ("p95", 1.0), ("p99", 1.5))}  # fmt: skip
    return {"count": 100, "censored": 0, **ends}


def journey(p95: float, *, refused: int = 0, failed: int = 0, cut_off: int = 0) -> dict[str, Any]:
    """Of a thousand iterations that were due."""
    completed = 1_000 - refused - failed - cut_off
    ends = {"completed": completed, "refused": refused, "failed": failed, "cut_off": cut_off}
    return {
        "iterations": {"due": 1_000, "started": 1_000, **ends, "unsent": 0, "starved": 0},
        "journey": percentiles(p95),
    }


def part(metric: str, p95: float, **more: Any) -> dict[str, Any]:
    counts = dict.fromkeys(
        ("acked", "in_doubt", "visible", "lost", "regressed", "pending", "unobserved", "recovered", "duplicated"), 0
    )
    # What waits has a time of its sending as well, which says nothing of how long it waited.
    other = {} if metric == "publish" else {"publish": percentiles(99.0)}
    return {
        "ledger": {"scheduled": 1_000, **counts},
        "distributions": {metric: percentiles(p95, **more), **other},
    }


def write(
    runs: Path,
    build: str,
    by: float,
    day: int = 0,
    *,
    path: str = "payments",
    users: int = 50,
    within: str = "10s",
    pay: float | None = None,
    width: float = 0.0,
    scheduled: int = 3_000,
    span: float = 9.9,
    config: str | None = CONFIG,
    **ends: int,
) -> Path:
    """A run whose times are so many times those of another."""
    pay = 0.2 * by if pay is None else pay
    steps = {"order.create": ("publish", 0.1 * by), "order.pay": ("publish", pay), "browse.look": ("publish", 0.02)}
    events = {name: part(*about) for name, about in steps.items()}
    seen = part("first_seen", 1.0 * by, width=width)
    journeys = {"order": journey(4.0 * by, **ends), "browse": journey(0.02)}
    directory = write_run(runs / build, f"{build}-{day}", p99=by, day=day, scheduled=scheduled, span=span, first=None)
    stored = json.loads((directory / "summary.json").read_bytes())
    main = stored["scenarios"].pop("main")
    stored |= {"journeys": journeys, "events": {**events, "order.seen": seen}}
    stored["scenarios"] = {
        "buyers": {
            **main,
            "journeys": journeys,
            "slices": {f"event={name}": events[name] for name in events} | {"event=order.pay,during=x": seen},
        },
        "buyers: order.seen": seen,
        "plain": {**main, "slices": {"event=order.paid": part("publish", 7.0)}},
    }
    (directory / "summary.json").write_text(json.dumps(stored))
    if config is not None:
        text = config.replace("PATH", path).replace("COUNT", str(users)).replace("WITHIN", within)
        (directory / "config.yaml").write_text(text)
    return directory


def side(runs: Path, build: str, by: float = 1.0, **more: Any) -> str:
    for day, each in enumerate(scaled(by)):
        write(runs, build, each, day, **more)
    return str(runs / build)


def of_journeys(compared: Comparison) -> list[str]:
    return [one.name for one in compared.figures if "(" in one.name]


def row(compared: Comparison, name: str) -> tuple[Any, Any, str]:
    found = finding(compared, name)
    return found.base, found.new, found.outcome.value


def test_each_journey_and_each_step_has_its_figures(tmp_path: Path) -> None:
    base = side(tmp_path, "a")
    compared = compare(base, side(tmp_path, "b", 1.15, refused=20, failed=50))
    assert of_journeys(compared) == [
        "completed(order)", "refused(order)", "failed(order)", "p50(order)", "p95(order)",
        "p50(order.create)", "p95(order.create)", "p50(order.pay)", "p95(order.pay)",
        "p50(order.seen)", "p95(order.seen)",
        "completed(browse)", "refused(browse)", "failed(browse)", "p50(browse)", "p95(browse)",
        "p50(browse.look)", "p95(browse.look)",
    ]  # fmt: skip
    assert row(compared, "completed(order)") == ((1.0, 1.0), (0.93, 0.93), "worse")
    assert row(compared, "refused(order)") == ((0.0, 0.0), (0.02, 0.02), "worse")
    assert row(compared, "failed(order)") == ((0.0, 0.0), (0.05, 0.05), "worse")
    assert row(compared, "p95(order)") == ((4.0, 4.0), (4.6, 4.6), "worse")
    assert row(compared, "p50(order.create)")[:2] == (pytest.approx((0.05, 0.05)), pytest.approx((0.0575, 0.0575)))
    assert row(compared, "p95(order.pay)")[:2] == (pytest.approx((0.2, 0.2)), pytest.approx((0.23, 0.23)))
    assert row(compared, "p95(order.seen)") == ((1.0, 1.0), (1.15, 1.15), "worse"), "until it was seen, not sent"
    assert row(compared, "p95(browse.look)") == ((0.02, 0.02), (0.02, 0.02), "=")
    assert (compared.regressions, compared.warnings) == ([], []), "nobody has made a rule for them"


def test_they_are_gated_where_a_rule_names_them(tmp_path: Path) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b", 1.3, failed=50)
    rules = ["p50=off", "p99=off", "throughput=off", "completed(order)=1%", "p99(order.pay)=10%", "p95(browse)=5%"]
    compared = compare(base, new, rules=rules)
    assert {one.name: one.outcome.value for one in compared.figures if one.tolerance is not None} == {
        "completed(order)": "worse", "p95(browse)": "=", "p99(order.pay)": "worse",
    }  # fmt: skip
    code, text = told(base, new, rules=rules)
    assert code == 1
    assert "completed(order) is worse for sure: -5 pp (-5 … -5 pp), and -1 pp is tolerated" in text
    assert "p99(order.pay) is worse for sure: +30 %" in text
    tolerated = compare(base, new, rules=["completed(order)=6%"])
    assert outcomes(tolerated)["completed(order)"] == "tolerated"
    assert outcomes(compare(new, base))["completed(order)"] == "better"


def test_a_limit_of_what_went_well_is_its_least_value(tmp_path: Path) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b", failed=50)
    compared = compare(base, new, limits=["completed(order)=96%", "completed(browse)=99%", "failed(order)=4%"])
    standings = {one.name: one.standing for one in compared.limits}
    assert standings == {
        "completed(order)": Standing.BROKEN, "failed(order)": Standing.BROKEN, "completed(browse)": Standing.KEPT,
    }  # fmt: skip
    _, text = told(base, new, limits=["completed(order)=96%"])
    assert "completed(order) 95 % is below its limit of 96 %" in text


def test_one_night_against_many(tmp_path: Path) -> None:
    for day in range(20):
        write(tmp_path, "a", 1 + day / 100, day, failed=day % 3)
    new = write(tmp_path, "b", 1.1, 20, failed=50)
    compared = compare(str(tmp_path / "a"), str(new), rules=["completed(order)=1%", "p95(order)=10%"])
    assert (compared.nights, [one.name for one in compared.regressions]) == (20, ["completed(order)"])
    assert finding(compared, "p95(order)").outcome.value == "usual"
    better = write(tmp_path, "c", 0.5, 21)
    assert outcomes(compare(str(tmp_path / "a"), str(better)))["p95(order)"] == "better"


def test_what_was_cut_off_leaves_open_how_it_would_have_ended(tmp_path: Path) -> None:
    compared = compare(side(tmp_path, "a"), side(tmp_path, "b", failed=10, cut_off=30))
    assert row(compared, "completed(order)")[1] == (0.96, 0.99)
    assert row(compared, "failed(order)")[1] == (0.01, 0.04)
    assert row(compared, "refused(order)")[1:] == ((0.0, 0.03), "~")


def test_a_wait_that_is_known_as_a_bracket_stays_one(tmp_path: Path) -> None:
    compared = compare(side(tmp_path, "a", width=0.2), side(tmp_path, "b", 1.1, width=0.2))
    seen = finding(compared, "p95(order.seen)")
    assert seen.base == pytest.approx((1 / 1.2, 1.2))
    assert seen.outcome.value == "worse", "all were read by the same plan"
    others = compare(side(tmp_path, "c", width=0.2, within="20s"), side(tmp_path, "d", 1.1, width=0.2))
    assert finding(others, "p95(order.seen)").outcome.value == "~", (
        "its wait looked as closely as another deadline has"
    )
    assert any("read by another plan" in warning for warning in others.warnings)


def test_one_scenario_has_its_own_steps_and_what_they_wait_for(tmp_path: Path) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b", 1.15)
    whole, one = compare(base, new), compare(base, new, scenario="buyers")
    assert of_journeys(one) == of_journeys(whole)
    assert row(one, "p95(order.seen)") == row(whole, "p95(order.seen)")
    assert of_journeys(compare(base, new, scenario="plain")) == []


def test_what_the_fold_of_a_ledger_says(tmp_path: Path) -> None:
    run = Planted().write(tmp_path / "events.sqlite").parent
    (figures,) = history.find(str(run), pytest.fail)
    assert {name: figures.figure(name, "") for name in ("completed(order)", "refused(order)", "failed(order)")} == {
        "completed(order)": (0.92, 0.93), "refused(order)": (0.02, 0.03), "failed(order)": (0.03, 0.04),
    }  # fmt: skip
    # 39 ms from sending to the answer; the journey is three of 40 ms, with two pauses of 60.
    assert figures.figure("p95(order.pay)", "") == pytest.approx((0.039, 0.039), rel=1e-3)
    assert figures.figure("p50(order)", "") == pytest.approx((0.24, 0.24), rel=1e-3)
    assert figures.figure("p99(order)", "") == (float("inf"), None), "those that failed never were done"
    mixed = figures.scenarios["mixed"]
    assert list(mixed.steps) == ["order.register", "order.pay", "order.ship", "order.close", "browse.look"]
    assert mixed.figure("p95(browse.look)", "") == pytest.approx((0.014, 0.014), rel=1e-3)


def test_a_file_of_figures_keeps_them(tmp_path: Path) -> None:
    base, new, file = side(tmp_path, "a"), side(tmp_path, "b", 1.15), tmp_path / "base.json"
    assert told(str(file), base, save=file)[0] == 0
    kept, fresh = compare(str(file), new), compare(base, new)
    assert kept.figures == fresh.figures
    assert kept.warnings == fresh.warnings == []


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"path": "pay"}, "a-0, a-1, a-2, a-3, a-4 (journey order is written otherwise)"),
        ({"users": 60}, "a-0, a-1, a-2, a-3, a-4 (scenario buyers is written otherwise)"),
        (
            {"config": CONFIG.replace("  browse:", "  brows:"), "users": 50},
            "a-0, a-1, a-2, a-3, a-4 (there is no journey browse; there is journey brows)",
        ),
        ({"config": None}, ""),
    ],
)
def test_runs_of_other_journeys_are_told(tmp_path: Path, others: Mapping[str, Any], said: str) -> None:
    compared = compare(side(tmp_path, "a", **others), side(tmp_path, "b"))
    warnings = [warning for warning in compared.warnings if warning.startswith("other journeys")]
    assert warnings == ([f"other journeys than with most of NEW: {said}"] if said else [])


def test_a_journey_that_one_side_lacks_cant_be_told(tmp_path: Path) -> None:
    base = side(tmp_path, "a", config=None)
    for summary in (tmp_path / "a").glob("*/summary.json"):
        stored = json.loads(summary.read_text())
        for scope in (stored, stored["scenarios"]["buyers"]):
            del scope["journeys"]["browse"]
        summary.write_text(json.dumps(stored))
    compared = compare(base, side(tmp_path, "b"), rules=["p95(browse)=10%"])
    assert finding(compared, "p95(browse)").reason == "not every run has this figure"
    assert [one for one in compared.warnings if one.startswith("other journeys")] == [
        "other journeys than with most of NEW: a-0, a-1, a-2, a-3, a-4 (there is no journey browse)"
    ]
    assert compared.exit_code(strict=True) == 4


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"rules": ["p95(ordr)=10%"]}, "--max-regression p95(ordr)=10%: there is no journey and no step 'ordr'; "
         "did you mean 'order'?"),
        ({"limits": ["p95(order.pey)=1s"]}, "did you mean 'order.pay'?"),
        ({"weekly": ["completed(order.pay)=1%"]}, "--week-over-week completed(order.pay)=1%: order.pay is a step, "
         "and only a journey is completed; write for example p95(order.pay)"),
        ({"rules": ["failed(zzz)=1%"]}, "there is no journey and no step 'zzz'; there are order, browse"),
    ],
)  # fmt: skip
def test_an_option_about_what_no_run_has(tmp_path: Path, option: Mapping[str, Sequence[str]], message: str) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b")
    with pytest.raises(UsageError) as raised:
        compare(base, new, **option)  # type: ignore[arg-type]
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("scheduled", "span", "warned"),
    [
        # As many as they get to in the same time is what is compared.
        (2_000, 9.9, False),
        # A fixed amount of work may take another time.
        (3_000, 20.0, False),
        # One that was aborted: fewer, in less time.
        (1_500, 5.0, True),
    ],
)
def test_how_many_events_users_send_is_no_schedule(tmp_path: Path, scheduled: int, span: float, warned: bool) -> None:
    for scenario in (None, "buyers"):
        name = scenario or "all"
        new = side(tmp_path / name, "b", scheduled=scheduled, span=span)
        compared = compare(side(tmp_path / name, "a"), new, scenario=scenario)
        assert any("another schedule" in warning for warning in compared.warnings) is warned
    plain = compare(str(tmp_path / "all" / "a"), str(tmp_path / "all" / "b"), scenario="plain")
    assert any("another schedule" in warning for warning in plain.warnings) is (scheduled != 3_000)


def test_all_of_it_in_every_form(tmp_path: Path) -> None:
    base, new = side(tmp_path, "a"), side(tmp_path, "b", 1.15, failed=50)
    _, text = told(base, new, width=100)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "completed(order) 100 % 95 % -5 pp (-5 … -5 pp) worse" in lines
    assert any(line.startswith("p95(order.seen) 1 s 1.15 s +15 %") for line in lines)
    _, markdown = told(base, new, form="md")
    assert "| completed(order) | 100 % | 95 % | -5 pp (-5 … -5 pp) | worse |" in markdown
    _, data = told(base, new, form="json")
    found = {one["figure"]: one for one in json.loads(data)["figures"]}
    assert found["completed(order)"]["unit"] == "share"
    assert (found["completed(order)"]["base"], found["completed(order)"]["new"]) == ([1.0, 1.0], [0.95, 0.95])
    assert found["p95(order.seen)"]["unit"] == "s"


def test_damaged_summaries_are_told_in_a_line(tmp_path: Path) -> None:
    new = write(tmp_path, "b", 1.0)
    for path, damage in ((("journeys",), 5), (("scenarios", "buyers"), []), (("events",), {"order.pay": 1})):
        stored = json.loads((new / "summary.json").read_text())
        inside = stored
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = damage
        other = write(tmp_path / "damaged", "c", 1.0, day=len(str(damage)))
        (other / "summary.json").write_text(json.dumps(stored))
        if path != ("events",):
            with pytest.raises(UsageError, match="is damaged"):
                history.find(str(other), pytest.fail)
        else:
            (figures,) = history.find(str(other), pytest.fail)
            assert figures.steps["order.pay"] is None


def test_the_noise_of_alike_journeys_claims_nothing(tmp_path: Path) -> None:
    new = [write(tmp_path, "b", each, day) for day, each in enumerate(NOISE[::-1])]
    compared = compare(side(tmp_path, "a"), str(new[0].parent), rules=["p95(order)=15%"])
    assert outcomes(compared)["p95(order)"] == "same"
    assert compared.exit_code(strict=True) == 0
