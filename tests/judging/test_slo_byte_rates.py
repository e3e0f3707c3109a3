"""Verdicts on bytes per second in planted summaries."""

from __future__ import annotations

import pytest

from evload.judging.judge import judge
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import ScenarioSummary, Summary
from evload.objectives.grammar import parse
from evload.report.wording import observed
from tests.rigs.summaries import S, run_of, scenario


def moved(events: int, each: int, *, gap_s: float = 1, took_s: float = 0.01, **ledger: int) -> ScenarioSummary:
    """Events of so many bytes, one after another, the last answered so long after it was due."""
    one = scenario({}, **(ledger or {"unobserved": events}))
    one.first_intended_ns, one.last_intended_ns = 5 * S, 5 * S + round((events - 1) * gap_s * S)
    one.last_acked_ns = one.last_intended_ns + round(took_s * S)
    for name in ("bytes_out", "bytes_in"):
        one.known[name], one.sums[name] = events, events * each
    return one


def _judge(text: str, *scenarios: ScenarioSummary) -> ObjectiveResult:
    return judge(parse(text), run_of(*scenarios))


@pytest.mark.parametrize("name", ["bytes_out", "bytes_in"])
def test_it_is_what_the_schedule_moves_in_a_second(name: str) -> None:
    one = moved(10, 5_000_000)
    judged = _judge(f"throughput({name}) >= 5MB/s", one)
    assert (judged.result, judged.note, observed(judged)) == (Result.PASS, "", "5 MB/s")
    assert list(judged.observed) == pytest.approx([5e6, 5e6])
    assert judged.limit == 5e6
    assert _judge(f"throughput({name}) > 5.01MB/s", one).result is Result.FAIL
    assert _judge(f"throughput({name}) > 299MB/min", one).result is Result.PASS


def test_few_that_take_long_are_no_quicker_for_being_due_together() -> None:
    for gap_s in (0, 1):
        judged = _judge("throughput(bytes_in) > 5MB/s", moved(2, 50_000_000, gap_s=gap_s, took_s=99 + (1 - gap_s)))
        assert (judged.result, observed(judged)) == (Result.FAIL, "1 MB/s")
    alone = _judge("throughput(bytes_in) > 5MB/s", moved(1, 50_000_000, took_s=5))
    assert (alone.result, observed(alone)) == (Result.PASS, "10 MB/s")


def test_what_is_in_doubt_may_have_been_sent_or_not() -> None:
    one = moved(10, 1_000_000, unobserved=8, in_doubt=2)
    one.sums["bytes_out_in_doubt"] = 2_000_000
    assert _judge("throughput(bytes_out) > 0.7MB/s", one).result is Result.PASS
    open_one = _judge("throughput(bytes_out) > 0.9MB/s", one)
    assert (open_one.result, observed(open_one)) == (Result.INCONCLUSIVE, "800 KB/s … 1 MB/s")
    assert open_one.note == "nobody knows how much of 2 events in doubt was sent"
    assert _judge("throughput(bytes_out) > 1.1MB/s", one).result is Result.FAIL


def test_of_what_nobody_counted_there_is_no_upper_end() -> None:
    one = moved(10, 1_000_000)
    one.known["bytes_in"], one.sums["bytes_in"] = 4, 4_000_000
    assert _judge("throughput(bytes_in) > 0.3MB/s", one).result is Result.PASS
    more = _judge("throughput(bytes_in) > 0.5MB/s", one)
    assert (more.result, more.note) == (Result.INCONCLUSIVE, "the bytes of 6 events aren't known")
    assert observed(more) == "400 KB/s … ?"


def test_no_data_is_no_pass() -> None:
    one = moved(10, 1_000_000)
    del one.known["bytes_in"]
    for judged, why in (
        (_judge("throughput(bytes_in) > 1B/s", one), "nobody counted the bytes of these answers"),
        (_judge("throughput(bytes_out) > 1B/s", moved(3, 9, in_doubt=3)), "nothing was answered"),
        (judge(parse("throughput(bytes_in) > 1B/s"), Summary()), "nothing was answered"),
    ):
        assert (judged.result, judged.note) == (Result.INCONCLUSIVE, f"{why}, and no data is no pass")
        assert judged.observed == (None, None)
