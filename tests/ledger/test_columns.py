"""A ledger folded over columns amounts to what the recorder of a run makes of it row by row, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evload.ledger import replay
from evload.ledger.reader import LedgerReader
from evload.ledger.work_out import work_out
from evload.model.facts import COUNTER_NAMES, NEVER_CAME
from evload.model.marker import Marker
from evload.model.phases import Ending
from evload.model.states import Seen, State
from evload.model.summary import ScenarioSummary, Summary
from evload.model.travel import Observation, Part, Try
from evload.model.vitals import Vitals
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.objectives.scenario import ScenarioCriteria
from evload.summary.fold_plan import Counted, ScenarioPlan, Slice
from tests.rigs.by_row import add_hops, folded
from tests.rigs.contents import contents
from tests.rigs.ledgers import begun

MS = 1_000_000
S = 1_000 * MS
START: Final = 7_000 * S
BEGAN: Final = datetime(2026, 1, 31, tzinfo=UTC)
EPOCH: Final = 1_770_000_000 * S
EVENTS: Final = ("placed", "moved")
PROBES: Final = ("first", "second")
METRICS: Final = ("schedule_delay", "publish", "first_byte", "first_seen", "consistency", "end_to_end", "hop")
WAITS: Final = (0, 1, 20 * MS, 99 * MS, 100 * MS, 100 * MS + 1, S, 1_100 * MS, 3 * S, 9_900 * MS, 10 * S, 31 * S)
"""Some of them are limits themselves."""
TAGS: Final = ("", "cold", "region=eu", "cold\nregion=us", "region=", "new=1", "new=2\ncold")
KEYS: Final = (None, "k-1", "k-2", "l")
ENDS: Final = ("first_lower_ns", "first_upper_ns", "stable_lower_ns", "stable_upper_ns")
NAMED: Final = ("first", "second", "third")


class Drawn:
    """A plan and the events of a run, by a number."""

    def __init__(self, seed: int, events: int) -> None:
        self.rng = Random(seed)
        self.scenarios = self.rng.randint(1, 3)
        self.plans = [self._plan(name) for name in NAMED[: self.scenarios]]
        self.markers = list(self._markers())
        self.endings = list(self._endings())
        self.positions: Sequence[Any] = self.rng.choice([(None,), (None, 1, 2, 2.5, 3, 7), (1, 2, 3), ("a", "b", 4)])
        self.stamps = self.rng.choice([(), (MS,), (1, S), (1, 1 << 62)])
        self.chance = self.rng.random()
        self.rows = list(self._rows(events))

    def maybe(self, value: Any) -> Any:
        """The value, or None."""
        return value if self.rng.random() < self.chance else None

    def _counted(self) -> Counted:
        rng = self.rng
        thresholds = [(metric, rng.choice(WAITS)) for metric in METRICS if rng.random() < 0.5]
        steps = [(metric, x, rng.choice((100 * MS, 7 * S))) for metric, x in thresholds if rng.random() < 0.3]
        counters = (*COUNTER_NAMES[1:], "status(202)", "status(5xx)", "effects(2)")
        return Counted(
            tuple(thresholds), tuple(steps),
            tuple((name, 100 * MS) for name in counters if rng.random() < 0.15), rng.random() < 0.3,
        )  # fmt: skip

    def _plan(self, name: str) -> ScenarioPlan:
        rng = self.rng
        probes = rng.choice([(), ((0, "first"),), ((0, "first"), (1, "second"))])
        slices: dict[str, Slice] = {}
        for _ in range(rng.choice((0, 0, 1, 3, 6))):
            narrowed: dict[str, Any] = {
                "event": rng.choice((None, None, 0, 1)), "key": rng.choice((None, None, "k-*", "l")),
                "tag": rng.choice((None, None, None, "cold", "region=eu", "region?", "gone")),
                "during": rng.choice((None, None, None, "storm")), "after": rng.choice((None, None, None, "storm")),
            }  # fmt: skip
            if narrowed["tag"] is None and probes:
                narrowed |= {
                    "probe": rng.choice((None, probes[0][0])),
                    "replica": rng.choice((None, None, "eu", "us")),
                }
            named = narrowed | ({"probe": "first"} if narrowed.get("probe") == 0 else {})
            label = ",".join(f"{what}={value}" for what, value in named.items() if value is not None) or "all"
            slices[label] = Slice(label, self._counted(), **narrowed)
        phases = [(start, start + length * S) for start, length in ((0, 3), (3 * S, 0), (3 * S, 5), (8 * S, 60))]
        return ScenarioPlan(
            name, bool(probes), 10 * S, self._counted(), tuple(slices.values()), probes,
            rng.choice((None, 100 * MS)), rng.choice((None, S)), tuple(rng.choice([(), phases, phases[:1]])),
            rng.choice(("", "placed")), rng.choice((None, None, (0, 4 * S))),
        )  # fmt: skip

    def _markers(self) -> Iterator[Marker]:
        at = sorted(self.rng.sample(range(20), 8))
        for number in range(self.rng.randint(0, 2)):
            done, begun, undone, over = (ns * S for ns in at[number * 4 : number * 4 + 4])
            end = self.rng.choice((None, (undone, over), (undone, None)))
            yield Marker(
                "storm", number, (done, self.rng.choice((begun, begun, None))), end,
                self.rng.choice(("", "", "no")), "", self.rng.random() < 0.8,
            )  # fmt: skip

    def _endings(self) -> Iterator[Ending]:
        if self.rng.random() < 0.2:
            yield Ending(NAMED[0], 2, "queue < 5", 3 * S, 8 * S, self.rng.choice((None, 5 * S)))

    def _rows(self, events: int) -> Iterator[Observation]:
        rng, due = self.rng, [START] * self.scenarios
        gaps = rng.choice([(0, 1, 100 * MS, S), (0, 500 * MS, 4 * S, 11 * S)])
        for seq in range(events):
            scenario = seq % self.scenarios
            due[scenario] += rng.choice(gaps)
            if rng.random() < 0.9:
                yield self._row(seq, scenario, due[scenario])

    def _row(self, seq: int, scenario: int, due: int) -> Observation:
        rng = self.rng
        state = rng.choice((*State, *[State.VISIBLE] * 20))
        seen = Observation(seq, scenario, rng.randint(0, 1), state, due, rng.choice(KEYS))
        seen.sampled = rng.random() < 0.8
        if state is not State.UNSENT or rng.random() < 0.5:
            seen.sent_ns = due + rng.choice((-MS, *WAITS[:7], *WAITS))
            if rng.random() < 0.02:
                seen.sent_ns = None
        since = due if seen.sent_ns is None else seen.sent_ns
        if state not in (State.UNSENT, State.IN_DOUBT) and rng.random() < 0.97:
            seen.acked_ns = since + rng.choice((-MS, *WAITS[:5], rng.randrange(S)))
        for name, value in zip(ENDS, self._ends(since, state), strict=True):
            setattr(seen, name, value)
        seen.settled_ns = max(at for at in (due, seen.sent_ns, seen.acked_ns, seen.stable_upper_ns) if at is not None)
        seen.settled_ns += rng.choice(WAITS)
        seen.effects, seen.staleness = (
            self.maybe(rng.choice((0, 1, 1, 2, 300))),
            self.maybe(rng.choice((0, 5, 2**40))),
        )
        seen.regressions, seen.position = rng.choice((0, 0, 0, 2)), rng.choice(self.positions)
        seen.status, seen.session = self.maybe(rng.choice((202, 409, 503))), self.maybe(rng.choice(list(Seen)[:3]))
        seen.own_delay, seen.order_wait = self.maybe(rng.choice(WAITS)), self.maybe(rng.choice(WAITS))
        seen.answer, seen.retried = self.maybe(rng.choice((1, 2, 3))), self.maybe(rng.choice((0, 1, 300)))
        if rng.random() < 0.2:
            seen.tries = tuple(self._tries(since))
        seen.appeared, seen.gone = self.maybe(rng.choice((0, 1, 2))), self.maybe(rng.choice((0, 1, 2)))
        seen.resent, seen.non_monotonic = rng.random() < 0.1, rng.random() < 0.1
        seen.bytes_out, seen.bytes_in = self.maybe(rng.choice((300, 2**61))), self.maybe(20)
        seen.first_byte = self.maybe(rng.choice((NEVER_CAME, 0, *WAITS)))
        seen.tags = rng.choice(TAGS) if rng.random() < self.chance else ""
        seen.parts = tuple(self._parts(self.plans[scenario], since, state))
        if self.stamps:
            first, *other = (EPOCH + since - START + rng.randrange(-S, 2 * S) for _ in range(2))
            coarse = rng.choice(self.stamps)
            seen.consumed_at = self.maybe(first // coarse * coarse)
            seen.processed_at = self.maybe(
                (first + rng.choice((-MS, 0, 5 * MS, other[0] - first))) // coarse * coarse
            )
        return seen

    def _tries(self, since: int) -> Iterator[Try]:
        for _ in range(self.rng.choice((2, 2, 3, 5))):
            sent_ns = since + self.rng.choice(WAITS)
            yield Try(sent_ns, self.maybe(sent_ns + MS), self.maybe(self.rng.choice((202, 429, 503, 1200))))

    def _ends(self, since: int, state: State) -> tuple[int | None, ...]:
        rng = self.rng
        if state not in (State.VISIBLE, State.REGRESSED, State.IN_DOUBT, State.PENDING, State.ENDED):
            return None, None, self.maybe(since + 10 * S), None
        lower = since + rng.choice((-MS, *WAITS, rng.randrange(10 * S)))
        upper = lower + rng.choice(WAITS[:7])
        last = upper + rng.choice(WAITS)
        if state is State.VISIBLE:
            return self.maybe(lower), upper, *rng.choice([(lower, upper), (upper, last), (None, upper)])
        return rng.choice([(None,) * 4, (lower, upper, last, None), (lower, upper, lower, upper)])

    def _parts(self, plan: ScenarioPlan, since: int, state: State) -> Iterator[Part]:
        rng = self.rng
        if rng.random() < 0.2 or (state < State.IN_DOUBT and rng.random() < 0.8):
            return
        for probe, _ in plan.probes:
            replicas = rng.choice([(), (), ("eu",), ("us", "eu"), ("eu", "us")])
            if len(plan.probes) > 1 or replicas:
                for replica in (None, *replicas):
                    told = rng.choice((State.VISIBLE, State.VISIBLE, *list(State)[4:]))
                    yield Part(probe, replica, told, *self._ends(since, told))


def written(drawn: Drawn, path: Path) -> None:
    """The ledger of the run. Some events were scheduled that have no row."""
    criteria = Criteria([], SelfCheckPolicy(), {}, {
        plan.name: ScenarioCriteria(0, 40 * S, watched=plan.watched, events=20) for plan in drawn.plans
    })  # fmt: skip
    meta = replay.meta(
        "r-1", "any", criteria, plans=drawn.plans, events=EVENTS, probes=PROBES, gauges={}, stages=[],
        segment=drawn.rng.choice([(0, 1), (0, 1), (1, 3)]),
    )  # fmt: skip
    ledger = begun(path, START, {**meta, "started_at": BEGAN.isoformat()}, threaded=False)
    ledger.append(sorted(drawn.rows, key=lambda seen: seen.settled_ns))
    for marker in drawn.markers:
        ledger.marked(marker)
    vitals = Vitals(duration_ns=60 * S, endings=drawn.endings)
    note = {"scheduled": [drawn.rng.randint(0, 20) for _ in drawn.plans], "vitals": asdict(vitals), "final": True}
    ledger.note(START + 60 * S, note)
    ledger.close()


def told(summary: Summary) -> Mapping[str, Any]:
    """All that is in a summary, and in which order what is found on the way stands."""
    return {
        "summary": contents(summary),
        "orders": {name: orders(scenario) for name, scenario in summary.scenarios.items()},
    }


def orders(scenario: ScenarioSummary) -> Mapping[str, Any]:
    return {
        "slices": list(scenario.slices),
        "late_hops": list(scenario.late_hops),
        "warmup": None if scenario.warmup is None else orders(scenario.warmup),
    }


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 40))
@example(2, 40, 7)
def test_columns_amount_to_what_rows_do(
    tmp_path_factory: pytest.TempPathFactory, seed: int, events: int, portion: int
) -> None:
    """In portions of any size, so that whatever goes on across their edges is met."""
    drawn, path = Drawn(seed, events), tmp_path_factory.mktemp("run") / "events.sqlite"
    written(drawn, path)
    with LedgerReader(path) as reader:
        with patch("evload.ledger.columns._PORTION", portion):
            rebuilt = replay.rebuild(reader)
            scheduled = [
                (one.ledger["scheduled"] + (one.warmup.ledger["scheduled"] if one.warmup else 0),
                 one.warmup.ledger["scheduled"] if one.warmup else 0)
                for one in rebuilt.summary.scenarios.values()
            ]  # fmt: skip
            by_row = folded(reader, drawn.plans, scheduled)
            assert told(rebuilt.summary) == told(by_row)
            work_out(rebuilt.summary, reader, rebuilt.criteria)
        add_hops(by_row, reader, drawn.plans)
    assert told(rebuilt.summary) == told(by_row)
