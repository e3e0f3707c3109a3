"""The system clock: never early, for many sleepers at a time, and usable after a cancellation."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import uvloop

from evload.clock import Alarm, SystemClock, rfc3339

MS = 1_000_000


def run(main: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60))


@pytest.fixture(params=["timerfd", "loop only"])
def _timers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "loop only":
        monkeypatch.setattr(sys, "platform", "darwin")


@pytest.mark.usefixtures("_timers")
@pytest.mark.parametrize("delay_ns", [-5 * MS, 0, 1, 30_000, 70_000, 500_000, 2 * MS, 5 * MS, 12 * MS])
def test_a_sleep_never_ends_early(delay_ns: int) -> None:
    async def main() -> None:
        clock = SystemClock()
        for _ in range(5):
            when = clock.now_ns() + delay_ns
            await clock.sleep_until_ns(when)
            assert clock.now_ns() >= when
        clock.close()

    run(main())


@pytest.mark.usefixtures("_timers")
def test_many_sleep_at_a_time_and_each_wakes_in_its_turn() -> None:
    async def main() -> None:
        clock = SystemClock()
        start = clock.now_ns()
        woken: list[int] = []

        async def sleep(delay_ns: int) -> None:
            await clock.sleep_until_ns(start + delay_ns)
            assert clock.now_ns() >= start + delay_ns
            woken.append(delay_ns)

        delays = [n * 100_000 for n in range(100)]
        await asyncio.gather(*map(sleep, reversed(delays)))
        assert sorted(woken) == delays
        clock.close()

    run(main())


@pytest.mark.usefixtures("_timers")
@pytest.mark.parametrize("delay_ns", [1 * MS, 3600_000 * MS])
def test_after_a_cancellation_the_next_sleep_is_as_good(delay_ns: int) -> None:
    async def main() -> None:
        clock = SystemClock()
        for _ in range(20):
            sleeper = asyncio.create_task(clock.sleep_until_ns(clock.now_ns() + delay_ns))
            await asyncio.sleep(0)
            if sleeper.cancel():  # else the machine took so long that it was over
                with pytest.raises(asyncio.CancelledError):
                    await sleeper
            when = clock.now_ns() + 2 * MS
            await clock.sleep_until_ns(when)
            assert clock.now_ns() >= when
        clock.close()

    run(main())


@pytest.mark.usefixtures("_timers")
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("delay_ns", [-5 * MS, 0, 1, 70_000, 500_000, 1_400_000, 5 * MS])
def test_an_alarm_is_never_early_and_may_be_set_again(
    loop: Callable[[], asyncio.AbstractEventLoop], delay_ns: int
) -> None:
    async def main() -> None:
        clock = SystemClock()
        called = asyncio.Event()
        alarm = clock.alarm(called.set)
        for _ in range(5):
            when = clock.now_ns() + delay_ns
            alarm.set(when)
            assert not called.is_set()
            await called.wait()
            assert clock.now_ns() >= when
            called.clear()
        alarm.close()
        clock.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(main(), 60))


@pytest.mark.usefixtures("_timers")
def test_an_alarm_that_has_gone_off_and_is_set_anew_by_another_waits() -> None:
    """Both went off while the loop stood still; whichever is first to call sets the other one an hour later."""

    async def main() -> None:
        clock = SystemClock()
        calls: list[str] = []
        alarms: dict[str, Alarm] = {}

        def call(name: str, other: str) -> None:
            calls.append(name)
            alarms[other].set(clock.now_ns() + 3600_000 * MS)

        for name, other in (("a", "b"), ("b", "a")):
            alarms[name] = clock.alarm(partial(call, name, other))
        when = clock.now_ns() + 1
        for alarm in alarms.values():
            alarm.set(when)
        await asyncio.sleep(0.02)
        assert len(calls) == 1
        for alarm in alarms.values():
            alarm.close()
        clock.close()

    run(main())


@pytest.mark.usefixtures("_timers")
@pytest.mark.parametrize("first_ns", [1, 1 * MS, 3600_000 * MS])
def test_an_alarm_that_is_set_anew_calls_once_and_not_when_it_was_to_call_before(first_ns: int) -> None:
    async def main() -> None:
        clock = SystemClock()
        calls: list[int] = []
        alarm = clock.alarm(lambda: calls.append(clock.now_ns()))
        alarm.set(clock.now_ns() + first_ns)
        until = clock.now_ns() + 2 * MS
        while clock.now_ns() < until:
            pass  # the loop stands still, and the first of them has gone off by now
        when = clock.now_ns() + 20 * MS
        alarm.set(when)
        while not calls:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.03)
        assert len(calls) == 1
        assert calls[0] >= when
        alarm.close()
        clock.close()

    run(main())


@pytest.mark.usefixtures("_timers")
def test_an_alarm_that_is_closed_calls_no_more_and_can_still_be_set_and_closed() -> None:
    async def main() -> None:
        clock = SystemClock()
        calls: list[int] = []
        alarm = clock.alarm(lambda: calls.append(1))
        alarm.set(clock.now_ns() + 1 * MS)
        alarm.close()
        alarm.set(clock.now_ns() + 1 * MS)
        await asyncio.sleep(0.02)
        assert not calls
        alarm.close()
        clock.close()

    run(main())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_closing_gives_the_timers_back() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def main() -> None:
        clock = SystemClock()
        before = open_files()
        start = clock.now_ns()
        for _ in range(3):
            await asyncio.gather(*(clock.sleep_until_ns(start + 2 * MS) for _ in range(10)))
        assert open_files() <= before + 10, "timers are used again"
        clock.alarm(clock.close).close()
        assert len({id(clock.alarm(clock.close)) for _ in range(3)}) == 3
        clock.close()
        assert open_files() == before

    run(main())


def test_wall_time_follows_the_monotonic_clock() -> None:
    clock = SystemClock()
    now = clock.now_ns()
    assert clock.wall(now + 90_000 * MS) - clock.wall(now) == timedelta(seconds=90)
    assert abs(clock.wall(now) - datetime.now(UTC)) < timedelta(seconds=5)
    cpu = clock.cpu_ns()
    assert cpu is not None
    assert cpu > 0


def test_labels_are_rfc_3339_with_microseconds() -> None:
    assert rfc3339(datetime(2026, 1, 31, 12, tzinfo=UTC)) == "2026-01-31T12:00:00.000000Z"
    assert rfc3339(datetime(2026, 1, 31, 12, 0, 0, 1500, tzinfo=UTC)) == "2026-01-31T12:00:00.001500Z"
