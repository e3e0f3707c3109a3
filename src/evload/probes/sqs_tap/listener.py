"""Long-polls an SQS queue, reports what arrives, deletes it, and knows when it was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from ...clients.aws import Aws
from ...clients.sqs import find_queue
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.listening import BackOff, Cuts, Tell, nothing_of
from .._shared.attribution import by_match
from .._shared.attribution_traffic import attribution
from .settings import SqsTapSettings

_WAIT_S: Final = 20
"""Longest long poll that SQS has."""
_MOST: Final = 10
"""Most messages in one answer, and in one call to delete them."""

Message = Mapping[str, Any]


class SqsListener:
    """The tap."""

    def __init__(self, aws: Aws, config: SqsTapSettings, surroundings: Surroundings, sqs: Any, url: str) -> None:
        self._aws = aws
        self._config = config
        self._clock = surroundings.clock
        by_body = by_match(config.match, default="match" not in config.model_fields_set)
        self._attribution = attribution(
            surroundings, by_body if config.message_attribute is None else self._attribute
        )
        self._sqs = sqs
        self._request = {
            "QueueUrl": url,
            "MaxNumberOfMessages": _MOST,
            "WaitTimeSeconds": _WAIT_S,
            "MessageSystemAttributeNames": ["SequenceNumber", "ApproximateReceiveCount"],
            "MessageAttributeNames": [config.message_attribute] if config.message_attribute else [],
        }
        self._cuts = Cuts(self._clock, "tap")
        self._undeleted: set[str] = set()
        self._listening_ns = 0
        self._lost_ns: tuple[int, int] | None = None
        """Between the two polls failed: an answer that was on its way to one of them is lost."""
        self._first_number: int | None = None

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """See `PushProbe`."""
        now_ns = self._clock.now_ns()
        return nothing_of(targets, now_ns, now_ns, self._cuts.gap)

    async def listen(self, report: Tell) -> None:
        """See `PushProbe`."""
        self._listening_ns = self._clock.now_ns()
        async with asyncio.TaskGroup() as group:
            for poller in range(self._config.pollers):
                group.create_task(self._poll(poller, report))

    async def _poll(self, poller: int, report: Tell) -> None:
        back_off = BackOff()
        while True:
            began_ns = self._clock.now_ns()
            try:
                answer = await self._sqs.receive_message(**self._request)
                messages = answer.get("Messages", ())
                if messages:
                    reads = self._reads(messages, self._clock.now_ns())
                    strange, example = self._attribution.take()
                    if reads or strange:
                        report(ReadResult(reads, strange=strange, example=example))
                    await self._delete(messages)
            except self._aws.errors as error:
                reason = self._aws.explain(error)
                first_ns = began_ns if self._lost_ns is None else min(began_ns, self._lost_ns[0])
                self._lost_ns = first_ns, self._clock.now_ns()
                self._cuts.cut(reason, poller)
                self._cuts.hindered(reason)
                await back_off.pause()
            else:
                self._cuts.heal(poller)
                back_off.reset()

    def _reads(self, messages: Sequence[Message], at_ns: int) -> list[Read]:
        reads = []
        for message in messages:
            # One that comes again because it could not be deleted is no second effect.
            if message["MessageId"] in self._undeleted:
                continue
            found = self._attribution.find(message["Body"] if self._config.message_attribute is None else message)
            if found is not None:
                position, (from_ns, to_ns) = self._position(message), self._came(message, at_ns)
                reads.append(Read(found[0], Seen.PRESENT, from_ns, to_ns, position=position, exact=True))
        return reads

    def _came(self, message: Message, now_ns: int) -> tuple[int, int]:
        """When it was there: now, unless it was handed out before, to a poll that failed or to somebody else.

        It is hidden then until the queue's visibility timeout is over, which is nothing of the system's.
        """
        if int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)) <= 1:
            return now_ns, now_ns
        return self._lost_ns or (self._listening_ns, now_ns)

    def _attribute(self, message: Message) -> Iterator[Any]:
        name = self._config.message_attribute
        yield message.get("MessageAttributes", {}).get(name, {}).get("StringValue")

    def _position(self, message: Message) -> int | None:
        """How far its sequence number is from the first, which alone would be too large for a float or 64 bits."""
        number = message.get("Attributes", {}).get("SequenceNumber")
        if number is None or not self._config.is_fifo:
            return None
        if self._first_number is None:
            self._first_number = int(number)
        return int(number) - self._first_number

    async def _delete(self, messages: Sequence[Message]) -> None:
        """Raises what the SDK raises; what is left in the queue is remembered, because it will come again."""
        ids = [message["MessageId"] for message in messages]
        self._undeleted.update(ids)
        entries = [{"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]} for at, message in enumerate(messages)]
        answer = await self._sqs.delete_message_batch(QueueUrl=self._request["QueueUrl"], Entries=entries)
        failed = {int(entry["Id"]) for entry in answer.get("Failed", ())}
        self._undeleted.difference_update(message for at, message in enumerate(ids) if at not in failed)


@asynccontextmanager
async def open_listener(config: SqsTapSettings, surroundings: Surroundings) -> AsyncIterator[SqsListener]:
    """Find the queue, yield the tap. Raises TargetError."""
    aws = Aws(config, config.kind, surroundings.guard)
    await aws.credentials()
    async with aws.client("sqs", wait_s=_WAIT_S) as sqs:
        yield SqsListener(aws, config, surroundings, sqs, await find_queue(aws, sqs, config.queue))
