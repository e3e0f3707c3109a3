"""What a search came to, in sentences for people."""

from __future__ import annotations

from fractions import Fraction

from ..model.ceiling import Backlog, Ceiling, End, Outcome, Trial
from ..units import NS_PER_S, format_duration, format_rate, format_share


def rate(value: Fraction) -> str:
    """A rate."""
    return format_rate(value)


def answer(ceiling: Ceiling) -> str:
    """The interval, or what is known instead: `476/s … 497/s`."""
    bounds = ceiling.bounds
    if ceiling.note:
        return ceiling.note
    good, bad = bounds.good, bounds.bad
    match bounds.end:
        case End.INTERVAL if good is not None and bad is not None:
            return f"{rate(good)} … {rate(bad)}"
        case End.GENERATOR if good is not None:
            return f"at least {rate(good)}: the generator is the limit"
        case End.ASKED if good is not None:
            return f"at least {rate(good)}, the highest rate that was asked for"
        case End.OPEN if good is not None:
            return f"at least {rate(good)}: it can't be told whether higher rates are good"
        case End.UNFINISHED:
            low = "nothing is known yet" if good is None else f"{rate(good)} is good"
            high = "" if bad is None else f", {rate(bad)} is bad"
            return (
                f"unfinished: {low}{high}" if good is not None or bad is None else f"unfinished: {rate(bad)} is bad"
            )
    if bad is not None:
        return f"no rate is known to be good; {rate(bad)} is bad"
    if bounds.limited is not None:
        return f"no rate is known to be good: the generator is the limit at {rate(bounds.limited)} already"
    return "no rate is known to be good: it can't be told at the first one; longer trials may"


def reasons(ceiling: Ceiling) -> list[str]:
    """Why the ends are where they are, a sentence each."""
    bounds = ceiling.bounds
    told = []
    if bounds.good is not None:
        told.append(f"{rate(bounds.good)} is good{', twice' if bounds.confirmed else ''}")
        if not bounds.confirmed and bounds.end is not End.UNFINISHED:
            again = [one for one in ceiling.trials if one.confirms and one.rate == bounds.good]
            why = f": {'; '.join(again[-1].judged.reasons)}" if again and again[-1].judged.reasons else ""
            told.append(f"{rate(bounds.good)} could not be confirmed{why}")
    for what, end in (("bad", bounds.bad), ("the limit of the generator", bounds.limited)):
        if end is not None:
            told.append(f"{rate(end)} is {what}: {'; '.join(_last_of(ceiling, end).judged.reasons)}")
    told += [
        f"{rate(one)} can't be told: {'; '.join(_last_of(ceiling, one).judged.reasons)}" for one in bounds.undecided
    ]
    return told


def _last_of(ceiling: Ceiling, at: Fraction) -> Trial:
    return [one for one in ceiling.trials if one.rate == at][-1]


def outcome(trial: Trial) -> str:
    """In a word or two."""
    return {
        Outcome.GOOD: "good again" if trial.confirms else "good",
        Outcome.BAD: "bad",
        Outcome.UNDECIDED: "undecided",
        Outcome.GENERATOR: "generator",
    }[trial.outcome]


def growth(backlog: Backlog) -> str:
    """How much it grew, as a share of the rate."""
    if backlog.growth is None:
        return "too little seen"
    low, high = (format_share(round(end, 4)) for end in backlog.growth)
    return high if low == high else f"{low.removesuffix(' %')} … {high}"


def drain(backlog: Backlog) -> str:
    """How long after the load it was back; empty where nobody asked."""
    if backlog.drain is None:
        return ""
    low, high = backlog.drain
    first = format_duration(low * NS_PER_S)
    last = "not by the end" if high is None else format_duration(high * NS_PER_S)
    return last if first == last else f"{first} … {last}"
