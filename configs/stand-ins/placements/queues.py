"""A standard SQS queue: what nobody deletes in time is visible again, and at last a dead letter."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import struct
from base64 import b64decode
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

ACCOUNT: Final = "123456789012"
REGION: Final = "eu-west-1"
VISIBLE, IN_FLIGHT, DELAYED, GONE = "visible", "in flight", "delayed", "gone"

_SOONEST_S: Final = 0.001
_STRING, _BINARY = b"\x01", b"\x02"


@dataclass(slots=True, eq=False)
class Message:
    """One message. `until` is when it is visible again, where it isn't."""

    id: str
    body: str
    attributes: Mapping[str, Any]
    sent: float
    state: str = GONE
    until: float = 0.0
    receives: int = 0
    first_received: float | None = None

    @property
    def handle(self) -> str:
        """By which whoever received it last may delete it."""
        return f"{self.id}#{self.receives}#{_seal(self.id)}"

    @property
    def md5_of_body(self) -> str:
        return hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest()

    @property
    def md5_of_attributes(self) -> str:
        """As SQS reckons it: names in order, each part after its length."""
        digest = hashlib.md5(usedforsecurity=False)
        for name, attribute in sorted(self.attributes.items()):
            kind = attribute["DataType"]
            binary = kind.startswith("Binary")
            value = b64decode(attribute["BinaryValue"]) if binary else attribute["StringValue"].encode()
            for part in (name.encode(), kind.encode()):
                digest.update(struct.pack("!I", len(part)) + part)
            digest.update((_BINARY if binary else _STRING) + struct.pack("!I", len(value)) + value)
        return digest.hexdigest()


@dataclass(eq=False)
class Queue:
    """One queue. `now` tells the time in seconds since the epoch; timeouts are in seconds.

    attempts  how often a message is received before it goes to `dead_letters`
    arrived   called when there is something to receive
    returned  called with each message that is visible again
    buried    called with each message that becomes a dead letter
    """

    name: str
    now: Callable[[], float]
    visibility_s: float = 30.0
    wait_s: float = 0.0
    delay_s: float = 0.0
    dead_letters: Queue | None = None
    attempts: int = 3
    arrived: Callable[[], None] = lambda: None
    returned: Callable[[Message], None] = lambda message: None
    buried: Callable[[Message], None] = lambda message: None
    created: float = field(init=False)

    def __post_init__(self) -> None:
        self.created = self.now()
        self._messages: dict[str, Message] = {}
        self._visible: deque[Message] = deque()
        self._later: list[tuple[float, int, Message]] = []
        self._counts: Counter[str] = Counter()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._number = itertools.count()

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}"

    def count(self, state: str) -> int:
        """How many messages are visible, in flight or delayed."""
        self._catch_up()
        return self._counts[state]

    def oldest_s(self) -> float:
        """How long the oldest visible message has been there."""
        self._catch_up()
        sent = [message.sent for message in itertools.islice(self._visible, 1) if message.state == VISIBLE]
        return max(0.0, self.now() - sent[0]) if sent else 0.0

    def send(self, body: str, attributes: Mapping[str, Any] | None = None, delay_s: float | None = None) -> Message:
        """Put a message in; it can be received at once, or when its delay is over."""
        message = Message(str(uuid4()), body, attributes or {}, self.now())
        self._messages[message.id] = message
        delay_s = self.delay_s if delay_s is None else delay_s
        self._put(message, DELAYED if delay_s else VISIBLE, delay_s)
        return message

    def take(self, most: int, visibility_s: float | None = None) -> list[Message]:
        """What can be received now. Messages that were received too often become dead letters on the way."""
        self._catch_up()
        taken: list[Message] = []
        while self._visible and len(taken) < most:
            message = self._visible.popleft()
            if message.state != VISIBLE:
                continue
            if self.dead_letters is not None and message.receives >= self.attempts:
                self._bury(message, self.dead_letters)
                continue
            message.receives += 1
            message.first_received = self.now() if message.first_received is None else message.first_received
            self._put(message, IN_FLIGHT, self.visibility_s if visibility_s is None else visibility_s)
            taken.append(message)
        return taken

    async def receive(
        self, most: int, visibility_s: float | None = None, wait_s: float | None = None
    ) -> list[Message]:
        """As `take`, but waits until there is something."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (self.wait_s if wait_s is None else wait_s)
        while not (taken := self.take(most, visibility_s)):
            left = until - loop.time()
            if left <= 0:
                break
            # Others than those who send bring messages as well: time does.
            back = self._later[0][0] - self.now() if self._later else left
            waiter = loop.create_future()
            self._waiting.append(waiter)
            timer = loop.call_later(max(_SOONEST_S, min(left, back)), _wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                with suppress(ValueError):
                    self._waiting.remove(waiter)
        return taken

    def delete(self, handle: str) -> bool:
        """Whether this is a handle of a message here. Also an old one deletes it; twice is as good as once."""
        name, _, rest = handle.partition("#")
        if rest.rpartition("#")[2] != _seal(name):
            return False
        message = self._messages.pop(name, None)
        if message is not None:
            self._put(message, GONE, 0.0)
        return True

    def hide(self, handle: str, visibility_s: float) -> bool:
        """Change when a message that was received is visible again. Whether this is a handle of one."""
        message = self._messages.get(handle.partition("#")[0])
        if message is None or message.state != IN_FLIGHT:
            return False
        self._put(message, IN_FLIGHT if visibility_s else VISIBLE, visibility_s)
        return True

    def purge(self) -> list[Message]:
        """Take all messages out."""
        gone = list(self._messages.values())
        self._messages.clear()
        for message in gone:
            self._put(message, GONE, 0.0)
        return gone

    def _bury(self, message: Message, dead_letters: Queue) -> None:
        del self._messages[message.id]
        self._put(message, GONE, 0.0)
        dead_letters._messages[message.id] = message
        # Before anybody can see it there.
        self.buried(message)
        dead_letters._put(message, VISIBLE, 0.0)

    def _put(self, message: Message, state: str, for_s: float) -> None:
        if message.state != GONE:
            self._counts[message.state] -= 1
        message.state = state
        if state == GONE:
            return
        self._counts[state] += 1
        if state == VISIBLE:
            self._visible.append(message)
            self.arrived()
            self._wake_one()
        else:
            message.until = self.now() + for_s
            heapq.heappush(self._later, (message.until, next(self._number), message))
            if self._waiting:
                # Whoever waits already doesn't know of this one.
                asyncio.get_running_loop().call_later(max(_SOONEST_S, for_s), self._wake_one)

    def _wake_one(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def _catch_up(self) -> None:
        """What has become visible since somebody looked last."""
        now = self.now()
        while self._later and self._later[0][0] <= now:
            until, _, message = heapq.heappop(self._later)
            if message.until == until and message.state in (IN_FLIGHT, DELAYED):
                self._put(message, VISIBLE, 0.0)
                self.returned(message)


def _seal(name: str) -> str:
    """Tells handles that were given out from those that never were, without keeping them."""
    return hashlib.md5(b"handle" + name.encode(), usedforsecurity=False).hexdigest()[:8]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
