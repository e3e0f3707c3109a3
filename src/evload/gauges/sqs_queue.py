"""Looks at how much lies in an SQS queue, and in its dead-letter queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field

from ..clients.aws import Aws, AwsSettings
from ..clients.cloudwatch import LatestValue, Metric, wall_now
from ..clients.sqs import QueueName, find_queue, missing_queue
from ..clock import Clock
from ..errors import TargetError
from ..spi.context import Surroundings
from ..spi.gauge import Gauge, GaugeSettings, Sample

_ATTRIBUTES: Final = {
    "queue_depth": "ApproximateNumberOfMessages",
    "queue_in_flight": "ApproximateNumberOfMessagesNotVisible",
    "queue_delayed": "ApproximateNumberOfMessagesDelayed",
}
"""The queue's own figures, which SQS calls approximate: they settle within about a minute of quiet."""
_AGE_PERIOD_S: Final = 60


class SqsQueueConfig(AwsSettings, GaugeSettings):
    """Settings of the SQS queue gauge."""

    kind: Literal["sqs-queue"]
    queue: Annotated[QueueName, Field(description="name or URL of the queue")]
    dead_letters: Annotated[
        Literal[True] | QueueName | None,
        Field(description="its dead-letter queue: true to find it by the redrive policy, or a name or URL"),
    ] = None
    oldest_age: Annotated[
        bool, Field(description="also the age of the oldest message in seconds, which CloudWatch knows minutes late")
    ] = False

    @property
    def named(self) -> tuple[str, ...]:
        return (self.queue, *([self.dead_letters] if isinstance(self.dead_letters, str) else []))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those of the queue, and what was asked for beyond."""
        asked = (("dead_letters", self.dead_letters), ("oldest_age", self.oldest_age))
        return (*_ATTRIBUTES, *(name for name, wanted in asked if wanted))

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Gauge]:
        """Find the queues, yield the gauge. Raises TargetError."""
        return _open(self, surroundings)


class _SqsQueue:
    def __init__(self, aws: Aws, clock: Clock, sqs: Any, url: str, dead_letters_url: str | None) -> None:
        self._aws = aws
        self._clock = clock
        self._sqs = sqs
        self._url = url
        self._dead_letters_url = dead_letters_url
        self.age: LatestValue | None = None

    async def sample(self) -> Sample:
        """See `Gauge`. `oldest_age` is in a sample once CloudWatch has one about the run."""
        try:
            values = await self.depths()
            if self.age is not None and (age := await self.age.at(wall_now(self._clock))) is not None:
                values["oldest_age"] = age
        except self._aws.errors as error:
            return Sample({}, self._aws.explain(error))
        return Sample(values)

    async def depths(self) -> dict[str, float]:
        """What SQS itself knows. Raises what the SDK raises."""
        values = await self._attributes(self._url, _ATTRIBUTES)
        if self._dead_letters_url is not None:
            values |= await self._attributes(self._dead_letters_url, {"dead_letters": _ATTRIBUTES["queue_depth"]})
        return values

    async def _attributes(self, url: str, names: Mapping[str, str]) -> dict[str, float]:
        answer = await self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names.values()))
        return {metric: float(answer["Attributes"][name]) for metric, name in names.items()}


@asynccontextmanager
async def _open(config: SqsQueueConfig, surroundings: Surroundings) -> AsyncIterator[_SqsQueue]:
    aws, clock = Aws(config, config.kind, surroundings.guard), surroundings.clock
    await aws.credentials()
    async with AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(aws.client("sqs"))
        url = await find_queue(aws, sqs, config.queue)
        dead_letters_url = None
        if config.dead_letters is True:
            dead_letters_url = await _redriven_to(aws, sqs, config.queue, url)
        elif config.dead_letters is not None:
            dead_letters_url = await find_queue(aws, sqs, config.dead_letters)
        gauge = _SqsQueue(aws, clock, sqs, url, dead_letters_url)
        try:
            await gauge.depths()
        except aws.errors as error:
            raise missing_queue(aws, sqs, config.queue, error) from None
        if config.oldest_age:
            cloudwatch = await stack.enter_async_context(aws.client("cloudwatch"))
            gauge.age = LatestValue(cloudwatch, _age_of_oldest(url), wall_now(clock))
        yield gauge


def _age_of_oldest(url: str) -> Metric:
    return Metric(
        namespace="AWS/SQS",
        name="ApproximateAgeOfOldestMessage",
        dimensions={"QueueName": url.rpartition("/")[2]},
        statistic="Maximum",
        period_s=_AGE_PERIOD_S,
    )


async def _redriven_to(aws: Aws, sqs: Any, queue: str, url: str) -> str:
    """The URL of the queue that the redrive policy names. Raises TargetError."""
    try:
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    except aws.errors as error:
        raise missing_queue(aws, sqs, queue, error) from None
    policy = answer.get("Attributes", {}).get("RedrivePolicy")
    if policy is None:
        raise TargetError(
            f"SQS queue {queue!r} has no redrive policy; name the queue under dead_letters, or leave dead_letters out"
        )
    account, name = orjson.loads(policy)["deadLetterTargetArn"].split(":")[-2:]
    return await find_queue(aws, sqs, name, account=account)
