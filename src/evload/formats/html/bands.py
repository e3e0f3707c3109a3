"""What was done to the system, drawn in every chart over time: a band with its name, or a line for a moment.

Where it isn't known when exactly something began or ended, the edge of its band is hatched for as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bokeh.core.property.vectorization import Value
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from ...model.marker import Marker
from .figures import FONT, glyph

NS_PER_MS: Final = 1_000_000
COLOUR: Final = "action"
_NAMES: Final = "names"
_ROWS: Final = 4
_ROW_PX: Final = 17
_LETTER_PX: Final = 7.2
_NARROW_PX: Final = 215
"""Width of the drawing on a phone: names that stand side by side there do so everywhere."""
_LONGEST: Final = 20
"""Letters of a name."""
_EMPTY: Final[Mapping[str, Sequence[Any]]] = {"at": (), "name": (), "lower": ()}


@dataclass(frozen=True, slots=True)
class _Name:
    """A name at the top of the charts: at `at`, to its right or to its left, in a row from the top."""

    text: str
    at: float
    to_the_left: bool
    row: int


class Bands:
    """The same in all charts of a run, which share the data. The time axis is `end_ms` long."""

    def __init__(self, markers: Sequence[Marker], end_ms: float) -> None:
        self._any = bool(markers)
        sure = [span for one in markers if (span := _sure(one)) is not None]
        self._sources = {
            "band": _strips(((first, last) for first, last in sure), end_ms),
            "doubt": _strips((span for one in markers for span in _doubtful(one)), end_ms),
            "edge": ColumnDataSource(
                {"at": sorted(at for one in markers for at in _edges(one) if 0 <= at <= end_ms)}
            ),
        }
        names = list(_placed(markers, end_ms))
        self._names = {side: _texts(one for one in names if one.to_the_left is side) for side in (False, True)}

    def draw(self, plot: figure) -> None:
        """Draw them in a chart. Nothing is changed of one where nothing was done."""
        if self._any:
            draw(plot, self._sources, self._names)


def draw(plot: figure, sources: Mapping[str, ColumnDataSource], names: Mapping[bool, ColumnDataSource]) -> None:
    """Draw what `sources` hold: `band` and `doubt` with `from` and `to`, `edge` with `at`.

    `names` has `at`, `name` and `lower`, the distance from the top: of those that stand to the left of their place,
    and to the right of it.
    """
    # Names stand on a scale of their own, of which the vertical axis must know nothing.
    if hasattr(plot.y_range, "renderers"):
        plot.y_range.renderers = list(plot.renderers)
    plot.extra_y_ranges = {**plot.extra_y_ranges, _NAMES: Range1d(0, 1)}
    band = plot.vstrip("from", "to", source=sources["band"], fill_alpha=0.13, line_color=None, level="underlay")
    glyph(band, fill_color=COLOUR)
    doubt = plot.vstrip(
        "from", "to", source=sources["doubt"], fill_alpha=0.05, line_color=None, hatch_pattern="/", hatch_scale=9,
        hatch_alpha=0.55, level="underlay",
    )  # fmt: skip
    glyph(doubt, fill_color=COLOUR, hatch_color=COLOUR)
    # Above a heat map, which hides the bands.
    edge = plot.vspan("at", source=sources["edge"], line_width=1.5, line_alpha=0.75)
    glyph(edge, line_color=COLOUR)
    for to_the_left, source in names.items():
        text = plot.text(
            "at", 1, "name", source=source, y_range_name=_NAMES, y_offset="lower", x_offset=-4 if to_the_left else 4,
            text_align="right" if to_the_left else "left", text_baseline="top", text_font_size="12px",
            text_font=Value(FONT), background_fill_alpha=0.85, padding=2, level="annotation",
        )  # fmt: skip
        glyph(text, text_color=COLOUR, background_fill_color="surface")


def _sure(marker: Marker) -> tuple[float, float] | None:
    """From when to when it was on for sure."""
    inner = marker.inner
    if inner is None or (inner[1] is not None and inner[1] <= inner[0]):
        return None
    return inner[0] / NS_PER_MS, float("inf") if inner[1] is None else inner[1] / NS_PER_MS


def _doubtful(marker: Marker) -> Iterator[tuple[float, float]]:
    """Where it may have been on, and nobody is sure."""
    first, last = ((None if ns is None else ns / NS_PER_MS) for ns in marker.outer)
    assert first is not None
    end = float("inf") if last is None else last
    sure = _sure(marker)
    if sure is None:
        yield first, end
        return
    yield first, sure[0]
    if end > sure[1]:
        yield sure[1], end


def _edges(marker: Marker) -> set[float]:
    """Where its band, or its doubtful edge, begins and ends; of a moment where it was over."""
    if not marker.lasting:
        return {(marker.done[0] if marker.done[1] is None else marker.done[1]) / NS_PER_MS}
    brackets = (marker.done, marker.undone or ())
    return {ns / NS_PER_MS for bracket in brackets for ns in bracket if ns is not None}


def _strips(spans: Iterable[tuple[float, float]], end_ms: float) -> ColumnDataSource:
    cut = [(max(first, 0.0), min(last, end_ms)) for first, last in spans]
    shown = [(first, last) for first, last in cut if first < last]
    return ColumnDataSource({"from": [first for first, _ in shown], "to": [last for _, last in shown]})


def _placed(markers: Sequence[Marker], end_ms: float) -> Iterator[_Name]:
    """The names, of an action that was done several times once, as high as there is room; none where there isn't.

    In the left half a name begins at its band's beginning, in the right half it ends at its band's end: so it isn't
    cut off.
    """
    times: dict[str, list[Marker]] = {}
    for marker in markers:
        times.setdefault(marker.action, []).append(marker)
    per_px = end_ms / _NARROW_PX
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_ROWS)]
    for action, own in times.items():
        text = action if len(action) <= _LONGEST else action[: _LONGEST - 1] + "…"
        text = text if len(own) == 1 else f"{text} × {len(own)}"
        last_ns = own[0].outer[1]
        first = max(own[0].outer[0] / NS_PER_MS, 0.0)
        last = end_ms if last_ns is None else min(last_ns / NS_PER_MS, end_ms)
        if first > end_ms:
            continue
        width = (_LETTER_PX * len(text) + 8) * per_px
        to_the_left = first > end_ms / 2
        span = (last - width, last) if to_the_left else (first, first + width)
        for row, others in enumerate(taken):
            if all(span[1] <= other[0] or other[1] <= span[0] for other in others):
                others.append(span)
                yield _Name(text, last if to_the_left else first, to_the_left, row)
                break


def _texts(names: Iterable[_Name]) -> ColumnDataSource:
    found = list(names)
    columns = {
        "at": [one.at for one in found],
        "name": [one.text for one in found],
        "lower": [one.row * _ROW_PX for one in found],
    }
    return ColumnDataSource(columns if found else dict(_EMPTY))
