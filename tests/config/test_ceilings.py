"""Objectives on the ceiling in a config: kept apart from what a run judges, and named by it as not asked."""

from __future__ import annotations

from fractions import Fraction

from evload.config import LoadedConfig, load_text
from evload.config.part import part_of

TEXT = """\
producers: {api: {kind: http, url: "http://localhost/events"}}
events: {made: {type: made, source: /tests}}
probes: {items: {kind: http, url: "http://localhost/{correlation_id}"}}
scenarios:
  base: {producer: api, events: [made], probes: [items], load: [{rate: 1/s, for: 1m}]}
  calm: {producer: api, events: [made], load: [{rate: 1/s, for: 1m}]}
"""


def loaded(slos: str) -> LoadedConfig:
    return load_text(f"{TEXT}slos: {slos}\n", "load.yaml", environ={})


def expressions(config: LoadedConfig) -> list[str]:
    return [one.title for one in config.config.slos]


def test_they_are_no_part_of_a_run_which_says_so() -> None:
    both = loaded("[errors == 0, {objective: ceiling > 500/s, critical: 300/s, scenario: base}]")
    assert expressions(both) == ["errors == 0"]
    (ceiling,) = both.config.ceilings
    assert (ceiling.limit, ceiling.critical, ceiling.scenario) == (Fraction(500), Fraction(300), "base")
    assert both.config.circumstances.not_asked == ("ceiling > 500/s [base] (evload ceiling judges it)",)
    part = part_of(both, ["calm"])
    assert part.config.circumstances.not_asked == ("ceiling > 500/s [base] (evload ceiling judges it)",)


def test_where_they_are_all_that_is_asked_a_run_is_asked_what_is_implied() -> None:
    alone = loaded("[ceiling > 500/s]")
    assert expressions(alone) == ["errors == 0", "lost == 0 [base]"]
    assert all(one.implied for one in alone.config.slos)
    assert expressions(loaded("[]")) == []


def test_rates_may_be_by_the_minute() -> None:
    (ceiling,) = loaded("[ceiling >= 30/min]").config.ceilings
    assert (ceiling.limit, ceiling.operator) == (Fraction(1, 2), ">=")
