"""Steps that probes follow, as a config says them."""

from __future__ import annotations

import pytest

from evload.run.prepare import prepare, with_watches
from evload.workload.journeys.settings import EventStep, RequestStep
from tests.config.test_bad_config import Bad, assert_told, load

GOOD = """\
producers:
  shop: {kind: http, url: "http://localhost:8080"}
probes:
  view: {kind: http, url: "http://localhost:8080/views/{capture}"}
  table: {kind: sqlite, path: x.db, query: "SELECT id FROM t WHERE id IN (:ids)", deadline: 5s, sample: 50%}
  told: {kind: webhook, listen: 127.0.0.1:9}
events:
  placed: {type: order.placed, source: /shop, data: {}}
journeys:
  order:
    steps:
      - create: {to: shop, post: /orders, json: {}, capture: {order: body.id}, probes: {view: "{order}"}}
      - place: {to: shop, event: placed, probes: {table: "{order}-1", view: "{correlation_id}"}}
      - look: {to: shop, get: "/orders/{order}"}
      - closed: {gone: view, of: "{order}"}
scenarios:
  buyers: {journeys: [order], load: [{users: 5, for: 1m}]}
slos:
  - {objective: p95(consistency) < 2s, step: create}
  - {objective: lost == 0, step: place, probe: table}
"""


def test_what_is_written_is_what_is_meant_and_each_step_is_a_scenario_with_probes_of_its_own() -> None:
    config = load(GOOD).config
    create, place, look, _ = config.journeys["order"].steps
    assert isinstance(create, RequestStep)
    assert isinstance(place, EventStep)
    assert isinstance(look, RequestStep)
    assert (create.probes, place.probes, look.probes) == (
        {"view": "{order}"}, {"table": "{order}-1", "view": "{correlation_id}"}, {},
    )  # fmt: skip
    full = with_watches(config)
    assert full.watches["buyers: order.place"].probes == {
        "table": "order.place: table", "view": "order.place: view",
    }  # fmt: skip
    told = {name: (one.deadline // 10**9, one.sample, one.confirm.reads) for name, one in full.probes.items()}
    assert told["order.place: table"] == told["table"] == (5, 0.5, 5), "as of any event"
    assert told["order.create: view"] == (15, 1.0, 0), "another step lets it go"
    assert told["order.place: view"] == (15, 1.0, 5)
    plans = {one.fold.name: one.fold for one in prepare(config, "run-1").plan.scenarios}
    assert [name for _, name in plans["buyers: order.place"].probes] == ["table", "view"]
    assert (plans["buyers"].sends, plans["buyers: order.place"].sends) == (True, False)


@pytest.mark.parametrize(
    "bad",
    [
        Bad('{view: "{order}"}', '{veiw: "{order}"}', "12:89", "unknown probe 'veiw'", "did you mean 'view'?"),
        Bad('{view: "{order}"}', '{told: "{order}"}', "12:89", "nobody can ask it about an id", "a probe that reads"),
        Bad('{view: "{order}"}', '{view: "{ordr}"}', "12:95", "unknown placeholder {ordr}", "did you mean {order}?"),
        Bad('{view: "{order}"}', "[view]", "12:88", "nothing says what to ask these probes for",
            'write probes: {view: "{order}"}'),
        Bad('{view: "{order}"}', "{view: {order}}", "12:95", "a mapping is not text", 'quotes: "{order}"'),
        Bad('{view: "{order}"}', "{}", "12:88", "no probe is named", "or leave it out"),
        Bad("{gone: view,", "{gone: view, probes: {view: x},", "15:30", "probes belongs to what is sent",
            "leave it out"),
        Bad("step: create", "step: look", "19:5", "nobody looks for the effects that 'p95(consistency) < 2s'",
            "give step 'look' what follows it"),
        Bad("probe: table", "probe: told", "20:48", "probe 'told' watches none of these events",
            "add it to the step's probes"),
        Bad("p95(consistency) < 2s, step: create", "p95(consistency) < 9s, step: place, probe: table", "19:5",
            "probe 'table' gives up after 5 s", "give it deadline: 27s"),
        Bad("p95(consistency) < 2s,", "regressed == 0,", "19:39", "lets go what step 'create' has followed",
            "leave this out"),
        Bad("p95(consistency) < 2s,", "duplicated == 0,", "19:5", "no probe could ever tell duplicated",
            "give the probe effects:"),
    ],
    ids=lambda bad: f"{bad.where} {bad.what}",
)  # fmt: skip
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert_told(GOOD, bad)
