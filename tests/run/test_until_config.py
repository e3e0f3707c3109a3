"""Phases that may end early, before a run: what is refused, what `plan` says, what a part of a config needs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from evload.commands.plan import print_plan
from evload.config import LoadedConfig, load_text
from evload.config.part import part_of
from evload.errors import ConfigError, UsageError
from evload.run.prepare import prepare

CONFIG = """\
producers: {api: {kind: http, url: "http://localhost/e"}}
events: {event: {type: t, source: /s}}
gauges:
  pool: {kind: http-json, url: "http://localhost/p", values: {replicas: body.a, cpu: body.b}, scenarios: [cold]}
  other: {kind: http-json, url: "http://localhost/o", values: {cpu: body.b}, scenarios: [warm]}
scenarios:
  cold:
    producer: api
    events: [event]
    load: [{rate: 10/s, for: 10s}, PHASE, {burst: 50}, {idle: 1m}]
  warm: {producer: api, events: [event], start: 1h, load: [{rate: 1/s, for: 10s}]}
slos: [p99(publish) < 2s, {objective: p99(publish) < 1s, scenario: cold}, errors == 0]
"""
IDLE = '{idle: 15m, until: "replicas == 0"}'
HOLD = '{rate: 20/s, for: 1m, until: "replicas >= 10"}'


def load(phase: str = IDLE, text: str = CONFIG, **environ: str) -> LoadedConfig:
    return load_text(text.replace("PHASE", phase), "load.yaml", environ=environ)


def planned(loaded: LoadedConfig) -> list[str]:
    told = io.StringIO()
    print_plan(Console(file=told, width=200), loaded)
    return [" ".join(line.split()) for line in told.getvalue().splitlines()]


def test_plan_says_what_lasts_how_long_at_most() -> None:
    lines = planned(load())
    assert lines[0] == "load: 160 events in up to 60.2 min"
    assert lines[3:9] == [
        "0 s 10 s cold hold 10/s api",
        "10 s up to 15.2 min cold idle until replicas == 0 api",
        "up to 15.2 min up to 15.2 min cold burst of 50 api",
        "up to 15.2 min up to 16.2 min cold idle api",
        "60 min 60.2 min warm hold 1/s api",
        "",
    ]


def test_plan_says_how_few_events_there_may_be() -> None:
    lines = planned(load(HOLD))
    # 100, up to 1,200, 50, and 10 of the other scenario.
    assert lines[0] == "load: up to 1,360 events in up to 60.2 min"
    assert [line for line in lines if line.startswith(("p99", "errors"))] == [
        "p99(publish) < 2s yes needs 299 events, has 160 to 1,360",
        "p99(publish) < 1s [cold] yes needs 299 events, has 150 to 1,350",
        "errors == 0 yes exact, over 160 to 1,360 events",
    ]
    several = planned(load(HOLD, CONFIG.replace("burst: 50", "burst: 500")))
    assert "p99(publish) < 2s yes 610 to 1,810 events; up to 10 may be bad" in several


@pytest.mark.parametrize(
    ("phase", "what", "cure"),
    [
        ("{idle: 1m, until: replicas}", "'replicas' is not a condition", "until: queue_depth > 100"),
        ('{idle: 1m, until: "replicas = 0"}', "'replicas = 0' is not a condition", "until: queue_depth > 100"),
        ('{idle: 1m, until: "replica == 0"}', "there is no gauge with 'replica'", "did you mean 'replicas'?"),
        (
            '{idle: 1m, until: "pods.replicas == 0"}',
            "there is no gauge with 'pods.replicas'",
            "did you mean 'replicas'?",
        ),
        ('{idle: 1m, until: "cpu > 5"}', "pool and other have cpu", "name one of them, such as pool.cpu"),
        ('{idle: 1m, until: "replicas == few"}', "'few' is no value of a gauge", "write a number"),
        ('{idle: 1m, until: " "}', "this is no condition", "until: replicas == 0"),
        ("{idle: 1m, until: 5}", "5 is not text", 'put it in quotes: "5"'),
        (
            '{burst: 5, until: "replicas == 0"}',
            "only a phase of one rate, or an idle one, can end early",
            "leave until out",
        ),
        ('{from: 1/s, to: 2/s, for: 1s, until: "replicas == 0"}', "can end early", "leave until out"),
        ('{steps: [1/s], each: 1s, until: "replicas == 0"}', "can end early", "leave until out"),
    ],
    ids=str,
)
def test_what_no_phase_can_wait_for(phase: str, what: str, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(phase)
    (line,) = str(caught.value).splitlines()
    told, _, better = line.partition("; ")
    assert told.startswith("load.yaml:10:")
    assert what in told
    assert cure in better


def test_of_a_gauge_with_a_mistake_of_its_own_nobody_knows_the_values() -> None:
    with pytest.raises(ConfigError) as caught:
        load(text=CONFIG.replace('url: "http://localhost/p"', "url: 5"))
    assert [problem.where for problem in caught.value.problems] == ["load.yaml:4:32"]


def test_a_part_needs_the_gauge_that_its_phases_wait_for() -> None:
    assert list(part_of(load(), ["cold"]).config.gauges) == ["pool"]
    assert list(part_of(load(), ["warm"]).config.gauges) == ["other"]
    with pytest.raises(UsageError) as caught:
        part_of(load('{idle: 15m, until: "other.cpu < 5"}'), ["cold"])
    assert str(caught.value) == (
        "--scenario cold: it has a phase until other.cpu < 5, and the gauge other goes with warm; choose warm, too, "
        "or name cold under the gauge's scenarios:"
    )


def test_a_secret_of_a_condition_is_not_told() -> None:
    loaded = load('{idle: 15m, until: "replicas == ${FEW}"}', FEW="271828")
    assert "cold idle until replicas == ${FEW} api" in "\n".join(planned(loaded))
    prepared = prepare(loaded.config, "run", redact=loaded.redact)
    assert "271828" not in json.dumps(prepared.meta)
    assert prepared.plan.scenarios[0].waits[1].level == 271828
    (phase,) = prepared.plan.scenarios[0].arrivals.open_stretches()
    assert phase.until == "replicas == ${FEW}"
    assert [one.text for one in prepared.plan.scenarios[0].span.stretches][1] == "idle until replicas == ${FEW}"


def test_the_config_as_run_has_it_and_reads_again() -> None:
    text = load().as_run()
    assert load_text(text, "again.yaml", base_dir=Path(), environ={}).config.scenarios == load().config.scenarios
