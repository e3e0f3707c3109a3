"""EventBridge and SQS as far as placements need them, in the JSON protocols that AWS's SDKs speak.

Nobody's signature is checked. What is said, mistakes included, is held against moto's in the tests.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import uuid4

from placements.clock import Clock
from placements.knobs import Knobs
from placements.queues import ACCOUNT, DELAYED, IN_FLIGHT, REGION, VISIBLE, Message, Queue
from placements.record import Record

BUS: Final = "nedlia-events"
QUEUE: Final = "placements"
DEAD: Final = "placements-dead"

_ENTRIES: Final = 10
_LONGEST: Final = 262_144
_RETENTION_S: Final = 345_600
_WAIT_S: Final = 20
_HIDDEN_S: Final = 43_200
_DELAY_S: Final = 900
_SENDER: Final = "AIDAIT2UOQQY3AUEKVGXU"
_BATCH_ID: Final = re.compile(r"[\w-]{1,80}")
_PREFIXED: Final = frozenset(
    {
        "BatchEntryIdsNotDistinct", "BatchRequestTooLong", "EmptyBatchRequest", "InvalidBatchEntryId",
        "TooManyEntriesInBatchRequest",
    }
)  # fmt: skip
"""Codes that had a prefix before SQS spoke JSON; the SDKs still show it."""
_ATTRIBUTES: Final = frozenset(
    {
        "All", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "Policy", "KmsMasterKeyId",
        "ApproximateNumberOfMessagesNotVisible", "CreatedTimestamp", "DelaySeconds", "LastModifiedTimestamp",
        "MaximumMessageSize", "MessageRetentionPeriod", "QueueArn", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy",
        "SqsManagedSseEnabled", "VisibilityTimeout", "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope",
        "FifoThroughputLimit", "KmsDataKeyReusePeriodSeconds",
    }
)  # fmt: skip

Answer = Mapping[str, Any]


class Refused(Exception):
    """An answer with status 400, or another. `old` is the code that SQS had before it spoke JSON, if it differs."""

    def __init__(self, code: str, message: str, *, status: int = 400, old: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.old = old or (f"AWS.SimpleQueueService.{code}" if code in _PREFIXED else code)


class Bus:
    """The event bus, with one rule that sends all it gets to a queue."""

    def __init__(self, queue: Queue, knobs: Knobs, clock: Clock, record: Record) -> None:
        self._queue = queue
        self._knobs = knobs
        self._clock = clock
        self._record = record
        self._created = clock.now()
        self._dice = random.Random(1)

    def describe(self, request: Mapping[str, Any]) -> Answer:
        """DescribeEventBus."""
        name = str(request.get("Name") or "default").rpartition("/")[2]
        if name not in (BUS, "default"):
            raise Refused("ResourceNotFoundException", f"Event bus {name} does not exist.")
        arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"
        return {"Arn": arn, "CreationTime": self._created, "Name": name, "LastModifiedTime": self._created}

    def put(self, request: Mapping[str, Any]) -> Answer:
        """PutEvents."""
        entries = request.get("Entries") or []
        if len(entries) > _ENTRIES:
            raise Refused(
                "ValidationException",
                "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy "
                f"constraint: Member must have length less than or equal to {_ENTRIES}",
            )
        results = [self._put(entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put(self, entry: Mapping[str, Any]) -> dict[str, str]:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        if self.throttles(_correlation_of(detail)):
            return {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
        event_id = str(uuid4())
        if str(entry.get("EventBusName") or "default").rpartition("/")[2] == BUS:
            self.accept(event_id, str(entry["Source"]), str(entry["DetailType"]), detail, entry.get("Resources", []))
        return {"EventId": event_id}

    def throttles(self, correlation_id: str) -> bool:
        """Whether this event isn't taken, because there are too many."""
        throttled = bool(self._knobs.refused) and self._dice.random() < self._knobs.refused
        if throttled:
            self._record.note("throttled", self._clock.now(), correlation_id=correlation_id)
        return throttled

    def accept(self, event_id: str, source: str, kind: str, detail: Any, resources: Any = ()) -> None:
        """Hand an event to the rule's queue, in the envelope that EventBridge puts around it."""
        message = {
            "version": "0", "id": event_id, "detail-type": kind, "source": source, "account": ACCOUNT,
            "time": self._clock.stamp()[:19] + "Z", "region": REGION, "resources": list(resources), "detail": detail,
        }  # fmt: skip
        self._queue.send(json.dumps(message))
        depth = self._queue.count(VISIBLE)
        self._record.note("came", self._clock.now(), correlation_id=_correlation_of(detail), depth=depth)


def _correlation_of(detail: Any) -> str:
    return str(detail.get("correlation_id", "")) if isinstance(detail, Mapping) else ""


class Sqs:
    """All queues, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queues: dict[str, Queue] = {}

    def queue(self, request: Mapping[str, Any]) -> Queue:
        """The queue that a request names by its address. Raises Refused."""
        return self._named(str(request.get("QueueUrl", "")).rpartition("/")[2])

    def create(self, request: Mapping[str, Any]) -> Answer:
        """CreateQueue. One that is there with other attributes is refused."""
        name = str(request.get("QueueName", ""))
        if not re.fullmatch(r"[\w-]{1,80}", name, re.ASCII):
            reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
            raise Refused("InvalidParameterValue", reason)
        attributes = request.get("Attributes") or {}
        found = self.queues.get(name)
        if found is None:
            found = Queue(name, self._clock.now)
            self._set(found, attributes)
            self.queues[name] = found
        else:
            given = Queue(name, self._clock.now)
            self._set(given, attributes)
            has, wants = self._attributes(found), self._attributes(given)
            if any(has.get(key) != wants.get(key) for key in attributes):
                raise Refused("QueueAlreadyExists", "The specified queue already exists.")
        return {"QueueUrl": self._url(request, name)}

    def url_of(self, request: Mapping[str, Any]) -> Answer:
        """GetQueueUrl."""
        return {"QueueUrl": self._url(request, self._named(str(request.get("QueueName", ""))).name)}

    def attributes(self, request: Mapping[str, Any]) -> Answer:
        """GetQueueAttributes."""
        queue, asked = self.queue(request), request.get("AttributeNames") or []
        for name in asked:
            if name not in _ATTRIBUTES:
                raise Refused("InvalidAttributeName", f"Unknown Attribute {name}.")
        known = self._attributes(queue)
        found = known if "All" in asked else {name: known[name] for name in asked if name in known}
        return {"Attributes": found} if found else {}

    def set_attributes(self, request: Mapping[str, Any]) -> Answer:
        """SetQueueAttributes."""
        self._set(self.queue(request), request.get("Attributes") or {})
        return {}

    def send(self, request: Mapping[str, Any]) -> Answer:
        """SendMessage."""
        sent = self._send(self.queue(request), request)
        return _told({"MD5OfMessageBody": sent.md5_of_body, "MessageId": sent.id}, sent)

    def send_batch(self, request: Mapping[str, Any]) -> Answer:
        """SendMessageBatch: all that can be sent, and why the others can't."""
        queue, entries = self.queue(request), request.get("Entries") or []
        _check_batch(entries, "Send")
        length = sum(len(entry["MessageBody"]) for entry in entries)
        if length > _LONGEST:
            reason = f"Batch requests cannot be longer than {_LONGEST} bytes. You have sent {length} bytes."
            raise Refused("BatchRequestTooLong", reason)
        successful, failed = [], []
        for entry in entries:
            try:
                sent = self._send(queue, entry)
                told = {"Id": entry["Id"], "MessageId": sent.id, "MD5OfMessageBody": sent.md5_of_body}
                successful.append(_told(told, sent))
            except Refused as refused:
                failed.append(_failed(entry["Id"], refused.code, refused.message))
        return {"Successful": successful, "Failed": failed}

    async def receive(self, request: Mapping[str, Any]) -> Answer:
        """ReceiveMessage, which may wait."""
        queue, most = self.queue(request), request.get("MaxNumberOfMessages", 1)
        if not 1 <= most <= _ENTRIES:
            raise Refused("InvalidParameterValue", _not_between(most, "MaxNumberOfMessages", "between 1 and 10,"))
        wait_s = request.get("WaitTimeSeconds")
        if wait_s is not None and not 0 <= wait_s <= _WAIT_S:
            raise Refused("InvalidParameterValue", _not_between(wait_s, "WaitTimeSeconds", "&lt;= 0 and &gt;= 20"))
        asked = {*request.get("AttributeNames", ()), *request.get("MessageSystemAttributeNames", ())}
        named = request.get("MessageAttributeNames") or []
        messages = await queue.receive(most, request.get("VisibilityTimeout"), wait_s)
        return {"Messages": [_received(message, asked, named) for message in messages]} if messages else {}

    def delete(self, request: Mapping[str, Any]) -> Answer:
        """DeleteMessage."""
        if not self.queue(request).delete(str(request.get("ReceiptHandle"))):
            raise Refused("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        return {}

    def delete_batch(self, request: Mapping[str, Any]) -> Answer:
        """DeleteMessageBatch."""
        queue, entries = self.queue(request), request.get("Entries") or []
        _check_batch(entries, "Delete")
        successful, failed = [], []
        for entry in entries:
            if queue.delete(handle := entry["ReceiptHandle"]):
                successful.append({"Id": entry["Id"]})
            else:
                reason = f'The input receipt handle "{handle}" is not a valid receipt handle.'
                failed.append(_failed(entry["Id"], "ReceiptHandleIsInvalid", reason))
        return {"Successful": successful, "Failed": failed}

    def hide(self, request: Mapping[str, Any]) -> Answer:
        """ChangeMessageVisibility."""
        for_s = int(request.get("VisibilityTimeout", 0))
        if for_s > _HIDDEN_S:
            reason = f"Invalid request, maximum visibility timeout is {_HIDDEN_S}"
            raise Refused("InvalidParameterValue", reason)
        if not self.queue(request).hide(str(request.get("ReceiptHandle")), for_s):
            raise Refused("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        return {}

    def purge(self, request: Mapping[str, Any]) -> Answer:
        """PurgeQueue."""
        self.queue(request).purge()
        return {}

    def _named(self, name: str) -> Queue:
        if name not in self.queues:
            reason = "The specified queue does not exist."
            old = "AWS.SimpleQueueService.NonExistentQueue"
            raise Refused("QueueDoesNotExist", reason, old=old)
        return self.queues[name]

    def _url(self, request: Mapping[str, Any], name: str) -> str:
        return f"{request['base']}/{ACCOUNT}/{name}"

    def _set(self, queue: Queue, attributes: Mapping[str, str]) -> None:
        queue.visibility_s = float(attributes.get("VisibilityTimeout", queue.visibility_s))
        queue.delay_s = float(attributes.get("DelaySeconds", queue.delay_s))
        queue.wait_s = float(attributes.get("ReceiveMessageWaitTimeSeconds", queue.wait_s))
        if "RedrivePolicy" in attributes:
            policy = json.loads(attributes["RedrivePolicy"] or "{}")
            queue.dead_letters = self._named(policy["deadLetterTargetArn"].rpartition(":")[2]) if policy else None
            queue.attempts = int(policy.get("maxReceiveCount", queue.attempts))

    def _attributes(self, queue: Queue) -> dict[str, str]:
        found: dict[str, Any] = {
            "ApproximateNumberOfMessages": queue.count(VISIBLE),
            "ApproximateNumberOfMessagesDelayed": queue.count(DELAYED),
            "ApproximateNumberOfMessagesNotVisible": queue.count(IN_FLIGHT),
            "CreatedTimestamp": int(queue.created), "LastModifiedTimestamp": int(queue.created),
            "DelaySeconds": int(queue.delay_s), "MaximumMessageSize": _LONGEST,
            "MessageRetentionPeriod": _RETENTION_S, "QueueArn": queue.arn,
            "ReceiveMessageWaitTimeSeconds": int(queue.wait_s), "SqsManagedSseEnabled": "true",
            "VisibilityTimeout": int(queue.visibility_s),
        }  # fmt: skip
        if queue.dead_letters is not None:
            policy = {"deadLetterTargetArn": queue.dead_letters.arn, "maxReceiveCount": queue.attempts}
            found["RedrivePolicy"] = json.dumps(policy)
        return {name: str(value) for name, value in found.items()}

    def _send(self, queue: Queue, entry: Mapping[str, Any]) -> Message:
        body, delay_s = str(entry["MessageBody"]), entry.get("DelaySeconds")
        if len(body) > _LONGEST:
            reason = f"One or more parameters are invalid. Reason: Message must be shorter than {_LONGEST} bytes."
            raise Refused("InvalidParameterValue", reason)
        if delay_s is not None and not 0 <= delay_s <= _DELAY_S:
            reason = f"Value {delay_s} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be"
            raise Refused("InvalidParameterValue", f"{reason} >= 0 and <= {_DELAY_S}.")
        return queue.send(body, entry.get("MessageAttributes") or {}, delay_s)


def _check_batch(entries: Any, action: str) -> None:
    if not entries:
        reason = f"There should be at least one {action}MessageBatchRequestEntry in the request."
        raise Refused("EmptyBatchRequest", reason)
    ids = [str(entry.get("Id", "")) for entry in entries]
    if not all(_BATCH_ID.fullmatch(name) for name in ids):
        raise Refused(
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
            "It can be at most 80 letters long.",
        )
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise Refused("BatchEntryIdsNotDistinct", f"Id {twice} repeated.")
    if len(ids) > _ENTRIES:
        reason = f"Maximum number of entries per request are {_ENTRIES}. You have sent {len(ids)}."
        raise Refused("TooManyEntriesInBatchRequest", reason)


def _failed(name: str, code: str, reason: str) -> dict[str, Any]:
    return {"Id": name, "SenderFault": True, "Code": code, "Message": reason}


def _told(answer: dict[str, Any], message: Message) -> dict[str, Any]:
    return {**answer, "MD5OfMessageAttributes": message.md5_of_attributes} if message.attributes else answer


def _not_between(value: int, name: str, bounds: str) -> str:
    return (
        "An error occurred (InvalidParameterValue) when calling the ReceiveMessage operation: "
        f"Value {value} for parameter {name} is invalid. Reason: must be {bounds} if provided."
    )


def _received(message: Message, asked: set[str], named: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "MessageId": message.id, "ReceiptHandle": message.handle, "MD5OfBody": message.md5_of_body,
        "Body": message.body,
    }  # fmt: skip
    wanted = {
        name: value for name, value in message.attributes.items() if {name, "All", ".*"} & {*named}
    }  # fmt: skip
    if wanted:
        told["MessageAttributes"] = wanted
        told["MD5OfMessageAttributes"] = Message("", "", wanted, 0.0).md5_of_attributes
    system = {
        "SenderId": _SENDER, "SentTimestamp": str(round(message.sent * 1000)),
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(round((message.first_received or 0.0) * 1000)),
    }  # fmt: skip
    found = {name: value for name, value in system.items() if {name, "All"} & asked}
    return {**told, "Attributes": found} if found else told


def operations(bus: Bus, sqs: Sqs) -> Mapping[str, Callable[[Mapping[str, Any]], Answer | Awaitable[Answer]]]:
    """What can be called, by the target that the SDKs name."""
    return {
        "AWSEvents.DescribeEventBus": bus.describe,
        "AWSEvents.PutEvents": bus.put,
        "AmazonSQS.ChangeMessageVisibility": sqs.hide,
        "AmazonSQS.CreateQueue": sqs.create,
        "AmazonSQS.DeleteMessage": sqs.delete,
        "AmazonSQS.DeleteMessageBatch": sqs.delete_batch,
        "AmazonSQS.GetQueueAttributes": sqs.attributes,
        "AmazonSQS.GetQueueUrl": sqs.url_of,
        "AmazonSQS.PurgeQueue": sqs.purge,
        "AmazonSQS.ReceiveMessage": sqs.receive,
        "AmazonSQS.SendMessage": sqs.send,
        "AmazonSQS.SendMessageBatch": sqs.send_batch,
        "AmazonSQS.SetQueueAttributes": sqs.set_attributes,
    }
