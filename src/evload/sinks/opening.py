"""What a sink is given when it opens, and the settings that every configured sink has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..clock import Clock
from ..model import Observation
from ..ports import AdapterSettings, Sink


@dataclass(frozen=True, slots=True)
class EventSample:
    """Some settled events of a run, with the names that belong to their numbers.

    began_at      wall time at which the schedule began; the times of the observations are relative to it
    scenarios     by Observation.scenario
    events        by Observation.type
    probes        by Part.probe
    observations  of events that were followed closely
    """

    began_at: datetime
    scenarios: Sequence[str]
    events: Sequence[str]
    probes: Sequence[str]
    observations: Iterable[Observation]


@dataclass(frozen=True, slots=True)
class SinkSurroundings:
    """What a sink is given when it opens.

    directory  that of the run's results, where relative paths start
    say        a remark for a person, such as that something could not be delivered
    sample     at most so many events, spread evenly over the run; to be called when the run has ended
    """

    clock: Clock
    run_id: str
    directory: Path
    say: Callable[[str], None]
    sample: Callable[[int], EventSample]


class SinkSettings(AdapterSettings):
    """Base of the settings of all sinks that a config can name."""

    def open(self, surroundings: SinkSurroundings) -> AbstractAsyncContextManager[Sink]:
        """Set up, yield the sink, close. Raises TargetError if that can't be.

        The run goes on if a report can't be delivered later: the sink says so and leaves it at that. What can't be
        written to a file raises OutputError.
        """
        raise NotImplementedError
