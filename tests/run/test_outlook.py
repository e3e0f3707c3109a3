"""What a run can decide, said before it begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evload.config import load_text
from evload.config.run_config import LoadedConfig
from evload.errors import ConfigError
from evload.run.feasibility import Prospect, cautions, prospects

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


# -- what gauges will say ------------------------------------------------------------------------------------------

GAUGED = """
producers: {{broker: {{kind: http, url: "http://localhost/e"}}}}
events: {{event: {{type: t, source: /s}}}}
gauges:
  pods: {{kind: http-json, url: "http://localhost/", values: {{replicas: body.n, asked: body.m}}, {counter}}}
scenarios: {{main: {{producer: broker, events: [event], load: [{{rate: 1/s, for: 10s}}, {{idle: {idle}}}]}}}}
slos: [{objective}]
"""


def gauged(objective: str, *, idle: str = "10s", counter: str = "every: 2s", **scope: str) -> LoadedConfig:
    entry = json.dumps({"objective": objective, **scope})
    text = GAUGED.format(objective=entry, idle=idle, counter=counter)
    return load_text(text, "config.yaml", base_dir=Path(), environ={})


@pytest.mark.parametrize(
    ("objective", "scope", "why"),
    [
        ("growth(replicas) < 5", {}, ""),
        ("growth(replicas) < 5", {"after": "5s"}, "a trend takes 10 samples, and there will be 8"),
        ("reach(replicas > 5) < 5s", {"scenario": "main"}, ""),
        ("reach(replicas > 5) < 5s", {"after": "21s"}, "it counts from 21 s, and the schedule is over after 20 s"),
        ("drain(replicas <= 5) < 5s", {"after": "20s"}, ""),
        ("integral(replicas) < 5", {"after": "30s"}, "it counts from 30 s, and the schedule is over after 20 s"),
        ("stretch(replicas > 5) < 5s", {}, ""),
        ("span(publish) < 5s", {}, ""),
    ],
)
def test_what_no_sample_will_say_is_said_before_the_run(objective: str, scope: dict[str, str], why: str) -> None:
    (found,) = prospects(gauged(objective, **scope).config)
    assert (found.decidable, found.unknown) == (not why, why)


def test_what_counts_from_the_end_of_the_schedule_is_said_to_come_too_late() -> None:
    (told,) = cautions(gauged("drain(replicas <= 5) < 5s", after="20s").config)
    assert told == (
        "drain(replicas <= 5) < 5s [after=20s] counts from when the schedule is over, and the run may end by then; "
        "write observe: 1m, and the run goes on for so long after its load"
    )
    assert cautions(gauged("drain(replicas <= 5) < 5s", after="19s").config) == []


@pytest.mark.parametrize("objective", ["rise(replicas) == 0", "rise(replicas) / rise(asked) < 5%"])
def test_what_is_no_counter_can_not_rise(objective: str) -> None:
    with pytest.raises(ConfigError) as raised:
        gauged(objective)
    assert (
        "replicas of gauge 'pods' is no counter, so rise(replicas) says nothing; write max(replicas), or give the "
        "gauge counter: true if it only ever grows"
    ) in str(raised.value)
    assert len(prospects(gauged(objective, counter="counter: true").config)) == 1


ORDERED = """
producers: {{broker: {{kind: http, url: "http://localhost/e", ordered: {ordered}}}}}
events: {{event: {{type: t, source: /s{key}}}, other: {{type: o, source: /s}}}}
scenarios: {{main: {{producer: broker, events: {events}, load: [{load}]}}}}
slos: []
"""


def about_order(
    key: str = "", *, ordered: str = "true", events: str = "[event]", load: str = "{rate: 200/s, for: 10s}"
) -> list[str]:
    text = ORDERED.format(key=key and f', key: "{key}"', ordered=ordered, events=events, load=load)
    return cautions(load_text(text, "config.yaml", base_dir=Path(), environ={}).config)


def test_an_order_of_keys_without_any_is_said_to_be_none() -> None:
    (told,) = about_order()
    assert told == (
        "producer 'broker' is ordered, and no event that it sends has a key, so there is no order to keep; "
        'give the events one, such as key: "{data.id}"'
    )
    assert about_order(ordered="false") == []
    assert about_order("{uuid}", events="[event, other]") == [], "some have one"


def test_what_one_key_for_all_means_for_the_rate_is_said() -> None:
    (told,) = about_order("all")
    assert told == (
        "scenario 'main' sends up to 200/s with the key 'all', one at a time: it keeps up only where a publish takes "
        "less than 5 ms"
    )
    (told,) = about_order(
        "all", events="{event: 1, other: 3}", load="{rate: 20/s, for: 5s}, {from: 0/s, to: 80/s, for: 5s}"
    )
    assert "up to 20/s" in told
    assert "less than 50 ms" in told
    for calm in ({"load": "{rate: 10/s, for: 10s}"}, {"load": "{burst: 50}"}, {"ordered": "false"}):
        assert about_order("all", **calm) == []
