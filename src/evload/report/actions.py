"""When something was done to the system, in the words that all reports share, as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..model.marker import Bracket, Marker
from ..model.progress import ActionNow
from ..units import NS_PER_S, format_duration
from .wording import ends


@dataclass(frozen=True, slots=True)
class Done:
    """One time that an action was done, as a row of a table.

    name    the action's, with the number of the time where it was done several times: `pods #3`
    on, off  when it began and when it ended; each a bracket where that isn't known to a tenth of a second
    lasted  how long it was on, as a bracket
    failed  what could not be done or undone, and why; empty if all could
    """

    name: str
    on: str
    off: str
    lasted: str
    failed: str
    marker: Marker

    @property
    def sentence(self) -> str:
        """The same in words: `slow-workers was on from 2:00 to 7:00`."""
        if self.marker.error:
            told = f"{self.name} may have been on {self._span()}"
        elif self.marker.lasting:
            told = f"{self.name} was on {self._span()}"
        else:
            told = f"{self.name} was done at {self.on}"
        return f"{told}; {self.failed}" if self.failed else told

    def _span(self) -> str:
        if not self.marker.lasting:
            return f"at {self.on}"
        return f"from {self.on} to {self.off}" if self.marker.outer[1] is not None else f"from {self.on} on"


def clock(ns: int) -> str:
    """A time since the schedule began as on a clock, to a tenth of a second: `2:00`, `12:30.4`, `1:02:03`."""
    minutes, tenths = divmod(round(max(ns, 0) / (NS_PER_S // 10)), 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{tenths // 10:02d}" + (f".{tenths % 10}" if tenths % 10 else "")
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"


def moments(bracket: Bracket) -> str:
    """A bracket of times: `2:00`, or `2:00 … 2:03.2` where nobody knows better."""
    first = clock(bracket[0])
    if bracket[1] is None:
        return f"{first} …"
    last = clock(bracket[1])
    return first if first == last else f"{first} … {last}"


def done(markers: Sequence[Marker]) -> list[Done]:
    """All that was done, in order of time."""
    times = Counter(marker.action for marker in markers)
    return [_done(marker, times[marker.action] > 1) for marker in markers]


def _done(marker: Marker, several: bool) -> Done:
    name = f"{marker.action} #{marker.number + 1}" if several else marker.action
    return Done(name, moments(marker.done), _off(marker), _lasted(marker), failure(marker), marker)


def _off(marker: Marker) -> str:
    if not marker.lasting:
        return "at once"
    if marker.undo_error:
        return "not undone"
    return "on at the end" if marker.undone is None else moments(marker.undone)


def _lasted(marker: Marker) -> str:
    """Between its inner and its outer ends; nothing where it has no end."""
    first, last = marker.outer
    if not marker.lasting or last is None or marker.undone is None:
        return ""
    inner = marker.inner
    longest = format_duration(last - first)
    if inner is None:
        return f"{longest} at most"
    shortest = max(0, marker.undone[0] - inner[0])
    return longest if longest == format_duration(shortest) else ends(shortest, last - first)


def failure(marker: Marker) -> str:
    """What of it failed, and why; empty if nothing did."""
    told = [f"it failed: {marker.error}"] if marker.error else []
    told += [f"it could not be undone: {marker.undo_error}"] if marker.undo_error else []
    return "; ".join(told)


def on_between(markers: Iterable[Marker], start_ns: int, end_ns: int) -> list[str]:
    """Names of the actions that may have been on at some time of an interval, or were done in it."""
    found = [
        marker.action
        for marker in markers
        if marker.outer[0] < end_ns and (marker.outer[1] is None or marker.outer[1] >= start_ns)
    ]
    return list(dict.fromkeys(found))


def listed(names: Sequence[str]) -> str:
    """`slow-workers`, `slow-workers and db-down`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def now(one: ActionNow, elapsed: float) -> str:
    """An action at a moment of a run: `slow-workers on for 0:42 of 5:00`."""
    ago = clock(round(max(0.0, elapsed - one.since)) * NS_PER_S)
    match one.state:
        case "doing":
            return f"{one.name} being done for {ago}"
        case "on":
            of = "" if one.lasts is None else f" of {clock(round(one.lasts) * NS_PER_S)}"
            return f"{one.name} on for {ago}{of}"
        case "undoing":
            return f"{one.name} being undone, {ago} after it was done"
        case "failed":
            return f"{one.name} failed: {one.note}"
        case "stuck":
            return f"{one.name} can't be undone: {one.note}"
    return f"{one.name} over"


def news(one: ActionNow) -> str:
    """What has become of an action, for whoever is told once; empty while it is being done or undone."""
    match one.state:
        case "on":
            return f"{one.name} is on"
        case "over":
            return f"{one.name} is over"
        case "failed" | "stuck":
            return now(one, one.since)
    return ""
