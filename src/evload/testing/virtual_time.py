"""Virtual time: an event loop whose selector, instead of waiting, moves the clock to the next timer.

An eight-hour soak takes as long as its work, the same seed gives the same run to the nanosecond, and a
wait that nothing can end is an error at once.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from ..clock import Alarm, LoopAlarm
from ..units import NS_PER_S

T = TypeVar("T")
_ASKED_EVERY: Final = 64
"""Turns of the loop."""


class DeadlockError(RuntimeError):
    """All tasks wait and no timer is set: in virtual time nothing can ever happen again."""


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the loop's time forward instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self._unasked = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Without connections there is nothing to be ready but the loop's own wake-up, of which the loop looks after
        # itself: to ask the system each time costs a tenth of a run. Signals come that way, so it is asked at times.
        self._unasked += 1
        if timeout is not None and len(self.get_map()) < 2 and self._unasked < _ASKED_EVERY:
            self.now_ns += max(1, round(timeout * NS_PER_S)) if timeout else 0
            return []
        self._unasked = 0
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise DeadlockError("everything waits and nothing is due: a deadlock")
        self.now_ns += max(1, round(timeout * NS_PER_S))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time, which begins at 0."""

    def __init__(self) -> None:
        self._selector_in_use = _JumpingSelector()
        super().__init__(self._selector_in_use)

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds since the loop was made."""
        return self._selector_in_use.now_ns

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._selector_in_use.now_ns / NS_PER_S


class VirtualClock:
    """The Clock of a VirtualLoop. Its wall time begins with the year 2026."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return self._loop.now_ns

    def wall(self, at_ns: int) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns / 1000)

    def cpu_ns(self) -> int | None:
        return None

    def wall_offset_ns(self) -> int | None:
        return None

    async def sleep_until_ns(self, when_ns: int) -> None:
        while (remaining := when_ns - self._loop.now_ns) > 0:
            await asyncio.sleep(remaining / NS_PER_S)

    def alarm(self, call: Callable[[], None]) -> Alarm:
        return LoopAlarm(self, call)

    def close(self) -> None:
        pass


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a VirtualLoop of its own. Raises DeadlockError."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def virtual_clock() -> VirtualClock:
    """The clock of the running VirtualLoop. Raises RuntimeError outside one."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise RuntimeError("not in virtual time; start with evload.testing.run_virtual")
    return VirtualClock(loop)
