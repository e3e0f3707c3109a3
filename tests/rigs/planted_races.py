"""A ledger of one race, made by hand: what became of each round follows from its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from evload.ledger import replay
from evload.ledger.reader import LedgerReader
from evload.model.report import Report
from evload.model.round import Held, Round, Tally
from evload.model.states import State
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.grammar import parse
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.report.build import build_again
from tests.rigs.ledgers import begun
from tests.rigs.rounds import EVENTS, MS, START, S, cut_off, judged, plan_of, void

TELLS: Final = "stock says available -1, reserved 11; won: pay 1, cancel 1"


def planted() -> list[Round]:
    """Sixty rounds: 54 judged, four void, two cut off (one of them before it was begun). Of those that were judged
    two broke a rule for sure, one perhaps, and of one nobody can tell; five weren't contended."""
    found = []
    for n in range(60):
        if n in (10, 20, 30):
            found.append(void(n))
        elif n == 40:
            found.append(void(n, "set-up: item: no answer within 10s"))
        elif n >= 58:
            found.append(cut_off(n, begun=n == 58))
        elif n in (7, 21):
            found.append(judged(n, {"never both": (Held.VIOLATED, TELLS)}, pay=Tally(won=1), cancel=Tally(won=1)))
        elif n == 33:
            rules = {"books agree": (Held.POSSIBLE, "stock says reserved 9; won: pay 8 to 10")}
            found.append(judged(n, rules, settled=(9 * S, None), pay=Tally(doubt=2), cancel=Tally(refused=1)))
        elif n == 35:
            found.append(judged(n, {"sold out": (Held.UNKNOWN, "no read said anything")}, settled=None))
        else:
            ends = ((100 + n) * MS, (150 + n) * MS)
            pay, cancel = (Tally(failed=1), Tally(won=1)) if n % 3 == 0 else (Tally(won=1), Tally(refused=1))
            found.append(judged(n, contended=n % 10 != 2, settled=ends, pay=pay, cancel=cancel))
    return found


def write(path: Path, slos: Sequence[str | Mapping[str, Any]] = (), rounds: Sequence[Round] | None = None) -> Path:
    """The ledger, with the requests of contenders and reads: each fourth read failed."""
    told = planted() if rounds is None else rounds
    objectives = [parse(**({"text": slo} if isinstance(slo, str) else slo)) for slo in slos]
    criteria = Criteria(objectives, SelfCheckPolicy(), {}, {"flash": ScenarioCriteria(0, 180 * S)})
    plan = replace(plan_of(*objectives), phases=())
    meta = replay.meta(
        "r-1", "a race by hand", criteria, plans=[plan], events=EVENTS, probes=(), gauges={}, segment=(0, 1),
        stages=[],
    )  # fmt: skip
    seen: list[Observation] = []
    for one in told:
        if one.started_ns is not None:
            for kind in range(3):
                answer = 3 if kind == 2 and one.number % 4 == 0 else 1
                state = State.REJECTED if answer == 3 else State.UNOBSERVED
                at = one.started_ns
                event = Observation(len(seen), 0, kind, state, at, sent_ns=at, acked_ns=at + MS, settled_ns=at + MS)
                event.iteration, event.answer = one.number, answer
                seen.append(event)
    ledger = begun(path, START, {**meta, "started_at": "2026-01-02T03:04:05+00:00"}, threaded=False)
    ledger.append(seen)
    ledger.rounded(told)
    ledger.note(START + 180 * S, {"scheduled": [len(seen)], "vitals": {"duration_ns": 180 * S}, "final": True})
    ledger.close()
    return path


def report_of(
    path: Path, slos: Sequence[str | Mapping[str, Any]] = (), rounds: Sequence[Round] | None = None
) -> Report:
    """The report of the run whose ledger is written there."""
    with LedgerReader(write(path, slos, rounds)) as reader:
        return build_again(reader, path.parent)
