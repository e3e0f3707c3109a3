"""What a fold makes of rounds of races, worked out by hand; and that parts of a run add up to the whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from evload.ledger import replay
from evload.model.marker import Marker
from evload.model.round import SUMS, Held, Round, RuleResult, Tally
from evload.model.rounds import ContenderSummary, Example, RoundsSummary
from evload.model.states import State
from evload.model.summary import ScenarioSummary, Summary, merged
from evload.model.travel import Observation
from evload.objectives.criteria import Criteria
from evload.objectives.policy import SelfCheckPolicy
from evload.summary.fold_plan import Counted, RacePlan, ScenarioPlan, Slice
from evload.summary.recorder import Recorder
from tests.rigs.ledgers import begun, read_back
from tests.rigs.rounds import EVENTS, MS, RACE, START, S, any_rounds, cut_off, folded, judged, void

SETTLED = Counted((("settle", 150 * MS), ("settle", 2 * S)), (("settle", 2 * S, S),))
PLAN = ScenarioPlan(
    "flash", False, 0,
    slices=(Slice("race", SETTLED, race=True), Slice("race,during=slow", SETTLED, during="slow", race=True)),
    race=RACE, warmup=(0, 5 * S),
)  # fmt: skip
MARKERS = [Marker("slow", 0, (10 * S, 11 * S), (30 * S, 31 * S))]
SIX = [
    judged(0, pay=Tally(won=1), cancel=Tally(refused=1)),
    judged(1, {"never both": (Held.VIOLATED, "stock -1")}, pay=Tally(won=1), cancel=Tally(won=1)),
    judged(2, {"never both": (Held.POSSIBLE, "stock 0"), "books agree": (Held.UNKNOWN, "no read")}, contended=None,
           settled=(9 * S, None), pay=Tally(doubt=2), cancel=Tally(failed=1)),
    judged(3, {"sold out": (Held.UNKNOWN, "no read")}, contended=False, settled=None),
    void(4),
    cut_off(5),
]  # fmt: skip


def test_a_round_counts_by_the_worst_of_its_rules_and_each_rule_by_itself() -> None:
    race = folded(SIX).scenarios["flash"].slices["race"]
    assert race.ledger == {"scheduled": 6, "judged": 4, "void": 1, "cut_off": 1}
    assert race.ledger["scheduled"] == sum(race.ledger[part] for part in SUMS["rounds"])
    told = race.rounds
    assert told is not None
    assert (told.violated, told.possible, told.unknown, told.held, told.judged) == (1, 1, 1, 1, 4)
    assert (told.contended, told.apart, told.open, told.broken_off, told.decided) == (2, 1, 1, 0, 3)
    assert {one.open for one in told.rules.values()} == {1}
    counts = {name: (one.kind, one.held, one.violated, one.possible, one.unknown) for name, one in told.rules.items()}
    assert counts == {
        "never both": ("always", 2, 1, 1, 0), "books agree": ("holds", 3, 0, 0, 1), "sold out": ("holds", 3, 0, 0, 1)
    }  # fmt: skip
    assert told.rules["never both"].examples == {
        Held.VIOLATED: (Example(3 * S, "flash", 1, "stock -1"),),
        Held.POSSIBLE: (Example(6 * S, "flash", 2, "stock 0"),),
    }  # fmt: skip
    assert told.contenders == {
        # Those of the round that was cut off count as well: they were sent, or were to be.
        "pay": ContenderSummary(won=3, doubt=3, rounds=3), "cancel": ContenderSummary(1, 2, 1, 0, 1, rounds=1)
    }  # fmt: skip
    assert [one.due for one in told.contenders.values()] == [6, 5]
    assert told.reasons == {"set-up: item: answered 503": 1, "the run was stopped": 1}
    assert (race.first_intended_ns, race.last_intended_ns) == (0, 15 * S)


def test_what_was_broken_before_a_round_was_cut_off_stays_broken() -> None:
    rule = RuleResult("never both", "always", Held.VIOLATED, "stock -1")
    told = folded([judged(0), replace(cut_off(1), rules=(rule,)), cut_off(2), cut_off(3, begun=False)])
    rounds = told.scenarios["flash"].slices["race"].rounds
    assert rounds is not None
    assert (rounds.violated, rounds.broken_off, rounds.open, rounds.held, rounds.judged) == (1, 1, 1, 1, 1)
    counts = [(one.violated, one.open, one.held) for one in rounds.rules.values()]
    assert counts == [(1, 1, 1), (0, 2, 1), (0, 2, 1)]
    assert [one.told for one in rounds.rules["never both"].examples[Held.VIOLATED]] == ["stock -1"]


def test_a_round_that_never_settled_stays_in_the_times_and_one_that_has_nothing_to_settle_does_not() -> None:
    plan = replace(PLAN, warmup=None)
    settle = folded(SIX, plan).scenarios["flash"].slices["race"].distributions["settle"]
    assert (settle.count, settle.censored) == (3, 1)
    at = {x // MS: (one.within, one.beyond) for x, one in settle.thresholds.items()}
    assert at == {150: (0, 1), 2000: (2, 1)}, "150 ms lies within both of the brackets from 100 to 200 ms"
    ((_, steps),) = settle.steps.items()
    assert (list(steps.events)[:7], list(steps.beyond)[:7]) == ([1, 0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1])


def test_rounds_are_no_events_and_no_journey() -> None:
    found = folded(SIX).scenarios["flash"]
    assert not any(found.ledger.values())
    assert (found.portions(), found.journeys()) == ({}, {})
    assert list(found.races()) == ["race"]


def test_what_was_due_in_the_warm_up_or_while_something_was_on_is_apart() -> None:
    recorder = Recorder([PLAN], START)
    for marker in MARKERS:
        recorder.marked(marker)
    recorder.rounded(SIX)
    found = recorder.summary().scenarios["flash"]
    assert found.warmup is not None
    assert found.warmup.slices["race"].ledger["judged"] == 2
    assert found.slices["race"].ledger == {"scheduled": 4, "judged": 2, "void": 1, "cut_off": 1}
    assert found.slices["race,during=slow"].ledger == {"scheduled": 2, "judged": 0, "void": 1, "cut_off": 1}


def test_of_what_broke_a_rule_the_earliest_three_are_kept() -> None:
    many = [judged(n, {"never both": (Held.VIOLATED, f"at {n}")}, due=100 - n) for n in range(20)]
    rounds = folded(many).scenarios["flash"].slices["race"].rounds
    assert rounds is not None
    kept = rounds.rules["never both"].examples[Held.VIOLATED]
    assert [one.told for one in kept] == ["at 19", "at 18", "at 17"]


def test_reasons_that_are_always_new_are_told_apart_up_to_fifty() -> None:
    many = [void(n, f"item {n % 60} is gone") for n in range(70)]
    rounds = folded(many).scenarios["flash"].slices["race"].rounds
    assert rounds is not None
    assert (len(rounds.reasons), rounds.reasons["others"]) == (51, 10)
    assert (rounds.reasons["item 9 is gone"], rounds.reasons["item 49 is gone"]) == (2, 1)


def test_one_side_that_always_wins_is_named_where_there_are_two() -> None:
    def winner(rounds: Sequence[Round], race: RacePlan = RACE) -> str:
        plan = ScenarioPlan("flash", False, 0, race=race)
        found = folded(rounds, plan).scenarios["flash"].slices["race"].rounds
        assert found is not None
        return found.only_winner

    always = [judged(n) for n in range(8)]
    assert winner(always) == "pay"
    assert winner(always[:7]) == ""
    assert winner([*always, judged(8, pay=Tally(refused=1), cancel=Tally(won=1))]) == ""
    assert winner([*always, judged(8, pay=Tally(won=1), cancel=Tally(won=1))]) == ""
    alone = [judged(n, pay=Tally(won=3, refused=7)) for n in range(8)]
    assert winner(alone, RacePlan(("pay",))) == ""


# -- what adds up ----------------------------------------------------------------------------------------------------


def fold(rounds: Sequence[Round]) -> Summary:
    recorder = Recorder([PLAN], START)
    for marker in MARKERS:
        recorder.marked(marker)
    recorder.rounded(rounds)
    return recorder.summary()


@given(any_rounds(), st.integers(1, 3))
def test_parts_of_a_run_add_up_to_the_whole(rounds: list[Round], count: int) -> None:
    whole = fold(rounds)
    pieces = [fold(rounds[part::count]) for part in range(count)]
    for order in (pieces, pieces[::-1]):
        together = Summary()
        for piece in order:
            together.merge(piece)
        assert together == whole
    race = whole.scenarios["flash"].slices["race"]
    assert race.rounds is not None
    assert race.rounds.judged == race.ledger["judged"]
    assert merged([piece.scenarios["flash"].slices["race"] for piece in pieces]).rounds == race.rounds


def through_the_ledger(path: Path, rounds: Sequence[Round], portion: int = 3) -> Summary:
    facts = replay.meta(
        "r-1", "by hand", Criteria((), SelfCheckPolicy(), {}), plans=[PLAN], events=EVENTS, probes=(), gauges={},
        segment=(0, 1), stages=(),
    )  # fmt: skip
    path.unlink(missing_ok=True)
    ledger = begun(path, START, {**facts, "started_at": "2026-01-01T00:00:00+00:00"}, threaded=False)
    for marker in MARKERS:
        ledger.marked(marker)
    for first in range(0, len(rounds), portion):
        ledger.rounded(rounds[first : first + portion])
    ledger.note(START, {"scheduled": [0], "vitals": {}, "final": True})
    ledger.close()
    return read_back(path).summary


def test_the_fold_of_the_ledger_is_that_of_the_run(tmp_path: Path) -> None:
    many = [*SIX, *(replace(void(n, f"item {n} is gone"), ended_ns=START + n) for n in range(6, 70))]
    many.sort(key=lambda one: (one.ended_ns, -one.number))
    live = fold(many)
    rounds = live.scenarios["flash"].slices["race"].rounds
    assert rounds is not None
    assert len(rounds.reasons) == 51
    assert through_the_ledger(tmp_path / "events.sqlite", many).scenarios == live.scenarios


@settings(max_examples=15)
@given(rounds=any_rounds())
def test_the_fold_of_the_ledger_is_that_of_the_run_whatever_the_rounds(
    tmp_path_factory: object, rounds: list[Round]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-rounds.sqlite"  # type: ignore[attr-defined]
    assert through_the_ledger(path, rounds).scenarios == fold(rounds).scenarios


def test_a_scenario_without_a_race_has_no_rounds() -> None:
    found = Recorder([ScenarioPlan("main", False, 0)], START).summary().scenarios["main"]
    assert found == ScenarioSummary()
    assert found.races() == {}


def test_what_is_to_be_folded_is_read_back_and_an_earlier_version_finds_nothing_new_without_a_race() -> None:
    assert ScenarioPlan.from_data(json.loads(json.dumps(PLAN.as_data()))) == PLAN
    plain = ScenarioPlan("main", True, 5, slices=(Slice("event=a", event=0),)).as_data()
    assert "race" not in plain
    assert "race" not in plain["slices"][0]


def test_a_rule_and_a_contender_that_no_plan_names_are_counted_all_the_same() -> None:
    """What happened is never left out, whatever was planned."""
    rule = RuleResult("new rule", "holds", Held.VIOLATED, "x")
    one = replace(judged(0), rules=(rule,), tallies={"new": Tally(won=2)})
    rounds = folded([one]).scenarios["flash"].slices["race"].rounds
    assert rounds is not None
    assert (rounds.rules["new rule"].violated, rounds.contenders["new"].won) == (1, 2)
    assert RoundsSummary().judged == 0


# -- reads, which are events -----------------------------------------------------------------------------------------

READS = ScenarioPlan(
    "flash", False, 0, Counted(counter_steps=(("errors", S),)),
    (Slice("event=flash.stock", Counted(counter_steps=(("errors", S),)), event=2),
     Slice("during=slow", Counted(counter_steps=(("errors", S),)), during="slow")),
    race=RACE,
)  # fmt: skip


def requests() -> list[Observation]:
    """Twelve contenders and as many reads, of which a third failed each."""
    found = []
    for n in range(24):
        at = START + n * S
        state = (State.UNOBSERVED, State.REJECTED, State.IN_DOUBT)[n % 3 if n % 4 else 0]
        found.append(Observation(n, 0, 2 if n % 2 else 0, state, at, sent_ns=at, settled_ns=at + 9))
        if state is not State.IN_DOUBT:
            found[-1].acked_ns = at + 5
    return found


def of_reads(found: ScenarioSummary) -> tuple[int, int, int, dict[int, tuple[int, int]]]:
    steps = found.read_steps.get(S)
    by_step = {} if steps is None else {
        n: counts for n, counts in enumerate(zip(steps.events, steps.beyond, strict=True)) if any(counts)
    }  # fmt: skip
    errors = sum(found.ledger[key] for key in ("unsent", "rejected", "returned", "in_doubt"))
    return errors, found.reads, found.failed_reads, by_step


def test_reads_that_fail_are_counted_apart_from_errors_in_the_run_and_in_its_report(tmp_path: Path) -> None:
    seen = requests()
    recorder = Recorder([READS], START)
    recorder.marked(MARKERS[0])
    for one in seen:
        recorder.expect(0, [(one.seq, one.intended_ns, None, one.type)])
    recorder.settle(seen)
    live = recorder.summary().scenarios["flash"]
    errors, reads, failed, by_step = of_reads(live)
    assert (errors, reads, failed) == (12, 12, 8)
    assert [n for n, (_, bad) in by_step.items() if bad] == [n for n in range(1, 24, 2) if n % 3]
    alone = of_reads(live.slices["event=flash.stock"])
    assert alone == (8, 0, 0, {}), "of a read alone its failures are its errors"
    assert of_reads(live.slices["during=slow"])[:3] == (7, 7, 5)

    facts = replay.meta(
        "r-1", "by hand", Criteria((), SelfCheckPolicy(), {}), plans=[READS], events=EVENTS, probes=(), gauges={},
        segment=(0, 1), stages=(),
    )  # fmt: skip
    ledger = begun(
        tmp_path / "events.sqlite", START, {**facts, "started_at": "2026-01-01T00:00:00+00:00"}, threaded=False
    )
    ledger.marked(MARKERS[0])
    ledger.append(seen)
    ledger.note(START, {"scheduled": [24], "vitals": {}, "final": True})
    ledger.close()
    assert read_back(tmp_path / "events.sqlite").summary.scenarios["flash"] == live
