"""The embedded pipeline itself: a queue, its workers and the read model's replicas, without I/O or a clock.

Time is an argument, in nanoseconds, and must not go backwards. Nothing waits for a timer: every call first
lets happen what is due by then, so how often the world is called changes nothing in what happens.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from .faults import Timetable
from .settings import SandboxSettings
from .truth import Truth

SWAP_HOLD_NS: Final = 1_000_000_000
"""How long an event that is to be swapped waits for the next one with its key."""


class Item(NamedTuple):
    """What the read model shows of one event.

    effects       how often its effect has been applied by now
    position      its place in the order of application: a whole number that grows, for each key in step
                  with the time of processing
    consumed_ns, processed_ns  when a worker began and ended with it
    """

    effects: int
    position: int
    consumed_ns: int
    processed_ns: int


class Queue(NamedTuple):
    """The queue's state: `depth` events wait, `received` came in so far, `consumed` were taken up."""

    depth: int
    received: int
    consumed: int


class _Draws(NamedTuple):
    """The random numbers of one event, the same set whatever is planted. Uniform in [0, 1)."""

    service: float
    visibility: float
    loss: float
    duplicate: float
    duplicate_after: float
    swap: float
    regress: float
    regress_after: float
    regress_lasting: float


class _Event:
    """One event inside the world. What is None isn't decided yet, or doesn't happen to this event."""

    __slots__ = (
        "available_ns", "consumed_ns", "correlation_id", "draws", "follower", "hidden", "key", "lost", "position",
        "processed_ns", "received_ns", "replica_draws", "seq", "swapped", "twice_after_ns", "visible_ns",
    )  # fmt: skip

    def __init__(self, seq: int, correlation_id: str, key: str | None, received_ns: int) -> None:
        self.seq = seq
        self.correlation_id = correlation_id
        self.key = key
        self.received_ns = received_ns
        self.available_ns = received_ns
        """Since when a worker may take it up; counts only while it is ready."""
        self.draws: _Draws | None = None
        self.replica_draws: list[tuple[float, float, float]] | None = None
        """For each replica: its lag, whether it is stale, for how long."""
        self.follower: _Event | None = None
        """The next event with the same key, which waits for this one."""
        self.lost = False
        self.swapped = False
        self.twice_after_ns: int | None = None
        """From the first effect to the second."""
        self.consumed_ns: int | None = None
        self.processed_ns: int | None = None
        self.position: int | None = None
        self.visible_ns: tuple[int, ...] | None = None
        """Per replica; set when it is applied, which is decided the moment a worker takes it up."""
        self.hidden: tuple[int, int] | None = None


class World:
    """A first-in-first-out queue with several workers in front of a replicated read model.

    A free worker takes the event accepted first among those that may be taken: an event with a key waits
    until the one before it of that key is processed. What a change or a fault alters applies to whatever
    a worker takes up from then on; work that has begun ends as it was going to. Whether an event is lost,
    duplicated, swapped or regressing is decided as it is accepted.

    An id that is accepted again is received, deduplicated and without effect.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self._event_rng = random.Random(settings.seed)
        self._replica_rngs = [random.Random(f"{settings.seed} {replica.name}") for replica in settings.replicas]
        self._reader_rng = random.Random(f"{settings.seed} readers")
        self._replica_index = {replica.name: index for index, replica in enumerate(settings.replicas)}
        self._origin_ns: int | None = None
        self._timetable = Timetable((), 0)
        self._events: dict[str, _Event] = {}
        self._oldest: deque[_Event] = deque()
        """The same events in order of acceptance."""
        self._ready: list[tuple[int, _Event]] = []
        """Heap by order of acceptance: a worker may take these."""
        self._later: list[tuple[int, int, _Event]] = []
        """Heap by the moment at which the one before with the same key, already taken up, is processed."""
        self._held: dict[str, _Event] = {}
        """By key, oldest first: waits to be overtaken by the next event with its key."""
        self._last_of_key: dict[str, _Event] = {}
        self._free = [0] * settings.workers
        """Heap of the moments since when, or from when on, each worker is free."""
        self._received = 0
        self._consumed = 0
        self._applied = 0

    # What comes in

    def accept(self, now_ns: int, correlation_id: str, key: str | None = None) -> None:
        """Take in one event."""
        self._advance(now_ns)
        if self._origin_ns is None:
            self._origin_ns = now_ns
            self._timetable = Timetable(self.settings.faults, now_ns)
        seq = self._received
        self._received += 1
        if correlation_id in self._events:
            self._consumed += 1
            return
        event = self._events[correlation_id] = _Event(seq, correlation_id, key, now_ns)
        self._oldest.append(event)
        swap = self._plant(event) and key is not None
        if key is None or event.lost:
            self._enqueue(event, now_ns)
        elif (overtaken := self._held.pop(key, None)) is not None:
            overtaken.swapped = True
            self._enqueue(event, now_ns)
            self._enqueue(overtaken, now_ns)
        elif swap:
            self._held[key] = event
        else:
            self._enqueue(event, now_ns)

    def _plant(self, event: _Event) -> bool:
        """Decide what befalls the event; the answer is whether it is chosen to be swapped."""
        settings, own_rngs = self.settings, self._replica_rngs
        rng = self._event_rng.random
        if settings.draws == "event":
            own = random.Random(f"{settings.seed} {event.correlation_id}")
            rng, own_rngs = own.random, [own] * len(own_rngs)
        draws = event.draws = _Draws(rng(), rng(), rng(), rng(), rng(), rng(), rng(), rng(), rng())
        event.replica_draws = [(own.random(), own.random(), own.random()) for own in own_rngs]
        event.lost = draws.loss < settings.loss
        if event.lost:
            return False
        if draws.duplicate < settings.duplicates.share:
            event.twice_after_ns = settings.duplicates.after.quantile(draws.duplicate_after)
        if draws.regress < settings.regressions.share:
            # Kept as (after, lasting) until the event is applied, when it becomes an interval.
            event.hidden = (
                settings.regressions.after.quantile(draws.regress_after),
                settings.regressions.lasting.quantile(draws.regress_lasting),
            )
        return draws.swap < settings.swaps

    def _enqueue(self, event: _Event, at_ns: int) -> None:
        """Put an event in the queue, behind the one before it of the same key."""
        before = None
        if event.key is not None:
            before = self._last_of_key.get(event.key)
            self._last_of_key[event.key] = event
        if before is not None and before.processed_ns is None:
            before.follower = event
        elif before is not None and before.processed_ns is not None and before.processed_ns > at_ns:
            heapq.heappush(self._later, (before.processed_ns, event.seq, event))
        else:
            event.available_ns = at_ns
            heapq.heappush(self._ready, (event.seq, event))

    # What happens in between

    def _advance(self, now_ns: int) -> None:
        """Let happen all that is due by `now_ns`, in its order."""
        while True:
            start_ns = self._next_start_ns()
            if self._held:
                key, event = next(iter(self._held.items()))
                release_ns = event.received_ns + SWAP_HOLD_NS
                if release_ns <= now_ns and (start_ns is None or release_ns <= start_ns):
                    del self._held[key]
                    self._enqueue(event, release_ns)
                    continue
            if start_ns is None or start_ns > now_ns:
                return
            self._take_up(start_ns)

    def _next_start_ns(self) -> int | None:
        """When a worker takes up its next event, as things stand."""
        if not self._free:
            return None
        if self._ready:
            available_ns = self._ready[0][1].available_ns
        elif self._later:
            available_ns = self._later[0][0]
        else:
            return None
        return self._timetable.workers_up_ns(max(self._free[0], available_ns))

    def _take_up(self, start_ns: int) -> None:
        """Give the first event in the queue to a worker, which settles all of its future."""
        while self._later and self._later[0][0] <= start_ns:
            available_ns, seq, event = heapq.heappop(self._later)
            event.available_ns = available_ns
            heapq.heappush(self._ready, (seq, event))
        event = heapq.heappop(self._ready)[1]
        assert event.draws is not None
        factor = self._timetable.service_factor(start_ns)
        processed_ns = start_ns + round(self.settings.service.quantile(event.draws.service) * factor)
        heapq.heapreplace(self._free, processed_ns)
        self._consumed += 1
        event.consumed_ns = start_ns
        event.processed_ns = processed_ns
        if not event.lost:
            self._apply(event, processed_ns, event.draws)
        event.draws = event.replica_draws = None
        if event.follower is not None:
            heapq.heappush(self._later, (processed_ns, event.follower.seq, event.follower))
            event.follower = None

    def _apply(self, event: _Event, processed_ns: int, draws: _Draws) -> None:
        assert event.replica_draws is not None
        event.position = self._applied
        self._applied += 1
        first_ns = processed_ns + self.settings.visibility.quantile(draws.visibility)
        visible = []
        for replica, (lag, stale, lasting) in zip(self.settings.replicas, event.replica_draws, strict=True):
            at_ns = first_ns + replica.lag.quantile(lag)
            if replica.stale is not None and stale < replica.stale.share:
                at_ns += replica.stale.lasting.quantile(lasting)
            visible.append(at_ns)
        event.visible_ns = tuple(visible)
        if event.hidden is not None:
            after_ns, lasting_ns = event.hidden
            hidden_from_ns = max(visible) + after_ns
            event.hidden = (hidden_from_ns, hidden_from_ns + lasting_ns)

    # What can be asked

    def next_replica(self) -> str:
        """The name of a replica, as a load balancer picks one for a read."""
        replicas = self.settings.replicas
        return replicas[int(self._reader_rng.random() * len(replicas))].name

    def read(self, now_ns: int, replica: str, correlation_id: str) -> Item | None:
        """What a replica shows of an event at this moment; None if nothing. Raises KeyError for its name."""
        index = self._replica_index[replica]
        self._advance(now_ns)
        event = self._events.get(correlation_id)
        if event is None or event.visible_ns is None:
            return None
        visible_ns = event.visible_ns[index]
        if now_ns < visible_ns or (event.hidden is not None and event.hidden[0] <= now_ns < event.hidden[1]):
            return None
        twice = event.twice_after_ns is not None and now_ns >= visible_ns + event.twice_after_ns
        assert event.position is not None
        assert event.consumed_ns is not None
        assert event.processed_ns is not None
        return Item(2 if twice else 1, event.position, event.consumed_ns, event.processed_ns)

    def effects(self, now_ns: int, correlation_id: str) -> int:
        """How often the effect of an event has been applied by now, whatever the replicas show."""
        self._advance(now_ns)
        event = self._events.get(correlation_id)
        if event is None or event.position is None or event.processed_ns is None or now_ns < event.processed_ns:
            return 0
        twice = event.twice_after_ns is not None and now_ns >= event.processed_ns + event.twice_after_ns
        return 2 if twice else 1

    def queue(self, now_ns: int) -> Queue:
        """The queue at this moment. An event that is held back counts as waiting."""
        self._advance(now_ns)
        return Queue(self._received - self._consumed, self._received, self._consumed)

    def broker_open(self, now_ns: int) -> bool:
        """Whether publishes are taken at this moment."""
        return self._timetable.broker_open(now_ns)

    def read_model_open(self, now_ns: int) -> bool:
        """Whether reads are answered at this moment."""
        return self._timetable.read_model_open(now_ns)

    def answer_delay_ns(self, now_ns: int) -> int:
        """How much later than usual a publish is answered."""
        return self._timetable.answer_delay_ns(now_ns)

    # What can be changed

    def change(self, now_ns: int, patch: object) -> None:
        """Replace the settings that `patch` names, from now on. Raises ValueError for nonsense.

        Workers that go are those that would be free first; new ones are free at once. Faults count from
        the first accepted event all the same.
        """
        settings = self.settings.changed(patch)
        self._advance(now_ns)
        self.settings = settings
        while len(self._free) > settings.workers:
            heapq.heappop(self._free)
        while len(self._free) < settings.workers:
            heapq.heappush(self._free, now_ns)
        if self._origin_ns is not None:
            self._timetable = Timetable(settings.faults, self._origin_ns)

    # What really happened

    def truths(self) -> Iterator[Truth]:
        """The truth about every event still held, in order of acceptance.

        What a worker has taken up is final, its future included; the others are still queued.
        """
        return map(self._truth, self._oldest)

    def let_go(self, now_ns: int) -> list[Truth]:
        """Forget the events that were retained long enough, oldest first, and tell the truth about each.

        An event is kept as long as any accepted before it.
        """
        self._advance(now_ns)
        gone = []
        while self._oldest:
            event = self._oldest[0]
            if event.processed_ns is None or self._last_change_ns(event) + self.settings.retain > now_ns:
                break
            self._oldest.popleft()
            del self._events[event.correlation_id]
            if event.key is not None and self._last_of_key[event.key] is event:
                del self._last_of_key[event.key]
            gone.append(self._truth(event))
        return gone

    def _last_change_ns(self, event: _Event) -> int:
        assert event.processed_ns is not None
        if event.visible_ns is None:
            return event.processed_ns
        last_ns = max(event.visible_ns)
        return max(last_ns + (event.twice_after_ns or 0), event.hidden[1] if event.hidden else last_ns)

    def _truth(self, event: _Event) -> Truth:
        visible = event.visible_ns or (None,) * len(self._replica_index)
        effects = 0 if event.visible_ns is None else 1 if event.twice_after_ns is None else 2
        hidden = (event.hidden,) if event.hidden is not None and event.visible_ns is not None else ()
        return Truth(
            correlation_id=event.correlation_id,
            key=event.key,
            received_ns=event.received_ns,
            consumed_ns=event.consumed_ns,
            processed_ns=event.processed_ns,
            visible_ns=dict(zip(self._replica_index, visible, strict=True)),
            hidden=hidden,
            lost=event.lost,
            effects=effects,
            swapped=event.swapped,
            position=event.position,
        )
