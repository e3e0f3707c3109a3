"""What was seen of one event: every request and answer, and what each expression made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ...model.iteration import Awaits
from ...model.states import Outcome, Seen, State
from ...model.travel import Event, ReadResult, Receipt
from ...spi.traffic import Exchange, Message
from .clue import Clue

_MOST_DELIVERIES: Final = 1000
_MOST_OTHERS: Final = 100


class Found(NamedTuple):
    """What the expression of a setting found in a document; an exception if it couldn't be worked out."""

    name: str
    expression: str
    document: Any
    value: Any


class Turn(NamedTuple):
    """One exchange, as it was."""

    start_ns: int
    end_ns: int
    sent: Message | None
    came: Message | None
    error: str


@dataclass
class Asked:
    """One read, one publish, or one delivery."""

    start_ns: int = 0
    end_ns: int = 0
    turns: list[Turn] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    result: ReadResult | None = None

    @property
    def seen(self) -> Seen:
        """What it says of its event."""
        if self.result is None or not self.result.reads:
            return Seen.FAILED
        return self.result.reads[0].seen

    @property
    def came(self) -> Message | None:
        """The last answer."""
        return next((turn.came for turn in reversed(self.turns) if turn.came is not None), None)

    def mentions(self, correlation_id: str) -> bool:
        """An answer holds that id, in small letters or capitals, with hyphens or without."""
        bare = _bare(correlation_id.encode())
        return any(turn.came is not None and _holds(turn.came, bare) for turn in self.turns)

    @property
    def document(self) -> Any:
        """The last answer as expressions see it; None if it can't be read so."""
        came = self.came
        try:
            return None if came is None else came.document()
        except ValueError:
            return None

    def values(self, name: str) -> list[Found]:
        """All that the expression of a setting found."""
        return [one for one in self.found if one.name == name]


class Lens:
    """Looks on at one adapter.

    into        where what it sees belongs; None: nobody asked, so that each exchange stands for itself
    deliveries  those: what holds an id that begins with `prefix`, and the first of the others
    delivered   how many came by themselves
    """

    def __init__(self, prefix: str = "") -> None:
        self.into: Asked | None = None
        self._prefix = _bare(prefix.encode())
        self.clear()

    def clear(self) -> None:
        """Forget what was seen while the adapter was opened."""
        self.deliveries: list[Asked] = []
        self.delivered = 0
        self._last = Asked()

    def exchanged(self, exchange: Exchange) -> None:
        """See `Traffic`."""
        turn = Turn(
            exchange.start_ns,
            exchange.end_ns,
            None if exchange.sent is None else exchange.sent(),
            None if exchange.came is None else exchange.came(),
            exchange.error,
        )
        by_itself = turn.sent is None and turn.came is not None
        self.delivered += by_itself
        if self.into is None or by_itself:
            self._last = Asked(turn.start_ns, turn.end_ns)
            ours = turn.came is not None and bool(self._prefix) and _holds(turn.came, self._prefix)
            if len(self.deliveries) < (_MOST_DELIVERIES if ours else _MOST_OTHERS):
                self.deliveries.append(self._last)
        else:
            self._last = self.into
        self._last.turns.append(turn)

    def found(self, name: str, expression: str, document: Any, value: Any) -> None:
        """See `Traffic`."""
        self._last.found.append(Found(name, expression, _kept(document), value))


def _bare(text: bytes) -> bytes:
    return text.replace(b"-", b"").lower()


def _holds(message: Message, bare: bytes) -> bool:
    return bare in _bare(message.body) or bare in _bare(message.head.encode())


def _kept(document: Any) -> Any:
    """A document as it is now: what looks lazily into an answer may look elsewhere later."""
    if not hasattr(document, "as_dict"):
        return document
    try:
        return document.as_dict()
    except ValueError:
        return {name: document.get(name) for name in ("status", "headers")}


@dataclass
class Published:
    """How the event went out. `known_as` is what probes are asked for where that isn't its correlation id."""

    event: Event
    receipt: Receipt | None = None
    asked: Asked = field(default_factory=Asked)
    known_as: str = ""

    @property
    def id(self) -> str:
        """What probes are asked for."""
        return self.known_as or self.event.correlation_id

    @property
    def accepted(self) -> bool:
        """The target took it."""
        return self.receipt is not None and self.receipt.outcome is Outcome.ACCEPTED

    @property
    def may_appear(self) -> bool:
        """It may have got there."""
        return self.receipt is not None and self.receipt.outcome in (Outcome.ACCEPTED, Outcome.IN_DOUBT)


@dataclass
class Looked:
    """How one reader looked for the event.

    by_capture  it asks with the id that the producer captured
    of_step  the step of a journey whose effect it looks for, and which says what to ask for; empty: an event does
    seen_ns  when it was first seen, after the ack; None: it wasn't
    late     it was seen, but after the deadline
    blind    it also shows an event that was never sent, so that what it says is worth nothing
    awaits   what it looks for, and of what is to go gone_ns: when it was gone, after the look began
    state    how it ended where it never came to that, as a run settles it; None: it did, or nobody asks
    """

    reader: str
    kind: str
    deadline_ns: int
    by_capture: bool = False
    of_step: str = ""
    reads: list[Asked] = field(default_factory=list)
    deliveries: Sequence[Asked] = ()
    delivered: int = 0
    strange: int = 0
    example: str = ""
    seen_ns: int | None = None
    late: bool = False
    blind: bool = False
    awaits: Awaits = "wait"
    gone_ns: int | None = None
    state: State | None = None
    clues: list[Clue] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """It was seen in time, and that means something."""
        return self.seen_ns is not None and not self.late and not self.blind


@dataclass
class Tried:
    """One event of a kind, and what became of it."""

    name: str
    scenario: str
    producer: str
    published: Published
    looks: list[Looked]
    clues: list[Clue] = field(default_factory=list)
    interrupted: bool = False

    @property
    def good(self) -> bool:
        """It was accepted, and every reader saw it in time."""
        return (self.published.accepted or bool(self.looks)) and all(look.good for look in self.looks)
