"""Verdicts on counts, rates, throughput and staleness in planted summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import pytest

from evload.judging.judge import judge
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import ScenarioSummary, Series, Summary
from evload.objectives.grammar import parse
from tests.rigs.summaries import MS, S, distribution, run_of, scenario


def _judge(text: str, *scenarios: ScenarioSummary, critical: str | None = None) -> ObjectiveResult:
    return judge(parse(text, critical=critical), run_of(*scenarios))


def test_planted_losses_fail_and_are_witnessed() -> None:
    judged = _judge("lost == 0", scenario(visible=97, lost=3))
    assert (judged.result, judged.witnessed, judged.subject) == (Result.FAIL, True, "lost")
    assert judged.observed == (3, 3)
    assert _judge("lost == 0", scenario(visible=97)).result is Result.PASS
    fewer_than_asked = _judge("lost == 5", scenario(visible=97, lost=3))
    assert (fewer_than_asked.result, fewer_than_asked.witnessed) == (Result.FAIL, False)
    assert _judge("lost <= 3", scenario(visible=97, lost=3)).result is Result.WARN
    assert _judge("lost < 3", scenario(visible=97, lost=3)).result is Result.FAIL
    assert _judge("lost != 3", scenario(visible=97, lost=3)).result is Result.FAIL
    assert _judge("lost > 2", scenario(visible=97, lost=3)).result is Result.PASS


def test_what_is_in_doubt_and_was_not_seen_may_be_lost_too() -> None:
    one = scenario(visible=90, lost=3, in_doubt=4, recovered=1)
    for text, result in (
        ("lost == 0", Result.FAIL), ("lost <= 4", Result.INCONCLUSIVE), ("lost <= 20", Result.PASS),
        ("rate(lost) < 2%", Result.FAIL), ("lost >= 7", Result.FAIL),
    ):  # fmt: skip
        judged = _judge(text, one)
        unit = 97 if text.startswith("rate") else 1
        assert (judged.result, judged.observed) == (result, (3 / unit, 6 / unit)), text


def test_only_a_count_above_nine_tenths_of_its_limit_is_close_to_it() -> None:
    at = {lost: _judge("lost <= 20", scenario(visible=80, lost=lost)) for lost in (18, 19, 20, 21)}
    assert [judged.result for judged in at.values()] == [Result.PASS, Result.WARN, Result.WARN, Result.FAIL]
    assert (at[18].note, at[19].note) == ("", "above 90 % of the limit")


def test_what_is_still_open_is_counted_exactly() -> None:
    one = scenario(visible=90, pending=2, unobserved=3, in_doubt=4, recovered=1)
    for text, seen in (("pending == 2", 2), ("unobserved <= 4", 3), ("recovered == 1", 1), ("in_doubt < 9", 4)):
        judged = _judge(text, one)
        assert (judged.result, judged.observed, judged.note) == (Result.PASS, (seen, seen), ""), text


@pytest.mark.parametrize(
    ("planted", "result"),
    [
        ({"lost": 3}, Result.FAIL),
        ({"lost": 2}, Result.PASS),
        ({"lost": 4}, Result.PASS),
        ({"lost": 1, "pending": 1}, Result.PASS),
        ({"lost": 4, "pending": 9}, Result.PASS),
        ({"lost": 3, "pending": 1}, Result.INCONCLUSIVE),
        ({"lost": 2, "pending": 1}, Result.INCONCLUSIVE),
        ({"lost": 2, "pending": 2}, Result.INCONCLUSIVE),
    ],
)
def test_a_count_that_has_to_be_another_one(planted: dict[str, Any], result: Result) -> None:
    assert _judge("lost != 3", scenario(visible=90, **planted)).result is result


@pytest.mark.parametrize(
    ("text", "planted", "result"),
    [
        ("lost == 3", {"lost": 3}, Result.PASS),
        ("lost == 3", {"lost": 2, "pending": 2}, Result.INCONCLUSIVE),
        ("lost == 3", {"lost": 1, "pending": 1}, Result.FAIL),
        ("lost == 3", {"lost": 4, "pending": 1}, Result.FAIL),
        ("visible > 90", {"pending": 1}, Result.INCONCLUSIVE),
        ("visible > 90", {}, Result.FAIL),
        ("visible > 89", {}, Result.PASS),
        ("visible >= 91", {}, Result.FAIL),
        ("visible < 91", {"pending": 1}, Result.INCONCLUSIVE),
        ("visible < 90", {"pending": 1}, Result.FAIL),
        ("visible <= 89", {"pending": 1}, Result.FAIL),
        ("visible <= 90", {"pending": 1}, Result.INCONCLUSIVE),
    ],
)
def test_an_interval_holds_for_all_of_it_or_for_none_or_is_open(
    text: str, planted: dict[str, Any], result: Result
) -> None:
    assert _judge(text, scenario(visible=90, **planted)).result is result


def test_a_lower_limit_on_a_count_has_no_ninety_percent() -> None:
    one = scenario(visible=90)
    for text in ("lost >= 0", "visible >= 90", "acked > 89", "sent >= 90"):
        judged = _judge(text, one)
        assert (judged.result, judged.note) == (Result.PASS, ""), text


def test_the_other_side_of_a_rate_has_and_counts_what_is_open_against_it() -> None:
    def judged(visible: int, pending: int = 0) -> ObjectiveResult:
        return _judge(
            "rate(visible) >= 90%", scenario(visible=visible, pending=pending, rejected=1000 - visible - pending)
        )

    assert (judged(910).result, judged(910).note) == (Result.PASS, "")
    assert (judged(909).result, judged(909).note) == (Result.WARN, "above 90 % of the limit")
    assert judged(909, pending=50).result is Result.WARN
    assert judged(899, pending=50).result is Result.INCONCLUSIVE
    assert judged(899).result is Result.FAIL


def test_only_more_than_was_allowed_is_a_witnessed_violation() -> None:
    one = scenario(visible=97, lost=3)
    witnessed = {text: _judge(text, one) for text in ("lost <= 2", "lost < 3", "lost == 2", "lost > 3", "lost != 3")}
    assert {judged.result for judged in witnessed.values()} == {Result.FAIL}
    assert [text for text, judged in witnessed.items() if judged.witnessed] == ["lost <= 2", "lost < 3", "lost == 2"]


def test_loss_is_an_interval_while_events_are_unsettled_or_in_doubt() -> None:
    judged = _judge("lost == 0", scenario(visible=90, pending=2, unobserved=3, in_doubt=5, recovered=1))
    assert judged.result is Result.INCONCLUSIVE
    assert judged.observed == (0, 9)
    assert judged.note == "2 still pending, 3 not observed, 4 in doubt and never seen"
    assert _judge("lost == 0", scenario(visible=90, in_doubt=5, recovered=5)).result is Result.PASS
    assert _judge("lost == 0", scenario(visible=90, lost=1, pending=2)).result is Result.FAIL
    assert _judge("lost <= 10", scenario(visible=90, pending=2)).result is Result.PASS


def test_visible_may_still_grow() -> None:
    one = scenario(visible=90, pending=10)
    assert _judge("visible >= 90", one).result is Result.PASS
    assert _judge("visible >= 95", one).result is Result.INCONCLUSIVE
    assert _judge("visible >= 101", one).result is Result.FAIL


@pytest.mark.parametrize("counter", ["duplicates", "regressions", "regressed", "out_of_order"])
def test_counters_of_what_was_seen_are_lower_bounds_until_all_is_settled(counter: str) -> None:
    key = {"duplicates": "duplicated"}.get(counter, counter)
    text = f"{counter} == 0"
    assert _judge(text, scenario(visible=90)).result is Result.PASS
    waiting = _judge(text, scenario(visible=90, pending=1))
    assert (waiting.result, waiting.observed) == (Result.INCONCLUSIVE, (0, None))
    planted = scenario(visible=90, pending=1)
    planted.ledger[key] = 2
    found = _judge(text, planted)
    assert (found.result, found.witnessed) == (Result.FAIL, True)
    assert found.observed[0] == 2


def test_counters_that_could_not_fire_do_not_pass() -> None:
    blind = scenario(visible=90)
    blind.known["effects"] = blind.known["position"] = 0
    duplicates = _judge("duplicates == 0", blind)
    assert duplicates.result is Result.INCONCLUSIVE
    assert duplicates.note == "no read said how many effects an event had, and no data is no pass"
    order = _judge("out_of_order == 0", blind)
    assert order.result is Result.INCONCLUSIVE
    assert order.note == "no read said in which order events were applied, and no data is no pass"


def test_where_no_order_was_owed_none_was_broken_and_that_is_counted() -> None:
    """Each event was sent before the one before it with its key was acked."""
    one = scenario(visible=90, order_unknown=3)
    broken = _judge("out_of_order == 0", one)
    assert (broken.result, broken.note) == (
        Result.INCONCLUSIVE,
        "no order was owed: each event was sent before the one before it with its key was acked, and no data is no "
        "pass",
    )
    unknown = _judge("order_unknown >= 3", one)
    assert (unknown.result, unknown.observed, unknown.note) == (Result.PASS, (3, 3), "")
    one.known["order"] = 1
    assert _judge("out_of_order == 0", one).result is Result.PASS


def test_no_duplicate_says_what_it_shows_and_whether_it_was_put_to_the_test() -> None:
    """The rule of three, made exact: 1 - 0.05^(1/n)."""
    untried = _judge("duplicates == 0", scenario(visible=90))
    assert untried.note.startswith("0 of 90 events bounds the rate at 3.27")
    assert untried.note.endswith("; no copy was sent on purpose, so idempotency was not exercised")
    tried = scenario(visible=90, resent=9)
    assert _judge("rate(duplicated) < 1%", tried).note == untried.note.partition(";")[0]
    assert _judge("duplicates == 0", scenario(visible=90, duplicated=1)).note == ""
    assert _judge("lost == 0", tried).note == ""


def test_writes_that_their_own_session_does_not_see() -> None:
    one = scenario(visible=90)
    blind = _judge("unread_writes == 0", one)
    assert (blind.result, blind.note) == (
        Result.INCONCLUSIVE, "no session read an event right after its ack, and no data is no pass"
    )  # fmt: skip
    one.known["session"] = 89
    assert _judge("unread_writes == 0", one).note == "sessions read 89 of 90 events"
    waiting = scenario(visible=90, pending=1)
    waiting.known["session"] = 80
    assert _judge("unread_writes == 0", waiting).note == "1 still pending"
    one.known["session"] = 90
    assert _judge("unread_writes == 0", one).result is Result.PASS
    one.ledger["unread_writes"] = 3
    found = _judge("rate(unread_writes) < 1%", one)
    assert (found.result, found.witnessed) == (Result.FAIL, True)


def test_reads_that_go_back_in_time_need_a_watching_probe() -> None:
    assert _judge("non_monotonic == 0", scenario(visible=90)).result is Result.PASS
    assert _judge("non_monotonic == 0", scenario(unobserved=90)).result is Result.INCONCLUSIVE
    found = _judge("non_monotonic == 0", scenario(visible=90, non_monotonic=1))
    assert (found.result, found.witnessed) == (Result.FAIL, True)
    assert not parse("resent > 10").needs_probe
    assert _judge("resent >= 9", scenario(unobserved=90, resent=9)).result is Result.PASS


def test_staleness_is_counted_in_versions() -> None:
    one = scenario(visible=3)
    assert _judge("max(staleness) <= 2", one).note == "no answer told its version, and no data is no pass"
    for versions in (0, 0, 2):
        one.ranges.setdefault("staleness", Series()).add(versions)
    assert _judge("max(staleness) <= 3", one).result is Result.PASS
    assert _judge("max(staleness) <= 2", one).result is Result.WARN
    assert _judge("max(staleness) < 2", one).result is Result.FAIL
    assert _judge("max(staleness) < 2", one, critical="5").result is Result.WARN
    beyond = _judge("max(staleness) <= 1", one)
    assert (beyond.result, beyond.observed, beyond.limit) == (Result.FAIL, (2, 2), 1)
    assert _judge("mean(staleness) <= 0.5", one).result is Result.FAIL
    assert _judge("mean(staleness) < 1", one).observed == (2 / 3, 2 / 3)
    for text in ("p99(staleness) < 1s", "min(staleness) < 1s"):
        with pytest.raises(ValueError, match=r"staleness is a number of versions; write max\(staleness\) <= 2"):
            parse(text)


def test_effects_known_for_some_only_are_a_lower_bound() -> None:
    some = scenario(visible=90)
    some.known["effects"] = 80
    judged = _judge("duplicates == 0", some)
    assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "effects are known for 80 of 90 events")
    # Those that were seen and disappeared had effects too.
    vanished = scenario(visible=90, regressed=3)
    vanished.known["effects"] = 92
    assert _judge("duplicates == 0", vanished).note == "effects are known for 92 of 93 events"


def test_regressions_of_events_read_once_cannot_be_seen() -> None:
    sampled = scenario(visible=90)
    sampled.sampled = 18
    for counter in ("regressions", "regressed"):
        judged = _judge(f"{counter} == 0", sampled)
        assert (judged.result, judged.note) == (Result.INCONCLUSIVE, "18 of 90 events were followed closely")
    assert _judge("lost == 0", sampled).result is Result.PASS


@pytest.mark.parametrize("counter", ["lost", "duplicates", "regressions", "out_of_order", "recovered", "pending"])
def test_without_a_watched_event_nothing_passes(counter: str) -> None:
    rejected = scenario(rejected=50)
    judged = _judge(f"{counter} == 0", rejected)
    assert judged.result is Result.INCONCLUSIVE
    assert "no data is no pass" in judged.note
    assert _judge(f"{counter} == 0", scenario(unobserved=50)).result in (Result.INCONCLUSIVE, Result.FAIL)
    assert _judge(f"{counter} == 0").result is Result.INCONCLUSIVE


def test_publish_counters_need_no_probe_but_an_event() -> None:
    assert _judge("rejected == 0", scenario(unobserved=50)).result is Result.PASS
    assert _judge("errors == 0", scenario(unobserved=50, in_doubt=1)).result is Result.FAIL
    assert _judge("rejected == 0").result is Result.INCONCLUSIVE
    assert not _judge("rejected == 0", scenario(rejected=50)).witnessed


def test_rates_are_shares_of_what_was_scheduled() -> None:
    one = scenario(visible=990, unsent=1, rejected=2, returned=3, in_doubt=4)
    judged = _judge("rate(errors) < 1%", one)
    assert (judged.result, judged.observed, judged.limit) == (Result.FAIL, (0.01, 0.01), 0.01)
    assert _judge("rate(errors) <= 1%", one).result is Result.WARN
    assert _judge("rate(errors) < 2%", one).result is Result.PASS
    assert _judge("rate(acked) >= 99%", one).result is Result.WARN
    assert _judge("rate(acked) > 95%", one).result is Result.PASS
    assert _judge("rate(errors) == 0%", one).result is Result.FAIL
    assert _judge("rate(errors) == 1%", one).result is Result.PASS
    assert _judge("rate(errors) != 0%", one).result is Result.PASS
    assert _judge("rate(lost) == 0%", scenario(visible=99, rejected=1)).result is Result.PASS
    assert _judge("rate(lost) == 0%", scenario(visible=90, lost=10)).witnessed
    assert _judge("rate(lost) == 0%", scenario(visible=90, pending=10)).result is Result.INCONCLUSIVE
    assert _judge("rate(errors) == 0%").result is Result.INCONCLUSIVE
    assert _judge("rate(lost) < 1%", one).result is Result.PASS
    assert _judge("rate(lost) < 1%", scenario(visible=90, lost=10)).witnessed
    assert _judge("rate(errors) < 1%").result is Result.INCONCLUSIVE


def test_critical_counts() -> None:
    results = [_judge("lost <= 2", scenario(visible=90, lost=lost), critical="5").result for lost in (0, 2, 4, 6)]
    assert results == [Result.PASS, Result.WARN, Result.WARN, Result.FAIL]
    open_ended = _judge("lost <= 2", scenario(visible=90, pending=4), critical="5")
    assert open_ended.result is Result.WARN
    assert not _judge("lost <= 2", scenario(visible=90, lost=4), critical="5").witnessed
    assert _judge("lost <= 2", scenario(visible=90, lost=6), critical="5").witnessed


def _offered(events: int, period_ns: Fraction, one: ScenarioSummary) -> ScenarioSummary:
    one.first_intended_ns, one.last_intended_ns = 1_000, 1_000 + math.ceil((events - 1) * period_ns)
    return one


@pytest.mark.parametrize("rate", [7, 100, 300, 999, 1300])
def test_throughput_of_a_run_on_schedule_is_the_schedule(rate: int) -> None:
    """n events span n - 1 gaps, and whole nanoseconds must not cost the last digit."""
    one = _offered(rate * 10, Fraction(S, rate), scenario(visible=rate * 10))
    for counter in ("sent", "acked", "visible"):
        judged = _judge(f"throughput({counter}) >= {rate}/s", one)
        assert judged.result is Result.PASS
        assert judged.observed[0] == pytest.approx(rate, rel=1e-6)
        assert _judge(f"throughput({counter}) > {rate + 1}/s", one).result is Result.FAIL


def test_throughput_counts_what_came_through() -> None:
    one = _offered(1000, Fraction(S, 100), scenario(visible=500, pending=300, rejected=100, unsent=100))
    assert _judge("throughput(sent) >= 80/s", one).observed[0] == pytest.approx(90)
    assert _judge("throughput(acked) >= 80/s", one).observed[0] == pytest.approx(80)
    visible = _judge("throughput(visible) >= 70/s", one)
    assert visible.result is Result.INCONCLUSIVE
    assert list(visible.observed) == pytest.approx([50, 80])


def _answered(publishes_ms: Sequence[float], delays_ms: Sequence[float] = ()) -> ScenarioSummary:
    """120 events a second for ten seconds, sent and answered so long after they were due and sent."""
    n = len(publishes_ms)
    one = _offered(n, Fraction(S, 120), scenario(visible=n))
    assert one.first_intended_ns is not None
    times = [
        (round(ms * MS), round(delay * MS)) for ms, delay in zip(publishes_ms, delays_ms or [0] * n, strict=True)
    ]
    one.distributions["publish"] = distribution((took, took) for took, _ in times)
    one.distributions["schedule_delay"] = distribution((delay, delay) for _, delay in times)
    first_ns = one.first_intended_ns
    one.last_acked_ns = max(first_ns + number * S // 120 + took + delay for number, (took, delay) in enumerate(times))
    return one


BEHIND: Final = [number * (1000 / 40 - 1000 / 120) for number in range(1200)]
"""Of a broker that answers forty in a second."""


def test_throughput_of_a_broker_that_falls_behind_is_what_it_answers_in_a_second() -> None:
    judged = _judge("throughput(acked) >= 100/s", _answered(BEHIND))
    assert judged.result is Result.FAIL
    assert judged.observed[0] == pytest.approx(40, rel=0.02)
    assert judged.note == "the broker was 19.7s behind at the end"
    assert _judge("throughput(acked) >= 39/s", _answered(BEHIND)).result is Result.PASS
    # The same where it has room for a few at a time alone, and the others wait before they are sent.
    waiting = _answered([25.0] * 1200, BEHIND)
    assert _judge("throughput(acked) >= 100/s", waiting).observed[0] == pytest.approx(40, rel=0.02)
    # What was sent is another question.
    assert _judge("throughput(sent) >= 119/s", _answered(BEHIND)).result is Result.PASS


@pytest.mark.parametrize(
    "publishes",
    {
        "well": [4.0 + number % 7 for number in range(1200)],
        "slow all the time": [3000.0] * 1200,
        "slow at first": [5000.0 - number * 25 for number in range(200)] + [5.0] * 1000,
        "one that took long at the end": [5.0] * 1199 + [8000.0],
        "ten that took long": [5.0] * 1190 + [8000.0] * 10,
    }.items(),
    ids=lambda item: item[0],
)
def test_throughput_of_a_broker_that_keeps_up_is_the_schedule(publishes: tuple[str, list[float]]) -> None:
    judged = _judge("throughput(acked) >= 120/s", _answered(publishes[1]))
    assert (judged.result, judged.note) == (Result.PASS, "")
    assert judged.observed[0] == pytest.approx(120, rel=1e-6)


def test_throughput_of_a_single_burst_is_no_rate() -> None:
    burst = _offered(50, Fraction(0), scenario(visible=50))
    judged = _judge("throughput(acked) >= 1/s", burst)
    assert judged.result is Result.INCONCLUSIVE
    assert judged.note == "all events were due at once, so there is no rate"
    almost = _judge("throughput(acked) >= 1/s", _offered(2, Fraction(1), scenario(visible=2)))
    assert (almost.result, almost.note) == (Result.INCONCLUSIVE, judged.note)
    nothing = judge(parse("throughput(acked) >= 1/s"), Summary())
    assert (nothing.result, nothing.note) == (Result.INCONCLUSIVE, "nothing was scheduled")
