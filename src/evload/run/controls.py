"""The buttons of the live page: what they do is known only once the run has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal


class Controls:
    """What a person may do to a run. It can be done between `begin` and `end`, from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], None] | None = None
        self._abort: Callable[[], None] | None = None
        self._listener: Callable[[str], None] | None = None

    def begin(self, stop: Callable[[], None], abort: Callable[[], None]) -> None:
        """From now on. Both are called on the event loop that this is called on."""
        self._loop, self._stop, self._abort = asyncio.get_running_loop(), stop, abort

    def end(self) -> None:
        """There is nothing left that could be stopped."""
        self._loop = self._stop = self._abort = None
        self.say("over")

    def say(self, what: Literal["stop", "abort", "over"]) -> None:
        """Let pages know what the run is at, also where somebody else has asked for it."""
        if self._listener is not None:
            self._listener(what)

    def heed(self, listener: Callable[[str], None]) -> None:
        """Who is to know what `say` says."""
        self._listener = listener

    def stop(self) -> bool:
        """Send nothing more and wait for what is outstanding. False if there is no run."""
        return self._call(self._stop)

    def abort(self) -> bool:
        """End with what there is. False if there is no run."""
        return self._call(self._abort)

    def _call(self, what: Callable[[], None] | None) -> bool:
        loop = self._loop
        if loop is None or what is None:
            return False
        try:
            loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop was closed just now
            return False
        return True
