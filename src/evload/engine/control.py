"""Says when the load of a run stops and when the run ends: the one owner of both moments."""

from __future__ import annotations

from collections.abc import Callable

from ..clock import Clock


class RunControl:
    """Stops one run, from whoever may: a person, a page, an objective that can't be kept any more.

    `settle_ns` is how long the run goes on for what is outstanding once its load has stopped.
    """

    def __init__(self, clock: Clock, settle_ns: int) -> None:
        self._clock = clock
        self._settle_ns = settle_ns
        self._stopping: list[Callable[[], None]] = []
        self._aborting: list[Callable[[], None]] = []
        self.begun = False
        """All targets are open and the schedule is set."""
        self.interrupted = False
        """Somebody asked for it."""
        self.stopped_ns: int | None = None
        """What is due later than this is not sent; None: all of it is."""
        self.ends_ns: int | None = None
        """The run is over at this moment, whatever is outstanding then; None: when nothing is."""

    def begin(self) -> None:
        """All targets are open and the schedule is set."""
        self.begun = True

    def when_stopped(self, call: Callable[[], None]) -> None:
        """Have `call` called when the load is stopped."""
        self._stopping.append(call)

    def when_aborted(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever somebody wants the end at once."""
        self._aborting.append(call)

    def stop(self) -> None:
        """Send nothing that is due later than now, wait for what is outstanding (at most `settle`), then finish."""
        if self.stopped_ns is None:
            self.interrupted = True
            self.wind_up()

    def wind_up(self) -> None:
        """What `stop` does, without anybody having asked for it."""
        if self.stopped_ns is None:
            self.stopped_ns = self._clock.now_ns()
            self.ends_ns = self.stopped_ns + self._settle_ns
            for call in self._stopping:
                call()

    def abort(self) -> None:
        """Finish now: what is outstanding is settled as it stands."""
        self.stop()
        self.ends_ns = self._clock.now_ns()
        for call in self._aborting:
            call()
