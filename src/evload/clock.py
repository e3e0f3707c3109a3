"""The only reader of time: a monotonic clock in nanoseconds, and a sleep that keeps its appointments.

A loop timer alone is too coarse for a load generator: uvloop rounds to whole milliseconds and may fire
early. `SystemClock` therefore lets the loop sleep until shortly before the appointment and waits for the
rest on a Linux timerfd, which the kernel fires with nanosecond resolution while the loop stays free for
I/O. Where there is no timerfd (macOS), the last stretch is spent yielding to the loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from .units import NS_PER_S

_COARSE_NS: Final = 3_000_000
"""Longer waits than this go to the loop's own timer first, which is cheaper and off by a millisecond or two."""
_COARSE_MARGIN_NS: Final = 2_000_000
_WAKE_NS: Final = 40_000
"""A timerfd wakes the loop this much after it fires; asking for it that much earlier centres the error."""


class Alarm(Protocol):
    """Calls somebody at one moment at a time."""

    def set(self, when_ns: int) -> None:
        """Call at `when_ns` or as soon after it as can be, never before, and not when it was set to until now."""
        ...

    def close(self) -> None:
        """Call no more."""
        ...


class Clock(Protocol):
    """Time as the engine sees it. Replaced by a virtual one in tests."""

    def now_ns(self) -> int:
        """Nanoseconds on a monotonic clock with an arbitrary zero."""
        ...

    def wall(self, at_ns: int) -> datetime:
        """The UTC time of a reading of `now_ns`, for labels only: never subtract two of them."""
        ...

    def cpu_ns(self) -> int | None:
        """CPU time this process has used, or None where that means nothing (virtual time)."""
        ...

    def wall_offset_ns(self) -> int | None:
        """Wall time less monotonic time now, to see whether they part; None where that means nothing."""
        ...

    async def sleep_until_ns(self, when_ns: int) -> None:
        """Return at `when_ns` or as soon after it as can be, never before."""
        ...

    def alarm(self, call: Callable[[], None]) -> Alarm:
        """An alarm of the running loop, which isn't set."""
        ...

    def close(self) -> None:
        """Give back what the clock holds."""
        ...


def rfc3339(moment: datetime) -> str:
    """A UTC time as RFC 3339 text with microseconds: `2026-01-31T12:00:00.000000Z`."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


class SystemClock:
    """`time.perf_counter_ns`, which on Linux is CLOCK_MONOTONIC and so shared by all processes of a host."""

    def __init__(self) -> None:
        self._zero_ns = time.perf_counter_ns()
        self._zero_wall = datetime.now(UTC)
        self._idle: list[_Sleeper] = []
        self._alarms: list[Alarm] = []

    def now_ns(self) -> int:
        return time.perf_counter_ns()

    def wall(self, at_ns: int) -> datetime:
        return self._zero_wall + timedelta(microseconds=(at_ns - self._zero_ns) / 1000)

    def cpu_ns(self) -> int | None:
        return time.process_time_ns()

    def wall_offset_ns(self) -> int | None:
        return time.time_ns() - time.perf_counter_ns()

    async def sleep_until_ns(self, when_ns: int) -> None:
        remaining = when_ns - time.perf_counter_ns()
        if remaining > _COARSE_NS:
            await asyncio.sleep((remaining - _COARSE_MARGIN_NS) / NS_PER_S)
        while (remaining := when_ns - time.perf_counter_ns()) > 0:
            if remaining > 2 * _WAKE_NS and await self._precise(remaining - _WAKE_NS):
                continue
            if remaining > _WAKE_NS:
                await asyncio.sleep(0)

    async def _precise(self, delay_ns: int) -> bool:
        sleeper = self._idle.pop() if self._idle else _Sleeper.open()
        if sleeper is None:
            return False
        try:
            await sleeper.wait(delay_ns)
        finally:
            self._idle.append(sleeper)
        return True

    def alarm(self, call: Callable[[], None]) -> Alarm:
        timer = _TimerFd.open(call)
        alarm: Alarm = LoopAlarm(self, call) if timer is None else _TimerAlarm(timer)
        self._alarms.append(alarm)
        return alarm

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        while self._alarms:
            self._alarms.pop().close()


class _ITimerSpec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


class _TimerFd:
    """One kernel timer that the running loop watches: it makes one call at a time, never early."""

    def __init__(self, fd: int, libc: ctypes.CDLL, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._fd = fd
        self._libc = libc
        self._loop = loop
        self._call = call
        self._spec = _ITimerSpec(0, 0, 0, 0)
        loop.add_reader(fd, self._fired)

    @classmethod
    def open(cls, call: Callable[[], None]) -> _TimerFd | None:
        if not sys.platform.startswith("linux"):
            return None
        libc = ctypes.CDLL(None, use_errno=True)
        clock_monotonic, nonblock_cloexec = 1, os.O_NONBLOCK | os.O_CLOEXEC
        fd = libc.timerfd_create(clock_monotonic, nonblock_cloexec)
        return cls(fd, libc, asyncio.get_running_loop(), call) if fd >= 0 else None

    def start(self, delay_ns: int) -> None:
        """Make the call when so many nanoseconds, 1 or more, have passed, and not when it was to be made so far."""
        self._spec.value_s, self._spec.value_ns = divmod(delay_ns, NS_PER_S)
        self._libc.timerfd_settime(self._fd, 0, ctypes.byref(self._spec), None)

    def _fired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # It was set anew after it had fired.
        self._call()

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        os.close(self._fd)


class _Sleeper:
    """A kernel timer for one sleeper at a time."""

    def __init__(self) -> None:
        self._timer: _TimerFd
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def open(cls) -> _Sleeper | None:
        sleeper = cls()
        timer = _TimerFd.open(sleeper._wake)
        if timer is None:
            return None
        sleeper._timer = timer
        return sleeper

    async def wait(self, delay_ns: int) -> None:
        """Return when the kernel says that `delay_ns` have passed. A sleeper that is cancelled leaves the
        timer running; the next one sets it anew, and one early wake is caught by its check of the clock."""
        self._waiter = asyncio.get_running_loop().create_future()
        self._timer.start(delay_ns)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        self._timer.close()


class _TimerAlarm:
    """An alarm on a kernel timer."""

    def __init__(self, timer: _TimerFd) -> None:
        self._timer: _TimerFd | None = timer

    def set(self, when_ns: int) -> None:
        if self._timer is not None:
            self._timer.start(max(1, when_ns - time.perf_counter_ns()))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None


class LoopAlarm:
    """An alarm on the running loop's own timers, which may be too early: then it waits for the rest."""

    def __init__(self, clock: Clock, call: Callable[[], None]) -> None:
        self._clock = clock
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._when_ns = 0
        self._handle: asyncio.TimerHandle | None = None
        self._closed = False

    def set(self, when_ns: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if not self._closed:
            self._when_ns = when_ns
            delay = max(0, when_ns - self._clock.now_ns()) / NS_PER_S
            self._handle = self._loop.call_later(delay, self._fired)

    def _fired(self) -> None:
        self._handle = None
        if self._clock.now_ns() < self._when_ns:
            self.set(self._when_ns)
        else:
            self._call()

    def close(self) -> None:
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()
