"""Steps that watch that nothing appears, and steps that wait until something is gone, as a config says them."""

from __future__ import annotations

import pytest

from evload.engine.engine import shown_from_ns
from evload.run.prepare import prepare, with_watches
from evload.workload.journeys.settings import Continue, RequestStep, WaitStep
from tests.config.test_bad_config import Bad, assert_told, lines_of, load

S = 1_000_000_000
GOOD = """\
producers:
  shop: {kind: http, url: "http://localhost:8080"}
probes:
  view: {kind: http, url: "http://localhost:8080/views/{capture}", session: true, sample: 10%}
  told: {kind: webhook, listen: 127.0.0.1:9}
journeys:
  order:
    steps:
      - create: {to: shop, post: /orders, json: {}, capture: {order: body.id}}
      - seen: {wait: view, of: "{order}", within: 5s}
      - none: {absent: view, of: "{order}-x", for: 3s}
      - close: {to: shop, delete: "/orders/{order}"}
      - closed:
          gone: view
          of: "{order}"
          within: 4s
          on_failed:
            - tell: {to: shop, post: /tell}
            - continue: true
scenarios:
  buyers: {journeys: [order], load: [{users: 5, for: 1m}]}
slos:
  - {objective: appeared == 0, step: none}
  - {objective: p95(wait) < 2s, step: closed}
  - {objective: lost == 0, step: seen}
"""


def test_they_are_read_as_they_are_meant() -> None:
    config = load(GOOD).config
    order = config.journeys["order"]
    assert order.steps[2] == WaitStep("none", "view", "{order}-x", within=3 * S, kind="absent")
    tell = RequestStep("tell", "shop", "POST", "/tell")
    closed = WaitStep("closed", "view", "{order}", within=4 * S, on_failed=(tell, Continue()), kind="gone")
    assert order.steps[4] == closed
    assert [step.name for step in order.sending()] == ["create", "close", "tell"]
    assert [(one.event, one.subject) for one in config.slos] == [
        ("order.none", "appeared"), ("order.closed", "first_seen"), ("order.seen", "lost")
    ]  # fmt: skip


def test_how_long_and_how_closely_each_is_looked_at() -> None:
    """What is waited for is all followed; of what is to stay absent, or to go, nothing else is asked, and what is to
    go is no regression of what was waited for before."""
    probes = with_watches(load(GOOD).config).probes
    told = {
        name: (one.deadline // S, one.sample, one.session, one.confirm.reads) for name, one in probes.items()
    }  # fmt: skip
    assert told == {
        "view": (15, 0.1, True, 5), "told": (15, 1.0, False, 5), "order.seen": (5, 1.0, True, 0),
        "order.none": (3, 1.0, False, 0), "order.closed": (4, 1.0, False, 5),
    }  # fmt: skip
    alone = with_watches(load(GOOD.replace('of: "{order}"\n', 'of: "other-{order}"\n')).config).probes
    assert alone["order.seen"].confirm.reads == 5


def test_nothing_is_lost_of_what_is_to_stay_absent_and_no_probe_of_it_is_blind() -> None:
    prepared = prepare(load(GOOD).config, "run-1")
    scenarios = {one.fold.name: one for one in prepared.plan.scenarios}
    assert {name: (one.watched, one.fold.watched) for name, one in scenarios.items()} == {
        "buyers": (None, False), "buyers: order.seen": ("wait", True), "buyers: order.none": ("absent", False),
        "buyers: order.closed": ("gone", True),
    }  # fmt: skip
    assert {name: one.probes for name, one in prepared.criteria.scenarios.items()} == {
        "buyers": (), "buyers: order.seen": ("order.seen",), "buyers: order.none": (), "buyers: order.closed": (),
    }  # fmt: skip
    assert prepared.criteria.deadlines_ns == {
        "view": 15 * S, "told": 15 * S, "order.seen": 5 * S, "order.closed": 4 * S
    }  # fmt: skip
    waiting = {name: shown_from_ns(one, 7 * S) for name, one in scenarios.items()}
    assert waiting.pop("buyers: order.none") > 10**9 * S, "nobody waits to see that"
    assert set(waiting.values()) == {0}


@pytest.mark.parametrize(
    "bad",
    [
        Bad("absent: view", "absent: veiw", "11:24", "unknown probe 'veiw'", "did you mean 'view'?"),
        Bad("absent: view", "absent: told", "11:24", "nobody can ask it about an id", "name a probe that reads"),
        Bad("gone: view", "gone: told", "14:17", "nobody can ask it about an id", "name a probe that reads"),
        Bad('"{order}-x"', '"{ordr}-x"', "11:34", "unknown placeholder {ordr}", "{order}?"),
        Bad(', of: "{order}-x"', "", "11:15", "nothing says what it watches for", "add of:"),
        Bad(", for: 3s", "", "11:15", "nothing says for how long nothing may appear", "add for:, such as for: 5s"),
        Bad("for: 3s", "for: 0s", "11:52", "'0s' is too small", "write 1ms or more"),
        Bad("for: 3s", "for: 3s, within: 3s", "11:56", "within goes with what is waited for", "write for:"),
        Bad("for: 3s", "for: 3s, until: body.x", "11:56", "until goes with wait: PROBE", "leave it out"),
        Bad("for: 3s", "for: 3s, capture: {a: body.a}", "11:56", "nothing can be captured of what isn't there",
            "leave it out"),
        Bad("for: 3s", "for: 3s, gone: view", "11:56", "absent and gone are two things to wait for", "two steps"),
        Bad("for: 3s", "for: 3s, to: shop", "11:56", "to belongs to what is sent, and this step watches",
            "leave it out"),
        Bad("within: 4s", "for: 4s", "16:11", "for goes with absent: PROBE", "write within:"),
        Bad("within: 5s", "for: 5s", "10:43", "for goes with absent: PROBE", "write within:"),
        Bad('delete: "/orders/{order}"', 'delete: "/orders/{order}", for: 4s', "12:54", "for goes with absent: PROBE",
            "leave it out"),
        Bad("appeared == 0, step: none", "appeared == 0, step: seen", "23:38", "step 'seen' has wait:",
            "write lost == 0"),
        Bad("appeared == 0, step: none", "appeared == 0, step: close", "23:38", "step 'close' watches no absence",
            "name a step that has absent: PROBE"),
        Bad("appeared == 0, step: none", "lost == 0, step: none", "23:34",
            "step 'none' watches that nothing appears, and that alone is known of it", "write appeared == 0"),
        Bad("appeared == 0, step: none", "failed == 0, step: none", "23:36",
            "step 'none' watches that nothing appears", "write appeared == 0"),
        Bad("lost == 0, step: seen", "failed == 0, step: seen", "25:36", "step 'seen' has wait:, and gets no answers",
            "write lost == 0, or p95(wait) < 2s"),
        Bad("lost == 0, step: seen", "regressed == 0, step: seen", "25:39",
            "another step of order lets go what step 'seen' waits for", "leave this out"),
        Bad("p95(wait) < 2s, step: closed", "p95(wait) < 5s, step: closed", "24:5",
            "step 'closed' waits 4 s at most, and the limit is 5 s", "within: 5s"),
    ],
    ids=lambda bad: f"{bad.where} {bad.new}",
)  # fmt: skip
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert_told(GOOD, bad)


def test_absence_is_asked_where_somebody_watches_for_it() -> None:
    text = GOOD.replace("- {objective: appeared == 0, step: none}", "- appeared == 0")
    assert load(text).config.slos[0].event is None
    without = "\n".join(line for line in text.split("\n") if "absent:" not in line)
    (line,) = lines_of(without)
    assert "no step watches that nothing appears, so 'appeared == 0' can't be decided" in line
    assert "add a step such as none: {absent: PROBE" in line
