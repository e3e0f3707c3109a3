"""The journeys of one scenario: who does what next, and when. Times and answers come in, due steps go out.

Pure: it never waits and looks at no clock. An iteration is a place in a program and the values that it knows, so that
memory follows the iterations under way.

Open load: iteration n is due when the schedule says, whatever became of those before it. Closed load: each user does
one iteration after another while it is there; the next one is due when the last one ended, plus think time, or at
n times a fixed pace. What is drawn follows from (seed, user, iteration of that user, step) and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
from typing import Any, Final, NamedTuple

from ...model.facts import MEASURED, NEVER_CAME
from ...model.iteration import End, Iteration, check_label
from ...model.states import Outcome
from ...model.travel import Answer, Event, FollowedEvent, Receipt, RequestEvent, Try, WaitEvent
from ...units import NS_PER_S, format_duration
from ..schedule import Arrivals
from .answers import Document, holds
from .pools import Pools, Taken
from .program import Done, Follow, Fork, GiveIn, Operation, Pause, Program, Send, Watch
from .seeds import mixed, seed_of
from .users import Ramp, most_users, presence

OK: Final = 1
REFUSED: Final = 2
FAILED: Final = 3
_BEGIN, _MAIN, _FINALLY, _END = range(4)
_LONGEST_RETRY_S: Final = 3600
_OF_FOLLOWED: Final = ("iteration", "tags")
"""What is known of what a step sent, and as well of what is followed of it."""
_UNKNOWN: Final = "nothing was captured for {{{}}}"


class Followed(NamedTuple):
    """What probes look for from now on, and what is known of it by the answer."""

    event: FollowedEvent
    receipt: Receipt


class Due(NamedTuple):
    """An event that is due, and by whom it is sent; a wait, of which nothing is sent, by nobody."""

    producer: str
    event: Event


@dataclass(frozen=True, slots=True)
class Course:
    """How the iterations of a scenario follow on one another.

    weights    of its journeys
    arrivals   open load: when iterations are due, in nanoseconds since its start
    ramps      closed load: how many users there are when, in the same time
    think      between two iterations of a user, from least to most, in nanoseconds
    every_ns   fixed pace of each user; None: none
    iterations most that are begun; None: as many as come
    """

    weights: Sequence[float]
    arrivals: Arrivals
    ramps: Sequence[Ramp] = ()
    think: tuple[int, int] = (0, 0)
    every_ns: int | None = None
    iterations: int | None = None


Ended = Callable[[Iteration, Mapping[str, Any], dict[str, Any]], None]
"""Is told of an iteration that is over: what it knew in the end, and what producers remember of its requests."""


class _Pass:
    """An iteration under way, or what a user ends with."""

    __slots__ = (
        "asked", "awaits", "checks", "done", "due_ns", "end", "failed_checks", "intended_ns", "journey", "lag_ns",
        "last_ns", "memory", "number", "own", "part", "place", "reason", "sent", "shown", "started_ns", "step",
        "token", "tried", "tries", "user", "values",
    )  # fmt: skip

    def __init__(self, journey: int, number: int, own: int, user: _User | None, intended_ns: int) -> None:
        self.journey = journey
        self.number = number
        self.own = own
        """Which of its user's iterations it is; in open load which of all."""
        self.user = user
        self.memory: dict[str, Any] = {} if user is None else user.memory
        """What producers remember from one of its requests to the next: of its user or, in open load, its own."""
        self.intended_ns = intended_ns
        self.started_ns: int | None = None
        self.values: dict[str, Any] = {}
        self.part = _MAIN
        self.place = 0
        self.due_ns = intended_ns
        """When its next operation is due."""
        self.last_ns = intended_ns
        """When the last of its steps was done, or was given up, and with that all of it; of one never begun, when it
        was due."""
        self.lag_ns = 0
        """How much later it ends at most because evload itself was late with its steps, or with those before it."""
        self.end: End | None = None
        self.step = ""
        self.reason = ""
        self.failed_checks: tuple[str, ...] = ()
        self.checks: tuple[tuple[str, bool], ...] = ()
        self.tried: tuple[Event, Receipt | None] | None = None
        """What is sent again after some answers, and the last of these."""
        self.sent: Event | None = None
        """What was sent last, by a step whose effect is followed."""
        self.tries: list[Try] = []
        """Each time that it was sent, and what was answered."""
        self.awaits = ""
        """The pool out of which it waits for something."""
        self.asked = ""
        """What a probe was asked for last, by a step that waits."""
        self.shown: frozenset[tuple[str, str]] = frozenset()
        """What probes have shown it, and not missed since: their names, and what they were asked for."""
        self.token = 0
        """Counts its entries in the heap: all but the last are about what is over."""
        self.done = False


@dataclass(slots=True)
class _User:
    number: int
    presence: list[tuple[int, int]]
    own: int = 0
    """Iterations that were due so far."""
    begun: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The journeys that it has begun, with what was captured then."""
    is_there: bool = False
    free_ns: int = 0
    """When its last iteration was over, which was so much later at most because of evload: `lag_ns`."""
    lag_ns: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    """What producers remember from one of its requests to the next."""


_Entry = tuple[int, int, int, _Pass | _User]
"""When it is due, in what order it came, its token, whose turn it is."""


class Journeys:
    """The iterations of one scenario.

    `scenario` of `scenarios` is its number, for the seqs of its events; `names` those of its journeys in the plan;
    `origin_ns` when its load begins, on the clock of all times here. `pools` are those of the run. `stamp` writes a
    time as templates have it. `wake` is called where something is due earlier than it was before. `ended` is told of
    each iteration that is over, in place of `over`.
    """

    def __init__(
        self,
        scenario: int,
        scenarios: int,
        programs: Sequence[Program],
        numbers: Sequence[int],
        course: Course,
        *,
        origin_ns: int,
        seed: str,
        pools: Pools,
        stamp: Callable[[int], str],
        wake: Callable[[], None] = lambda: None,
        ended: Ended | None = None,
    ) -> None:
        self._ended_by = ended
        self._scenario = scenario
        self._scenarios = scenarios
        self._programs = programs
        self._numbers = numbers
        self._course = course
        self._origin_ns = origin_ns
        self._seeds = [seed_of(f"{seed}/{program.name}") for program in programs]
        self._chooser = seed_of(f"{seed}/journeys")
        self._ends = [share / sum(course.weights) for share in accumulate(course.weights)]
        self._pools = pools
        self._stamp = stamp
        self._wake = wake
        self._next_seqs = {number: number for program in programs for number in (scenario, *_watched_by(program))}
        """Of the events of this scenario, and of those that its steps watch."""
        self._number = 0
        self._heap: list[_Entry] = []
        self._order = 0
        self._flying: dict[int, _Pass] = {}
        self._over: list[Iteration] = []
        self._followed: list[Followed] = []
        self._stopped = False
        self._due: list[Due] = []
        self.started = 0
        """Iterations of which the first step was due to be sent."""
        self._told = 0
        """Iterations that are over."""
        self.users = 0
        """That are there."""
        for number in range(most_users(course.ramps)):
            user = _User(number, [(origin_ns + a, origin_ns + b) for a, b in presence(course.ramps, number)])
            if user.presence:
                self._push(user.presence[0][0], user)

    # -- what the engine asks ----------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Nothing is left to begin, and nothing is under way."""
        return not self._flying and not self._heap and not self._due and self._arrival_ns() is None

    @property
    def under_way(self) -> int:
        """Iterations that wait for an answer or for their time."""
        return self._number - self._told

    def next_ns(self) -> int | None:
        """When something is due; None: only an answer, or a value that is given, makes it go on."""
        while self._heap and self._is_stale(self._heap[0]):
            heappop(self._heap)
        first = self._heap[0][0] if self._heap else None
        arrival = self._arrival_ns()
        if first is None or (arrival is not None and arrival < first):
            return arrival
        return first

    def take(self, now_ns: int, limit: int) -> list[Due]:
        """What is due by now, in that order, at most so many; takes it away."""
        while len(self._due) < limit:
            at_ns = self.next_ns()
            if at_ns is None or at_ns > now_ns:
                break
            if self._heap and self._heap[0][0] == at_ns:
                _, _, _, whose = heappop(self._heap)
                if isinstance(whose, _User):
                    self._turn(whose, at_ns, now_ns)
                elif whose.awaits:
                    self._starve(whose, now_ns)
                else:
                    self._go_on(whose, now_ns)
            else:
                self._arrive(now_ns, limit - len(self._due))
        due, self._due = self._due[:limit], self._due[limit:]
        return due

    def answered(self, receipts: Iterable[Receipt], now_ns: int) -> list[Receipt]:
        """Take the answers. Gives those that are final, with what else is known of the events by them."""
        final = []
        for receipt in receipts:
            one = self._flying.pop(receipt.seq)
            told = self._answered(one, receipt, now_ns)
            if told is not None:
                final.append(told)
        return final

    def iteration(self, seq: int) -> int | None:
        """The number of the iteration whose event has no answer yet; None: it belongs to none."""
        number = self._flying[seq].number
        return number if number >= 0 else None

    def own_delay(self, event: Event | WaitEvent, now_ns: int) -> int:
        """What of the delay of a step that is sent now is evload's own. At a fixed pace an iteration may be due while
        its user is busy yet with the one before: that is the target's doing, but for what evload was late then."""
        one = self._flying[event.seq]
        own_ns, user = now_ns - event.intended_ns, one.user
        if user is not None and event.intended_ns == one.intended_ns and user.free_ns > one.intended_ns:
            busy_ns = user.free_ns - one.intended_ns
            own_ns -= busy_ns - min(busy_ns, user.lag_ns)
        one.lag_ns += max(0, own_ns)
        return own_ns

    def watched(self, seq: int, seen_ns: int | None, captured: Mapping[str, Any], why: str, now_ns: int) -> None:
        """What an iteration waits for has come, for sure by then, in an answer that held so much. None: it didn't in
        time, or never will, or nobody can tell, for a reason."""
        one = self._flying.pop(seq, None)
        if one is None:
            return
        watch = self._programs[one.journey].operations[one.place]
        assert isinstance(watch, Watch)
        if seen_ns is None and self._stopped:
            self._cut_off(one, now_ns)
            return
        at_ns = one.due_ns = max(one.due_ns, now_ns if seen_ns is None else seen_ns)
        if one.part <= _MAIN:
            one.last_ns = at_ns
        if seen_ns is not None and watch.kind != "absent":
            about = frozenset({(watch.probe, one.asked)})
            one.shown = one.shown - about if watch.kind == "gone" else one.shown | about
        lacking = [name for name in watch.captures if captured.get(name) is None]
        if seen_ns is not None and not lacking:
            one.values |= captured
            one.place = watch.goes_on
        elif seen_ns is None and watch.failed >= 0:
            one.place, one.reason = watch.failed, why
        else:
            reason = why or f"capture {lacking[0]}: it found nothing"
            if self._ended(one, End.FAILED, watch.name, self._hidden(one, reason), now_ns):
                return
        self._go_on(one, now_ns)

    def over(self) -> list[Iteration]:
        """The iterations that are over since this was last asked."""
        over, self._over = self._over, []
        return over

    def followed(self) -> list[Followed]:
        """What probes look for since this was last asked."""
        followed, self._followed = self._followed, []
        return followed

    def stop(self, at_ns: int) -> list[Receipt]:
        """Begin nothing more: what waits is cut off at once, what is on its way when its answer is there.

        What is taken already by `take`, or would be next, counts as on its way. Gives the answers that are final now,
        because nothing is sent again.
        """
        self._stopped = True
        final = []
        while self._heap:
            entry = heappop(self._heap)
            whose = entry[3]
            if isinstance(whose, _User) or self._is_stale(entry):
                continue
            if whose.tried is not None and whose.tried[1] is not None:
                final.append(self._final(whose, whose.tried[1], FAILED))
            self._cut_off(whose, at_ns)
        arrivals = self._course.arrivals
        while offsets := arrivals.take_until(at_ns - self._origin_ns, 1024):
            for offset in offsets:
                if self._may_begin():
                    self._unbegun(self._pass(None, self._number, self._origin_ns + offset), End.UNSENT)
        return final

    # -- beginning ---------------------------------------------------------------------------------------

    def _arrival_ns(self) -> int | None:
        if self._stopped or not self._may_begin():
            return None
        offset = self._course.arrivals.peek()
        return None if offset is None else self._origin_ns + offset

    def _may_begin(self) -> bool:
        return self._course.iterations is None or self._number < self._course.iterations

    def _arrive(self, now_ns: int, limit: int) -> None:
        if self._course.iterations is not None:
            limit = min(limit, self._course.iterations - self._number)
        for offset in self._course.arrivals.take_until(now_ns - self._origin_ns, max(1, limit)):
            one = self._pass(None, self._number, self._origin_ns + offset)
            self._enter(one, now_ns)

    def _turn(self, user: _User, at_ns: int, now_ns: int) -> None:
        """A user's next iteration is due, if it is still there."""
        while user.presence and user.presence[0][1] <= at_ns:
            user.presence.pop(0)
        if not user.presence or not self._may_begin():
            self._leave(user, now_ns)
        elif at_ns < user.presence[0][0]:
            self._push(user.presence[0][0], user)
        else:
            if not user.is_there:
                user.is_there = True
                self.users += 1
            one = self._pass(user, user.own, at_ns)
            user.own += 1
            self._enter(one, now_ns)

    def _pass(self, user: _User | None, own: int, intended_ns: int) -> _Pass:
        number, self._number = self._number, self._number + 1
        journey = 0
        if len(self._programs) > 1:
            drawn = mixed(self._chooser, -1 if user is None else user.number, own) / 2**64
            journey = next((at for at, end in enumerate(self._ends) if drawn < end), len(self._ends) - 1)
        return _Pass(journey, number, own, user, intended_ns)

    def _enter(self, one: _Pass, now_ns: int) -> None:
        """Begin an iteration: draw its variables, and go to its first step."""
        program, user = self._programs[one.journey], one.user
        if program.draws_at_random:
            program.random.seed(self._key(one, 0))
        one.values = self._given(one)
        program.draw_variables(one.values, self._stamp(now_ns))
        one.part, one.place = _MAIN, program.main or 0
        if user is not None and program.begin is not None:
            if one.journey in user.begun:
                one.values |= user.begun[one.journey] | self._given(one)
            else:
                one.part, one.place = _BEGIN, program.begin
                user.memory.clear()
        elif user is not None:
            user.begun.setdefault(one.journey, {})
        self._go_on(one, now_ns)

    def _leave(self, user: _User, now_ns: int) -> None:
        """A user is there no more: what it ends with, for each journey that it began."""
        for journey, values in list(user.begun.items()):
            program = self._programs[journey]
            del user.begun[journey]
            if program.end is None or self._stopped:
                continue
            one = _Pass(journey, -1, user.own, user, now_ns)
            one.part, one.place = _END, program.end
            one.values = values | self._given(one)
            self._go_on(one, now_ns)
            return  # the next one when this is done
        self.users -= user.is_there
        user.is_there = False
        user.memory.clear()

    # -- going on ----------------------------------------------------------------------------------------

    def _go_on(self, one: _Pass, now_ns: int) -> None:
        """Do what is due by now, up to a step that sends or waits, or that is due later."""
        program = self._programs[one.journey]
        operations = program.operations
        over = False
        while not over:
            operation = operations[one.place]
            if isinstance(operation, Send):  # most are
                over = self._begin_step(one, program, operation, now_ns)
                continue
            match operation:
                case Watch() as watch:
                    over = self._begin_wait(one, program, watch, now_ns)
                case Pause() as pause:
                    over = self._pause(one, pause, now_ns)
                case Fork() as fork:
                    drawn = self._drawn(one)
                    ends = zip(fork.ends, fork.places, strict=True)
                    one.place = next((place for end, place in ends if drawn < end), fork.places[-1])
                case GiveIn() as given_in:
                    end = End.FAILED if given_in.failed else End.REFUSED
                    over = self._ended(one, end, given_in.step, one.reason, now_ns)
                case Done():
                    over = self._part_done(one, program, now_ns)

    def _pause(self, one: _Pass, pause: Pause, now_ns: int) -> bool:
        pause_ns = pause.least_ns
        if pause.most_ns > pause_ns:
            pause_ns += int((pause.most_ns - pause_ns) * self._drawn(one))
        one.place = pause.goes_on
        one.due_ns += pause_ns
        if one.due_ns <= now_ns:
            return False
        if self._stopped:
            self._cut_off(one, now_ns)
        else:
            self._push(one.due_ns, one)
        return True

    def _begin_step(self, one: _Pass, program: Program, send: Send, now_ns: int) -> bool:
        """Send a step, or wait for what it takes. False: it isn't sent, and what comes next is due."""
        if self._stopped:
            self._cut_off(one, now_ns)
            return True
        if one.tried is not None:
            self._fly(one, send.producer, one.tried[0])
            return True
        if send.needs and (missing := send.needs - one.values.keys()):
            return self._unknown(one, send, missing, now_ns)
        if send.take and not self._takes(one, send):
            return True
        seq = self._prepare(one, program, send, self._scenario)
        event = send.event(seq, one.due_ns, self._stamp(now_ns))
        if send.follow is not None:
            one.sent = event
        if isinstance(event, RequestEvent):
            event.request.memory = one.memory
        if send.retry is not None:
            one.tried = (event, None)
        self._flying[seq] = one
        self._due.append(Due(send.producer, event))
        return True

    def _begin_wait(self, one: _Pass, program: Program, watch: Watch, now_ns: int) -> bool:
        if self._stopped:
            self._cut_off(one, now_ns)
            return True
        if missing := watch.needs - one.values.keys():
            return self._unknown(one, watch, missing, now_ns)
        seq = self._prepare(one, program, watch, watch.scenario)
        asked = one.asked = watch.asked(seq, self._stamp(now_ns))
        shown = (watch.probe, asked) in one.shown
        told = self._hidden(one, asked)
        self._fly(one, "", WaitEvent(seq, asked, watch.scenario, watch.type, one.due_ns, shown, told))
        return True

    def _unknown(self, one: _Pass, step: Send | Watch, missing: frozenset[str], now_ns: int) -> bool:
        """Names that it needs aren't known: finally it is left out, else the iteration fails."""
        if one.part != _FINALLY:
            return self._ended(one, End.FAILED, step.name, _UNKNOWN.format(min(missing)), now_ns)
        one.place = step.goes_on
        return False

    def _prepare(self, one: _Pass, program: Program, step: Send | Watch, scenario: int) -> int:
        """Make ready what fills the templates of a step that is begun now. Gives the seq of its event, which is one
        of this scenario."""
        if one.started_ns is None and one.part <= _MAIN:
            one.started_ns = one.due_ns
            self.started += 1
        one.values["step"] = step.name
        program.late.values = one.values
        if step.seeded:
            program.random.seed(self._key(one, one.place + 1))
        return self.next_seq(scenario)

    def next_seq(self, scenario: int) -> int:
        """The number of the next event of a scenario."""
        seq = self._next_seqs[scenario]
        self._next_seqs[scenario] = seq + self._scenarios
        return seq

    def _fly(self, one: _Pass, producer: str, event: Event) -> None:
        self._flying[event.seq] = one
        self._due.append(Due(producer, event))

    # -- what journeys give to one another ------------------------------------------------------------------

    def _takes(self, one: _Pass, send: Send) -> bool:
        """Whether it has what it takes. If not it waits, and goes on when that comes, or when it waited too long."""
        for name, pool in send.take:
            if name in one.values:
                continue
            if found := self._pools.take(pool):
                one.values[name] = found[0]
                continue
            one.awaits = pool
            self._push(one.due_ns + send.within_ns, one)
            self._pools.wait(pool, self._hand_over(one, one.token, name))
            return False
        return True

    def _hand_over(self, one: _Pass, token: int, name: str) -> Taken:
        def taken(value: Any, at_ns: int) -> bool:
            if one.token != token or one.done or self._stopped:
                return False
            one.values[name] = value
            one.awaits = ""
            one.due_ns = max(one.due_ns, at_ns)  # it couldn't be sent before
            self._push(one.due_ns, one)
            self._wake()
            return True

        return taken

    def _starve(self, one: _Pass, now_ns: int) -> None:
        """It waited too long for what it takes."""
        send = self._programs[one.journey].operations[one.place]
        assert isinstance(send, Send)
        reason = f"nothing came into {one.awaits} within {format_duration(send.within_ns)}"
        one.awaits = ""
        one.token += 1  # what comes from now on isn't for it
        one.due_ns += send.within_ns
        for name, pool in send.take:
            if name in one.values:
                self._pools.put_back(pool, one.values.pop(name))
        if one.started_ns is None and one.part <= _MAIN:
            self._unbegun(one, End.STARVED, send.name, reason)
            return
        if one.part <= _MAIN:
            one.last_ns = one.due_ns
        if not self._ended(one, End.FAILED, send.name, reason, now_ns):
            self._go_on(one, now_ns)

    # -- answers -----------------------------------------------------------------------------------------

    def _answered(self, one: _Pass, receipt: Receipt, now_ns: int) -> Receipt | None:
        send = self._programs[one.journey].operations[one.place]
        assert isinstance(send, Send)
        at_ns = now_ns if receipt.acked_ns is None else receipt.acked_ns
        if at_ns < one.due_ns:
            at_ns = one.due_ns
        if one.tried is not None:
            answered = receipt.answer is not None
            receipt = _with_try(one, receipt)
            if answered and self._is_sent_again(one, send, receipt, at_ns):
                return None
        said, reason = self._judged(one, send, receipt, now_ns)
        final = self._final(one, receipt, said)
        if said == OK and send.follow is not None:
            self._follow(one, send.follow, final, now_ns)
        one.due_ns = at_ns
        if one.part <= _MAIN:
            one.last_ns = at_ns
        if said == OK:
            one.place = send.goes_on
            self._go_on(one, now_ns)
        elif said == REFUSED and send.refused >= 0:
            one.place, one.reason = send.refused, reason
            self._go_on(one, now_ns)
        elif not self._ended(one, End.REFUSED if said == REFUSED else End.FAILED, send.name, reason, now_ns):
            self._go_on(one, now_ns)
        return final

    def _final(self, one: _Pass, receipt: Receipt, said: int) -> Receipt:
        """The last answer to a step, with what is known by it."""
        seq, outcome, sent_ns, acked_ns, detail, capture, told, _ = receipt
        facts = {**told, "answer": said} if told else {"answer": said}
        if one.number >= 0:
            facts["iteration"] = one.number
        if one.tries:
            if len(one.tries) > 1:
                facts |= {"retried": len(one.tries) - 1, "tries": tuple(one.tries)}
            one.tries = []
        one.tried = None
        return Receipt(seq, outcome, sent_ns, acked_ns, detail and self._hidden(one, detail), capture, facts)

    def _follow(self, one: _Pass, follow: Follow, receipt: Receipt, now_ns: int) -> None:
        """Have probes look for the effect of what a step has sent, and got its answer to."""
        sent, one.sent = one.sent, None
        assert sent is not None
        program = self._programs[one.journey]
        program.late.values = one.values
        if follow.seeded:
            program.random.seed(self._key(one, one.place + 1))
        now, asked = self._stamp(now_ns), dict[int, str]()
        for made, readers in follow.asked:
            asked |= dict.fromkeys(readers, made(sent.seq, now))
        facts = {name: fact for name, fact in (receipt.facts or {}).items() if name in _OF_FOLLOWED}
        event = FollowedEvent(self.next_seq(follow.scenario), follow.scenario, sent, asked)
        told = self._hidden(one, next(iter(asked.values())))
        self._followed.append(
            Followed(event, Receipt(event.seq, receipt.outcome, receipt.sent_ns, receipt.acked_ns, "", told, facts))
        )

    def _is_sent_again(self, one: _Pass, send: Send, receipt: Receipt, at_ns: int) -> bool:
        """Whether the answer is one after which the step is sent again."""
        retry, answer = send.retry, receipt.answer
        if retry is None or answer is None or self._stopped or len(one.tries) > retry.times:
            return False
        if answer.get("status") not in retry.on:
            return False
        assert one.tried is not None
        one.tried = (one.tried[0], receipt)
        one.due_ns = at_ns + (_retry_after_ns(answer) if retry.after_ns is None else retry.after_ns)
        self._push(one.due_ns, one)
        return True

    def _judged(self, one: _Pass, send: Send, receipt: Receipt, now_ns: int) -> tuple[int, str]:
        """What an answer is, and why, for people. What it holds is captured, and what is given is given."""
        if receipt.outcome is not Outcome.ACCEPTED:
            reason = receipt.detail or receipt.outcome.name.lower().replace("_", " ")
            return FAILED, self._hidden(one, reason)
        if (answer := receipt.answer) is not None:
            if send.no and (status := answer.get("status")) in send.no:
                return REFUSED, f"HTTP {status}"
            if (came := answer.download) is not None and came.wrong:
                return FAILED, came.wrong
            looks = send.captures or send.checks
            if looks and (reason := self._missing(one, send, Document(answer, one.values))):
                return FAILED, self._hidden(one, reason)
        if not send.give:
            return OK, ""
        program = self._programs[one.journey]
        for gift in send.give:
            if unknown := gift.needs - one.values.keys():
                return FAILED, _UNKNOWN.format(min(unknown))
            program.late.values = one.values
            self._pools.give(gift.pool, gift.value(self._stamp(now_ns)), now_ns)
        return OK, ""

    def _missing(self, one: _Pass, send: Send, document: Document) -> str:
        """What an answer should hold and doesn't. What it holds is captured."""
        for captured in send.captures:
            try:
                found = captured.look.search(document.seen_by(captured.look))
            except ValueError as error:
                return f"capture {captured.name}: {' '.join(str(error).split())}"
            if found is None:
                return f"capture {captured.name}: {captured.look.text} found nothing"
            one.values[captured.name] = found
        if not send.checks:
            return ""
        held = [(name, holds(look, document)) for name, look in send.checks]
        one.checks += tuple((check_label(send.name, name), found) for name, found in held)
        failed = [name for name, found in held if not found]
        one.failed_checks += tuple(failed)
        return f"check {failed[0]}" if failed else ""

    def _hidden(self, one: _Pass, text: str) -> str:
        """A text without what was captured as secret."""
        return self._programs[one.journey].hidden(text, one.values)

    # -- ending ------------------------------------------------------------------------------------------

    def _part_done(self, one: _Pass, program: Program, now_ns: int) -> bool:
        """The last step of a part was done. True: nothing more comes of it now."""
        match one.part:
            case part if part == _BEGIN:
                assert one.user is not None
                # Not what was drawn: that is of one iteration.
                one.user.begun[one.journey] = {name: one.values[name] for name in program.kept & one.values.keys()}
                one.part, one.place = _MAIN, program.main or 0
                return False
            case part if part == _MAIN:
                return self._ended(one, End.COMPLETED, "", "", now_ns)
            case part if part == _FINALLY:
                self._finish(one, now_ns)
                return True
        one.done = True
        assert one.user is not None
        self._leave(one.user, now_ns)
        return True

    def _ended(self, one: _Pass, end: End, step: str, reason: str, now_ns: int) -> bool:
        """It ended so; what is done finally comes next. True: nothing does."""
        program = self._programs[one.journey]
        if one.part == _END:
            one.done = True
            assert one.user is not None
            self._leave(one.user, now_ns)
            return True
        if one.part == _FINALLY:
            if one.end is End.COMPLETED:
                one.end, one.step, one.reason = End.FAILED, step, reason
            one.place = _after(program.operations[one.place], one.place)
            return False
        one.end, one.step, one.reason = end, step, reason
        if program.finally_ is None or self._stopped or one.started_ns is None:
            self._finish(one, now_ns)
            return True
        one.part, one.place = _FINALLY, program.finally_
        return False

    def _cut_off(self, one: _Pass, at_ns: int) -> None:
        """It doesn't go on."""
        if one.done:
            return
        if one.part == _END:
            one.done = True
            return
        if one.started_ns is None:
            self._unbegun(one, End.UNSENT)
            return
        if one.end is None:
            one.end = End.CUT_OFF
            place = self._programs[one.journey].operations[one.place]
            one.step = place.name if isinstance(place, Send | Watch) else ""
            one.reason = "the run was stopped"
        self._finish(one, at_ns)

    def _unbegun(self, one: _Pass, end: End, step: str = "", reason: str = "") -> None:
        one.end, one.step, one.reason = end, step, reason
        self._finish(one)

    def _finish(self, one: _Pass, now_ns: int = 0) -> None:
        """Tell of it, and let its user go on."""
        assert one.end is not None
        one.done = True
        user = one.user
        self._tell(one)
        if user is not None and not self._stopped:
            self._next_of(user, one, now_ns)

    def _tell(self, one: _Pass) -> None:
        assert one.end is not None
        self._told += 1
        iteration = Iteration(
            self._scenario,
            self._numbers[one.journey],
            one.number,
            None if one.user is None else one.user.number,
            one.intended_ns,
            one.started_ns,
            one.last_ns,
            one.end,
            one.step,
            one.reason,
            one.failed_checks,
            one.checks,
        )
        if self._ended_by is None:
            self._over.append(iteration)
        else:
            self._ended_by(iteration, one.values, one.memory)

    def _next_of(self, user: _User, last: _Pass, now_ns: int) -> None:
        """When the user's next iteration is due."""
        course = self._course
        user.free_ns, user.lag_ns = max(last.due_ns, last.intended_ns), last.lag_ns
        if course.every_ns is None:
            least, most = course.think
            pause_ns = least
            if most > least:
                pause_ns += int((most - least) * self._key(last, -1) / 2**64)
            self._push(max(last.due_ns, last.intended_ns) + pause_ns, user)
            return
        due_ns = last.intended_ns + course.every_ns
        # What was due before the user left, and would be begun only after that, never was.
        while user.presence and due_ns < user.presence[0][1] <= now_ns and self._may_begin():
            one = self._pass(user, user.own, due_ns)
            user.own += 1
            one.end, one.done = End.UNSENT, True
            self._tell(one)
            due_ns += course.every_ns
        self._push(due_ns, user)

    # -- what all of it uses ------------------------------------------------------------------------------

    def _push(self, due_ns: int, whose: _Pass | _User) -> None:
        self._order += 1
        token = 0
        if isinstance(whose, _Pass):
            whose.token += 1
            token = whose.token
        heappush(self._heap, (due_ns, self._order, token, whose))

    def _is_stale(self, entry: _Entry) -> bool:
        """Whether an entry of the heap is about what is over."""
        whose = entry[3]
        return isinstance(whose, _Pass) and (whose.done or whose.token != entry[2])

    def _given(self, one: _Pass) -> dict[str, Any]:
        """What each iteration knows from its beginning."""
        user = "" if one.user is None else one.user.number
        files = self._programs[one.journey].files
        return {**files, "user": user, "iteration": max(0, one.number), "step": ""}

    def _key(self, one: _Pass, step: int) -> int:
        """What a generator is seeded with for a step, 0: for the variables."""
        return mixed(self._seeds[one.journey], -1 if one.user is None else one.user.number, one.own, step)

    def _drawn(self, one: _Pass) -> float:
        """From 0 to 1, for the operation at hand."""
        return self._key(one, one.place + 1) / 2**64


def _watched_by(program: Program) -> Iterator[int]:
    """The scenarios that are what its steps watch."""
    for one in program.operations:
        if isinstance(one, Watch):
            yield one.scenario
        elif isinstance(one, Send) and one.follow is not None:
            yield one.follow.scenario


def _with_try(one: _Pass, receipt: Receipt) -> Receipt:
    """The answer to a step that may be sent several times, as one to all tries: whoever waits does since the first.
    Where it wasn't sent once more, what was answered before stays."""
    assert one.tried is not None
    before = one.tried[1]
    if receipt.outcome is not Outcome.UNSENT:
        one.tries.append(Try(receipt.sent_ns, receipt.acked_ns, (receipt.facts or {}).get("status")))
        return receipt if before is None else _since_first(before, receipt)
    if before is None:
        return receipt
    why = f"not sent again: {receipt.detail}" if receipt.detail else ""
    return before._replace(detail="; ".join(filter(None, (before.detail, why))))


def _since_first(before: Receipt, receipt: Receipt) -> Receipt:
    """The answer to the last of several tries, with all times since the first of them."""
    facts, first_ns, sent_ns = receipt.facts, before.sent_ns, receipt.sent_ns
    if facts and first_ns is not None and sent_ns is not None:
        took = {name: facts[name] for name in MEASURED if facts.get(name, NEVER_CAME) != NEVER_CAME}
        facts = {**facts, **{name: took_ns + sent_ns - first_ns for name, took_ns in took.items()}}
    return receipt._replace(sent_ns=first_ns, facts=facts)


def _retry_after_ns(answer: Answer) -> int:
    """How long a target asks to be left alone, in whole seconds (RFC 9110, 10.2.3); a second if it doesn't say."""
    headers = answer.get("headers")
    text = headers.get("retry-after") if isinstance(headers, Mapping) else None
    seconds = int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 6 else 1
    return min(seconds, _LONGEST_RETRY_S) * NS_PER_S


def _after(operation: Operation, place: int) -> int:
    """Where to go on after an operation that came to nothing."""
    return operation.goes_on if isinstance(operation, Send | Watch) else place + 1
