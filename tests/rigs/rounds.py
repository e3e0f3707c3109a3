"""Rounds of a race as an engine might tell of them, made up: by hand, and any that there may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from evload.model.round import Held, Round, RoundEnd, RuleKind, RuleResult, Tally
from evload.model.summary import Summary
from evload.objectives.objective import Objective
from evload.summary.fold_plan import Counted, RacePlan, ScenarioPlan, Slice
from evload.summary.recorder import Recorder

MS = 1_000_000
S = 1_000 * MS
START = 77 * S
RACE = RacePlan(("pay", "cancel"), ("never both",), ("books agree", "sold out"), reads=(2,))
"""The events are flash.pay, flash.cancel and flash.stock, a read."""
EVENTS = ("flash.pay", "flash.cancel", "flash.stock")
KINDS: Mapping[str, RuleKind] = {"never both": "always", "books agree": "holds", "sold out": "holds"}


def judged(
    number: int,
    rules: Mapping[str, Held | tuple[Held, str]] | None = None,
    *,
    contended: bool | None = True,
    settled: tuple[int, int | None] | None = (100 * MS, 200 * MS),
    due: int | None = None,
    pay: Tally | None = None,
    cancel: Tally | None = None,
) -> Round:
    """One that was looked at to the end, due at a number of seconds; all rules held that aren't told of."""
    at = START + (3 * number if due is None else due) * S
    found = dict(rules or {})
    told = []
    for name, kind in KINDS.items():
        given = found.pop(name, Held.HELD)
        held, what = given if isinstance(given, tuple) else (given, "")
        told.append(RuleResult(name, kind, held, what))
    assert not found, found
    who = {name: tally for name, tally in (("pay", pay), ("cancel", cancel)) if tally is not None}
    who = who or {"pay": Tally(won=1), "cancel": Tally(refused=1)}
    return Round(0, number, at, at + S, at + 2 * S, RoundEnd.JUDGED, "", who, tuple(told), contended, settled)


def void(number: int, reason: str = "set-up: item: answered 503") -> Round:
    """One whose set-up failed."""
    at = START + 3 * number * S
    return Round(0, number, at, None, at + S, RoundEnd.VOID, reason)


def cut_off(number: int, *, begun: bool = True) -> Round:
    """One that was stopped, with contenders of it on their way or before it was begun."""
    at = START + 3 * number * S
    tallies = {"pay": Tally(doubt=1), "cancel": Tally(unsent=1)} if begun else {}
    return Round(0, number, at, at + S if begun else None, at + S, RoundEnd.CUT_OFF, "the run was stopped", tallies)


def plan_of(*objectives: Objective, race: RacePlan = RACE, name: str = "flash") -> ScenarioPlan:
    """A plan whose fold counts what these objectives ask of rounds."""
    by_label: dict[str, Slice] = {}
    for one in objectives:
        counted = Counted(tuple(one.thresholds), tuple(one.steps), tuple(one.counter_steps))
        label = one.slice
        before = by_label.get(label, Slice(label)).counted
        by_label[label] = Slice(label, before | counted, during=one.during, race=one.of_rounds)
    whole = by_label.pop("", Slice("")).counted
    return ScenarioPlan(name, False, 0, whole, tuple(by_label.values()), race=race)


def folded(rounds: Sequence[Round], *plans: ScenarioPlan) -> Summary:
    recorder = Recorder(list(plans) or [plan_of()], START)
    recorder.rounded(rounds)
    return recorder.summary()


@st.composite
def any_rounds(draw: st.DrawFn, most: int = 12) -> list[Round]:
    """Rounds in the order in which they end."""
    found = []
    counts = st.integers(0, 3)
    for number in range(draw(st.integers(0, most))):
        at = START + draw(st.integers(0, 60_000)) * MS
        end = draw(st.sampled_from(RoundEnd))
        tallies = draw(
            st.dictionaries(
                st.sampled_from(RACE.contenders), st.builds(Tally, counts, counts, counts, counts, counts)
            )
        )
        more: dict[str, Any] = {"reason": draw(st.sampled_from(["", "answered 503", "stopped"]))}
        started: int | None = at + draw(st.integers(0, 900)) * MS
        if end is RoundEnd.JUDGED:
            rules = [
                RuleResult(name, kind, draw(st.sampled_from(Held)), f"as {number}") for name, kind in KINDS.items()
            ]
            lower = draw(st.integers(0, 9000)) * MS
            more = {
                "rules": tuple(rules),
                "contended": draw(st.sampled_from([None, True, False])),
                "settled": draw(st.sampled_from([None, (lower, None), (lower, lower + 40 * MS)])),
            }
        elif end is RoundEnd.VOID:
            started, tallies = None, {}
        else:
            started = draw(st.sampled_from([None, started]))
            broken = tuple(RuleResult(name, kind, Held.VIOLATED, "cut") for name, kind in KINDS.items())
            more["rules"] = () if started is None else broken[draw(st.integers(0, 3)) :]
        ended = at + draw(st.integers(0, 9000)) * MS
        found.append(Round(0, number, at, started, ended, end, tallies=tallies, **more))
    return sorted(found, key=lambda one: one.ended_ns)
