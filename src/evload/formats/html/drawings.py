"""The drawings of the HTML report that are plain SVG: a bracket against its limit, the flow of the ledger, hops.

Each drawing is beside the numbers it shows, so that screen readers can leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Final, Literal

from ...model.facts import LEDGER_SUMS
from ...model.report import ObjectiveResult
from ...report.wording import metric_and_target

WIDTH: Final = 240
_HEIGHT: Final = 26
_ROOM: Final = 1.35
"""How much further than its limit and what was observed a scale reaches."""
_THIN: Final = 3.0
Tone = Literal["good", "poor", "plain"]
_TONES: Final[Mapping[str, Tone]] = {
    "scheduled": "good", "acked": "good", "visible": "good", "ended": "plain", "unobserved": "plain",
}  # fmt: skip
"""How a state looks; one that isn't named is poor. That nobody looked says nothing against the system."""


@dataclass(frozen=True, slots=True)
class Gauging:
    """A bracket on a scale of WIDTH: all in its units. `shaded` is where the objective is met."""

    shaded: tuple[float, float]
    limit: float
    low: float
    high: float
    open_end: bool
    """The upper end lies beyond the scale, or nobody knows where."""


def gauging(objective: ObjectiveResult) -> Gauging | None:
    """How to draw an objective, or None where there is nothing to draw."""
    low, high = objective.observed
    if low is None:
        return None
    target = metric_and_target(objective)[1]
    wants_more = target.startswith(">")
    ends = [end for end in (low, high, objective.limit) if end is not None]
    if wants_more and objective.limit <= 1 and max(ends) <= 1:
        first = max(0.0, min(ends) - 0.5 * (1 - min(ends)) - 1e-9)
        last = 1.0
    else:
        first, last = 0.0, max(ends) * _ROOM or 1.0
    width = last - first or 1.0

    def place(value: float) -> float:
        return round((value - first) / width * WIDTH, 1)

    limit = place(objective.limit)
    begin, end = place(low), WIDTH if high is None else place(high)
    # A point is drawn as wide as can be seen, inside the drawing.
    begin = min(begin, WIDTH - _THIN)
    return Gauging((limit, WIDTH) if wants_more else (0, limit), limit, begin, max(end, begin + _THIN), high is None)


@dataclass(frozen=True, slots=True)
class Node:
    """A state in the flow. Places and sizes in percent of the height."""

    name: str
    count: int
    column: int
    top: float
    size: float
    slot: float
    tone: Tone


@dataclass(frozen=True, slots=True)
class Ribbon:
    """From one state to another, as an SVG path in a box of 100 by 100."""

    path: str
    tone: Tone
    count: int


@dataclass(frozen=True, slots=True)
class Flow:
    """The ledger from what was scheduled to the states in which events ended. `rows` is how many lines it needs."""

    nodes: Sequence[Node]
    ribbons: Sequence[Ribbon]
    rows: int


_COLUMNS: Final = ((0.0, 3.0), (48.5, 51.5), (97.0, 100.0))


def flow(ledger: Mapping[str, int]) -> Flow:
    """The two sums of the ledger as a flow; states without an event are left out."""
    middle = [state for state in LEDGER_SUMS["scheduled"] if ledger[state]]
    right = [state for state in LEDGER_SUMS["acked"] if ledger[state]]
    whole = ledger["scheduled"]
    if not whole:
        return Flow((), (), 1)
    rows = max(len(middle), len(right), 1)
    columns = [_column(0, ["scheduled"], ledger, whole, rows), _column(1, middle, ledger, whole, rows)]
    columns.append(_column(2, right, ledger, whole, rows))
    ribbons = _ribbons(columns[0][0], columns[1])
    acked = next((node for node in columns[1] if node.name == "acked"), None)
    if acked is not None:
        ribbons += _ribbons(acked, columns[2])
    return Flow([node for column in columns for node in column], ribbons, rows)


def _column(number: int, states: Sequence[str], ledger: Mapping[str, int], whole: int, rows: int) -> list[Node]:
    least = min(100 / rows, 16.0)
    """Room for a label, in percent."""
    shares = [ledger[state] / whole * 100 for state in states]
    slots = [max(share, least) for share in shares]
    excess = sum(slots) - 100
    if excess > 0 and slots:
        largest = max(range(len(slots)), key=slots.__getitem__)
        slots[largest] -= excess
    nodes, top = [], 0.0
    for state, share, slot in zip(states, shares, slots, strict=True):
        size = max(min(share, slot), 0.7)
        tone = _TONES.get(state, "poor")
        nodes.append(Node(state, ledger[state], number, round(top, 2), round(size, 2), round(slot, 2), tone))
        top += slot
    return nodes


def _ribbons(source: Node, targets: Sequence[Node]) -> list[Ribbon]:
    whole = sum(target.count for target in targets)
    x0, x1 = _COLUMNS[source.column][1], _COLUMNS[source.column + 1][0]
    bend = (x0 + x1) / 2
    made, top = [], source.top
    for target in targets:
        thick = source.size * target.count / whole
        y0, y1, y2, y3 = top, top + thick, target.top + target.size, target.top
        path = (f"M{x0} {y0:.2f}C{bend} {y0:.2f} {bend} {y3:.2f} {x1} {y3:.2f}L{x1} {y2:.2f}"
                f"C{bend} {y2:.2f} {bend} {y1:.2f} {x0} {y1:.2f}Z")  # fmt: skip
        made.append(Ribbon(path, target.tone, target.count))
        top += thick
    return made


def log_places(values: Sequence[Sequence[float]], width: float) -> list[list[float]]:
    """Places of some times on one logarithmic scale, from 0 to `width`; times of no length count as the shortest."""
    known = [value for row in values for value in row if value > 0]
    if not known:
        return [[0.0] * len(row) for row in values]
    first, last = log10(min(known)), log10(max(known))
    span = last - first or 1.0
    return [[round((log10(max(value, min(known))) - first) / span * width, 1) for value in row] for row in values]
