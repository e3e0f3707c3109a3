"""Steps that wait for what a probe shows, and objectives about journeys, as a config says them."""

from __future__ import annotations

import pytest

from evload.workload.journeys.settings import Capture, Continue, JourneySettings, RequestStep, WaitStep
from tests.config.test_bad_config import Bad, assert_told, lines_of, load

S = 1_000_000_000
GOOD = """\
producers:
  shop: {kind: http, url: "http://localhost:8080"}
probes:
  view: {kind: http, url: "http://localhost:8080/views/{capture}"}
  table: {kind: sqlite, path: x.db, query: "SELECT id FROM t WHERE id IN (:ids)"}
  told: {kind: webhook, listen: 127.0.0.1:9}
journeys:
  order:
    steps:
      - create: {to: shop, post: /orders, json: {}, capture: {order: body.id}}
      - seen: {wait: view, of: "{order}", until: body.paid, within: 5s, capture: {invoice: body.invoice}}
      - look: {to: shop, get: "/invoices/{invoice}"}
      - there:
          wait: table
          of: "{order}"
          on_failed:
            - tell: {to: shop, post: /tell}
            - continue: true
scenarios:
  buyers: {journeys: [order], load: [{users: 5, for: 1m}]}
slos:
  - {objective: p95(wait) < 2s, step: seen}
  - {objective: rate(completed) >= 90%, journey: order}
"""


def test_a_wait_is_read_as_it_is_meant() -> None:
    config = load(GOOD).config
    order = config.journeys["order"]
    assert order.steps[1] == WaitStep(
        "seen", "view", "{order}", "body.paid", 5 * S, {"invoice": Capture("body.invoice")}
    )
    tell = RequestStep("tell", "shop", "POST", "/tell")
    assert order.steps[3] == WaitStep("there", "table", "{order}", within=10 * S, on_failed=(tell, Continue()))
    assert [step.name for step in order.counted()] == ["create", "seen", "look", "there", "tell"]
    assert [step.name for step in order.sending()] == ["create", "look", "tell"]
    first, second = config.slos
    assert (first.event, first.subject, first.journey) == ("order.seen", "first_seen", "order")
    assert (second.journey, second.subject) == ("order", "completed")


def test_what_is_asked_where_nothing_is_written() -> None:
    config = load(GOOD[: GOOD.index("slos:")]).config
    assert [objective.expression for objective in config.slos] == ["errors == 0", "failed == 0"]
    assert all(objective.implied for objective in config.slos)


def test_a_step_that_several_journeys_have_needs_the_name_of_one() -> None:
    more = "  other:\n    steps: [{seen: {to: shop, get: /x}}]\nscenarios:"
    text = GOOD.replace("scenarios:", more, 1)
    (line,) = lines_of(text)
    assert "'seen' is a step of order and of other; add journey: order" in line
    named = text.replace("step: seen}", "step: seen, journey: order}")
    assert load(named).config.slos[0].event == "order.seen"


@pytest.mark.parametrize(
    "bad",
    [
        Bad("wait: view", "wait: veiw", "11:22", "unknown probe 'veiw'", "did you mean 'view'?"),
        Bad("wait: view", "wait: told", "11:22", "nobody can ask it about an id", "name a probe that reads"),
        Bad('of: "{order}", until', 'of: "{ordr}", until', "11:32", "unknown placeholder {ordr}", "{order}?"),
        Bad(', of: "{order}", until: body.paid', "", "11:15", "nothing says what it waits for", "add of:"),
        Bad("until: body.paid", "until: body.", "11:50", "is not JMESPath", "complete it"),
        Bad("until: body.paid", "until: bodi.paid", "11:50", "looks at 'bodi'", "did you mean 'body'?"),
        Bad("body.invoice}", "item.invoice}", "11:82", "looks at 'item', which isn't there", "start with one of"),
        Bad("wait: table", "wait: table\n          until: a =", "15:18", "is not JMESPath", "write text in single"),
        Bad("within: 5s", "within:", "11:68", "nothing stands behind within", "such as 10s"),
        Bad("within: 5s", "within: 5s, check: {a: body.b}", "11:73", "check belongs to what is sent", "leave it out"),
        Bad("within: 5s", "within: 5s, to: shop", "11:73", "to belongs to what is sent", "leave it out"),
        Bad("post: /tell", "post: /tell, of: x", "17:45", "of goes with wait: PROBE", "leave it out"),
        Bad("to: shop, post: /tell", "post: /tell", "17:21", "nothing says where this step sends", "add to:"),
        Bad("/invoices/{invoice}", "/invoices/{inv}", "12:31", "unknown placeholder {inv}", "{invoice}"),
        Bad("step: seen", "step: sen", "22:39", "no journey has a step 'sen'", "did you mean 'seen'?"),
        Bad("p95(wait) < 2s, step: seen", "p95(wait) < 2s, journey: order",
            "22:17", "a step of a journey has a wait", "add step: NAME"),
        Bad("within: 5s", "within: 1s", "22:5", "step 'seen' waits 1 s at most, and the limit is 2 s", "within: 2s"),
        Bad("journey: order}", "journey: ordr}", "23:50", "unknown journey 'ordr'", "did you mean 'order'?"),
    ],
    ids=lambda bad: f"{bad.where} {bad.what}",
)  # fmt: skip
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert_told(GOOD, bad)


def test_a_journey_is_what_it_was_without_waits() -> None:
    assert JourneySettings(()).sections == {"steps": (), "finally": (), "begin": (), "end": ()}
