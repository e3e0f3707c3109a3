"""A secret whose value changes while the run goes on: who renews it, when, and how often at most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from ...clock import Clock
from ...spi.listening import BackOff
from ...units import NS_PER_S
from .grant import Grant, NoGrant
from .watched_file import WatchedFile

LOOK_S: Final = 1.0
"""Between two looks at a file."""
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_MISSES: Final = 3
"""A file that can't be read is told of after so many looks: whoever writes a new one may take the old one away."""
QUIET_NS: Final = 10 * NS_PER_S
"""After a renewal because of a refusal there is none for another one for so long: a target that refuses everything
must not become a storm on who gives the tokens."""
_QUIET_SHARE: Final = 5
_REREAD_NS: Final = NS_PER_S // 10
_LEAST_NS: Final = NS_PER_S
"""Between two renewals at the very least."""


class Source(Protocol):
    """Where values come from."""

    async def get(self) -> Grant:
        """The value now. Raises NoGrant."""
        ...


class LiveSecret:
    """One secret, see `spi.secrets.Secret`.

    `learn` is given each value before anybody else sees it, so that it is shown nowhere. `tell` is told of failures,
    once for each series of them: as long as there is no other value, the old one stays in use.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        clock: Clock,
        *,
        renew: float,
        learn: Callable[[str, str], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self.lifetime_ns: int | None = None
        self._source = source
        self._clock = clock
        self._renew = renew
        self._learn = learn
        self._tell = tell
        self._value = ""
        self._watchers: list[Callable[[], None]] = []
        self._under_way: asyncio.Task[bool] | None = None
        self._due = asyncio.Event()
        """Set when the time of the next renewal has changed."""
        self._due_ns: int | None = None
        self._quiet_until_ns = 0
        self._failing = 0
        """Failures that followed on one another."""

    @property
    def value(self) -> str:
        return self._value

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    async def begin(self) -> None:
        """Get the first value. Raises NoGrant."""
        self._take(await self._source.get())

    async def renewed(self, refused: str) -> bool:
        if self._value == refused and (self._under_way is not None or self._clock.now_ns() >= self._quiet_until_ns):
            await self._once()
            self._quiet_until_ns = self._clock.now_ns() + self._quiet_ns()
        return self._value != refused

    async def keep(self) -> None:
        """Renew it when that is due, until cancelled."""
        if isinstance(self._source, WatchedFile):
            await self._look_after(self._source)
        back_off = BackOff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            await self._wait()
            if not self._failing:
                back_off.reset()
            if not await self._once():
                await back_off.pause()

    async def _look_after(self, file: WatchedFile) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            changed, at_rest = file.look()
            # Of one that can't be read each look is another attempt.
            if at_rest and (changed or self._failing) and self._under_way is None:
                # Not as a task: what was looked at is read before anybody else has a turn.
                await self._renewal()

    async def _wait(self) -> None:
        """Until the next renewal is due; for ever, where nobody knows when that is."""
        while self._due_ns is None or self._clock.now_ns() < self._due_ns:
            self._due.clear()
            try:
                left_s = None if self._due_ns is None else (self._due_ns - self._clock.now_ns()) / NS_PER_S
                async with asyncio.timeout(left_s):
                    await self._due.wait()
            except TimeoutError:
                pass

    async def _once(self) -> bool:
        """Renew it, or wait for whoever does so already. Whether that went well."""
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._renewal())
            self._under_way.add_done_callback(self._is_over)
        return await asyncio.shield(self._under_way)

    def _is_over(self, task: asyncio.Task[bool]) -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # whoever waits gets it

    async def _renewal(self) -> bool:
        try:
            grant = await self._source.get()
        except NoGrant as failure:
            self._failing += 1
            if self._failing == (_MISSES if isinstance(self._source, WatchedFile) else 1):
                self._tell(f"secret {self.name}", f"{failure}; the value from before stays in use")
            return False
        self._failing = 0
        self._take(grant)
        return True

    def _take(self, grant: Grant) -> None:
        before, self.lifetime_ns = self._value, grant.lifetime_ns
        if grant.lifetime_ns is None:
            self._due_ns = None
        else:
            after_ns = max(round(grant.lifetime_ns * self._renew), _LEAST_NS)
            self._due_ns = self._clock.now_ns() + after_ns
        self._due.set()
        if grant.value != before:
            self._learn(f"{{secrets.{self.name}}}", grant.value)
            self._value = grant.value
            for changed in self._watchers:
                changed()

    def _quiet_ns(self) -> int:
        """Short-lived ones may be asked for sooner, and to read a file costs nobody anything."""
        if isinstance(self._source, WatchedFile):
            return _REREAD_NS
        if self.lifetime_ns is None:
            return QUIET_NS
        return min(QUIET_NS, max(self.lifetime_ns // _QUIET_SHARE, _LEAST_NS))

    async def close(self) -> None:
        """Renew it no more."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)
