"""A price table in a config: what it says, and what is wrong with a bad one, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import pytest

from evload import config
from evload.config.part import part_of
from evload.errors import ConfigError
from evload.objectives.cost import Term

GOOD = """\
name: priced
producers: {api: {kind: http, url: "http://localhost:8080/events"}}
events: {created: {type: created, source: /evload}}
probes: {model: {kind: http, url: "http://localhost:8080/items/{correlation_id}", deadline: 15s}}
gauges:
  fn: {kind: http-json, url: "http://localhost:8080/m", values: {gb_seconds: body.gb, calls: body.n}, counter: true}
  ecs: {kind: http-json, url: "http://localhost:8080/m", values: {tasks: body.tasks}}
  other: {kind: http-json, url: "http://localhost:8080/n", values: {tasks: body.tasks}, scenarios: [late]}
scenarios:
  base: {producer: api, events: [created], probes: [model], load: [{rate: 10/s, for: 1m}]}
  late: {producer: api, events: [created], load: [{from: 1/s, to: 10/s, for: 1m}]}
costs:
  compute: {usage: rise(gb_seconds), price: 0.0000166667}
  tasks: {usage: integral(ecs.tasks), price: 0.04493, per: 1h}
  calls: {usage: rise(fn.calls) + sent, price: 0.20, per: 1000000}
  traffic: {usage: bytes_out + bytes_in, price: 0.09, per: 1GB}
slos:
  - cost(1000 events) < 0.05
  - {objective: cost(month) < 250, critical: 400}
"""


def load(text: str, sets: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> config.LoadedConfig:
    return config.load_text(text, "load.yaml", environ=environ or {}, sets=sets)


def test_prices_are_exact_and_usages_are_sums_of_terms() -> None:
    compute, tasks, calls, traffic = load(GOOD).config.costs
    assert compute.terms == (Term("gb_seconds", "rise", "fn"),)
    assert (compute.price, compute.per) == (Fraction(166667, 10**10), Fraction(1))
    assert tasks.terms == (Term("tasks", "integral", "ecs"),)
    assert (tasks.price, tasks.per) == (Fraction(4493, 10**5), Fraction(3600))
    assert calls.terms == (Term("calls", "rise", "fn"), Term("sent"))
    assert (traffic.price, traffic.per) == (Fraction(9, 100), Fraction(10**9))
    assert tasks.of(Fraction(7200)) == Fraction(8986, 10**5), "two hours of one task"


def test_a_price_may_be_a_text_as_variables_are() -> None:
    text = GOOD.replace("price: 0.04493", 'price: "${params.task_hour}"').replace(
        "name: priced", "name: priced\nparams: {task_hour: 0.1}"
    )
    assert load(text).config.costs[1].price == Fraction(1, 10)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("rise(gb_seconds)", "gb_seconds", "13:20: gb_seconds is a value, and no usage; write rise(gb_seconds)"),
        ("rise(gb_seconds)", "rise(gb_second)", "13:20: there is no gauge with 'gb_second'; did you mean 'gb_sec"),
        ("rise(gb_seconds)", "max(gb_seconds)", "13:20: max(...) is no usage; write rise(COUNTER) or int"),
        ("rise(gb_seconds)", "bytesout", "13:20: 'bytesout' is no usage; did you mean 'bytes_out'?"),
        ("rise(gb_seconds)", "lost", "13:20: 'lost' is no usage; write rise(COUNTER) or integral(GAUGE) of a"),
        ("rise(gb_seconds)", "rise(ecs.tasks)", "13:20: tasks of gauge 'ecs' is no counter, so rise(tasks) says"),
        ("ecs.tasks)", "tasks)", "14:18: ecs and other both have tasks; write integral(ecs.tasks) + integral(other"),
        ("price: 0.0000166667", "price: -1", "13:45: '-1' is no price; write a number from 0 on"),
        ("price: 0.0000166667", "price: cheap", "13:45: 'cheap' is no price; write a number from 0 on"),
        ("price: 0.0000166667", "prize: 1", "13:38: unknown key 'prize'; did you mean 'price'?"),
        (", price: 0.0000166667", "", "13:12: the key 'price' is missing; add it"),
        ("per: 1h", "per: 1 fortnight", "14:60: '1 fortnight' is nothing that a price can be for; write a number"),
        ("per: 1h", "per: 0", "14:60: a price is for something; write per: 1 or more"),
        ("per: 1000000", "per: 1h", "15:59: sent is no time; write per: 1000000"),
        ("per: 1000000", "per: 1GB", "15:59: sent is no number of bytes; write per: 1000000"),
        ("bytes_out + bytes_in", "bytes_out + sent", "16:20: 'bytes_out + sent' adds up what has nothing in co"),
        ("bytes_out + bytes_in", "time", "16:44: time is no number of bytes; write per: 1h"),
        ("cost(1000 events)", "cost(1000)", "18:5: there is no cost of '1000'; write cost(1000 events), cost(run)"),
        ("cost(1000 events)", "cost(0 events)", "18:5: no events cost nothing; write cost(1000 events)"),
        ("< 0.05", "> 0.05", "18:5: cost(...) can't be compared by >; write < or <="),
        ("critical: 400", "scenario: base", "19:17: 'cost(month) < 250' is about the whole run; leave scenario out"),
        ("critical: 400", "after: 5s", "19:17: 'cost(month) < 250' is about the whole run; leave after out"),
        ("critical: 400", "abort: true", "19:5: what a run costs is known when it is over; leave abort out"),
        ("{rate: 10/s, for: 1m}", "{burst: 10}", "19:5: no phase of the load has one rate, so 'cost(month) < 250'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place_and_what_would_be_right(old: str, new: str, line: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigError) as caught:
        load(GOOD.replace(old, new))
    assert f"load.yaml:{line}" in str(caught.value)


def test_an_objective_about_a_cost_needs_a_price_table() -> None:
    text = GOOD[: GOOD.index("costs:")] + GOOD[GOOD.index("slos:") :]
    with pytest.raises(ConfigError, match="nothing says what anything costs; add a price table under costs:"):
        load(text)


def test_bytes_that_somebody_reads_and_nobody_counts_are_no_usage() -> None:
    text = GOOD.replace("  - cost(1000", "  - lost == 0\n  - cost(1000").replace(
        'probes: {model: {kind: http, url: "http://localhost:8080/items/{correlation_id}", deadline: 15s}}',
        "probes: {model: {kind: s3, bucket: items, key: '{correlation_id}', region: eu-west-1, deadline: 15s}}",
    )
    with pytest.raises(ConfigError, match="probe 'model' doesn't count the bytes of its answers; leave bytes_in out"):
        load(text)


def test_a_part_of_a_config_without_the_gauge_of_a_service_has_no_price_table() -> None:
    """It would cost too little."""
    loaded = load(GOOD.replace("integral(ecs.tasks)", "integral(other.tasks)"))
    assert len(part_of(loaded, ["late"]).config.costs) == 4
    part = part_of(loaded, ["base"]).config
    assert part.costs == ()
    assert part.circumstances.not_asked == ("cost(1000 events) < 0.05", "cost(month) < 250")
    assert part.slos == ()
