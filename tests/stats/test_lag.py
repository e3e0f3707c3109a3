"""Time in a queue from its depth: held against simulated queues and against the truth of the embedded pipeline."""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evload.clock import SystemClock
from evload.gauges.http_json import HttpJsonGaugeConfig
from evload.sandbox.process import sandbox_process
from evload.sandbox.settings import SandboxSettings
from evload.sandbox.truth import read_truth
from evload.sandbox.world import World
from evload.spi.context import Surroundings
from evload.stats.histogram import Histogram, bracket, rank_of
from evload.stats.lag import QueueLag, Stay

MS = 1_000_000
PERCENTILES = (Fraction(50, 100), Fraction(95, 100), Fraction(99, 100))


def test_one_event_between_two_samples() -> None:
    lag = QueueLag()
    lag.published([100])
    assert lag.sampled(150, 160, depth=1) == []
    assert lag.sampled(250, 260, depth=0) == [Stay(100, 50, 160)]
    assert lag.pending == 0


def test_the_lower_end_is_the_last_sample_that_missed_it_not_the_first() -> None:
    lag = QueueLag()
    lag.published([10, 20, 30])
    lag.sampled(40, 41, depth=3)
    assert lag.sampled(50, 51, depth=2) == [Stay(10, 30, 41)]
    lag.sampled(60, 61, depth=2)
    assert lag.sampled(70, 71, depth=0) == [Stay(20, 40, 51), Stay(30, 30, 41)]


def test_an_event_gone_before_its_first_sample_has_no_lower_end_above_zero() -> None:
    lag = QueueLag()
    lag.published([100])
    assert lag.sampled(150, 151, depth=0) == [Stay(100, 0, 51)]


def test_what_others_left_in_the_queue_stands_ahead_of_ours() -> None:
    lag = QueueLag()
    lag.sampled(0, 1, depth=5)
    lag.published([10])
    assert lag.sampled(20, 21, depth=6) == []
    assert lag.sampled(30, 31, depth=1) == []
    assert lag.sampled(40, 41, depth=0) == [Stay(10, 20, 31)]
    assert lag.contradictions == 0


def test_an_event_published_during_the_request_may_be_in_the_depth_or_not() -> None:
    lag = QueueLag()
    lag.published([5, 15])
    assert lag.sampled(10, 20, depth=1) == []
    assert lag.sampled(30, 40, depth=0) == [Stay(5, 0, 35), Stay(15, 0, 25)]


def test_an_event_without_an_answer_yet_may_be_what_is_in_the_queue() -> None:
    lag = QueueLag()
    lag.published([10])
    assert lag.sampled(20, 21, depth=1, unconfirmed=1) == []
    lag.published([12])
    (first, second) = lag.sampled(30, 31, depth=0)
    assert first == Stay(10, 0, 21), "the one in the queue at 20 may have been the unconfirmed one"
    assert second == Stay(12, 8, 19)


def test_a_later_sample_that_missed_more_counts() -> None:
    lag = QueueLag()
    lag.published([10, 20])
    lag.sampled(30, 31, depth=2, unconfirmed=1)
    lag.sampled(40, 41, depth=2)
    assert lag.sampled(50, 51, depth=0) == [Stay(10, 30, 41), Stay(20, 20, 31)]


def test_each_of_several_that_leave_at_once_stayed_until_the_last_sample_that_missed_it() -> None:
    lag = QueueLag()
    lag.published([10, 20])
    lag.sampled(30, 40, depth=2)
    lag.sampled(50, 60, depth=2, unconfirmed=1)
    assert lag.sampled(70, 71, depth=0) == [Stay(10, 20, 61), Stay(20, 30, 51)]


def test_what_is_delivered_again_is_gone_since_its_first_delivery() -> None:
    lag = QueueLag()
    lag.published([10, 20, 30])
    assert lag.sampled(40, 41, depth=1) == [Stay(10, 0, 31), Stay(20, 0, 21)]
    assert lag.sampled(50, 51, depth=3) == []
    assert lag.contradictions == 1
    assert lag.sampled(60, 61, depth=1) == []
    assert lag.sampled(70, 71, depth=0) == [Stay(30, 30, 41)]


def test_what_is_still_queued_at_the_end_keeps_its_place_without_an_upper_end() -> None:
    lag = QueueLag()
    lag.published([10, 20, 30])
    lag.sampled(40, 41, depth=2)
    lag.sampled(100, 101, depth=2)
    assert lag.pending == 2
    assert lag.close() == [Stay(20, 80, None), Stay(30, 70, None)]
    assert lag.pending == 0


def test_publishes_may_come_a_little_out_of_order() -> None:
    lag = QueueLag()
    lag.published([10, 30])
    lag.published([20])
    assert [stay.published_ns for stay in lag.sampled(40, 41, depth=1)] == [10, 20]


def test_memory_follows_the_queue_not_the_run() -> None:
    lag, gone = QueueLag(), 0
    for second in range(20_000):
        lag.published([second * 100 + n for n in range(10)])
        gone += len(lag.sampled(second * 100 + 50, second * 100 + 51, depth=second % 7))
    assert lag.pending <= 7
    assert len(lag._missed) <= 8
    assert gone == 200_000 - lag.pending
    stalled = QueueLag()
    stalled.published(range(100))
    for at in range(1000, 30_000):
        stalled.sampled(at, at, depth=100)
    assert len(stalled._missed) == 1


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], int]:
    """Entries, departures and acks of our events, and how many of others stood in the queue before."""
    gaps = draw(st.lists(st.integers(0, 50), min_size=1, max_size=40))
    entered = list(accumulate(gaps, initial=100))[1:]
    others = draw(st.integers(0, 5))
    left, before = [], 0
    for since in [100] * others + entered:
        before = max(before, since) + draw(st.integers(0, 60))
        left.append(before)
    acks = [at + draw(st.integers(0, 30)) for at in entered]
    return entered, left, acks, others


@given(queues(), st.lists(st.tuples(st.integers(1, 200), st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_the_brackets_hold_in_any_fifo_queue(
    queue: tuple[list[int], list[int], list[int], int], samples: Sequence[tuple[int, int, int]]
) -> None:
    entered, left, acks, others = queue
    arrivals = sorted([0] * others + entered)
    lag, stays, told, at = QueueLag(), list[Stay](), 0, 0
    by_ack = sorted(acks)
    for gap, before, after in samples:
        start, moment, end = at + gap, at + gap + before, at + gap + before + after
        at = end
        depth = bisect_right(arrivals, moment) - bisect_right(sorted(left), moment)
        known = bisect_right(by_ack, end)
        lag.published(by_ack[told:known])
        told = known
        stays += lag.sampled(start, end, depth, unconfirmed=bisect_right(entered, end) - known)
    lag.published(by_ack[told:])
    stays += lag.close()
    truths = [(ack, max(0, gone - ack)) for ack, gone in zip(by_ack, left[others:], strict=True)]
    assert lag.contradictions == 0
    assert [stay.published_ns for stay in stays] == by_ack
    for stay, (_, truth) in zip(stays, truths, strict=True):
        assert stay.lower_ns <= truth
        assert stay.upper_ns is None or truth <= stay.upper_ns


def assert_within(stays: Sequence[Stay], truths: Sequence[int], interval_ns: int) -> None:
    """Each percentile's bracket holds the truth and is not wider than the interval (and a histogram bucket)."""
    ordered = sorted(truths)
    ends = Histogram(), Histogram()
    for stay in stays:
        ends[0].record(stay.lower_ns)
        ends[1].record(stay.upper_ns)
    assert len(stays) == len(ordered)
    for p in PERCENTILES:
        truth = ordered[rank_of(p, len(ordered)) - 1]
        lower, upper = bracket(p, *ends)
        assert lower is not None
        assert upper is not None
        assert lower <= truth <= upper
        assert upper - lower <= interval_ns + truth / 500


@pytest.mark.parametrize("seed", range(10))
def test_a_backlog_that_builds_up_and_drains_within_the_sampling_interval(seed: int) -> None:
    """200/s for 10 s into a consumer that takes 120/s, then nothing: sampled every 500 ms."""
    service = {"lognormal": {"median": "7ms", "p99": "30ms"}}
    world = World(SandboxSettings.model_validate({"workers": 1, "service": service, "seed": seed}))
    lag, interval_ns, sent = QueueLag(), 500 * MS, 0
    stays: list[Stay] = []
    for sample_ns in range(interval_ns, 30_000 * MS, interval_ns):
        while sent < 2000 and sent * 5 * MS <= sample_ns:
            world.accept(sent * 5 * MS, f"e-{sent}")
            lag.published([sent * 5 * MS])
            sent += 1
        stays += lag.sampled(sample_ns, sample_ns, world.queue(sample_ns).depth)
    assert lag.pending == 0
    truths = [truth.consumed_ns - truth.received_ns for truth in world.truths() if truth.consumed_ns is not None]
    assert max(truths) > 3_000 * MS, "there was a backlog"
    assert_within(stays, truths, interval_ns)


def test_the_same_through_a_real_server_and_the_http_json_gauge(tmp_path: Path) -> None:
    async def run() -> tuple[list[Stay], list[int], int]:
        settings = SandboxSettings.model_validate({"workers": 0, "service": "4ms"})
        async with sandbox_process(settings, tmp_path / "truth") as server, aiohttp.ClientSession() as session:
            config = HttpJsonGaugeConfig.model_validate(
                {"kind": "http-json", "url": f"{server.url}/queue", "value": "body.depth", "as": "queue_depth"}
            )
            async with config.open(Surroundings(SystemClock(), "r", tmp_path)) as gauge:
                lag, acks, widest, before = QueueLag(), list[int](), 0, 0
                stays: list[Stay] = []
                done = asyncio.Event()

                async def publish() -> None:
                    for number in range(400):
                        if number == 200:
                            # Two hundred are waiting by now, so the last of them waits for 199 times 4 ms at least.
                            async with session.post(f"{server.url}/admin", json={"workers": 1}) as answer:
                                assert answer.status == 200
                        event = {"specversion": "1.0", "type": "t", "source": "/s", "id": f"{number}"}
                        body = json.dumps({**event, "correlationid": f"e-{number}"}).encode()
                        headers = {"content-type": "application/cloudevents+json"}
                        async with session.post(f"{server.url}/events", data=body, headers=headers) as answer:
                            assert answer.status == 202
                        acks.append(time.perf_counter_ns())
                    done.set()

                publishing = asyncio.create_task(publish())
                told = 0
                while told < 400 or lag.pending:
                    start = time.perf_counter_ns()
                    sample = await gauge.sample()
                    end = time.perf_counter_ns()
                    lag.published(acks[told:])
                    told = len(acks)
                    depth = int(sample.values["queue_depth"])
                    stays += lag.sampled(start, end, depth, unconfirmed=0 if done.is_set() else 1)
                    widest = max(widest, end - (before or start))
                    before = start
                    await asyncio.sleep(0.05)
                await publishing
        return stays, acks, widest

    stays, acks, widest = asyncio.run(run())
    truths = read_truth(tmp_path / "truth")
    waits = [max(0, (truth.consumed_ns or 0) - ack) for truth, ack in zip(truths, acks, strict=True)]
    assert max(waits) > 200 * MS, "there was a backlog"
    assert_within(stays, waits, widest)
