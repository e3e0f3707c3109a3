"""The races of one scenario: what is due when in each round, and what its answers amount to.

Pure: it never waits and looks at no clock. A round is a set-up, which goes as an iteration of a journey does; then
its contenders, all due at one instant; and reads from then on, until all that has to hold has held long enough, or
hasn't in time. Rounds begin when the schedule says, whatever became of those before.

Reads of one round go together, as a set, and one set at a time: from one to the next a tenth of the time since the
last answer to a contender (before that: since the instant), between 20 ms and 1 s; at once after that answer; and at
each moment at which the time of a rule is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final

from ...model.iteration import End, Iteration
from ...model.round import Held, Round, RoundEnd, RuleResult, Tally
from ...model.states import Outcome
from ...model.travel import Event, Receipt, RequestEvent, WaitEvent
from ...units import format_duration
from ..journeys.answers import Document, holds
from ..journeys.pools import Pools
from ..journeys.program import Send
from ..journeys.room import FAILED, OK, REFUSED, Due, Followed, Journeys
from ..journeys.room import Course as Schedule
from ..journeys.seeds import mixed, seed_of
from .contention import contended
from .program import RaceProgram, Reading
from .rules import Course, Standing, Truth

FIRST_NS: Final = 20_000_000
"""From the instant to the first reads, unless all answers are there before; and the least time between reads."""
MOST_GAP_NS: Final = 1_000_000_000
LEAD_NS: Final = 100_000_000
"""From the end of the set-up to the instant: what is sent then is ready before, and so are connections."""
_SAID: Final = {OK: "won", REFUSED: "refused", FAILED: "failed"}
_STOPPED: Final = "the run was stopped"
_NEVER_BEGUN: Final = "the run was stopped before it was begun"


@dataclass(slots=True)
class _Contender:
    """One request that contends. `what` became of it: won, refused, failed, doubt or unsent; empty: not yet known.
    `until_ns` is when it was answered or given up."""

    name: str
    send: Send
    event: Event
    what: str = ""
    detail: str = ""
    sent_ns: int | None = None
    until_ns: int = 0


@dataclass(slots=True)
class _Set:
    """Reads that are sent together. `left` of them have no answer; what the others said is in `bodies`, each with
    when it began and ended in `spans`."""

    due_ns: int
    left: int
    bodies: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Live:
    """A round whose contenders are ready.

    start_ns     the instant
    answered_ns  when the last answer to a contender came; None: not yet
    before       the reads that ended before that, which are judged when it is known who won
    """

    number: int
    intended_ns: int
    start_ns: int
    values: dict[str, Any]
    memory: dict[str, Any]
    courses: list[Course]
    contenders: dict[int, _Contender] = field(default_factory=dict)
    unsettled: int = 0
    answered_ns: int | None = None
    contended: bool | None = None
    stands: Mapping[str, Standing] | None = None
    """How the contenders stand when all are answered."""
    before: list[_Set] = field(default_factory=list)
    reading: _Set | None = None
    last_due_ns: int = -1
    sets: int = 0
    token: int = 0
    flying: int = 0
    """Events without an answer."""
    lower_ns: int = 0
    """The last read at which something that has to hold in the end didn't began so long after the last answer."""
    upper_ns: int | None = None
    """The first read from which on all of it did ended so long after that."""
    cut: bool = False
    over: bool = False


_Item = tuple[_Live, "_Contender | int"]
"""A contender that is due, or the reads of a round: with the token that they had when they were planned."""


class Races:
    """The rounds of one scenario. `ready` is called for each producer that is to send so much at one instant. What
    the other arguments are, see `Journeys`."""

    def __init__(
        self,
        scenario: int,
        scenarios: int,
        program: RaceProgram,
        schedule: Schedule,
        *,
        origin_ns: int,
        seed: str,
        pools: Pools,
        stamp: Callable[[int], str],
        wake: Callable[[], None] = lambda: None,
        ready: Callable[[str, int], None] = lambda producer, count: None,
    ) -> None:
        self._ready = ready
        self._at_once: dict[str, int] = {}
        for one in program.contenders:
            self._at_once[one.send.producer] = self._at_once.get(one.send.producer, 0) + one.times
        self._scenario = scenario
        self._program = program
        self._race = program.settings
        self._stamp = stamp
        self._seed = seed_of(f"{seed}/{program.name}/race")
        self._setups = Journeys(
            scenario, scenarios, [program], [0], schedule, origin_ns=origin_ns, seed=seed, pools=pools, stamp=stamp,
            wake=wake, ended=self._set_up,
        )  # fmt: skip
        self._now_ns = 0
        self._heap: list[tuple[int, int, _Item]] = []
        self._order = 0
        self._live = 0
        self._flying: dict[int, tuple[_Live, _Contender | tuple[_Set, str, Reading]]] = {}
        self._rounds: dict[int, _Live] = {}
        self._over: list[Round] = []
        self._remarks: list[str] = []
        self._remarked: set[str] = set()
        self._stopped = False

    # -- what the engine asks ----------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Nothing is left to begin, and nothing is under way."""
        return self._setups.done and not self._rounds

    @property
    def under_way(self) -> int:
        """Rounds that wait for something."""
        return self._setups.under_way + len(self._rounds)

    def next_ns(self) -> int | None:
        """When something is due; None: only an answer makes it go on."""
        while self._heap and self._is_stale(self._heap[0][2]):
            heappop(self._heap)
        times = [at for at in (self._setups.next_ns(), self._heap[0][0] if self._heap else None) if at is not None]
        return min(times, default=None)

    def take(self, now_ns: int, limit: int) -> list[Due]:
        """What is due by now, at most so many, but for contenders of one instant, which stay together."""
        self._now_ns = now_ns
        due: list[Due] = []
        while self._heap and self._heap[0][0] <= now_ns and len(due) < limit:
            at_ns = self._heap[0][0]
            while self._heap and self._heap[0][0] == at_ns:
                item = heappop(self._heap)[2]
                if not self._is_stale(item):
                    due += self._begin(*item, at_ns)
        return due or self._setups.take(now_ns, limit)

    def answered(self, receipts: Iterable[Receipt], now_ns: int) -> list[Receipt]:
        """Take the answers. Gives those that are final, with what else is known of the events by them."""
        self._now_ns = now_ns
        final: list[Receipt] = []
        for receipt in receipts:
            if (found := self._flying.pop(receipt.seq, None)) is None:
                final += self._setups.answered([receipt], now_ns)
                continue
            live, what = found
            live.flying -= 1
            if isinstance(what, _Contender):
                final.append(self._contender_answered(live, what, receipt))
            else:
                final.append(self._read_answered(live, *what, receipt))
            if live.cut and not live.flying:
                self._cut_off(live)
        return final

    def iteration(self, seq: int) -> int | None:
        """The number of the round whose event has no answer yet."""
        return self._setups.iteration(seq) if seq not in self._flying else self._flying[seq][0].number

    def own_delay(self, event: Event | WaitEvent, now_ns: int) -> int:
        """What of the delay of what is sent now is evload's own: of a contender or of a read all of it."""
        if event.seq in self._flying:
            return now_ns - event.intended_ns
        return self._setups.own_delay(event, now_ns)

    def watched(self, seq: int, seen_ns: int | None, captured: Mapping[str, Any], why: str, now_ns: int) -> None:
        """See `Journeys.watched`."""
        self._now_ns = now_ns
        self._setups.watched(seq, seen_ns, captured, why, now_ns)

    def followed(self) -> list[Followed]:
        """What probes look for since this was last asked: effects of the set-up."""
        return self._setups.followed()

    def over(self) -> list[Round]:
        """The rounds that are over since this was last asked."""
        over, self._over = self._over, []
        return over

    def remarks(self) -> list[str]:
        """What is wrong with rules, each told once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def stop(self, at_ns: int) -> list[Receipt]:
        """Begin nothing more. What has no answer is waited for; then its round is cut off. See `Journeys.stop`."""
        self._now_ns = at_ns
        self._stopped = True
        final = self._setups.stop(at_ns)
        for live in list(self._rounds.values()):
            live.cut = True
            live.token += 1
            if not live.flying:
                self._cut_off(live)
        return final

    # -- a round begins ----------------------------------------------------------------------------------

    def _set_up(self, iteration: Iteration, values: Mapping[str, Any], memory: dict[str, Any]) -> None:
        """The set-up of a round is over."""
        if iteration.end in (End.CUT_OFF, End.UNSENT) or self._stopped:
            reason = _NEVER_BEGUN if iteration.started_ns is None else _STOPPED
            self._tell(iteration.number, iteration.intended_ns, None, RoundEnd.CUT_OFF, reason)
        elif iteration.end is not End.COMPLETED:
            reason = f"{iteration.step}: {iteration.reason}" if iteration.step else iteration.reason
            self._tell(iteration.number, iteration.intended_ns, None, RoundEnd.VOID, reason or "its set-up failed")
        else:
            self._line_up(iteration, dict(values), memory)

    def _line_up(self, iteration: Iteration, values: dict[str, Any], memory: dict[str, Any]) -> None:
        """Make the contenders ready, so that nothing but sending is left to be done at the instant."""
        program, race = self._program, self._race
        courses = [Course(one, race.within, race.confirm) for one in program.rules]
        start_ns = self._now_ns + LEAD_NS
        live = _Live(iteration.number, iteration.intended_ns, start_ns, values, memory, courses)
        self._rounds[live.number] = live
        due: list[tuple[int, _Contender]] = []
        for contending in program.contenders:
            least, most = contending.offset
            for number in range(contending.times):
                drawn = mixed(self._seed, live.number, contending.place, -1 - number) / 2**64
                at_ns = start_ns + least + int((most - least + 1) * drawn)
                event = self._event(live, contending.send, contending.place, number, at_ns, user=number)
                contender = _Contender(contending.send.name, contending.send, event)
                live.contenders[event.seq] = contender
                due.append((at_ns, contender))
        for producer, count in self._at_once.items():
            self._ready(producer, count)
        live.unsettled = len(due)
        for at_ns, contender in due:
            self._push(at_ns, live, contender)
        if program.reads:
            self._plan_reads(live, start_ns + FIRST_NS)

    def _event(self, live: _Live, send: Send, place: int, number: int, due_ns: int, user: int | str = "") -> Event:
        program = self._program
        program.late.values = {**live.values, "step": send.name, "user": user}
        if send.seeded:
            program.random.seed(mixed(self._seed, live.number, place, number))
        event = send.event(self._setups.next_seq(self._scenario), due_ns, self._stamp(self._now_ns))
        if isinstance(event, RequestEvent):
            event.request.memory = live.memory
        return event

    def _push(self, at_ns: int, live: _Live, what: _Contender | int) -> None:
        self._order += 1
        heappush(self._heap, (at_ns, self._order, (live, what)))

    @staticmethod
    def _is_stale(item: _Item) -> bool:
        live, what = item
        return live.over or live.cut or (isinstance(what, int) and what != live.token)

    def _begin(self, live: _Live, what: _Contender | int, at_ns: int) -> list[Due]:
        """A contender, or the reads of a round, are due."""
        if isinstance(what, _Contender):
            self._fly(live, what.event.seq, what)
            return [Due(what.send.producer, what.event)]
        reads = _Set(at_ns, len(self._program.reads))
        live.reading, live.last_due_ns = reads, at_ns
        live.sets += 1
        due = []
        for one in self._program.reads:
            event = self._event(live, one.send, one.place, live.sets, at_ns)
            self._fly(live, event.seq, (reads, one.send.name, one))
            due.append(Due(one.send.producer, event))
        return due

    def _fly(self, live: _Live, seq: int, what: _Contender | tuple[_Set, str, Reading]) -> None:
        live.flying += 1
        self._flying[seq] = (live, what)

    # -- answers -----------------------------------------------------------------------------------------

    def _contender_answered(self, live: _Live, one: _Contender, receipt: Receipt) -> Receipt:
        one.sent_ns = None if receipt.outcome is Outcome.UNSENT else receipt.sent_ns
        one.until_ns = self._now_ns if receipt.acked_ns is None else receipt.acked_ns
        said: int | None = None
        if receipt.outcome is Outcome.IN_DOUBT:
            one.what, one.detail = "doubt", receipt.detail
        elif receipt.outcome is Outcome.UNSENT:
            one.what, one.detail = "unsent", receipt.detail
        else:
            said = self._said(live, one.send, receipt)
            one.what, one.detail = _SAID[said], receipt.detail
        live.unsettled -= 1
        if not live.unsettled:
            self._all_answered(live)
        return self._final(live, receipt, said)

    def _said(self, live: _Live, send: Send, receipt: Receipt) -> int:
        """What an answer is."""
        if receipt.outcome is not Outcome.ACCEPTED:
            return FAILED
        if (answer := receipt.answer) is None:
            return OK
        if answer.get("status") in send.no:
            return REFUSED
        document = Document(answer, live.values)
        wrong = answer.download is not None and answer.download.wrong
        return OK if not wrong and all(holds(look, document) for _, look in send.checks) else FAILED

    def _read_answered(self, live: _Live, reads: _Set, name: str, one: Reading, receipt: Receipt) -> Receipt:
        said = FAILED
        if receipt.outcome is Outcome.ACCEPTED and receipt.answer is not None and receipt.acked_ns is not None:
            try:
                reads.bodies[name] = receipt.answer.get("body")
                reads.spans[name] = (receipt.sent_ns or reads.due_ns, receipt.acked_ns)
                said = OK
            except ValueError as error:
                receipt = receipt._replace(detail=f"{one.send.name}: {' '.join(str(error).split())}")
        reads.left -= 1
        final = self._final(live, receipt, said)
        if not reads.left and live.reading is reads:
            live.reading = None
            self._read(live, reads)
        return final

    def _final(self, live: _Live, receipt: Receipt, said: int | None) -> Receipt:
        facts: dict[str, Any] = {**(receipt.facts or {}), "iteration": live.number}
        if said is not None:
            facts["answer"] = said
        detail = self._program.hidden(receipt.detail, live.values) if receipt.detail else ""
        return Receipt(
            receipt.seq, receipt.outcome, receipt.sent_ns, receipt.acked_ns, detail, receipt.capture, facts
        )

    # -- judging -----------------------------------------------------------------------------------------

    def _all_answered(self, live: _Live) -> None:
        """Nobody contends any more: what was read meanwhile can be judged, and from now on things have to hold."""
        sent = [one for one in live.contenders.values() if one.sent_ns is not None]
        if not sent:
            why = next((one.detail for one in live.contenders.values() if one.detail), "")
            self._finish(live, RoundEnd.VOID, f"no contender could be sent{f': {why}' if why else ''}")
            return
        live.answered_ns = max(one.until_ns for one in live.contenders.values())
        live.contended = contended(
            ((one.name, one.sent_ns, one.until_ns) for one in sent if one.sent_ns is not None),
            {one.send.name: one.times for one in self._program.contenders},
        )
        for reads in live.before:
            self._judge(live, reads, None)
        live.before.clear()
        if not self._program.reads:
            nothing = _Set(live.answered_ns, 0)
            for at_ns in (0, self._race.within, self._race.confirm, self._race.within + self._race.confirm):
                self._judge(live, nothing, at_ns)
            self._finish(live, RoundEnd.JUDGED)
        elif live.reading is None and not live.cut:
            self._plan_reads(live, self._now_ns)

    def _read(self, live: _Live, reads: _Set) -> None:
        """Reads are over: judge what they said, and plan the next ones."""
        if live.over:
            return
        answered_ns = live.answered_ns
        if answered_ns is None:
            live.before.append(reads)
            if not live.cut:
                self._plan_reads(live, self._now_ns + _gap_ns(self._now_ns - live.start_ns))
            return
        at_ns = reads.due_ns - answered_ns
        self._judge(live, reads, at_ns if at_ns >= 0 else None)
        if live.cut:
            return
        if at_ns < 0:
            self._plan_reads(live, self._now_ns)
            return
        ends_ns = max(course.ends_ns for course in live.courses)
        if any(course.undecided for course in live.courses):
            ends_ns += self._race.confirm
        if at_ns >= ends_ns:
            self._finish(live, RoundEnd.JUDGED)
            return
        ends = [answered_ns + course.ends_ns for course in live.courses] + [answered_ns + ends_ns]
        planned_ns = self._now_ns + _gap_ns(self._now_ns - answered_ns)
        pinned_ns = min((end for end in ends if end > reads.due_ns), default=planned_ns)
        if planned_ns + 2 * (self._now_ns - reads.due_ns) > pinned_ns:
            planned_ns = pinned_ns  # it would still be under way when the last one is due
        self._plan_reads(live, max(self._now_ns, min(planned_ns, pinned_ns)))

    def _plan_reads(self, live: _Live, at_ns: int) -> None:
        live.token += 1
        self._push(at_ns, live, live.token)

    def _judge(self, live: _Live, reads: _Set, at_ns: int | None) -> None:
        """Hold the rules against what was read, so long after the last answer."""
        lasting: list[Truth] = []
        when = self._when(live, reads)
        for course in live.courses:
            needed = course.judged.reads
            if any(name not in reads.bodies for name in needed):
                truth = Truth.NOTHING
            else:
                bodies = {name: reads.bodies[name] for name in needed}
                truth = course.look(at_ns, bodies, self._standings(live, reads, needed), live.values, when)
            if course.judged.rule.kind == "holds":
                lasting.append(truth)
            if course.wrong and course.judged.rule.name not in self._remarked:
                self._remarked.add(course.judged.rule.name)
                told = self._program.hidden(course.wrong, live.values)
                self._remarks.append(f"race {self._program.name}: rule {course.judged.rule.name!r}: {told}")
        if at_ns is None or not lasting or Truth.NOTHING in lasting or live.answered_ns is None:
            return
        spans = reads.spans.values()
        if Truth.FALSE in lasting:
            live.lower_ns = max(0, min((start for start, _ in spans), default=reads.due_ns) - live.answered_ns)
        if any(truth is not Truth.TRUE for truth in lasting):
            live.upper_ns = None
        elif live.upper_ns is None and at_ns <= self._race.within:
            live.upper_ns = max(0, max((end for _, end in spans), default=reads.due_ns) - live.answered_ns)

    def _when(self, live: _Live, reads: _Set) -> str:
        """When something was read, for people."""
        began_ns = min((start for start, _ in reads.spans.values()), default=reads.due_ns)
        if live.answered_ns is None or began_ns < live.answered_ns:
            after_ns = max(0, began_ns - live.start_ns)
            return f"read {format_duration(after_ns)} after the instant, before all were answered"
        return f"read {format_duration(began_ns - live.answered_ns)} after the last answer"

    def _standings(self, live: _Live, reads: _Set, needed: Sequence[str]) -> Mapping[str, Standing]:
        """How the contenders stood when some of the reads were made."""
        spans = [reads.spans[name] for name in needed] or [(reads.due_ns, reads.due_ns)]
        start_ns, end_ns = min(start for start, _ in spans), max(end for _, end in spans)
        if live.answered_ns is None or start_ns < live.answered_ns:
            return self._stood(live, start_ns, end_ns)
        if live.stands is None:
            live.stands = self._stood(live, start_ns, end_ns)
        return live.stands

    def _stood(self, live: _Live, start_ns: int, end_ns: int) -> Mapping[str, Standing]:
        """The same, by when the reads began and ended."""
        counts = {one.send.name: dict.fromkeys(Standing.__slots__, 0) for one in self._program.contenders}
        for one in live.contenders.values():
            if one.what in ("", "unsent") or one.sent_ns is None or one.sent_ns > end_ns:
                continue
            what = "flying" if one.what == "won" and one.until_ns > start_ns else one.what
            counts[one.name][what] += 1
        return {name: Standing(**own) for name, own in counts.items()}

    # -- ending ------------------------------------------------------------------------------------------

    def _cut_off(self, live: _Live) -> None:
        """The run was stopped, and nothing of the round is under way: what is violated for sure stays so."""
        if live.over:
            return
        for reads in live.before:
            self._judge(live, reads, None)
        self._finish(live, RoundEnd.CUT_OFF, _STOPPED)

    def _finish(self, live: _Live, end: RoundEnd, reason: str = "") -> None:
        live.over = True
        del self._rounds[live.number]
        rules: tuple[RuleResult, ...] = ()
        if end is not RoundEnd.VOID:
            rules = tuple(self._result(live, course) for course in live.courses)
        if end is RoundEnd.CUT_OFF:
            rules = tuple(one for one in rules if one.held is Held.VIOLATED)
        tallies = {one.send.name: dict.fromkeys(Tally.__slots__, 0) for one in self._program.contenders}
        for one in live.contenders.values():
            if one.what:
                tallies[one.name][one.what] += 1
        settled = None
        if end is RoundEnd.JUDGED and self._race.rules_of("holds"):
            settled = (live.lower_ns, live.upper_ns)
        self._tell(
            live.number,
            live.intended_ns,
            live.start_ns,
            end,
            self._program.hidden(reason, live.values),
            tallies={name: Tally(**own) for name, own in tallies.items()},
            rules=rules,
            contended=live.contended if end is RoundEnd.JUDGED else None,
            settled=settled,
        )

    def _result(self, live: _Live, course: Course) -> RuleResult:
        found = course.result()
        return RuleResult(found.rule, found.kind, found.held, self._program.hidden(found.told, live.values))

    def _tell(
        self, number: int, intended_ns: int, started_ns: int | None, end: RoundEnd, reason: str = "", **more: Any
    ) -> None:
        self._over.append(Round(self._scenario, number, intended_ns, started_ns, self._now_ns, end, reason, **more))


def _gap_ns(since_ns: int) -> int:
    """How long after one read the next one begins."""
    return min(MOST_GAP_NS, max(FIRST_NS, since_ns // 10))
