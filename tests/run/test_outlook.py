"""What a run can decide, said before it begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evload.config import load_text
from evload.run.feasibility import Prospect, prospects

CONFIG = """
producers: {{broker: {{kind: http, url: "http://localhost/e"}}}}
events: {{event: {{type: t, source: /s}}, rare: {{type: r, source: /s}}}}
probes: {{read-model: {{kind: http, url: "http://localhost/{{correlation_id}}", sample: {sample}}}}}
gauges: {{cpu: {{kind: generator}}}}
scenarios:
  watched: {{producer: broker, events: {{event: 9, rare: 1}}, probes: [read-model], load: [{{burst: {events}}}]}}
{more}
slos: [{objective}]
"""


def prospect(objective: str, events: int, *, sample: str = "100%", more: str = "", **scope: str) -> Prospect:
    entry = json.dumps({"objective": objective, **scope})
    text = CONFIG.format(objective=entry, events=events, sample=sample, more=more)
    (found,) = prospects(load_text(text, "config.yaml", base_dir=Path(), environ={}).config)
    return found


@pytest.mark.parametrize(
    ("events", "bad"), [(298, None), (299, 0), (472, 0), (473, 1), (627, 1), (628, 2), (200_000, 1926)]
)
def test_how_many_events_may_be_bad(events: int, bad: int | None) -> None:
    found = prospect("p99(consistency) < 2s", events)
    assert (found.events, found.bad, found.needed) == (events, bad, 299)
    assert found.decidable == (bad is not None)


@pytest.mark.parametrize(("events", "bad"), [(1, 0), (2, 1), (10, 8)])
def test_few_events_can_show_a_share_that_is_nearly_nothing(events: int, bad: int) -> None:
    assert prospect("share(consistency < 2s) >= 1%", events).bad == bad


def test_only_followed_events_count() -> None:
    assert prospect("p99(consistency) < 2s", 1000, sample="20%").bad is None
    assert prospect("p99(consistency) < 2s", 1500, sample="20%").bad == 0


def test_a_count_can_be_decided_unless_somebody_is_not_watched() -> None:
    assert prospect("lost == 0", 10).decidable
    unwatched = "  other: {producer: broker, events: [event], load: [{burst: 5}]}"
    assert not prospect("lost == 0", 10, more=unwatched).decidable
    assert prospect("rejected == 0", 10, more=unwatched).events == 15


def test_an_event_has_its_share_of_the_load() -> None:
    assert prospect("p99(consistency) < 2s", 2990, event="rare").bad == 0
    short = prospect("p99(consistency) < 2s", 2980, event="rare")
    assert (short.events, short.bad, short.decidable) == (298, None, False)
    assert prospect("p99(consistency) < 2s", 400, event="event").events == 360
    assert prospect("lost == 0", 400, event="rare").events == 40


def test_of_keys_nothing_is_known_beforehand() -> None:
    found = prospect("p99(consistency) < 2s", 100, key="user-*")
    assert (found.needed, found.decidable) == (299, True)
    assert found.unknown == "nobody knows how many events have a key like user-*"
    assert (found.events, found.bad) == (100, 0)
    assert not prospect("p99(consistency) < 2s", 1, event="rare", key="user-*").decidable
    assert prospect("p99(consistency) < 2s", 100).unknown == ""


@pytest.mark.parametrize(
    ("objective", "scope"),
    [
        ("p99(consistency) < 2s in any 30s", {}),
        ("p99(consistency) < 2s for 10s", {}),
        ("rate(errors) < 1% in any 30s", {}),
        ("throughput(acked) >= 10/s in any 30s", {}),
        ("recovery(p99(consistency) < 2s) < 5m", {"after": "watched"}),
        ("drain(cpu.generator_cpu <= 0.5) < 5m", {"after": "30s"}),
        ("max(generator_cpu) < 0.5 for 10s", {}),
    ],
)
def test_any_number_of_events_decides_what_is_about_time(objective: str, scope: dict[str, str]) -> None:
    found = prospect(objective, 5, **scope)
    assert (found.events, found.bad, found.needed) == (5, 0, None)


def test_a_probe_is_judged_by_the_scenarios_that_it_watches() -> None:
    unwatched = "  other: {producer: broker, events: [event], load: [{burst: 5}]}"
    found = prospect("p99(first_seen) < 2s", 400, more=unwatched, probe="read-model")
    assert (found.events, found.decidable) == (400, True)


OTHER = "  other: {producer: broker, events: [event], load: [{burst: 50}]%s}"


def test_an_event_that_a_scenario_does_not_have_adds_none_of_its_load() -> None:
    more = OTHER % ", probes: [read-model]"
    assert prospect("p99(consistency) < 2s", 2990, more=more, event="rare").events == 299
    assert prospect("p99(consistency) < 2s", 2990, more=more, event="event").events == 2691 + 50


def test_how_stale_answers_are_is_told_by_the_scenarios_that_are_watched() -> None:
    found = prospect("max(staleness) <= 2", 10, sample="100%, version: body.version", more=OTHER % "")
    assert (found.events, found.bad, found.decidable) == (10, 0, True)


def test_of_two_probes_the_one_that_follows_fewer_events_says_how_many_there_are() -> None:
    text = CONFIG.format(objective=json.dumps("p99(consistency) < 2s"), events=1000, sample="20%", more="")
    text = text.replace(
        "probes: {read-model:", 'probes: {index: {kind: http, url: "http://localhost/{correlation_id}"}, read-model:'
    )
    text = text.replace("probes: [read-model]", "probes: [index, read-model]")
    (found,) = prospects(load_text(text, "config.yaml", base_dir=Path(), environ={}).config)
    assert (found.events, found.bad) == (200, None)


def test_a_count_of_some_keys_needs_no_number_of_events() -> None:
    found = prospect("lost == 0", 100, key="user-*")
    assert (found.needed, found.decidable, found.unknown != "") == (None, True, True)
