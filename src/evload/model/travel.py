"""What travels through evload: events, receipts, reads, and what becomes of each event.

All times are integers in nanoseconds on the one monotonic clock of `evload.clock`. The types on the
hot path are named tuples and slotted classes, because one of each is made per event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, Protocol, cast

from .facts import EventFacts
from .states import Outcome, Seen, State


class Event:
    """One event, rendered and ready for the transport.

    seq             unique within the run
    correlation_id  what the read model is asked for; computed from the run and `seq`
    scenario, type  indices into the plan
    intended_ns     when the schedule wanted it sent
    key             its ordering key, or None
    body            the bytes to send, in the content mode that the producer asked for
    headers         (name, value) pairs that belong to this event: CloudEvents attributes in binary mode,
                    the content type in every mode
    extras          the producer's own templates, rendered, in the order in which its Encoding lists them
    own_delay       from when it was due until the producer could have it, in nanoseconds, less waits for room: the
                    lateness that is evload's own; None: nobody measured it
    """

    __slots__ = (
        "body", "correlation_id", "extras", "headers", "intended_ns", "key", "own_delay", "scenario", "seq", "type",
    )  # fmt: skip

    def __init__(
        self,
        seq: int,
        correlation_id: str,
        scenario: int,
        type: int,  # noqa: A002 (the CloudEvents name)
        intended_ns: int,
        key: str | None,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        extras: Sequence[str],
    ) -> None:
        self.seq = seq
        self.correlation_id = correlation_id
        self.scenario = scenario
        self.type = type
        self.intended_ns = intended_ns
        self.key = key
        self.body = body
        self.headers = headers
        self.extras = extras
        self.own_delay: int | None = None

    def __repr__(self) -> str:
        return f"Event(seq={self.seq}, correlation_id={self.correlation_id!r}, body={self.body[:60]!r})"


class Pieces:
    """A body that is sent piece by piece: some of them are large, and shared by many requests."""

    __slots__ = ("_size", "of")

    def __init__(self, of: Sequence[bytes]) -> None:
        self.of = of
        self._size = sum(map(len, of))

    def __len__(self) -> int:
        """Bytes of all of them."""
        return self._size


class Wanted(NamedTuple):
    """What the body of an answer has to be, once its content coding is undone.

    least, most  bytes; None: any number
    sha256       in hexadecimal, in small letters; None: any
    size_text, sha256_text  as the step says it, for people
    problem      for people: why that can't be told, what was captured being no size or no hash; empty: it can
    """

    least: int | None = None
    most: int | None = None
    sha256: str | None = None
    size_text: str = ""
    sha256_text: str = ""
    problem: str = ""


class Download(NamedTuple):
    """What came as the body of an answer of which something was wanted, its content coding undone.

    size    bytes; None: nobody can tell, or nobody counted on beyond what was wanted
    sha256  in hexadecimal; None: nobody can tell, or asked
    wrong   for people: why it isn't what was wanted; empty: it is
    """

    size: int | None
    sha256: str | None
    wrong: str = ""


class Request:
    """What a step of a journey asks of an HTTP producer, in place of the event that it would send.

    target   path and query below the base address of the producer, as they are to be sent but for percent-encoding
    headers  (name, value) pairs of this request alone, its content type among them
    expect   statuses by which the target does what it was asked; `refused` those that are a legitimate no
    reads    the body of the answer is looked into
    memory   what producers remember for whoever sends it from one of his requests to the next, such as cookies; they
             put it there themselves, and it is emptied where he begins anew. None: nobody remembers anything
    wanted   what the body of an answer that is expected has to be; None: whatever
    """

    __slots__ = ("body", "expect", "headers", "memory", "method", "reads", "refused", "target", "wanted")

    def __init__(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Pieces,
        expect: frozenset[int],
        refused: frozenset[int],
        reads: bool,
        memory: dict[str, Any] | None = None,
        wanted: Wanted | None = None,
    ) -> None:
        self.memory = memory
        self.wanted = wanted
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.expect = expect
        self.refused = refused
        self.reads = reads


class RequestEvent(Event):
    """An event that is a request of its own: its body and headers are those of the request."""

    __slots__ = ("request",)

    def __init__(
        self,
        seq: int,
        correlation_id: str,
        scenario: int,
        type: int,  # noqa: A002 (the CloudEvents name)
        intended_ns: int,
        request: Request,
    ) -> None:
        # As Event does, which takes longer: there is one for each step.
        self.seq = seq
        self.correlation_id = correlation_id
        self.scenario = scenario
        self.type = type
        self.intended_ns = intended_ns
        self.key = None
        # Of a body in pieces nobody asks the event for more than its length.
        self.body = cast(bytes, request.body)
        self.headers = request.headers
        self.extras = ()
        self.own_delay = None
        self.request = request

    def __repr__(self) -> str:
        return f"RequestEvent(seq={self.seq}, {self.request.method} {self.request.target})"


class WaitEvent(Event):
    """An event that nobody sends: somebody waits for what a probe shows of what it is asked for, the correlation id.

    shown  the probe has shown it before, to whoever waits
    told   what may be told of what it is asked for: where that is secret, its name
    """

    __slots__ = ("shown", "told")

    def __init__(
        self,
        seq: int,
        asked: str,
        scenario: int,
        type: int,  # noqa: A002 (the CloudEvents name)
        intended_ns: int,
        shown: bool = False,
        told: str | None = None,
    ) -> None:
        super().__init__(seq, asked, scenario, type, intended_ns, None, b"", (), ())
        self.shown = shown
        self.told = asked if told is None else told


class FollowedEvent(Event):
    """What a step of a journey has sent, and was answered as it should be: probes look for its effect from then on.

    sent   what the step sent, whose times, key and type it has
    asked  what each reader is asked for, by its number
    """

    __slots__ = ("asked",)

    def __init__(self, seq: int, scenario: int, sent: Event, asked: Mapping[int, str]) -> None:
        super().__init__(seq, sent.correlation_id, scenario, sent.type, sent.intended_ns, sent.key, b"", (), ())
        self.own_delay = sent.own_delay
        self.asked = asked


class Answer(Protocol):
    """What a target answered to a request, as expressions look at it."""

    @property
    def download(self) -> Download | None:
        """What came as its body, where the request wanted something of that; None: it didn't, or this is a no."""
        ...

    def get(self, name: str) -> Any:
        """`status` (a number), `headers` (by names in lower case) or `body` (what its JSON says); None for others.

        Raises ValueError for the body of an answer that isn't JSON, is garbled, or is too long.
        """
        ...


class Receipt(NamedTuple):
    """The answer to one publish. Every event gets exactly one.

    sent_ns   when it was handed to the transport, or when that was tried in vain (UNSENT, the target refused
              the connection); None if it was never tried (UNSENT, dropped)
    acked_ns  when the answer arrived; None if none came (IN_DOUBT, UNSENT)
    detail    for people: the status or the reason, empty when accepted
    capture   the id that the target itself gave the event, where the producer was told to capture one
    facts     what else is known of it by this, by the names of `EventFacts`
    answer    what the target said to a `RequestEvent`, whatever its status; None for all others, and where none came
    """

    seq: int
    outcome: Outcome
    sent_ns: int | None
    acked_ns: int | None
    detail: str = ""
    capture: str | None = None
    facts: Mapping[str, Any] | None = None
    answer: Answer | None = None


class Target(NamedTuple):
    """One event to ask a probe about."""

    seq: int
    correlation_id: str
    capture: str | None = None


class Read(NamedTuple):
    """What one read of the read model said about one event.

    start_ns, end_ns  around the request, on the generator's clock
    effects           how many side effects the event has had, where the probe can tell
    replica           which replica answered, where the answer says so
    position          where in the read model's own order of application the event stands (a number or a text
                      that grows), for the order of events with one key
    consumed_at, processed_at  the system's own stamps: nanoseconds since 1970 on a foreign clock
    exact             it was pushed: the event became visible at this very moment (start_ns == end_ns; between the
                      two where it is known to have lain somewhere), and each such read is one side effect
    version           how many writes of the event's key the answer reflects, where the read model says so
    facts             what else is known of the event by this, by the names of `EventFacts`
    unread_stamp      for people: what stands where a stamp should, and is none
    captured          what the answer that shows it holds, by the names under which somebody who waits captures it
    """

    seq: int
    seen: Seen
    start_ns: int
    end_ns: int
    effects: int | None = None
    replica: str | None = None
    position: float | str | None = None
    consumed_at: int | None = None
    processed_at: int | None = None
    exact: bool = False
    version: float | None = None
    facts: Mapping[str, Any] | None = None
    unread_stamp: str = ""
    captured: Mapping[str, Any] | None = None


@dataclass(slots=True)
class ReadResult:
    """Answer to one `Probe.read`: one Read for each target, in any order.

    unexpected  ids in the answer that nobody asked for
    error       for people, when the request failed: the reason, once for all its targets
    throttled   it failed because the read model is asked too much (429, a throttling error)
    retry_ns    how long it asks to be left alone then, in nanoseconds; 0 if it doesn't say
    instead     for people: what was answered by a read that shows none of them, such as `HTTP 404`
    strange     what came, or was answered, and is about no event of any run; not about one of another run
    example     for people: the beginning of one of those
    bytes_in    bytes of the bodies of the answers that came, those to failed reads too; 0 where nobody counts them
    alike       its reads, one at least, say whether their events are there and no more, and all say the same
    """

    reads: list[Read]
    unexpected: int = 0
    error: str = ""
    throttled: bool = False
    retry_ns: int = 0
    instead: str = ""
    strange: int = 0
    example: str = ""
    bytes_in: int = 0
    alike: bool = False


class Part(NamedTuple):
    """What one probe, or one replica of it, says of a settled event; brackets as in Observation.

    probe    its number in the plan
    replica  the replica's name; None: the probe as a whole
    """

    probe: int
    replica: str | None
    state: State
    first_lower_ns: int | None
    first_upper_ns: int | None
    stable_lower_ns: int | None
    stable_upper_ns: int | None


class Try(NamedTuple):
    """One of several times that an event was sent, because an answer said so.

    acked_ns  when its answer arrived, and `status` what that was; None: none came
    """

    sent_ns: int | None
    acked_ns: int | None
    status: int | None


@dataclass(init=False)
class Observation(EventFacts):
    """One settled event: all that is kept of it, with its facts. `None` means that there is no such figure.

    Brackets are (lower, upper]: `first_*` around the moment it was first seen, `stable_*` around the
    moment after which no read missed it. A missing upper end means never seen (or not again); a missing
    lower end with an upper one means that the first read already saw it, so `sent_ns` bounds it.

    parts  by probe and replica, where there is more than one; in the order of the scenario's probes
    tries  each time that it was sent, where that was more than once; it has the first send, and the last answer

    `vars` gives what else was told of it, key and brackets among them, and no more: the defaults are those of the
    class. Most of it is told of few events, and to set it, look at it and store it for all of them would be most of
    what an event costs.
    """

    __slots__ = (
        "acked_ns", "intended_ns", "sampled", "scenario", "sent_ns", "seq", "settled_ns", "state", "type",
    )  # fmt: skip

    seq: int
    scenario: int
    type: int
    state: State
    intended_ns: int
    sent_ns: int | None
    acked_ns: int | None
    sampled: bool
    settled_ns: int
    key: str | None = None
    first_lower_ns: int | None = None
    first_upper_ns: int | None = None
    stable_lower_ns: int | None = None
    stable_upper_ns: int | None = None
    parts: tuple[Part, ...] = ()
    tries: tuple[Try, ...] = ()

    def __init__(
        self,
        seq: int,
        scenario: int,
        type: int,  # noqa: A002 (as `Event` has it)
        state: State,
        intended_ns: int,
        key: str | None = None,
        sent_ns: int | None = None,
        acked_ns: int | None = None,
        sampled: bool = False,
        first_lower_ns: int | None = None,
        first_upper_ns: int | None = None,
        stable_lower_ns: int | None = None,
        stable_upper_ns: int | None = None,
        settled_ns: int = 0,
        **told: Any,
    ) -> None:
        self.seq = seq
        self.scenario = scenario
        self.type = type
        self.state = state
        self.intended_ns = intended_ns
        if key is not None:
            self.key = key
        self.sent_ns = sent_ns
        self.acked_ns = acked_ns
        self.sampled = sampled
        if first_lower_ns is not None:
            self.first_lower_ns = first_lower_ns
        if first_upper_ns is not None:
            self.first_upper_ns = first_upper_ns
        if stable_lower_ns is not None:
            self.stable_lower_ns = stable_lower_ns
        if stable_upper_ns is not None:
            self.stable_upper_ns = stable_upper_ns
        self.settled_ns = settled_ns
        if told:
            vars(self).update(told)

    @property
    def earlier(self) -> Sequence[int]:
        """With what its tries before the last were answered."""
        return [one.status for one in self.tries[:-1] if one.status is not None]

    @property
    def asked(self) -> int:
        """Replicas, and probes without any, that said anything of it; 0 where there is only one of them."""
        return sum(part.state is not State.UNOBSERVED for part in self._views())

    @property
    def agreeing(self) -> int:
        """Those of them that showed it when each was last read."""
        return sum(part.state is State.VISIBLE for part in self._views())

    def _views(self) -> Sequence[Part]:
        """The parts that are no sum of others."""
        replicated = {part.probe for part in self.parts if part.replica is not None}
        return [part for part in self.parts if part.replica is not None or part.probe not in replicated]

    @property
    def recovered(self) -> bool:
        """In doubt after the publish, and seen all the same."""
        return self.state is State.IN_DOUBT and self.first_upper_ns is not None

    @property
    def duplicated(self) -> bool:
        """More than one side effect was seen."""
        return self.effects is not None and self.effects > 1


OPTIONAL: Final = frozenset(field.name for field in fields(Observation)) - frozenset(Observation.__slots__)
"""What may be told of an event beside its stamps and its state."""


def told_of(observations: Iterable[Observation]) -> set[str]:
    """The names of what was told of any of them. Raises TypeError for what there isn't."""
    told = set(chain.from_iterable(map(vars, observations)))
    if not told <= OPTIONAL:
        raise TypeError(f"nothing that is known of events: {', '.join(sorted(told - OPTIONAL))}")
    return told


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a producer wants its events rendered.

    mode    structured: the whole CloudEvent as JSON in the body; binary: attributes in `Event.headers`,
            data in the body; plain: the data alone
    header_prefix  what attribute names get in binary mode (`ce-` for HTTP)
    extras  the producer's own templates (a routing key, a path, header values), rendered into
            `Event.extras` in this order
    """

    mode: Literal["structured", "binary", "plain"] = "structured"
    header_prefix: str = "ce-"
    extras: tuple[str, ...] = ()
