"""Counts what failed around a run by its reasons, and joins failures that follow on one another into incidents.

Reasons that differ in nothing but an id or a time are one: they are told by the first of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..clock import Clock
from ..model.vitals import INCIDENT_GAP_NS, Incident, Vitals

_MOST: Final = 200
"""Most incidents that are kept, so that a flood of reasons costs nothing."""
_SHOWN: Final = 120
"""Most characters of an example."""
_REASONS: Final = 40
"""Most distinct reasons that are kept."""
_LONGEST: Final = 1000
"""Most characters of a reason that are kept, and shown."""
_LOOKED_AT: Final = 16 * _LONGEST
"""Most characters of what somebody said that are looked at: whoever means harm says millions."""
_WORD: Final = re.compile(r"[\w.:+-]+")
_FIGURE: Final = re.compile(r"\d")
_SHORT: Final = 5
"""Words with a figure in them that are no longer, such as a status or an error code, tell one reason from another."""
_ADDRESS: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?")
_SHAPES: Final = 1000
"""Most shapes of reasons that are remembered."""


def shape_of(reason: str) -> str:
    """A reason without what is likely to be another each time: ids, times and long numbers."""
    return _WORD.sub(_without_name, reason)


def _without_name(match: re.Match[str]) -> str:
    word = match[0].rstrip(".:+-")
    if len(word) <= _SHORT or not _FIGURE.search(word) or _ADDRESS.fullmatch(word):
        return match[0]
    return "#" + match[0][len(word) :]


class Failures:
    """Fills `errors` and `incidents` of the vitals. `redact` takes secrets out of what adapters say.

    `start_ns` is the clock reading at which the schedule began.
    """

    def __init__(self, vitals: Vitals, clock: Clock, start_ns: int, redact: Callable[[str], str]) -> None:
        self._vitals = vitals
        self._clock = clock
        self._start_ns = start_ns
        self._redact = redact
        self._open: dict[tuple[str, str], Incident] = {}
        self._examples: dict[str, str] = {}

    def publish_failed(self, producer: str, reason: str) -> str:
        """An event met `reason` on its way out. Returns it as it may be shown."""
        shown = self._shown(reason, _LONGEST)
        example = self._example(shown)
        self._incident(producer, example)
        self._count(example)
        return shown

    def look_failed(self, source: str, reason: str) -> None:
        """A probe's read or a gauge's sample failed."""
        shown = self._example(self._shown(reason, _LONGEST))
        self._incident(source, shown)
        self._count(f"{source}: {shown}")

    def happened(self, source: str, reason: str) -> None:
        """Something failed that is no read and no publish."""
        self._incident(source, self._example(self._shown(reason, _LONGEST)))

    def shown_whole(self, text: str) -> str:
        """What an adapter says, as it may be shown, as long as a reason may be."""
        return self._shown(text, _LONGEST)

    def shown(self, example: str) -> str:
        """The beginning of something that came from outside, as it may be shown."""
        return self._shown(example, _SHOWN)

    def _shown(self, text: str, limit: int) -> str:
        # Cut last: of a secret that is cut in two none is found.
        text = self._redact(text[:_LOOKED_AT])
        return text if len(text) <= limit else text[: limit - 1] + "…"

    def _example(self, reason: str) -> str:
        """The first reason that had the shape of this one."""
        shape = shape_of(reason)
        if shape not in self._examples and len(self._examples) >= _SHAPES:
            return reason
        return self._examples.setdefault(shape, reason)

    def _incident(self, source: str, reason: str) -> None:
        at_ns = max(0, self._clock.now_ns() - self._start_ns)
        incidents = self._vitals.incidents
        known = self._open.get((source, reason))
        if known is not None and at_ns - known.last_ns <= INCIDENT_GAP_NS:
            known.last_ns = at_ns
            known.count += 1
        elif len(incidents) < _MOST:
            incident = self._open[source, reason] = Incident(source, reason, at_ns, at_ns)
            incidents.append(incident)

    def _count(self, reason: str) -> None:
        errors = self._vitals.errors
        if reason not in errors and len(errors) >= _REASONS:
            reason = "other reasons"
        errors[reason] = errors.get(reason, 0) + 1
