"""A load of so many iterations is over with the last of them."""

from __future__ import annotations

from pathlib import Path

from evload.ledger.reader import LedgerReader
from evload.report.build import build_again
from evload.report.document import document
from tests.rigs.watched_orders import Shop, run_shop

STEPS = "      - think: 1s\n      - pay: {to: shop, put: '/orders/{order}', refused: [409]}\n"
SLOS: list[str | dict[str, str]] = ["throughput(acked) >= 5/s", {"objective": "completed == 20", "journey": "order"}]


def test_it_ends_with_the_last_iteration_and_is_told_so(tmp_path: Path) -> None:
    """Four users, five iterations of a second each: five seconds of two minutes, with 40 requests."""
    shop = Shop(refuses=lambda number: False)
    ran = run_shop(shop, tmp_path, STEPS, SLOS, load="[{users: 4, iterations: 20, for: 2m}]")
    summary = ran.report.summary
    assert 5 <= summary.vitals.duration_ns / 1e9 < 6.5
    (ending,) = summary.vitals.endings
    assert (ending.until, ending.start_ns, ending.due_ns) == ("the end of the last of 20 iterations", 0, 120 * 10**9)
    assert ending.at_ns is not None
    assert 5 <= ending.at_ns / 1e9 < 5.1
    (acked, completed) = ran.report.objectives
    assert (acked.result.value, completed.result.value) == ("pass", "pass")
    assert acked.observed is not None
    low, high = acked.observed
    assert low is not None
    assert high is not None
    assert 7.7 <= low <= high <= 8
    (told,) = [one.sentence for one in ran.report.insights if one.kind == "phase"]
    assert told.startswith("buyers: the end of the last of 20 iterations came at 0:05 and ended its phase after 5.0")
    assert told.endswith(" s of at most 2 min.")
    with LedgerReader(ran.ledger) as ledger:
        again = build_again(ledger, ran.ledger.parent)
    assert document(again)["objectives"] == document(ran.report)["objectives"]
    assert again.summary == summary


def test_of_several_phases_the_last_one_ends(tmp_path: Path) -> None:
    load = "[{users: 2, for: 10s}, {users: 4, iterations: 40, for: 2m}]"
    ran = run_shop(Shop(refuses=lambda number: False), tmp_path, STEPS, [], load=load)
    (ending,) = ran.report.summary.vitals.endings
    assert (ending.phase, ending.start_ns, ending.due_ns) == (1, 10 * 10**9, 130 * 10**9)
    assert ending.at_ns is not None
    assert 15 <= ending.at_ns / 1e9 < 15.2
    assert ran.report.summary.vitals.duration_ns < 17 * 10**9


def test_where_there_is_no_time_for_all_it_lasts_as_long_as_it_may(tmp_path: Path) -> None:
    ran = run_shop(
        Shop(refuses=lambda number: False), tmp_path, STEPS, [], load="[{users: 2, iterations: 100, for: 5s}]"
    )
    assert ran.report.summary.vitals.endings == []
    assert ran.report.summary.vitals.duration_ns >= 5 * 10**9


def test_what_a_step_follows_is_looked_for_to_its_end(tmp_path: Path) -> None:
    """The view shows an order three seconds after it was acted on: long after the last iteration."""
    shop = Shop(shown=lambda number: [(3.0, 1e9)], refuses=lambda number: False)
    steps = "      - pay: {to: shop, put: '/orders/{order}', probes: {view: '{order}'}}\n"
    ran = run_shop(shop, tmp_path, steps, ["lost == 0"], load="[{users: 2, iterations: 4, for: 2m}]")
    assert ran.report.objectives[0].result.value == "pass"
    assert sum(one.ledger["visible"] for one in ran.report.summary.scenarios.values()) == 4
    assert ran.report.summary.vitals.duration_ns < 20 * 10**9
