"""What the SQS adapters share: how a queue is named, and how it is found."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from ..errors import TargetError
from .aws import Aws, code_of

MISSING: Final = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
"""Codes with which SQS says that there is no such queue."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,75}(\.fifo|[A-Za-z0-9_-]{0,5})")
_URL: Final = re.compile(r"https?://[^/\s]+/(\S+/)?\d{12}/([^/\s]+)")


def _check_queue(queue: str) -> str:
    match = _URL.fullmatch(queue)
    if not _NAME.fullmatch(match[2] if match else queue):
        cure = "write its name, or its URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
        raise ValueError(f"{queue!r} is not an SQS queue; {cure}")
    return queue


QueueName = Annotated[str, AfterValidator(_check_queue)]
"""Name or URL of a queue."""


async def find_queue(aws: Aws, sqs: Any, queue: str, *, account: str | None = None) -> str:
    """The URL of a queue, given by its name (in `account`, or in one's own) or its URL. Raises TargetError."""
    try:
        if "://" in queue:
            await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
            return queue
        found = await sqs.get_queue_url(
            QueueName=queue, **({"QueueOwnerAWSAccountId": account} if account is not None else {})
        )
        return str(found["QueueUrl"])
    except aws.errors as error:
        raise missing_queue(aws, sqs, queue, error) from None


def missing_queue(aws: Aws, sqs: Any, queue: str, error: Exception) -> TargetError:
    """Why a queue can't be looked at."""
    if code_of(error) in MISSING:
        where = sqs.meta.region_name
        return TargetError(f"there is no SQS queue {queue!r} in {where}; create it, or correct its name or region")
    return aws.error(error, f"can't look at SQS queue {queue!r}")
