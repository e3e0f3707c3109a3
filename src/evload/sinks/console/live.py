"""A moment of a run as lines of text: redrawn in place on a terminal, or as words for a pipe."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Final, NamedTuple

import orjson
from rich.text import Text

from ...model.facts import TROUBLES
from ...model.progress import ActionNow, Progress
from ...report import actions
from ...report.wording import bracket, standing, title, waiting
from ...texts import printable
from ...units import NS_PER_S, format_duration, format_rate, format_share
from .charts import BAD, GOOD, QUIET, Stretch, chart, cursor, shape, sparkline

_NARROW: Final = 60
"""With fewer columns only the essential lines are shown, without labels."""
_WIDEST: Final = 100
_LABEL: Final = 13
_FIGURE: Final = 9
_CHART_ROWS: Final = 3
_SCENARIOS: Final = 4
_GAUGES: Final = 4
_MOST_TROUBLES: Final = 5
_OBJECTIVES: Final = 6
_ACTIONS: Final = 4
_FAILED: Final = frozenset({"failed", "stuck"})
_STYLES: Final = {"holds": GOOD, "broken": BAD, "fails": BAD}
_SHORT: Final = 120
"""Schedules of fewer seconds are told in seconds, others as on a clock."""


class _Block(NamedTuple):
    """Lines that stay together; those with the largest `rank` go first when there are too many."""

    rank: int
    lines: list[Text]


def screen(now: Progress, width: int, height: int) -> list[Text]:
    """What fits a terminal, the most important first to stay."""
    width = min(width, _WIDEST)
    blocks = list(_narrow(now, width) if width < _NARROW else _wide(now, width))
    while sum(len(block.lines) for block in blocks) > max(height - 1, 1) and len(blocks) > 1:
        del blocks[max(range(len(blocks)), key=lambda place: (blocks[place].rank, place))]
    lines = [line for block in blocks for line in block.lines]
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines


def _wide(now: Progress, width: int) -> Iterator[_Block]:
    room = width - _LABEL
    peak = max((rate for stretches in now.spans.values() for one in stretches for rate in one[2:]), default=0.0)
    for number, (name, stretches) in enumerate(now.spans.items()):
        if number < _SCENARIOS:
            yield _Block(6 + number, [_labelled(name, _shape(now, name, stretches, peak, room))])
    yield _Block(2, [_labelled("", cursor(now.elapsed, now.total, room))])
    yield _Block(0, [_labelled("time", Text.assemble(_time(now), "   ", (printable(now.phase), "bold")))])
    for name, rate in (("offered", now.offered_rate), ("achieved", now.achieved_rate)):
        course = (sparkline(now.history.get(name, ()), room - _FIGURE), QUIET)
        yield _Block(0, [_labelled(name, Text.assemble(f"{format_rate(round(rate)):<{_FIGURE}}", course))])
    events = f"{now.scheduled:,} scheduled, {now.in_flight:,} in flight, {now.outstanding:,} awaiting outcome"
    yield _Block(0, [_labelled("events", Text(events))])
    yield _Block(0, [_labelled("settled", _settled(now))])
    for one in now.journeys[:_SCENARIOS]:
        yield _Block(3, [_labelled(one.scenario, Text(printable(str(one))))])
    for race in now.races[:_SCENARIOS]:
        yield _Block(3, [_labelled(race.scenario, Text(printable(str(race)), style=BAD if race.violated else ""))])
    if told := waiting(now):
        yield _Block(0, [_labelled("waiting", Text(told, style=BAD if now.overdue else ""))])
    yield _Block(0, [_labelled("consistency", Text(_percentiles(now, room)))])
    seen = now.history.get("consistency", ())
    if any(value is not None for value in seen):
        limit = now.limits.get("consistency")
        rows = chart(seen, limit, min(room, 60), _CHART_ROWS, now.watched)
        told = "" if limit is None else f"limit {format_duration(limit * NS_PER_S)}"
        yield _Block(5, [_labelled(told if name == "limit" else name, line) for name, line in rows])
    yield from _alike(now, room)


def _narrow(now: Progress, width: int) -> Iterator[_Block]:
    yield _Block(0, [_time(now)])
    yield _Block(4, [cursor(now.elapsed, now.total, width)])
    yield _Block(1, [Text(printable(now.phase), style="bold")])
    yield _Block(0, [Text(_rates(now))])
    yield _Block(2, [Text(f"{now.in_flight:,} in flight, {now.outstanding:,} awaiting outcome")])
    yield _Block(0, [_settled(now)])
    for one in now.journeys[:_SCENARIOS]:
        yield _Block(3, [Text(printable(f"{one.scenario}: {one}"))])
    for race in now.races[:_SCENARIOS]:
        yield _Block(3, [Text(printable(f"{race.scenario}: {race}"), style=BAD if race.violated else "")])
    if told := waiting(now):
        yield _Block(0, [Text(told, style=BAD if now.overdue else "")])
    if now.watched in now.recent:
        limit = now.limits.get("consistency")
        told = f"{now.watched} {bracket(*now.recent[now.watched])}"
        yield _Block(0, [Text(told + _limit(limit))])
        yield _Block(5, [line for _, line in chart(now.history.get("consistency", ()), limit, width, 1)])
    yield from _alike(now, width - len("backlog "), label=False)


def _alike(now: Progress, room: int, *, label: bool = True) -> Iterator[_Block]:
    """What is the same on narrow and wide terminals: lateness, backlog, troubles."""

    def told(name: str, text: Text) -> Text:
        return _labelled(name, text) if label else Text.assemble(f"{name} ", text)

    if now.lateness is not None:
        limit = now.limits.get("schedule_delay")
        late = limit is not None and now.lateness > limit
        text = f"{'! ' if late else ''}p99 {format_duration(now.lateness * NS_PER_S)}{_limit(limit)}"
        yield _Block(3, [told("sent late", Text(text, style=BAD if late else ""))])
    shown = [one for one in now.actions if one.state != "over"][-_ACTIONS:]
    for number, action in enumerate(shown):
        text = printable(actions.now(action, now.elapsed))
        yield _Block(1, [told("actions" if not number else "", Text(text, style=BAD if _is_bad(action) else "bold"))])
    for number, one in enumerate(now.objectives[:_OBJECTIVES]):
        stands = Text(printable(standing(one)), style=_STYLES.get(one.state, ""))
        yield _Block(4, [told("objectives" if not number else "", stands)])
    for number, (name, value) in enumerate(now.gauges.items()):
        if number < _GAUGES:
            text = f"{value:,.6g}  "
            line = sparkline(now.history.get(name, ()), max(0, min(30, room - len(text) - len(name) - 2)))
            yield _Block(12 + number, [told("backlog" if not number else "", Text(f"{name} {text}{line}"))])
    for trouble in troubles(now)[:_MOST_TROUBLES]:
        yield _Block(0, [Text(f"! {trouble}", style=BAD)])


def _is_bad(action: ActionNow) -> bool:
    return action.state in _FAILED


def _shape(now: Progress, name: str, stretches: Sequence[Stretch], peak: float, width: int) -> Text:
    """The load of a scenario over time, its warm-up in grey."""
    drawn = Text(shape(stretches, now.total, peak, width))
    start, end = now.warmups.get(name, (0.0, 0.0))
    if end and now.total:
        drawn.stylize(QUIET, round(start / now.total * width), round(end / now.total * width))
    return drawn


def _labelled(name: str, text: Text) -> Text:
    name = printable(name)
    name = name if len(name) < _LABEL else name[: _LABEL - 2] + "…"
    return Text.assemble((f"{name:<{_LABEL}}", QUIET), text)


def _time(now: Progress) -> Text:
    left = round(now.total - now.elapsed)

    def clock(seconds: float) -> str:
        if now.total < _SHORT:
            return format_duration(seconds * NS_PER_S)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

    if left < 0:
        return Text(f"{clock(now.total)} over, settling for {clock(-left)}")
    return Text(f"{clock(round(now.elapsed))} of {clock(now.total)}, {clock(left)} left")


def _rates(now: Progress) -> str:
    return f"offered {format_rate(round(now.offered_rate))}, achieved {format_rate(round(now.achieved_rate))}"


def _limit(limit: float | None) -> str:
    return "" if limit is None else f", limit {format_duration(limit * NS_PER_S)}"


def _settled(now: Progress) -> Text:
    told = Text("none yet" if now.visible is None else f"visible {format_share(now.visible)}")
    for state in TROUBLES:
        if count := now.states.get(state):
            told.append(f", {count:,} {state.replace('_', ' ')}", style=BAD)
    return told


def _percentiles(now: Progress, room: int) -> str:
    """Those of the last seconds; in between, those of the whole run."""
    shown = now.recent or now.percentiles
    told = "  ".join(f"{name} {bracket(*ends)}" for name, ends in shown.items()) or "none yet"
    since = f"  (last {now.RECENT_S:g} s)" if now.recent else "  (so far)"
    return told + since if shown and len(told) + len(since) <= room else told


def troubles(now: Progress) -> list[str]:
    """What fails just now, and the self-checks that begin to."""
    failing = [
        f"{text}, since {format_duration(max(0.0, now.elapsed - since) * NS_PER_S)}, {count:,} ×"
        for text, since, count in now.incidents
    ]
    return [printable(text) for text in (*failing, *now.worries)]


def words(now: Progress) -> str:
    """One line of `name=value`. Values have no blanks, or are quoted; names stay as they are."""
    told = {
        "t": f"{now.elapsed:.1f}s",
        "of": f"{now.total:g}s",
        "phase": now.phase,
        "offered": _bare(format_rate(round(now.offered_rate))),
        "achieved": _bare(format_rate(round(now.achieved_rate))),
        "scheduled": str(now.scheduled),
        "in_flight": str(now.in_flight),
        "not_settled": str(now.outstanding),
    }
    if now.visible is not None:
        told["visible"] = _bare(format_share(now.visible))
    if now.oldest is not None:
        told["waiting"], told["oldest"] = str(now.waiting), _bare(format_duration(now.oldest * NS_PER_S))
    if now.overdue:
        told["overdue"] = str(now.overdue)
    told |= {state: str(count) for state in TROUBLES if (count := now.states.get(state))}
    for one in now.journeys:
        counts = {**({} if one.users is None else {"users": one.users}), "under_way": one.under_way, **one.counts}
        told |= {f"{one.scenario}.{name}": str(count) for name, count in counts.items()}
    for race in now.races:
        told |= {
            f"{race.scenario}.{name}": str(count) for name, count in race._asdict().items() if name != "scenario"
        }
    told |= {name: _ends(*ends) for name, ends in now.recent.items()}
    if now.lateness is not None:
        told["late_p99"] = _bare(format_duration(now.lateness * NS_PER_S))
    told |= {name.replace(" ", "."): f"{value:.6g}" for name, value in now.gauges.items()}
    if on := [one.name for one in now.actions if one.may_be_on]:
        told["actions"] = ",".join(on)
    told |= {title(one.result): one.state for one in now.objectives}
    return _joined(told)


def news(now: Progress, told: Container[str]) -> dict[str, str]:
    """The lines of what was not `told`, by what they are about: troubles, and what was done to the system."""
    # The figures of a worry change all the time; what it is about stands before them.
    about = {text: ("incident", text) for text, *_ in now.incidents}
    about |= {text.partition(":")[0]: ("worry", text) for text in now.worries}
    about |= {f"broken {title(one.result)}": ("objective", standing(one)) for one in now.objectives
              if one.state == "broken"}  # fmt: skip
    about |= {f"action {one.name} {one.number} {one.state}": ("action", text) for one in now.actions
              if (text := actions.news(one))}  # fmt: skip
    at = f"{now.elapsed:.1f}s"
    return {name: _joined({"t": at, kind: text}) for name, (kind, text) in about.items() if name not in told}


def _joined(told: dict[str, str]) -> str:
    return " ".join(f"{_word(name)}={_word(value)}" for name, value in told.items())


def _word(text: str) -> str:
    text = printable(text)
    plain = text and not set(text) & set(' "=')
    return text if plain else orjson.dumps(text).decode()


def _ends(low: float, high: float | None) -> str:
    upper = "never" if high is None else _bare(format_duration(high * NS_PER_S))
    return f"{_bare(format_duration(low * NS_PER_S))}..{upper}"


def _bare(text: str) -> str:
    return text.replace(" ", "").replace("µ", "u")
