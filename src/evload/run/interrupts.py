"""What SIGINT, SIGTERM and SIGHUP do to a run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any, Literal

from ..engine.control import RunControl
from ..units import format_duration
from .controls import Controls


class Interrupts:
    """What SIGINT and SIGTERM do: end the set-up; while the run goes on drain, then report at once.

    SIGHUP, by which a terminal says that it is gone, does what the first of them does and no more: it may well come
    twice. Where we were told to ignore it, as by `nohup`, it does nothing.

    Once the run is over the second one and all that follow set `enough`: whoever still waits for a report to be
    delivered waits no longer. `task` is the one that sets the run up; `settle_ns` is the longest drain.
    """

    def __init__(
        self,
        task: asyncio.Task[Any] | None,
        control: RunControl,
        settle_ns: int,
        say: Callable[[str], None],
        controls: Controls,
    ) -> None:
        self._task = task
        self._control = control
        self._settle_ns = settle_ns
        self._say = say
        self._controls = controls
        self._heard = 0
        self._hung_up = False
        self._over = False
        self.enough = asyncio.Event()

    def heed(self) -> None:
        """From now on, until the loop is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.interrupt)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def offer(self) -> None:
        """From now on a page may do the same."""
        self._controls.begin(self.stop, self.abort)

    def end(self) -> None:
        """The run is over."""
        self._over = True
        self._controls.end()

    def stop(self) -> None:
        """What the first interrupt does."""
        if not self._heard:
            self.interrupt()

    def abort(self) -> None:
        """What the second one does."""
        self._heard = max(self._heard, 1)
        self.interrupt()

    def _hang_up(self) -> None:
        if not self._hung_up and not self._heard:
            self._hung_up = True
            self.interrupt()

    def interrupt(self) -> None:
        """What a signal does: whoever else is asked to end the run may call it."""
        if self._over:
            self._heard += 1
            if self._heard > 1:
                self.enough.set()
            else:
                self._say("interrupted: the run is over, its reports are under way; again to leave them")
            return
        if not self._control.begun:
            if self._task is not None:
                self._task.cancel()
            return
        self._heard += 1
        if self._heard == 1:
            settle = format_duration(self._settle_ns)
            self._note(f"interrupted: sending nothing more, waiting up to {settle} for what is outstanding", "stop")
            self._control.stop()
        else:
            self._note("interrupted again: reporting what there is", "abort")
            self._control.abort()

    def _note(self, text: str, what: Literal["stop", "abort"]) -> None:
        self._say(text)
        self._controls.say(what)
