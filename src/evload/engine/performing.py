"""Does an activity so that it ends, whatever it does, and raises nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import Final, Self

from ..errors import EvloadError
from ..spi.activity import Activity, ActivitySettings, Outcome, Values
from ..spi.context import Surroundings
from ..units import NS_PER_S, format_duration

_GRACE_S: Final = 5.0
"""What an activity may take beyond its own limit, which it has to keep itself."""


class Bounded:
    """An activity that ends, whatever it does, and never raises. What goes wrong begins with its title."""

    def __init__(
        self, settings: ActivitySettings, opened: Callable[[], AbstractAsyncContextManager[Activity]]
    ) -> None:
        self._settings = settings
        self._opened = opened

    @classmethod
    def of(cls, activity: Activity, settings: ActivitySettings) -> Self:
        """One that is open already."""
        return cls(settings, lambda: nullcontext(activity))

    @classmethod
    def opened_each_time(cls, settings: ActivitySettings, surroundings: Surroundings) -> Self:
        """One that is opened for each try: what it needs may be back only later."""
        return cls(settings, lambda: settings.open(surroundings))

    async def perform(self, values: Values) -> Outcome:
        """Do it once."""
        title = self._settings.title
        begun = False
        try:
            async with asyncio.timeout(self._settings.timeout / NS_PER_S + _GRACE_S):
                async with self._opened() as activity:
                    begun = True
                    outcome = await activity.perform(values)
        except TimeoutError:
            took = format_duration(self._settings.timeout)
            return Outcome(f"{title}: it was not done after {took}", in_doubt=True)
        except EvloadError as error:
            return Outcome(f"{title}: {error}", in_doubt=begun)
        except Exception as error:
            # Somebody else's mistake must not keep what was done from being undone.
            return Outcome(f"{title}: {' '.join(str(error).split()) or type(error).__name__}", in_doubt=True)
        if not outcome.error:
            return outcome
        return replace(outcome, error=f"{title}: {outcome.error}")
