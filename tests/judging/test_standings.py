"""How objectives stand while the run goes on, and what those events count for that are not settled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import pytest

from evload.judging.standings import standing
from evload.model.summary import GaugeSummary, ScenarioSummary, Series, Summary
from evload.objectives.grammar import parse
from evload.stats.recent import cell_of
from evload.tracking.outstanding import NOTHING, Moment
from tests.rigs.summaries import MS, S, good_and_bad, run_of, scenario

P95: Final = "p95(consistency) < 2s"
EMPTY: Final = "no event has a consistency, and no data is no pass"


def _settled(good: int, bad: int = 0) -> ScenarioSummary:
    return scenario({"consistency": good_and_bad(good, bad, 2 * S)}, visible=good + bad)


def _moment(waiting: Mapping[int, int] = {}, shown: Mapping[int, int] = {}) -> Moment:
    """So many events that wait for so long, and that took as long and are looked after."""
    return Moment([list(waiting.items())], [{(cell_of(ns), cell_of(ns)): count for ns, count in shown.items()}])


@pytest.mark.parametrize(
    ("settled", "moment", "state", "note"),
    [
        (scenario(), NOTHING, "open", EMPTY),
        (scenario(), _moment({S: 5}), "open", EMPTY),
        (scenario(), _moment({}, {MS: 1200}), "open", "1,200 events are seen, and looked after before they count"),
        (_settled(1000), _moment({}, {MS: 1200}), "holds", ""),
        (_settled(1000), _moment({3 * S: 1}), "holds", ""),
        (_settled(1000), _moment({3 * S: 60}), "fails", "60 unsettled events are beyond the limit already"),
        (_settled(1000), _moment({}, {3 * S: 60}), "fails", "60 unsettled events are beyond the limit already"),
        (_settled(1000), _moment({3 * S: 60}, {MS: 1000}), "holds", ""),
        # Of those that are settled three in a hundred were late.
        (_settled(9700, 300), _moment({3 * S: 210}), "holds", ""),
        (_settled(9700, 300), _moment({3 * S: 211}), "fails", "211 unsettled events are beyond the limit already"),
        (_settled(190), _moment({3 * S: 10}), "holds", ""),
    ],
    ids=[
        "nothing",
        "waiting",
        "shown",
        "more shown",
        "one late",
        "late",
        "shown late",
        "late among many",
        "at the limit",
        "above it",
        "just at the limit",
    ],
)
def test_what_is_not_settled_counts_too(settled: ScenarioSummary, moment: Moment, state: str, note: str) -> None:
    found = standing(parse(P95), run_of(settled), 10 * S, {}, moment)
    assert (found.state, found.note) == (state, note)


@pytest.mark.parametrize(
    ("text", "ledger", "state"),
    [
        # What is still counted may come to it yet.
        ("visible >= 100", {"visible": 5}, "open"), ("visible >= 5", {"visible": 5}, "holds"),
        ("rate(visible) >= 99%", {"visible": 5, "lost": 5}, "open"),
        ("throughput(visible) >= 5/s", {"visible": 5, "lost": 5}, "open"),
        ("lost <= 5", {"visible": 5, "lost": 5}, "holds"), ("lost < 5", {"visible": 5, "lost": 5}, "broken"),
        ("rate(lost) < 10%", {"visible": 5, "lost": 5}, "fails"),
    ],
)  # fmt: skip
def test_what_is_still_counted_is_open_until_it_is_reached(text: str, ledger: Mapping[str, int], state: str) -> None:
    one = scenario(None, **ledger)
    one.first_intended_ns, one.last_intended_ns = 0, 9 * S
    assert standing(parse(text), run_of(one), 10 * S, {}, NOTHING).state == state


def test_a_gauge_stands_as_its_samples_say_also_in_windows() -> None:
    series = Series()
    series.add(3.0)
    run = Summary({"s0": scenario(visible=5)}, gauges={"work": GaugeSummary({"depth": series})})
    for text, state in (("max(depth) < 5 in any 10s", "holds"), ("max(depth) < 3 in any 10s", "broken")):
        objective = parse(text, gauges={"work": ["depth"]})
        assert standing(objective, run, 10 * S, {}, NOTHING).state == state


def test_how_long_nobody_was_answered_is_not_looked_at_while_the_load_waits() -> None:
    found = standing(parse("stretch(errors) < 5s"), run_of(scenario(visible=5)), 10 * S, {}, NOTHING)
    assert (found.state, found.note, found.result.observed) == ("open", "not broken so far", (None, None))


def test_who_waits_to_be_seen_says_nothing_of_how_long_a_publish_took() -> None:
    one = scenario({"publish": good_and_bad(1000, 0, 2 * S)}, visible=1000)
    waiting = _moment({3 * S: 600})
    assert standing(parse("p95(publish) < 2s"), run_of(one), 10 * S, {}, waiting).state == "holds"
    assert standing(parse("p95(publish) < 2s"), run_of(scenario()), 10 * S, {}, _moment({}, {MS: 5})).note == (
        "no event has a publish, and no data is no pass"
    )


def test_of_what_isnt_counted_from_the_ack_it_is_only_known_that_it_may_be_late() -> None:
    one = scenario({"first_seen": good_and_bad(1000, 0, 2 * S)}, visible=1000)
    found = standing(parse("p95(first_seen) < 2s"), run_of(one), 10 * S, {}, _moment({3 * S: 600}))
    assert (found.state, found.note) == ("open", "600 unsettled events are beyond the limit already")
    found = standing(parse("p95(first_seen) < 2s"), run_of(one), 10 * S, {}, _moment({S: 600}))
    assert found.state == "holds"


def test_who_waits_in_one_scenario_counts_for_it_and_for_none_that_never_ran() -> None:
    run, late = run_of(_settled(1000), _settled(1000)), {3 * S: 600}
    moment = Moment([[], [*late.items()]], [{}, {}])
    states = {name: standing(parse(P95, scenario=name), run, 10 * S, {}, moment) for name in ("s0", "s1", "other")}
    assert {name: one.state for name, one in states.items()} == {"s0": "holds", "s1": "fails", "other": "open"}
    assert "unsettled" not in states["other"].note


_LOADS: Final = """
import sys
from evload.judging.standings import prepare, standing
from evload.objectives.grammar import parse
from evload.tracking.outstanding import NOTHING
from tests.rigs.summaries import S, good_and_bad, run_of, scenario

def scipy():
    return sorted(name for name in sys.modules if name.startswith("scipy"))

one = run_of(scenario({"consistency": good_and_bad(990, 10, 2 * S)}, visible=1000))
prepare([parse("lost == 0")])
idle = len(scipy())
asked = [parse("lost == 0"), parse("p95(consistency) < 2s")]
prepare(asked)
before = scipy()
print(idle, len(before) > 0, [standing(each, one, 10 * S, {}, NOTHING).state for each in asked], scipy() == before)
"""


def test_what_takes_long_to_load_is_loaded_before_the_run_and_only_where_it_is_needed() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _LOADS], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert told.stdout == "0 True ['holds', 'holds'] True\n"
