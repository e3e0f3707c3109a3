"""Searches in virtual time for the ceiling of journeys of which one step has a known capacity, and trials of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from evload.config.run_config import RunConfig
from evload.errors import ConfigError, UsageError
from evload.ledger.reader import LedgerReader
from evload.model.ceiling import End, Judged, Outcome
from evload.model.report import Report
from evload.search.bisection import Plan
from evload.search.directory import SearchDirectory
from evload.search.journey_courses import UNDER_WAY
from evload.search.runs import Runs, Written
from evload.search.trial import judge_trial
from evload.units import NS_PER_S
from tests.rigs.busy_shop import MAKE, PORT, Planted, Shop, Workers
from tests.rigs.memory_network import MemoryLoop
from tests.rigs.shares import seeds
from tests.rigs.virtual_searches import assert_it_holds

PAY: Final = 'pay: {to: shop, post: /payments, json: {order: "{order}"}}'
SEEN: Final = 'seen: {wait: view, of: "{order}", within: 60s}'
FOLLOWED: Final = MAKE.removesuffix("}") + ', probes: {view: "{order}"}}'
BRANCH: Final = f"choose: [{{weight: 40, steps: [{{{PAY}}}]}}, {{weight: 60, steps: [{{think: 300ms}}]}}]"
PAUSE: Final = "think: 100ms..1s"


@dataclass(frozen=True)
class Kind:
    """Where the capacity is, and what a backlog there is called."""

    name: str
    steps: tuple[str, ...]
    slos: str
    waits: bool
    share: float = 1.0

    def planted(self, capacity: float, workers: int, jitter: float, seed: int) -> Planted:
        """With so many iterations per second."""

        def shop(number: int) -> Shop:
            served = Workers(workers, workers / (capacity * self.share), jitter, number)
            return Shop(viewing=served) if self.waits else Shop(paying=served)

        return Planted(shop, self.steps, self.slos, seed=seed)


KINDS: Final = (
    Kind("unanswered order.pay", (MAKE, PAY, PAUSE), "[errors == 0, failed == 0]", False),
    Kind("order.seen still waited for", (MAKE, SEEN, PAUSE), "[{objective: p95(wait) < 30s, step: seen}]", True),
    Kind("order.make not seen yet", (FOLLOWED, PAUSE), "[p95(consistency) < 30s, lost == 0]", True),
    Kind("unanswered order.pay", (MAKE, BRANCH), "[errors == 0]", False, 0.4),
)


@pytest.mark.parametrize("seed", seeds(12, 2))
def test_the_interval_holds_the_capacity_of_a_step_and_is_narrow(seed: int, tmp_path: Path) -> None:
    """A step that is answered late; one that waits for a view; one whose effect is followed; one of a branch.

    Beyond the first four the service varies, and a pause comes before it; those four are looked for nearby. Who takes
    a branch is drawn: so near to its capacity what waits there comes and goes for longer than a trial lasts, and the
    interval is wide.
    """
    rng, kind = random.Random(seed), KINDS[seed % 4]
    calm, drawn = seed < 4, kind.share < 1
    planted = kind.planted(10.0, 1 if calm else rng.choice((1, 2, 5)), 0.02 if calm else 0.2, seed)
    if not calm:
        planted.steps = (*kind.steps[:1], "think: 300ms", *kind.steps[1:])
    if drawn:
        plan = Plan(Fraction(5), Fraction(80), 1.0)
    elif calm:
        plan = Plan(Fraction("9.3"), Fraction("10.7"), 0.05)
    else:
        plan = Plan(Fraction(f"{rng.uniform(4, 16):.3g}"), Fraction(5000), 0.05)
    ceiling = planted.search(tmp_path, plan, 60 if drawn else 12 if calm else 30)
    assert_it_holds(ceiling, 10.0, "4" if drawn else "1.05")
    told = [reason for one in ceiling.trials if one.outcome is Outcome.BAD for reason in one.judged.reasons]
    places = {reason.partition(" grew by ")[0] for reason in told if " grew by " in reason}
    assert kind.name in places
    assert places <= {kind.name, UNDER_WAY}, told


def test_a_search_of_journeys_goes_on_from_its_notes_and_fills_up_as_before(tmp_path: Path) -> None:
    """The first trial learns how long iterations take: that has to be known as well where the search goes on."""
    plan = Plan(Fraction(10), Fraction(10), 0.05)
    steps = (MAKE, "think: 1s", PAY)
    planted = Planted(lambda seed: Shop(paying=Workers(500, 7.0, 0.0, seed)), steps)
    whole = planted.search(tmp_path, plan, 10)
    first, *_, last = whole.trials
    assert (first.outcome, last.outcome, whole.bounds.end) == (Outcome.UNDECIDED, Outcome.GOOD, End.ASKED)
    usual_s = (first.judged.usual_ns or 0) / NS_PER_S
    assert usual_s == pytest.approx(8.01, abs=0.02)
    assert first.judged.reasons[0].startswith("iterations take 8.01 s, and the warm-up had 1 s, so that it was too ")
    made = SearchDirectory(tmp_path / "search").read().made()
    assert made == list(whole.trials)
    (tmp_path / "again").mkdir()
    again = planted.search(tmp_path / "again", plan, 10, made=made[:-1])
    assert again.bounds == whole.bounds
    with LedgerReader(tmp_path / "again" / "search" / last.directory / "events.sqlite") as ledger:
        (warmup,) = [one["warmup"] for one in ledger.meta["plan"] if one["name"] == "buyers"]
    assert warmup[1] / NS_PER_S == 8.1


# --- one trial ----------------------------------------------------------------------------------------------


def trial(planted: Planted, directory: Path, rate: int, length_s: int) -> tuple[Report, Judged]:
    reports: list[Report] = []

    def execute(loaded: Any, run: Path) -> Report:
        run.mkdir()
        reports.append(planted.run(loaded.config, run))
        return reports[-1]

    runs = runs_of(planted.write(directory), execute)
    runs.make(Fraction(rate), length_s * NS_PER_S, directory / "run", 0)
    with LedgerReader(directory / "run" / "events.sqlite") as ledger:
        return reports[0], judge_trial(reports[0], ledger, "buyers", Fraction(rate))


def runs_of(path: Path, execute: Callable[[Any, Path], Report] | None = None) -> Runs:
    written = Written.of(path, sets=(), profiles=(), scenario=None, may_load=(), environ={})
    return Runs(written, execute or (lambda loaded, run: pytest.fail("nothing is to run")), lambda text: None)


def test_what_shows_only_in_how_many_iterations_are_under_way_makes_a_rate_bad(tmp_path: Path) -> None:
    """For each value that is given two are to be taken: whoever takes them waits longer and longer, at no step."""
    steps = (MAKE, "use: {to: shop, post: /payments, take: {job: jobs}, within: 10m}")
    planted = Planted(lambda seed: Shop(), steps, "[errors == 0]")
    planted.also = '  supply:\n    steps:\n      - give: {to: shop, post: /payments, give: {jobs: "1"}}\n'
    planted.weights = "{order: 2, supply: 1}"
    _, bad = trial(planted, tmp_path, 20, 40)
    assert bad.outcome is Outcome.BAD, bad
    (reason,) = bad.reasons
    assert reason.startswith(f"{UNDER_WAY} grew by ")
    growth = bad.backlogs[UNDER_WAY].growth
    assert growth is not None
    assert 0.1 < growth[0] < 1 / 3 < growth[1] < 0.6


def test_iterations_that_are_never_begun_make_a_rate_bad(tmp_path: Path) -> None:
    """What they take first isn't there: the load as it was asked for was never there, either."""
    steps = ("use: {to: shop, post: /payments, take: {job: jobs}, within: 1s}",)
    planted = Planted(lambda seed: Shop(), steps, "[errors == 0]")
    planted.also = '  supply:\n    steps:\n      - give: {to: shop, post: /payments, give: {jobs: "1"}}\n'
    planted.weights = "{order: 2, supply: 1}"
    report, bad = trial(planted, tmp_path, 20, 10)
    assert bad.outcome is Outcome.BAD
    counts = report.summary.scenarios["buyers"].journeys()["order"].ledger
    share = f"{counts['starved']:,} of {counts['scheduled']:,} iterations of order ("
    assert bad.reasons[0].startswith(share)
    assert bad.reasons[0].endswith(" were never begun: what they take from others wasn't there in time")


def test_what_takes_its_time_by_itself_is_no_backlog_and_fills_up_first(tmp_path: Path) -> None:
    """Eight seconds of pauses, and a trial of twenty: they are no growth, and no drain."""
    steps = (MAKE, "think: 8s", PAY, "think: 500ms", SEEN)
    planted = Planted(lambda seed: Shop(), steps, "[{objective: p95(wait) < 1s, step: seen}, lost == 0]")
    report, good = trial(planted, tmp_path, 20, 20)
    assert (good.outcome, good.reasons) == (Outcome.GOOD, ()), good.backlogs
    assert report.summary.scenarios["buyers"].journeys()["order"].ledger["completed"] == 400
    low, high = good.backlogs["order.seen still waited for"].drain or (9, None)
    assert low == 0
    assert high is not None
    assert high < 0.2
    assert good.windows is not None
    assert 8.5 < (good.windows[0] or 0) < 8.7


@dataclass
class Stops(Shop):
    """The view stands still for ten seconds, after so many orders."""

    after: int = 0
    frozen: float = field(default=0.0)

    @asynccontextmanager
    async def serve(self, wall: Callable[[], datetime]) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        class Until(Workers):
            def done_at(this, now: float) -> float:
                if len(self.shown) == self.after:
                    self.frozen = now + 10
                return max(now, self.frozen)

        self.viewing = Until(1, 0, 0, 1)
        assert loop.time() >= 0
        async with super().serve(wall):
            yield


def test_what_is_waited_for_after_the_last_send_has_to_come_in_time(tmp_path: Path) -> None:
    """The last twentieth of the iterations wait for ten seconds, for which the percentile has room."""
    slos = "[{objective: p90(wait) < 2s, step: seen}, lost == 0]"
    planted = Planted(lambda seed: Stops(after=388), (MAKE, SEEN), slos)
    _, bad = trial(planted, tmp_path, 20, 20)
    assert bad.outcome is Outcome.BAD
    assert bad.reasons[-1].startswith("order.seen still waited for: back at their level only ")
    assert bad.reasons[-1].endswith(" after the last send, limit 2 s")


class Busy(Shop):
    """While it serves, evload itself stands still for two seconds of three."""

    @asynccontextmanager
    async def serve(self, wall: Callable[[], datetime]) -> AsyncIterator[None]:
        def stand_still(loop: MemoryLoop) -> None:
            loop._selector_in_use.now_ns += 2 * NS_PER_S
            loop.call_later(1, stand_still, loop)

        loop = asyncio.get_running_loop()
        assert isinstance(loop, MemoryLoop)
        loop.call_later(1, stand_still, loop)
        async with super().serve(wall):
            yield


def test_a_generator_that_is_late_is_never_the_ceiling(tmp_path: Path) -> None:
    """Though the system is overloaded as well."""
    planted = Planted(lambda seed: Busy(paying=Workers(1, 0.1, 0, seed)), (MAKE, PAY))
    _, own = trial(planted, tmp_path, 20, 10)
    assert own.outcome is Outcome.GENERATOR
    assert own.reasons[0].startswith("evload itself was late with ")
    assert " steps (" in own.reasons[0]


# --- what can't be searched ---------------------------------------------------------------------------------


def test_users_are_no_rate_and_the_line_says_so(tmp_path: Path) -> None:
    path = Planted(lambda seed: Shop(), (MAKE, PAY)).write(tmp_path)
    path.write_text(path.read_text().replace("[{rate: 1/s, for: 1m}]", "[{users: 20, for: 1m}], think: 1s"))
    with pytest.raises(ConfigError) as caught:
        runs_of(path)
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "users" in text)
    assert str(caught.value) == (
        f"{path}:{line}:37: buyers is made by users, who ask less often where they wait longer; a ceiling is a rate; "
        "write a load of iterations per second, such as [{rate: 5/s, for: 5m}], and no think: or every:"
    )


def test_where_all_that_is_sent_is_events_that_nobody_looks_for_every_rate_would_look_good(tmp_path: Path) -> None:
    path = Planted(lambda seed: Shop(), ("placed: {to: shop, event: placed}",)).write(tmp_path)
    path.write_text(path.read_text() + "events: {placed: {type: placed, source: /tests}}\n")
    with pytest.raises(UsageError, match=r"every rate would look good; let a step wait:, give one probes:, or add "):
        runs_of(path)


def test_answers_alone_are_enough_and_a_guard_counts_all_that_an_iteration_sends(tmp_path: Path) -> None:
    planted = Planted(lambda seed: Shop(), (MAKE, PAY, BRANCH.replace("pay:", "other:")))
    path = planted.write(tmp_path)
    path.write_text(path.read_text() + "guard: {most: 60/s}\n")
    runs = runs_of(path)
    assert runs.shows_answers_alone
    assert runs.most == 20
    assert not runs_of(Planted(lambda seed: Shop(), (MAKE, SEEN)).write(tmp_path)).shows_answers_alone


def test_a_trial_warms_up_for_as_long_as_its_journeys_pause(tmp_path: Path) -> None:
    path = Planted(
        lambda seed: Shop(), (MAKE, "think: 1s..4s", BRANCH, 'none: {absent: view, of: "x", for: 2s}')
    ).write(tmp_path)

    def scenario(config: RunConfig) -> Any:
        return config.scenarios["buyers"]

    runs = runs_of(path)
    made = scenario(runs.check(Fraction(7), 10 * NS_PER_S).config)
    assert (made.warmup / NS_PER_S, made.load[0].for_ / NS_PER_S) == (6.3, 16.3)
    assert f":{PORT}" in path.read_text()
