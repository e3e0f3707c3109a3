"""What a run used and what that costs, from the samples of its gauges, its events and what was noted of its reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import orjson

from ..judging.costs import priced
from ..model.costs import Amounts, Hold, Usage
from ..model.states import State
from ..model.summary import LOWER_END, Summary
from ..objectives.cost import BYTES, TIME, Service, Term, longest_hold
from ..objectives.criteria import Criteria
from ..stats.usage import UsageWatch
from ..stats.watches import is_missing
from ..units import NS_PER_S
from .reader import LedgerReader

_Found = tuple[Amounts | None, str]
_Told = tuple[_Found, _Found, str]
"""Of the run, per second of the hold, and what else there is to say."""
_EVENTS: Final[Mapping[str, str]] = {
    "due": "count(*)",
    "sent": f"total(state != {State.UNSENT.value})",
    "acked": f"total(state >= {State.VISIBLE.value})",
    "bytes_out": "total(bytes_out)",
    "bytes_in": "total(bytes_in)",
}
_NO_HOLD: Final = "no phase of the load has one rate, so nothing can be projected"


def add_costs(summary: Summary, reader: LedgerReader, criteria: Criteria) -> None:
    """Fill in what the run cost, where its config has a price table. Raises UsageError for a damaged ledger."""
    services = criteria.costs
    if not services:
        return
    hold = longest_hold(criteria.scenarios, _end_ns(summary, reader))
    if hold is not None:
        hold = Hold(hold.scenario, hold.start_ns, hold.end_ns, int(_events(reader, hold)["due"]))
    terms = {term for one in services for term in one.terms}
    found = _of_gauges(summary, reader, [term for term in terms if term.function], hold)
    own = [term for term in terms if not term.function]
    if own:
        found |= _own(summary, reader, own, hold)
    total = summary.total()
    acked, in_doubt = total.with_warmup("acked"), total.with_warmup("in_doubt")
    usages = {one.name: _together(one, found) for one in services}
    summary.costs = priced(services, usages, (acked, acked + in_doubt), hold)


def _end_ns(summary: Summary, reader: LedgerReader) -> float:
    """Until when the load went on, where it was ended before its time."""
    vitals = summary.vitals
    if not (vitals.interrupted or vitals.crashed or vitals.aborted):
        return float("inf")
    ((last_ns,),) = reader.rows("SELECT max(sent_ns) FROM events")
    return last_ns or 0


def _together(service: Service, found: Mapping[Term, _Told]) -> Usage:
    run, run_reason = _sum([found[term][0] for term in service.terms])
    rate, rate_reason = _sum([found[term][1] for term in service.terms])
    notes = dict.fromkeys(found[term][2] for term in service.terms)
    return Usage(run, rate, run_reason, rate_reason, "; ".join(note for note in notes if note))


def _sum(parts: Sequence[_Found]) -> _Found:
    reasons = list(dict.fromkeys(reason for amounts, reason in parts if amounts is None))
    if reasons:
        return None, "; ".join(reasons)
    known = [amounts for amounts, _ in parts if amounts is not None]
    highs = [high for _, high in known if high is not None]
    high = sum(highs, Fraction(0)) if len(highs) == len(known) else None
    return (sum((low for low, _ in known), Fraction(0)), high), ""


# -- gauges ------------------------------------------------------------------------------------------


def _of_gauges(summary: Summary, reader: LedgerReader, terms: Sequence[Term], hold: Hold | None) -> dict[Term, _Told]:
    """Over the run, and per second of the hold."""
    part = None if hold is None else (hold.start_ns, hold.end_ns)
    watches = {
        (term, end): UsageWatch(counter=term.function == "rise", part=part)
        for term in terms
        for end in ("", LOWER_END)
        if not end or term.value + end in reader.meta["gauges"].get(term.gauge, {"metrics": ()})["metrics"]
    }
    by_gauge: dict[str, list[tuple[str, UsageWatch]]] = {}
    for (term, end), watch in watches.items():
        by_gauge.setdefault(term.gauge, []).append((term.value + end, watch))
    for gauge, start_ns, end_ns, values in reader.samples() if watches else ():
        for value, watch in by_gauge.get(gauge, ()):
            figure = values.get(value)
            if figure is None:
                continue
            if is_missing(figure):
                watch.missing(start_ns, end_ns)
            else:
                watch.add(start_ns, end_ns, figure)
    found = {}
    for term in terms:
        failed = summary.gauges[term.gauge].failed if term.gauge in summary.gauges else 0
        ends = [watches[term, end] for end in (LOWER_END, "") if (term, end) in watches]
        run = _bracketed([one.run(summary.vitals.duration_ns, failed) for one in ends])
        rate: _Found = (None, _NO_HOLD) if hold is None else _bracketed([one.rate(failed) for one in ends])
        found[term] = (run, rate, ends[-1].note)
    return found


def _bracketed(ends: Sequence[_Found]) -> _Found:
    """What is told by the lower ends of a gauge's value and by the upper ones, the same one where it is a point."""
    (low, reason), (high, other) = ends[0], ends[-1]
    if low is None or high is None:
        return None, reason or other
    return (low[0], high[1]), ""


# -- evload's own ------------------------------------------------------------------------------------


def _own(summary: Summary, reader: LedgerReader, terms: Sequence[Term], hold: Hold | None) -> dict[Term, _Told]:
    whole = _events(reader, None)
    unknown = summary.total().with_warmup("scheduled") - int(whole["due"])
    held = None if hold is None else _events(reader, hold)
    noted = _Noted(reader, hold)
    found = {}
    for term in terms:
        name = term.value
        run: _Found
        rate: _Found
        if name == TIME:
            run = _exact(Fraction(summary.vitals.duration_ns, NS_PER_S))
            found[term] = (run, (None, _NO_HOLD) if hold is None else _exact(Fraction(1)), "")
            continue
        if unknown:
            run = None, f"nobody knows what became of {unknown} events that were outstanding when the run was killed"
        else:
            run = _exact(whole.get(name, Fraction(0)) + noted.whole(name))
        if hold is None or held is None:
            rate = None, _NO_HOLD
        else:
            per_second = held.get(name, Fraction(0)) * NS_PER_S / (hold.end_ns - hold.start_ns)
            rate = noted.rate(name, per_second)
        if name in BYTES and name not in reader.columns:
            run = rate = None, "bytes were not counted by the version that wrote this ledger"
        found[term] = (run, rate, "")
    return found


def _exact(value: Fraction) -> _Found:
    return (value, value), ""


def _events(reader: LedgerReader, hold: Hold | None) -> dict[str, Fraction]:
    """What the events amount to, those due in the hold or all."""
    known = {name: sql for name, sql in _EVENTS.items() if name not in BYTES or name in reader.columns}
    where = "" if hold is None else f" WHERE intended_ns >= {hold.start_ns} AND intended_ns < {hold.end_ns}"
    (row,) = reader.rows(f"SELECT {', '.join(known.values())} FROM events{where}")
    return {name: Fraction(value) for name, value in zip(known, row, strict=True)}


class _Noted:
    """What was noted of the reads, once a second and at the end."""

    def __init__(self, reader: LedgerReader, hold: Hold | None) -> None:
        self._last: dict[str, int] = {}
        part = None if hold is None else (hold.start_ns, hold.end_ns)
        self._watches = {name: UsageWatch(counter=True, part=part) for name in ("requests", "reads", "bytes_in")}
        for at_ns, text in reader.rows("SELECT at_ns, facts FROM vitals ORDER BY at_ns"):
            vitals = orjson.loads(text)["vitals"]
            self._last = {
                "requests": vitals.get("read_requests", 0),
                "reads": vitals.get("event_reads", 0),
                "bytes_in": sum(one.get("bytes_in") or 0 for one in vitals.get("probes", {}).values()),
            }
            for name, value in self._last.items():
                self._watches[name].add(at_ns, at_ns, value)

    def whole(self, name: str) -> int:
        """Of the run."""
        return self._last.get(name, 0)

    def rate(self, name: str, beside: Fraction) -> _Found:
        """Per second of the hold, with what the events amount to beside it."""
        if name not in self._watches:
            return _exact(beside)
        amounts, reason = self._watches[name].rate(0)
        if amounts is None:
            return None, reason
        low, high = amounts
        return (low + beside, None if high is None else high + beside), ""
