"""Steps of journeys whose effects probes follow, against a shop that remembers when it showed what: over HTTP, in
virtual time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from evload.ledger.reader import LedgerReader
from evload.model.report import Result
from evload.model.states import State
from evload.report.journeys import funnels
from tests.engine.test_absent_and_gone import assert_books, assert_holds, ends_of, rows_of
from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.rigs.virtual_runs import PRECISE_S, Ran
from tests.rigs.watched_orders import PORT, Shop, Spans, run_shop
from tests.servers.httpserver import Request, json_answer

SHIP = """\
      - ship: {to: shop, put: "/orders/{order}", refused: [409], probes: {view: "{order}"}}
      - look: {to: shop, get: "/views/{order}", expect: [200, 404]}
"""
CHAIN = """\
      - ship:
          to: shop
          put: "/orders/{order}"
          capture: {shipment: body.shipment}
          probes: {bulk: "{order}", carrier: "{shipment}"}
"""
SEEN = '      - seen: {wait: view, of: "{order}", within: 3s}\n'
NEVER: Spans = ()
TEN = "[{rate: 2/s, for: 5s}]"


def refuses_none(number: int) -> bool:
    return False


def results(ran: Ran[Shop]) -> Sequence[tuple[str, Any]]:
    return [(one.result.value, one.observed) for one in ran.report.objectives]


def brackets(ran: Ran[Shop]) -> list[tuple[float, float]]:
    """What was observed, objective by objective; what never came is infinite."""
    return [(low or 0.0, inf if high is None else high) for _, (low, high) in results(ran)]


def test_an_effect_is_followed_from_the_ok_answer_on_beside_the_journey(tmp_path: Path) -> None:
    """Of twenty orders one is refused, one shows no effect, and one shows it for a second."""
    shop = Shop(
        shown=lambda n: NEVER if n == 3 else ((0.7, 1.7),) if n == 8 else ((0.7, 99),), refuses=lambda n: n == 5
    )
    slos = [
        {"objective": "p50(consistency) < 1s", "step": "ship"},
        {"objective": "max(end_to_end) < 1s", "step": "ship"},
        {"objective": "lost == 0", "step": "ship"},
        {"objective": "regressed == 1", "step": "ship"},
        {"objective": "refused == 1", "step": "ship"},
        {"objective": "sent == 20", "step": "ship"},
        {"objective": "max(publish) < 1s", "step": "ship"},
    ]
    ran = run_shop(shop, tmp_path, SHIP, slos)
    rows = rows_of(ran, "ship")
    assert {*rows} == {*range(20)} - {5}
    sent = {row["iteration"]: row for row in ran.events() if row["scenario"] == 0 and row["type"] == 1}
    for order, row in rows.items():
        same = ("iteration", "intended_ns", "sent_ns", "acked_ns", "type")
        assert [row[name] for name in same] == [sent[order][name] for name in same]
        assert row["state"] == {3: State.LOST, 8: State.REGRESSED}.get(order, State.VISIBLE)
        if order != 3:
            assert_holds(ran, order, row, 0.7)
    looks = [row for row in ran.events() if row["scenario"] == 0 and row["type"] == 2]
    assert max(row["intended_ns"] - sent[row["iteration"]]["acked_ns"] for row in looks) < 0.01e9, "nobody waits"
    assert len(looks) == 19
    assert [result for result, _ in results(ran)] == ["pass", "fail", "fail", "pass", "pass", "pass", "pass"]
    consistency, _, lost, regressed, refused, sent_ones, _ = brackets(ran)
    assert consistency[0] <= 0.7 <= consistency[1] < 0.8
    assert (lost, regressed, refused, sent_ones) == ((1, 1), (1, 1), (1, 1), (20, 20))
    (worst,) = ran.report.objectives[2].worst
    assert (worst.scenario, worst.event, worst.state) == ("buyers: order.ship", "order.ship", "lost")
    assert "the target calls it o3" in [text for _, text in worst.log]
    assert int(worst.correlation_id[-8:], 16) == sent[3]["seq"], "by the id that was sent"
    ledger = ran.report.summary.scenarios["buyers: order.ship"].ledger
    assert (ledger["acked"], ledger["visible"], ledger["lost"], ledger["regressed"]) == (19, 17, 1, 1)
    (funnel,) = funnels(ran.report.summary)
    assert [(step.name, step.reached, step.ok, step.refused) for step in funnel.steps] == [
        ("make", 20, 20, 0), ("ship", 20, 19, 1), ("look", 19, 19, 0),
    ]  # fmt: skip
    assert_books(ran)


def test_each_probe_of_a_chain_is_asked_for_its_own_value(tmp_path: Path) -> None:
    """The carrier knows of shipments by another number, 400 ms after the view shows the order; of one never."""
    shop = Shop(
        shown=lambda n: ((0.3, 99),), carried=lambda n: NEVER if n == 4 else ((0.7, 99),), refuses=refuses_none
    )
    slos: list[Mapping[str, Any]] = [
        {"objective": "max(consistency) < 400ms", "step": "ship", "probe": "bulk"},
        {"objective": "p50(consistency) < 600ms", "step": "ship", "probe": "carrier"},
        {"objective": "p50(hop) < 1s", "step": "ship", "probe": "carrier"},
        {"objective": "lost == 1", "step": "ship", "probe": "carrier"},
        {"objective": "lost == 0", "probe": "bulk"},
        {"objective": "lost == 0", "step": "ship"},
    ]
    ran = run_shop(shop, tmp_path, CHAIN, slos, load=TEN)
    assert [result for result, _ in results(ran)] == ["pass", "fail", "pass", "pass", "pass", "fail"]
    seen, carried, hop, lost, *_ = brackets(ran)
    assert seen[0] < 0.3 < seen[1] < 0.34
    assert carried[0] < 0.7 < carried[1] < 0.78
    assert hop[0] < 0.4 < hop[1] < 0.5
    assert lost == (1, 1)
    assert [worst.figure for worst in ran.report.objectives[1].worst][:1] == ["consistency 15 s … never"]
    by_order = rows_of(ran, "ship")
    parts = {(row["seq"], row["probe"]): row for row in ran.rows("SELECT * FROM parts")}
    for order, row in by_order.items():
        assert row["state"] == (State.LOST if order == 4 else State.VISIBLE)
        for probe, after_s in ((0, 0.3), (1, 0.7)):
            part = parts[row["seq"], probe]
            if (order, probe) != (4, 1):
                at_s = shop.acted[order] + after_s - ran.began_s()
                assert part["first_lower_ns"] / 1e9 - PRECISE_S <= at_s <= part["first_upper_ns"] / 1e9 + PRECISE_S
    assert_books(ran)


def test_what_is_asked_of_all_is_asked_of_what_is_followed_or_waited_for_and_of_nothing_else(tmp_path: Path) -> None:
    """Steps that nobody follows have no effect that anybody looks for. What is sent counts once."""
    shop = Shop(shown=lambda n: ((0.2, 99),), refuses=lambda n: n == 2)
    steps = SHIP + SEEN
    slos: list[str | Mapping[str, Any]] = [
        "lost == 0",
        {"objective": "lost == 0", "scenario": "buyers"},
        {"objective": "lost == 0", "probe": "view"},
        {"objective": "max(wait) < 1s", "step": "seen", "probe": "view"},
        {"objective": "lost == 0", "step": "seen", "probe": "view"},
        "sent == 29",
        {"objective": "rate(refused) < 10.5%", "step": "ship"},
        "visible == 18",
    ]
    ran = run_shop(shop, tmp_path, steps, slos, load=TEN)
    assert results(ran) == [
        ("pass", (0, 0)), ("pass", (0, 0)), ("pass", (0, 0)), ("pass", ran.report.objectives[3].observed),
        ("pass", (0, 0)), ("pass", (29, 29)), ("warn", (0.1, 0.1)), ("pass", (18, 18)),
    ]  # fmt: skip
    assert_books(ran)


def test_of_a_probe_that_never_saw_anything_of_a_step_nothing_is_told(tmp_path: Path) -> None:
    shop = Shop(shown=lambda n: ((0.2, 99),), refuses=refuses_none)
    slos = [
        {"objective": "lost == 0", "step": "ship", "probe": "carrier"},
        {"objective": "lost == 0", "probe": "bulk"},
    ]
    ran = run_shop(shop, tmp_path, CHAIN, slos, load="[{burst: 2}]")
    carrier, bulk = ran.report.objectives
    assert (carrier.result, bulk.result) == (Result.INCONCLUSIVE, Result.PASS)
    assert carrier.note.startswith("order.ship: carrier never saw any of 2 events")
    wait = [{"objective": "lost == 0", "step": "seen", "probe": "view"}]
    (tmp_path / "wait").mkdir()
    (seen,) = run_shop(Shop(), tmp_path / "wait", SEEN, wait, load="[{burst: 2}]").report.objectives
    assert seen.result is Result.INCONCLUSIVE
    assert seen.note.startswith("order.seen never saw any of 2 events")


def test_what_another_step_lets_go_is_not_looked_at_again(tmp_path: Path) -> None:
    """Both show the order for a second. The carrier is looked at again, and the view, where it is to go, is not."""
    steps = """\
      - ship:
          to: shop
          put: "/orders/{order}"
          capture: {shipment: body.shipment}
          probes: {view: "{order}", carrier: "{shipment}"}
      - seen: {wait: view, of: "{order}"}
      - closed: {gone: view, of: "{order}", within: 3s}
"""
    spans: Spans = ((0.2, 1.2),)
    shop = Shop(shown=lambda n: spans, carried=lambda n: spans, refuses=refuses_none)
    slos = [
        {"objective": "regressed == 2", "step": "ship", "probe": "carrier"},
        {"objective": "lost == 0", "step": "closed"},
    ]
    ran = run_shop(shop, tmp_path, steps, slos, load="[{burst: 2}]")
    assert [result for result, _ in results(ran)] == ["pass", "pass"]
    with LedgerReader(ran.ledger) as reader:
        names = reader.meta["probes"]
    parts = ran.rows("SELECT parts.probe, parts.state FROM parts JOIN events USING (seq) WHERE scenario = 1")
    told = {(names[part["probe"]], State(part["state"])) for part in parts}
    assert told == {("order.ship: view", State.VISIBLE), ("order.ship: carrier", State.REGRESSED)}


def test_what_a_stopped_run_got_its_answer_to_is_in_the_books(tmp_path: Path) -> None:
    ran = run_shop(Shop(refuses=refuses_none), tmp_path, SHIP, load="[{rate: 2/s, for: 4s}]", stop_s=3.2)
    followed = rows_of(ran, "ship")
    assert [*followed] == [*range(7)]
    assert {row["state"] for row in followed.values()} <= {State.PENDING, State.LOST}
    assert_books(ran)


def test_replicas_with_addresses_of_their_own_are_each_asked(tmp_path: Path) -> None:
    more = f"""\
  regions:
    kind: http
    url: "http://localhost:{PORT}/views/{{capture}}"
    at:
      near: {{url: "http://localhost:{PORT}/views/{{capture}}"}}
      far: {{url: "http://localhost:{PORT}/carrier/{{capture}}"}}
"""
    steps = """\
      - ship:
          to: shop
          put: "/orders/{order}"
          capture: {shipment: body.shipment}
          probes: {regions: "{shipment}"}
"""
    shop = Shop(shown=lambda n: ((0.2, 99),), carried=lambda n: ((0.5, 99),) if n else NEVER, refuses=refuses_none)
    slos = [
        {"objective": "max(first_seen) < 1s", "step": "ship", "replica": "near"},
        {"objective": "lost == 1", "step": "ship", "replica": "far"},
        {"objective": "lost == 1", "step": "ship", "probe": "regions"},
    ]
    ran = run_shop(shop, tmp_path, steps, slos, load="[{burst: 2}]", more=more)
    assert [result for result, _ in results(ran)] == ["pass", "pass", "pass"]
    assert brackets(ran)[0][1] < 0.25
    assert_books(ran)


def test_an_event_is_followed_by_the_id_that_it_was_sent_with(tmp_path: Path) -> None:
    text = f"""\
producers: {{bus: {{kind: http, url: "{SHOP}/events"}}}}
events: {{placed: {{type: order.placed, source: /shop, data: {{}}}}}}
probes: {{view: {{kind: http, url: "{SHOP}/views/{{correlation_id}}", confirm: {{reads: 0}}}}}}
journeys:
  order:
    steps: [{{place: {{to: bus, event: placed, probes: {{view: "{{correlation_id}}"}}}}}}]
scenarios: {{buyers: {{journeys: [order], load: [{{burst: 3}}]}}}}
"""
    ran = run_scripted(text, tmp_path, lambda request: [json_answer(b"{}")])
    assert [one.expression for one in ran.report.objectives] == ["errors == 0", "lost == 0", "failed == 0"]
    assert ran.report.verdict.value == "pass"
    sent = {json.loads(one.body)["id"] for one in ran.record.requests if one.method == "POST"}
    asked = {one.target.removeprefix("/views/") for one in ran.record.requests if one.method == "GET"}
    assert len(sent) == 3
    assert asked == sent


def test_what_is_sent_again_is_followed_once_from_its_last_answer(tmp_path: Path) -> None:
    text = f"""\
producers: {{shop: {{kind: http, url: "{SHOP}"}}}}
probes: {{view: {{kind: http, url: "{SHOP}/views/{{capture}}", confirm: {{reads: 0}}}}}}
journeys:
  order:
    steps:
      - pay:
          to: shop
          post: /pay
          retry: {{on: [503], times: 1, after: 1s}}
          probes: {{view: "o{{iteration}}"}}
scenarios: {{buyers: {{journeys: [order], load: [{{burst: 1}}]}}}}
"""
    posts: list[Request] = []

    def script(request: Request) -> Sequence[bytes]:
        posts.extend([request] * (request.method == "POST"))
        return [json_answer(b"{}", 503 if len(posts) == 1 else 200)]

    ran = run_scripted(text, tmp_path, script)
    (row,) = [row for row in ran.events() if row["scenario"] == 1]
    assert row["acked_ns"] - row["sent_ns"] > 1e9, "it may have had its effect by the first try"
    assert row["state"] == State.VISIBLE
    assert [one.target for one in ran.record.requests] == ["/pay", "/pay", "/views/o0"]


def test_a_value_that_is_secret_is_in_no_row(tmp_path: Path) -> None:
    steps = """\
      - ship:
          to: shop
          put: "/orders/{order}"
          capture: {shipment: {from: body.shipment, secret: true}}
          probes: {carrier: "{shipment}"}
    finally:
      - close: {to: shop, delete: "/orders/{order}", probes: {carrier: "{shipment}"}}
"""
    shop = Shop(carried=lambda n: ((0.2, 99),), refuses=lambda n: n == 1)
    ran = run_shop(shop, tmp_path, steps, load="[{rate: 2/s, for: 1s}]")
    rows = [row for row in ran.events() if row["scenario"] > 0]
    assert [(row["capture"], row["state"]) for row in rows] == [("{shipment}", State.VISIBLE)] * 2
    assert {row["iteration"] for row in rows} == {0}, "of the other one nothing is known that could be asked for"
    assert b"s500" not in ran.ledger.read_bytes()
    assert ends_of(ran)[1][1] == "ship"


def test_a_secret_that_is_waited_for_is_in_no_row_either(tmp_path: Path) -> None:
    steps = """\
      - ship:
          to: shop
          put: "/orders/{order}"
          capture: {shipment: {from: body.shipment, secret: true}}
      - carried: {wait: carrier, of: "{shipment}"}
"""
    shop = Shop(carried=lambda n: ((0.2, 99),), refuses=lambda n: False)
    ran = run_shop(shop, tmp_path, steps, load="[{rate: 2/s, for: 1s}]")
    rows = [row for row in ran.events() if row["scenario"] > 0]
    assert [(row["capture"], row["state"]) for row in rows] == [("{shipment}", State.VISIBLE)] * 2
    assert b"s500" not in ran.ledger.read_bytes()
