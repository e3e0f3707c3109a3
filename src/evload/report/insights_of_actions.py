"""What became of what was done to the system: findings that lie within it, and its effect on windows, queues, errors.

A cause is never claimed. A finding "was while slow-workers was on" only where it began within the outer ends of the
marker, give or take the interval by which it was found, and outlasted it by little; where several actions were on,
all are named.

An effect is told only where it is clear: the same figure of the events due while the action was on for sure is worse,
by the ends of its bracket that are against it, than of those due in the stretch before, in which nothing else began
or ended. Of something that was done in a moment it is looked for in the half minute after it. Where it may have been
as bad at other times nothing is told. Of an action that was done several times all times are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from ..model.marker import Marker
from ..model.report import Insight, Severity
from ..model.timeline import Bounds, CloseUp, LatencyOverTime, Timeline
from ..stats.binomial import clopper_pearson_lower, clopper_pearson_upper
from ..units import NS_PER_S, format_duration, format_rate
from .actions import clock, done, listed
from .insights_over_time import is_slower, seconds
from .wording import ends

_P95: Final = Fraction(95, 100)
_ENOUGH: Final = 20
"""Events, before it and while it was on, of which a percentile says something; and what a queue has to grow by."""
_FEW: Final = 3
_BEFORE_NS: Final = 30 * NS_PER_S
_LAG_NS: Final = 30 * NS_PER_S
"""How long something that was done in a moment may take to have its effect."""
_LEAST_LAG_NS: Final = 5 * NS_PER_S
_SHARE: Final = 5
"""What began while an action was on may outlast it by a fifth of its length, by 5 s at least and 30 s at most."""
_FINE_NS: Final = 200_000_000
_BIN_NS: Final = NS_PER_S
_MORE: Final = 1.25
"""So much more load is told beside an effect: it may have been that."""

Span = tuple[int, int | None]


def of_actions(markers: Sequence[Marker], timeline: Timeline) -> list[Insight]:
    """What failed, and an insight on each action: what it did, or that nothing of it could be seen."""
    if not markers or timeline.close_up is None:
        return list(_failed(markers))
    actions = dict.fromkeys(marker.action for marker in markers)
    looked = [_Action(name, markers, timeline, timeline.close_up) for name in actions]
    return [*_failed(markers), *(told for one in looked if (told := one.insight()) is not None)]


def within_actions(insight: Insight, markers: Sequence[Marker], timeline: Timeline) -> Insight:
    """The insight with the actions named that were on all the time that it is about."""
    if insight.span_ns is None:
        return insight
    # Standstills are found in bins of a tenth of a second, all the rest by intervals.
    fine = insight.kind.startswith("stall") or insight.kind.endswith("outage")
    slack_ns = _FINE_NS if fine else max(_BIN_NS, timeline.step_ns)
    end_ns = timeline.count * timeline.step_ns
    reaches = [(one, _felt(one, end_ns)) for one in markers]
    if not any(_holds(reach, insight.span_ns, slack_ns, fine=fine) for _, reach in reaches):
        return insight
    on = [one for one, reach in reaches if _overlap(reach, insight.span_ns)]
    during = dict.fromkeys(one.action for one in on if one.lasting)
    after = dict.fromkeys(one.action for one in on if not one.lasting)
    told = [f"while {listed(list(during))} {'was' if len(during) == 1 else 'were'} on"] if during else []
    told += [f"within {format_duration(_LAG_NS)} after {listed(list(after))}"] if after else []
    evidence = {**insight.evidence, "while_on": listed([*during, *after])}
    return replace(insight, sentence=f"{insight.sentence} This was {' and '.join(told)}.", evidence=evidence)


def explains(found: Iterable[Insight], insight: Insight) -> bool:
    """Whether windows that rise are told already, as the effect of an action that begins with them."""
    if insight.kind != "rising_windows" or insight.span_ns is None:
        return False
    first = insight.span_ns[0]
    return any(
        one.kind == "action" and "after_s" in one.evidence and one.span_ns and _within(one.span_ns, first)
        for one in found
    )


def _within(span: tuple[int, int], at_ns: int) -> bool:
    return span[0] - _BIN_NS <= at_ns <= span[1]


def _felt(marker: Marker, end_ns: int) -> tuple[int, int]:
    """From when to when the system may have felt it, at the latest to the end of the run."""
    first, last = marker.outer
    if last is None:
        return first, end_ns
    return first, last if marker.lasting else last + _LAG_NS


def _holds(felt: tuple[int, int], span: tuple[int, int], slack_ns: int, *, fine: bool) -> bool:
    """Whether a span lies in it: it begins in it, and outlasts it by little. What is shorter than two intervals can't
    be told apart from what was beside it."""
    length = felt[1] - felt[0]
    lag_ns = min(_LAG_NS, max(_LEAST_LAG_NS, length // _SHARE))
    return (
        felt[0] - slack_ns <= span[0] < felt[1] and span[1] <= felt[1] + lag_ns and (fine or length >= 2 * slack_ns)
    )


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _failed(markers: Sequence[Marker]) -> Iterator[Insight]:
    for one in done(markers):
        about: dict[str, float | str] = {"action": one.marker.action}
        first = one.marker.done[0]
        last = first if one.marker.done[1] is None else one.marker.done[1]
        if one.marker.undo_error:
            sentence = f"{one.name} could not be undone and may still be on: {one.marker.undo_error}."
            yield Insight("action_not_undone", Severity.BAD, sentence, about, (first, last))
        if one.marker.error:
            sentence = (
                f"{one.name} could not be done at {one.on}: {one.marker.error}; what depends on it is not known."
            )
            yield Insight("action_failed", Severity.WARNING, sentence, about, (first, last))


@dataclass(frozen=True, slots=True)
class _Effect:
    """What an action did to one figure: the sentence without what was on when, and when it was over.

    back_ns  when it was as before; None: not seen
    lasted   at the end of what was looked at it was worse for sure
    back, still  the words for that
    """

    sentence: str
    evidence: Mapping[str, float | str]
    back_ns: int | None
    lasted: bool
    back: str = "was back"
    still: str = "did not come back"


class _Action:
    """One action with all its times, before a close-up of the run."""

    def __init__(self, name: str, markers: Sequence[Marker], timeline: Timeline, close_up: CloseUp) -> None:
        self._name = name
        self._timeline, self._close_up = timeline, close_up
        self._end_ns = timeline.count * timeline.step_ns
        own = [one for one in markers if one.action == name]
        self._doubtful = any(one.error for one in own)
        others = [one for one in markers if one.action != name]
        self._first = own[0].done[0]
        self._over = own[-1].outer[1]
        """When it was over; None: it was on to the end."""
        self._lasting = own[0].lasting
        self._times = len(own)
        whole = self._first, max(_felt(one, self._end_ns)[1] for one in own)
        beside = (one.action for one in others if _overlap(_felt(one, self._end_ns), whole))
        self._named = list(dict.fromkeys([name, *beside]))
        self._others = [_felt(one, self._end_ns) for one in others]
        changes = [
            ns for one in others for bracket in (one.done, one.undone or ()) for ns in bracket if ns is not None
        ]
        length = max(_BEFORE_NS, (self._end_ns if self._over is None else self._over) - self._first)
        start = max([0, self._first - length, *(ns for ns in changes if ns <= self._first)])
        self._before = close_up.within(start, self._first)
        over = self._end_ns if self._over is None else self._over
        next_ns = min((ns for ns in changes if ns >= over), default=None)
        """Before something else is done it has to be over, or nobody can tell whose effect is seen."""
        self._next = next_ns
        self._during = sorted({number for one in own for number in close_up.within(*self._reach(one, own, next_ns))})
        self._after = [] if self._over is None else close_up.within(self._over, next_ns)

    def _reach(self, marker: Marker, own: Sequence[Marker], next_ns: int | None) -> Span:
        """From when to when its effect is looked for."""
        if self._lasting:
            inner = marker.inner
            return (0, 0) if inner is None or inner[1] == inner[0] else (inner[0], inner[1])
        at = marker.done[0] if marker.done[1] is None else marker.done[1]
        later = [one.done[0] for one in own if one.done[0] > at] + ([] if next_ns is None else [next_ns])
        return at, min([at + _LAG_NS, *later])

    def insight(self) -> Insight | None:
        """What it did; None if that is not to be told, because it failed."""
        if self._doubtful:
            return None
        span = self._first, self._end_ns if self._over is None else self._over
        effects = [*self._windows(), *self._errors(), *self._depths()]
        about: dict[str, float | str] = {"action": self._name}
        if effects:
            sentences = [self._sentence(effect) for effect in effects]
            evidence = {name: value for effect in reversed(effects) for name, value in effect.evidence.items()}
            return Insight("action", Severity.WARNING, " ".join(sentences), {**about, **evidence}, span)
        if reason := self._undecided():
            sentence = f"Whether {self._name} had an effect can't be told: {reason}."
            return Insight("action_undecided", Severity.NOTE, sentence, about, span)
        return Insight(
            "action_no_effect", Severity.NOTE, f"{self._name} had no effect that could be seen.", about, span
        )

    def _sentence(self, effect: _Effect) -> str:
        names = listed(self._named)
        if len(self._named) > 1:
            when = f"while {names} were on" if self._lasting else f"around the time of {names}"
        else:
            when = f"while {names} was on" if self._lasting else f"within {format_duration(_LAG_NS)} after {names}"
        over = self._over
        if over is None:
            return f"{effect.sentence} {when}, to the end of the run."
        if effect.back_ns is not None:
            late = effect.back_ns - over
            whose = f"{self._name}'s" if len(self._named) > 1 else "its"
            its = f"{whose} end" if self._lasting else self._name if len(self._named) > 1 else "it"
            if self._times > 1:
                its = f"the last of {whose} {self._times} times"
            ago = f"{format_duration(late)} after {its}" if late > 0 else f"at {its}"
            return f"{effect.sentence} {when}, and {effect.back} {ago}."
        if effect.lasted:
            until = f"by {clock(self._next)}, when something else was done" if self._next else "before the run ended"
            return f"{effect.sentence} {when}, and {effect.still} {until}."
        return f"{effect.sentence} {when}."

    def _undecided(self) -> str:
        """Why nobody can say that it had no effect; empty if one can."""
        followed = [latency for latency in self._close_up.latency.values() if any(latency.upper)]
        before, during = (
            sum(_count(latency, numbers) for latency in followed) for numbers in (self._before, self._during)
        )
        if not followed:
            return "no event was followed until it was visible"
        if before < _ENOUGH:
            return "too few events were due in the stretch before it"
        if during < _ENOUGH:
            return "too few events were due while it was on"
        for latency in followed:
            early, late = (_bounds(latency, numbers) for numbers in (self._before, self._during))
            if is_slower(late, early):
                return "windows were as long at other times"
            if early is not None and early[1] is None:
                return "one event in twenty was never seen already before it"
        return ""

    # -- what it did ---------------------------------------------------------------------------------

    def _windows(self) -> Iterator[_Effect]:
        for scenario, latency in self._close_up.latency.items():
            if min(_count(latency, self._before), _count(latency, self._during)) < _ENOUGH:
                continue
            early, late = _bounds(latency, self._before), _bounds(latency, self._during)
            if early is None or late is None or not is_slower(late, early) or self._was_so_before(scenario, late):
                continue
            sentence = (
                f"The 95th percentile of consistency{self._where(scenario)} rose from {ends(*early)} to "
                f"{ends(*late)}{self._load(scenario)}"
            )

            def fine(
                numbers: Sequence[int], latency: LatencyOverTime = latency, early: Bounds = early
            ) -> bool | None:
                seen = _bounds(latency, numbers)
                if is_slower(seen, early):
                    return False
                # The upper end is no higher than what would be called a rise.
                return True if seen is not None and not is_slower((seen[1], None), early) else None

            back, lasted = self._return([latency.count(n, n + 1) for n in range(len(latency.upper))], fine)
            yield _Effect(sentence, {"before_s": seconds(early[1]), "after_s": seconds(late[0])}, back, lasted)

    def _errors(self) -> Iterator[_Effect]:
        for scenario, refused in self._close_up.refused.items():
            offered = self._close_up.offered[scenario]
            early, of_early = _sums(refused, offered, self._before)
            late, of_late = _sums(refused, offered, self._during)
            if of_early < _ENOUGH or late < _FEW:
                continue
            usual = clopper_pearson_upper(early, of_early)
            if clopper_pearson_lower(late, of_late) <= usual:
                continue
            sentence = (
                f"Errors{self._where(scenario)} rose from {early:,} of {of_early:,} events to {late:,} of {of_late:,}"
            )

            def fine(
                numbers: Sequence[int], refused: Sequence[int] = refused, offered: Sequence[int] = offered,
                usual: float = usual,
            ) -> bool | None:  # fmt: skip
                count, of = _sums(refused, offered, numbers)
                if not of:
                    return None
                return True if count <= usual * of else False if clopper_pearson_lower(count, of) > usual else None

            back, lasted = self._return(offered, fine)
            yield _Effect(
                sentence, {"errors": late, "errors_before": early}, back, lasted, "were as few as before",
                "were not as few as before",
            )  # fmt: skip

    def _depths(self) -> Iterator[_Effect]:
        for gauge, depths in self._close_up.depths.items():
            early = [one for number in self._before if (one := depths[number]) is not None]
            late = [one for number in self._during if (one := depths[number]) is not None]
            if not early or not late:
                continue
            usual, most = (max(one[3] for one in told) for told in (early, late))
            mean = sum(one[1] for one in late) / sum(one[2] for one in late)
            if mean <= usual or most < usual + _ENOUGH:
                continue
            after = [number for number in self._after if depths[number] is not None]
            if not self._lasting:  # it may take a while to have its effect
                grown = [place for place, n in enumerate(after) if (one := depths[n]) is not None and one[3] > usual]
                after = after[grown[0] :] if grown else []
            over = [*self._close_up.edges_ns[1:], self._end_ns]
            back = next((over[n] for n in after if (one := depths[n]) is not None and one[3] <= usual), None)
            lasted = back is None and bool(after)
            sentence = f"The depth of {gauge} rose from {usual:,.6g} at most to {most:,.6g}"
            yield _Effect(sentence, {f"{gauge}.queue_depth": most}, back, lasted)

    def _was_so_before(self, scenario: str, late: Bounds) -> bool:
        """Whether it was not for sure quicker at some time before, for as long, when nothing was on."""
        latency = self._timeline.scenarios[scenario].latency
        step_ns = self._timeline.step_ns
        length = max(1, sum(self._length(number) for number in self._during) // step_ns)
        quiet = [
            number
            for number in range(min(self._timeline.count, self._first // step_ns))
            if not any(_overlap((first, 2 * last - first), (number * step_ns, (number + 1) * step_ns))
                       for first, last in self._others)
        ]  # fmt: skip
        chunks = [quiet[first : first + length] for first in range(0, len(quiet), length)]
        return any(
            not is_slower(late, _bounds(latency, chunk)) for chunk in chunks if _count(latency, chunk) >= _ENOUGH
        )

    def _return(self, counts: Sequence[int], fine: Callable[[Sequence[int]], bool | None]) -> tuple[int | None, bool]:
        """When it was as before, as far as enough events in a row show it; and whether it was not, at the last.

        What was done in a moment may take a while to have its effect: it is over when it has been seen.
        """
        last: bool | None = None
        felt = self._lasting
        for place, number in enumerate(self._after):
            taken, some = [], 0
            for more in self._after[place:]:
                taken.append(more)
                some += counts[more]
                if some >= _ENOUGH:
                    break
            if some < _ENOUGH:
                break
            last = fine(taken)
            if last and felt:
                return self._close_up.edges_ns[number], False
            felt = felt or last is False
        return None, last is False

    def _where(self, scenario: str) -> str:
        return f" in {scenario}" if len(self._timeline.scenarios) > 1 else ""

    def _load(self, scenario: str) -> str:
        """What was asked for at the same time, if that was more."""
        offered = self._close_up.offered[scenario]
        rates = [
            sum(offered[n] for n in numbers) * NS_PER_S / max(sum(self._length(n) for n in numbers), 1)
            for numbers in (self._before, self._during)
        ]
        if rates[1] <= _MORE * rates[0]:
            return ""
        return f" (and the load from {format_rate(_rounded(rates[0]))} to {format_rate(_rounded(rates[1]))})"

    def _length(self, number: int) -> int:
        edges = self._close_up.edges_ns
        return (edges[number + 1] if number + 1 < len(edges) else self._end_ns) - edges[number]


def _rounded(rate: float) -> float:
    return float(f"{rate:.2g}")


def _count(latency: LatencyOverTime, numbers: Iterable[int]) -> int:
    return sum(latency.count(number, number + 1) for number in numbers)


def _bounds(latency: LatencyOverTime, numbers: Sequence[int]) -> Bounds | None:
    chosen = LatencyOverTime(
        [latency.lower[n] for n in numbers], [latency.upper[n] for n in numbers], [latency.never[n] for n in numbers]
    )
    return chosen.bounds(_P95)


def _sums(some: Sequence[int], whole: Sequence[int], numbers: Iterable[int]) -> tuple[int, int]:
    chosen = list(numbers)
    return sum(some[number] for number in chosen), sum(whole[number] for number in chosen)
