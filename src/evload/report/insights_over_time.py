"""What stands out in the course of a run: standstills, a growing backlog, rising windows, a replica that lags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from statistics import median
from typing import Final

from ..model.report import Insight, Severity
from ..model.timeline import EDGES_NS, Bounds, LatencyOverTime, Timeline
from ..units import NS_PER_S, format_duration, format_rate

Span = tuple[int, int]

_P50, _P95 = Fraction(1, 2), Fraction(95, 100)
_LONG_NS: Final = NS_PER_S
"""A standstill has to last as long, and three times as long as events usually take."""
_PILED_UP: Final = 3
"""And as many times more than usual have to wait at its end."""
_FEW: Final = 5
_BIN_NS: Final = NS_PER_S
_GROWING_BINS: Final = 5
_OFTEN: Final = 0.6
_DEFICIT: Final = 0.03
"""Of what came in, more than this share has to be left over for a backlog to grow."""
_ENOUGH: Final = 20
_SLOWER: Final = Fraction(3, 2)
_APART_NS: Final = 20_000_000
_SEGMENTS: Final = 24
_SIDE: Final = 3
"""Segments that there have to be before and after a rise."""
_EXCESS: Final = {_P50: 0.5, _P95: 0.15}
"""And of the events after it, as large a share has to lie beyond the percentile before it."""
_MOSTLY: Final = 0.8


def moment(ns: int) -> str:
    """A time since the schedule began as on a clock: `0:07`, `12:30`, `1:02:03`; with tenths below a minute."""
    tenths = round(ns / (NS_PER_S // 10))
    minutes, rest = divmod(tenths, 600)
    if minutes < 1:
        return f"0:{rest // 10:02d}" + (f".{rest % 10}" if rest % 10 else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest // 10:02d}" if hours else f"{minutes}:{rest // 10:02d}"


def stalls(timeline: Timeline, publish_ns: int, window_ns: int, outages: Iterable[Span]) -> Iterator[Insight]:
    """Times in which nothing came through while more and more events waited.

    `publish_ns` and `window_ns` are what a publish and a consistency window usually take; while nothing could be
    read (`outages`) nobody can say that nothing became visible.
    """
    blind = list(outages)
    for one in timeline.standstills:
        usual_ns = publish_ns if one.what == "acks" else window_ns
        length_ns = one.end_ns - one.start_ns
        if length_ns < max(_LONG_NS, _PILED_UP * usual_ns) or one.waiting < max(_FEW, _PILED_UP * one.usual):
            continue
        span = (one.start_ns, one.end_ns)
        if one.what == "visibility" and any(_overlap(span, outage) * 2 >= length_ns for outage in blind):
            continue
        nothing, kind = (
            ("No publish was confirmed", "stall_acks")
            if one.what == "acks"
            else ("Nothing became visible", "stall_visibility")
        )
        sentence = (
            f"{nothing} from {moment(span[0])} to {moment(span[1])} ({format_duration(length_ns)}), while "
            f"{one.waiting:,} events waited; usually it is {one.usual:,.0f}."
        )
        evidence = {"lasting_s": length_ns / NS_PER_S, "waiting": one.waiting, "usually_waiting": one.usual}
        yield Insight(kind, Severity.WARNING, sentence, evidence, span)


def _overlap(one: Span, other: Span) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def saturated(timeline: Timeline) -> list[Insight]:
    """The consumers fell behind: more came in than came through, for long, and each event took longer."""
    total = timeline.total
    per_bin = max(1, -(-_BIN_NS // timeline.step_ns))
    bin_ns = per_bin * timeline.step_ns
    arrived = _binned(total.followed, per_bin)
    through = _binned([v + g for v, g in zip(total.visible, total.given_up, strict=True)], per_bin)
    backlog = list(accumulate(a - t for a, t in zip(arrived, through, strict=True)))
    peak = max(range(len(backlog)), key=backlog.__getitem__)
    start = peak + 1
    while start > 0 and _left_over(arrived[: peak + 1], through, start - 1) > _DEFICIT:
        start -= 1
    growing = range(start, peak + 1)
    grown = backlog[peak] - (backlog[start - 1] if start else 0)
    moving = sum(through[number] > 0 for number in growing)
    # When windows jump the backlog grows for a moment; a consumer that can't keep up falls behind all the time.
    behind = sum(through[number] < arrived[number] for number in growing)
    # It takes a while until the first events are through, and then as many come out as go in.
    steady = behind >= max(_GROWING_BINS, _OFTEN * len(growing)) and moving >= _MOSTLY * (len(growing) - 1)
    if grown < _ENOUGH or not steady:
        return []
    if any(_overlap((one.start_ns, one.end_ns), (start * bin_ns, peak * bin_ns)) * 3 > len(growing) * bin_ns
           for one in timeline.standstills):  # fmt: skip
        return []
    quarter = max(1, len(growing) // 4) * per_bin
    early = total.latency.bounds(_P50, start * per_bin, start * per_bin + quarter)
    late = total.latency.bounds(_P50, (peak + 1) * per_bin - quarter, (peak + 1) * per_bin)
    if not is_slower(late, early):
        return []
    offered = _binned(total.offered, per_bin)
    onset = offered[start] * NS_PER_S / bin_ns
    capacity = median(through[number] for number in growing) * NS_PER_S / bin_ns
    span_ns = (peak + 1 - start) * bin_ns
    when = f"at {format_rate(_rounded(onset))} ({moment(start * bin_ns)})" if start else (
        f"from the first moment, at {format_rate(_rounded(onset))},"
    )  # fmt: skip
    sentence = (
        f"The backlog began to grow {when} and reached {backlog[peak]:,} events at {moment((peak + 1) * bin_ns)}: "
        f"about {format_rate(_rounded(capacity))} came through, whatever was offered."
    )
    evidence: dict[str, float | str] = {
        "offered_at_onset": onset,
        "came_through": capacity,
        "backlog": backlog[peak],
        "slope": grown * NS_PER_S / span_ns,
    }
    depths = {name: max(v for v in value.maximum if v is not None)
              for (name, metric), value in timeline.gauges.items()
              if metric == "queue_depth" and any(v is not None for v in value.maximum)}  # fmt: skip
    evidence |= {f"{name}.queue_depth": depth for name, depth in depths.items()}
    return [Insight("saturated", Severity.WARNING, sentence, evidence, (start * bin_ns, (peak + 1) * bin_ns))]


def _left_over(arrived: Sequence[int], through: Sequence[int], number: int) -> float:
    """Share of what came in around a bin that stayed."""
    around = slice(max(0, number - 1), min(number + 2, len(arrived)))
    came = sum(arrived[around])
    return (came - sum(through[around])) / came if came else 0.0


def _binned(counts: Sequence[int], per_bin: int) -> list[int]:
    return [sum(counts[first : first + per_bin]) for first in range(0, len(counts), per_bin)]


def _rounded(rate: float) -> float:
    return float(f"{rate:.2g}")


def is_slower(late: Bounds | None, early: Bounds | None) -> bool:
    """Even the lower end of one is well above the upper end of the other."""
    if late is None or early is None or early[1] is None:
        return False
    return late[0] is None or (late[0] > _SLOWER * early[1] and late[0] > early[1] + _APART_NS)


def rising(timeline: Timeline, stalled: Sequence[Span], outages: Sequence[Span]) -> Iterator[Insight]:
    """From some moment on events take longer, to the end of the run."""
    for scenario, over_time in timeline.scenarios.items():
        # What was due before or in a standstill waited for its end, which is told already.
        spoilt = [(start - (end - start), end + (end - start)) for start, end in (*stalled, *outages)]
        found = _turn(over_time.latency, timeline, spoilt)
        if found is None:
            continue
        turn, name, early, late = found
        replicas = _parted(timeline, scenario)
        blamed = [replica for replica, latency in replicas.items() if _turns(latency, turn, timeline.count)]
        where = f" in {scenario}" if len(timeline.scenarios) > 1 else ""
        sentence = (
            f"Windows rose after {moment(turn * timeline.step_ns)}{where}: {name} went from {_told(early)} to "
            f"{_told(late)}"
        )
        evidence: dict[str, float | str] = {"before_s": seconds(early[1]), "after_s": seconds(late[0])}
        if blamed and len(blamed) < len(replicas):
            names = " and ".join(blamed)
            sentence += f", all on {'replica' if len(blamed) == 1 else 'replicas'} {names}"
            evidence["replica"] = names
        yield Insight(
            "rising_windows", Severity.WARNING, sentence + ".", evidence,
            (turn * timeline.step_ns, timeline.count * timeline.step_ns),
        )  # fmt: skip


def _turn(
    latency: LatencyOverTime, timeline: Timeline, spoilt: Sequence[Span]
) -> tuple[int, str, Bounds, Bounds] | None:
    """(interval, percentile's name, bounds before, bounds after) of the clearest rise."""
    step_ns = timeline.step_ns
    used = [number for number in range(timeline.count) if latency.upper[number]]
    used = [number for number in used
            if not any(_overlap((number * step_ns, (number + 1) * step_ns), span) for span in spoilt)]  # fmt: skip
    if not used:
        return None
    size = max(1, -(-len(used) // _SEGMENTS))
    segments = [used[first : first + size] for first in range(0, len(used), size)]
    segments = [segment for segment in segments if _count(latency, segment) >= _ENOUGH]
    for p, name in ((_P50, "the median"), (_P95, "the 95th percentile")):
        each = [_bounds(latency, segment, p) for segment in segments]
        best: tuple[float, int, Bounds, Bounds] | None = None
        for turn in range(_SIDE, len(segments) - _SIDE + 1):
            before = [n for segment in segments[:turn] for n in segment]
            after = [n for segment in segments[turn:] for n in segment]
            early, late = _bounds(latency, before, p), _bounds(latency, after, p)
            assert early is not None
            assert late is not None
            if not is_slower(late, early) or _share_above(latency, after, early[1]) < _EXCESS[p]:
                continue
            low = sum(not is_slower(late, one) for one in each[:turn])
            high = sum(not _above(one, early) for one in each[turn:])
            wrong = low + high
            if wrong <= (1 - _MOSTLY) * len(segments) and (best is None or wrong < best[0]):
                best = wrong, turn, early, late
        if best is not None:
            return segments[best[1]][0], name, best[2], best[3]
    return None


def _share_above(latency: LatencyOverTime, intervals: Sequence[int], limit_ns: int | None) -> float:
    """Share of the events that are for sure later than a time."""
    above = whole = 0
    for number in intervals:
        whole += sum(latency.lower[number].values())
        above += sum(n for bucket, n in latency.lower[number].items()
                     if limit_ns is not None and EDGES_NS[bucket] >= limit_ns)  # fmt: skip
    return above / whole if whole else 0.0


def _above(one: Bounds | None, other: Bounds) -> bool:
    return one is not None and other[1] is not None and (one[0] is None or one[0] >= other[1])


def _count(latency: LatencyOverTime, intervals: Iterable[int]) -> int:
    return sum(latency.count(number, number + 1) for number in intervals)


def _bounds(latency: LatencyOverTime, intervals: Sequence[int], p: Fraction) -> Bounds | None:
    chosen = LatencyOverTime(
        [latency.lower[n] for n in intervals],
        [latency.upper[n] for n in intervals],
        [0] * len(intervals),  # lost events are told by themselves
    )
    return chosen.bounds(p)


def _turns(latency: LatencyOverTime, turn: int, count: int) -> bool:
    return any(is_slower(latency.bounds(p, turn, count), latency.bounds(p, 0, turn)) for p in (_P50, _P95))


def _parted(timeline: Timeline, scenario: str) -> Mapping[str, LatencyOverTime]:
    return {replica: latency for (of, _, replica), latency in timeline.parts.items() if of == scenario and replica}


def lagging_replicas(timeline: Timeline, *, hurts: bool) -> Iterator[Insight]:
    """One replica shows effects later than all others of its probe. `hurts`: an objective suffers."""
    probes = {(scenario, probe) for scenario, probe, replica in timeline.parts if replica}
    for scenario, probe in sorted(probes):
        own = {replica: latency for (of, at, replica), latency in timeline.parts.items()
               if (of, at) == (scenario, probe) and replica}  # fmt: skip
        for p, name in ((_P50, "the median"), (_P95, "the 95th percentile")):
            bounds = {replica: latency.bounds(p) for replica, latency in own.items()}
            laggard = _laggard(bounds)
            if laggard is None:
                continue
            others = [b for replica, b in bounds.items() if replica != laggard and b is not None]
            best = max(others, key=lambda b: b[1] or 0)
            found = bounds[laggard]
            assert found is not None
            where = f" in {scenario}" if len(timeline.scenarios) > 1 else ""
            sentence = (
                f"Replica {laggard} of {probe} lags behind{where}: {name} until it shows an effect is "
                f"{_told(found)}, on the others {_told(best)}."
            )
            times = {"lower_s": seconds(found[0]), "others_upper_s": seconds(best[1])}
            evidence: dict[str, float | str] = {"replica": laggard, "probe": probe, **times}
            yield Insight("lagging_replica", Severity.WARNING if hurts else Severity.NOTE, sentence, evidence)
            break


def _laggard(bounds: Mapping[str, Bounds | None]) -> str | None:
    for replica, own in bounds.items():
        others = [b for name, b in bounds.items() if name != replica]
        if others and all(is_slower(own, b) for b in others):
            return replica
    return None


def _told(bounds: Bounds) -> str:
    low, high = ("never" if end is None else format_duration(end) for end in bounds)
    return f"{low} … {high}" if low != high else high


def seconds(ns: int | None) -> float:
    return float("inf") if ns is None else ns / NS_PER_S
