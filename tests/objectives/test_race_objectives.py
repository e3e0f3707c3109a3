"""What can be asked of races: of their rounds and rules, and of those who contended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evload.objectives.grammar import from_data, parse
from evload.objectives.objective import Measure


@pytest.mark.parametrize(
    ("text", "more", "measure", "subject", "label", "title"),
    [
        ("violations == 0", {}, Measure.COUNT, "violations", "race", "violations == 0"),
        ("violations == 0", {"rule": "sold out", "scenario": "flash"}, Measure.COUNT, "violations", "race",
         "violations == 0 [flash, rule=sold out]"),
        ("violations <= 3", {"during": "slow"}, Measure.COUNT, "violations", "race,during=slow",
         "violations <= 3 [during=slow]"),
        ("rounds(violated) == 0", {}, Measure.COUNT, "rounds(violated)", "race", "rounds(violated) == 0"),
        ("rounds( void ) <= 2", {}, Measure.COUNT, "rounds(void)", "race", "rounds( void ) <= 2"),
        ("rounds(judged) >= 50", {}, Measure.COUNT, "rounds(judged)", "race", "rounds(judged) >= 50"),
        ("rounds(cut_off) == 0", {}, Measure.COUNT, "rounds(cut_off)", "race", "rounds(cut_off) == 0"),
        ("rate(violated) < 1%", {}, Measure.RATE, "rounds(violated)", "race", "rate(violated) < 1%"),
        ("rate(void) < 5%", {}, Measure.RATE, "rounds(void)", "race", "rate(void) < 5%"),
        ("contention >= 80%", {}, Measure.RATE, "contention", "race", "contention >= 80%"),
        ("p95(settle) < 2s", {}, Measure.PERCENTILE, "settle", "race", "p95(settle) < 2s"),
        ("max(settle) < 2s", {"after": "slow"}, Measure.MAX, "settle", "race,after=slow",
         "max(settle) < 2s [after=slow]"),
        ("recovery(p95(settle) < 3s) < 5m", {"after": "slow"}, Measure.RECOVERY, "settle", "race",
         "recovery(p95(settle) < 3s) < 5m [after=slow]"),
        ("won == 10", {"contender": "pay"}, Measure.COUNT, "won", "race", "won == 10 [contender=pay]"),
        ("won == 10", {}, Measure.COUNT, "won", "race", "won == 10"),
        ("doubt == 0", {}, Measure.COUNT, "doubt", "race", "doubt == 0"),
        ("refused <= 3", {"contender": "pay"}, Measure.COUNT, "refused", "race", "refused <= 3 [contender=pay]"),
        ("rate(failed) < 1%", {"contender": "pay"}, Measure.RATE, "failed", "race",
         "rate(failed) < 1% [contender=pay]"),
        ("unsent == 0", {"contender": "pay"}, Measure.COUNT, "unsent", "race", "unsent == 0 [contender=pay]"),
    ],
)  # fmt: skip
def test_objectives_about_races(
    text: str, more: dict[str, Any], measure: Measure, subject: str, label: str, title: str
) -> None:
    objective = parse(text, **more)
    assert objective.of_rounds
    assert not objective.of_iterations
    assert not objective.needs_probe
    assert (objective.measure, objective.subject, objective.slice, objective.title) == (
        measure,
        subject,
        label,
        title,
    )
    assert from_data(json.loads(json.dumps(objective.as_data())), {}) == objective


@pytest.mark.parametrize(
    "text",
    [
        "errors == 0",
        "refused == 0",
        "failed == 0",
        "unsent == 0",
        "cut_off == 0",
        "rate(cut_off) < 5%",
        "max(settle) < 5",
    ],
)
def test_what_is_about_events_or_journeys_or_gauges_stays_so(text: str) -> None:
    assert not parse(text, gauges={"pods": ["settle"]}).of_rounds


OF_CONTENDERS = (
    "of a contender there are the counters won, refused, failed, doubt, unsent; write for example won == 10, or "
    "leave contender out"
)
MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("violated == 0", {}, "'violated' is said of rounds of a race; write rounds(violated) == 0"),
    ("void < 5%", {}, "'void' is said of rounds of a race; write rate(void) < 5%"),
    ("rounds(viloated) == 0", {}, "there are no rounds(viloated); did you mean 'violated'?"),
    ("rounds(lost) == 0", {}, "there are no rounds(lost); rounds are judged, void, cut_off, violated"),
    ("rounds(violated) < 1%", {}, "rounds(violated) is a number of rounds; write rate(violated) < 1%"),
    ("violations < 1%", {}, "violations is a number of events, and 1% a share of them; write rate(violated) < 1%"),
    ("rate(violations) < 1%", {}, "there is no rate of violations; write rate(violated) < 1%"),
    ("rate(contention) >= 80%", {}, "there is no rate of contention; write contention >= 80%"),
    ("contention >= 8", {}, "'8' is not a share; write a share such as 95% or 0.1%"),
    ("settle < 2s", {}, "'settle' is a distribution; write for example 'p99(settle) < 2s'"),
    ("p95(won) < 2s", {}, "'won' is a counter; write for example 'won == 0' or 'rate(won) < 0.1%'"),
    ("violatons == 0", {}, "there is no counter 'violatons' here; did you mean 'violations'?"),
    ("throughput(won) > 1/s", {},
     "there is no throughput of won; write for example rate(won) >= 95% or won >= 100"),
    ("violations == 0 in any 10s", {}, "violations isn't counted over time; leave 'in any' out"),
    ("rate(violated) < 1% for 10s", {}, "rounds(violated) isn't counted over time; leave 'for' out"),
    ("violations == 0", {"key": "a*"}, "a round of a race has no key; leave key out"),
    ("p95(settle) < 2s", {"probe": "view"}, "a round of a race has no probe; leave probe out"),
    ("won == 1", {"contender": "pay", "journey": "order"}, "a round of a race has no journey; leave journey out"),
    ("lost == 0", {"rule": "sold out"},
     "a rule is broken in a round or isn't; write violations == 0, or leave rule out"),
    ("rate(violated) < 1%", {"rule": "sold out"},
     "a rule is broken in a round or isn't; write violations == 0, or leave rule out"),
    ("errors == 0", {"contender": "pay"},
     OF_CONTENDERS),
    ("p95(publish) < 1s", {"contender": "pay"},
     OF_CONTENDERS),
    ("max(queue_depth) < 5", {"rule": "sold out"},
     "a rule is broken in a round or isn't; write violations == 0, or leave rule out"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "more", "what"), MISTAKES)
def test_what_cannot_be_asked_is_told_with_its_cure(text: str, more: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(text, gauges={"q": ["queue_depth"]}, **more)
    assert str(refused.value) == what


@pytest.mark.parametrize(
    "text",
    ["contention >= 80%", "rate(violated) < 1%", "p95(settle) < 2s", "rounds(judged) >= 50", "mean(settle) < 2s"],
)
def test_what_may_still_turn_ends_no_run(text: str) -> None:
    with pytest.raises(
        ValueError, match="of rounds that are still to come nobody knows yet how they end; leave abort"
    ):
        parse(text, abort_after_ns=0)
    for fine in ("violations == 0", "rounds(void) <= 2", "max(settle) < 2s"):
        assert parse(fine, abort_after_ns=0).abort_after_ns == 0
