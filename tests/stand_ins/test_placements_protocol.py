"""The stand-in of placements speaks EventBridge and SQS: it answers the same calls of boto3 as moto does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from tests.servers.aws_server import AwsServer
from tests.servers.placements_server import PlacementsServer

BUS: Final = "nedlia-events"
PASSING: Final = {
    "MessageId", "ReceiptHandle", "EventId", "QueueUrl", "SentTimestamp", "ApproximateFirstReceiveTimestamp",
    "CreatedTimestamp", "LastModifiedTimestamp", "CreationTime", "LastModifiedTime", "QueueArn",
    "deadLetterTargetArn",
}  # fmt: skip
"""What differs from one queue, or one second, to the next: only its kind is compared."""
NOT_OURS: Final = {"MaximumMessageSize"}
"""moto has what AWS raised it to in 2025; ours is what evload's producer keeps to."""

Call = Callable[[Any, str], Any]


def plain(value: Any, name: str = "") -> Any:
    """An answer without what passes."""
    if name == "RedrivePolicy":
        return plain(json.loads(value))
    if isinstance(value, dict):
        return {key: plain(each, key) for key, each in sorted(value.items()) if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return type(value).__name__ if name in PASSING else value


def answered(client: Any, url: str, call: Call) -> Any:
    """What a call comes to: its answer, or the code and the words of its refusal."""
    try:
        return plain(call(client, url))
    except ClientError as error:
        found = error.response["Error"]
        return found["Code"], found["Message"], error.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def queues(aws: AwsServer, placements: PlacementsServer) -> list[tuple[Any, str]]:
    """Client and address of a queue of the same name, one at moto and one at ours, with dead letters after two."""
    name, found = f"q-{uuid4().hex[:8]}", []
    for server in (aws, placements):
        sqs = server.client("sqs")
        dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "1"}
        found.append((sqs, sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]))
    return found


def received(sqs: Any, url: str, **more: Any) -> Any:
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **more)


def handles(sqs: Any, url: str) -> list[dict[str, str]]:
    messages = received(sqs, url)["Messages"]
    return [{"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]} for at, message in enumerate(messages)]


def batch(*bodies: str, **more: Any) -> list[dict[str, Any]]:
    return [{"Id": f"id-{at}", "MessageBody": body, **more} for at, body in enumerate(bodies)]


TAGS: Final = {
    "kind": {"DataType": "String", "StringValue": "café"},
    "size": {"DataType": "Number", "StringValue": "5"},
    "seal": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}
TURNS: Final[dict[str, list[Call]]] = {
    "a message": [
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="café"),
        received,
        received,
    ],
    "attributes of a message": [
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=TAGS),
        lambda sqs, url: received(
            sqs, url, AttributeNames=["All"], MessageAttributeNames=["All"], VisibilityTimeout=1
        ),
    ],
    "some attributes": [
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=TAGS),
        lambda sqs, url: received(
            sqs, url, MessageSystemAttributeNames=["ApproximateReceiveCount"], MessageAttributeNames=["kind"]
        ),
    ],
    "a batch": [
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=batch("a", "b", "c")),
        received,
    ],
    "a batch of which one is refused": [
        lambda sqs, url: sqs.send_message_batch(
            QueueUrl=url, Entries=[*batch("a"), {"Id": "late", "MessageBody": "b", "DelaySeconds": 901}]
        ),
        received,
    ],
    "batches that are none": [
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=[]),
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=batch(*"abcdefghijk")),
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=[*batch("a"), *batch("b")]),
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a b", "MessageBody": "x"}]),
        lambda sqs, url: sqs.delete_message_batch(QueueUrl=url, Entries=[]),
    ],
    "one is deleted": [
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="x"),
        lambda sqs, url: sqs.delete_message(QueueUrl=url, ReceiptHandle=handles(sqs, url)[0]["ReceiptHandle"]),
        lambda sqs, url: depths(sqs, url),
    ],
    "several are deleted, and one that there never was": [
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=batch("a", "b")),
        lambda sqs, url: sqs.delete_message_batch(
            QueueUrl=url, Entries=[*handles(sqs, url), {"Id": "no", "ReceiptHandle": "nonsense"}]
        ),
        lambda sqs, url: sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense"),
        lambda sqs, url: depths(sqs, url),
    ],
    "twice is as good as once": [
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="x"),
        lambda sqs, url: [
            sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
            for handle in [handles(sqs, url)[0]["ReceiptHandle"]] * 2
        ],
    ],
    "attributes": [
        lambda sqs, url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]),
        lambda sqs, url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy", "QueueArn"]),
        lambda sqs, url: sqs.get_queue_attributes(QueueUrl=url),
        lambda sqs, url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Nonsense"]),
        lambda sqs, url: sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"}),
        lambda sqs, url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"]),
    ],
    "what waits is counted": [
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=batch("a", "b", "c")),
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900),
        lambda sqs, url: sqs.receive_message(QueueUrl=url),
        lambda sqs, url: depths(sqs, url),
    ],
    "visible again, when told so and in its time": [
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="x"),
        lambda sqs, url: hidden(sqs, url, 0),
        lambda sqs, url: received(sqs, url, AttributeNames=["ApproximateReceiveCount"], VisibilityTimeout=1),
        lambda sqs, url: sqs.change_message_visibility(QueueUrl=url, ReceiptHandle="nonsense", VisibilityTimeout=0),
    ],
    "dead letters": [
        lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=batch("a", "b")),
        received,
        lambda sqs, url: later(received, sqs, url),
        lambda sqs, url: later(received, sqs, url),
        lambda sqs, url: depths(sqs, url),
        lambda sqs, url: depths(sqs, f"{url}-dead"),
        lambda sqs, url: received(sqs, f"{url}-dead", AttributeNames=["ApproximateReceiveCount"]),
    ],
    "what is too much": [
        lambda sqs, url: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=11),
        lambda sqs, url: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=21),
        lambda sqs, url: sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=901),
    ],
    "queues": [
        lambda sqs, url: sqs.get_queue_url(QueueName=url.rpartition("/")[2]),
        lambda sqs, url: sqs.get_queue_url(QueueName="nowhere"),
        lambda sqs, url: sqs.send_message(QueueUrl=f"{url}-nowhere", MessageBody="x"),
        lambda sqs, url: sqs.create_queue(QueueName=url.rpartition("/")[2], Attributes={"VisibilityTimeout": "9"}),
        lambda sqs, url: sqs.create_queue(QueueName="a b"),
        lambda sqs, url: sqs.purge_queue(QueueUrl=url),
    ],
}


def depths(sqs: Any, url: str) -> Any:
    names = ["", "NotVisible", "Delayed"]
    return sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=[f"ApproximateNumberOfMessages{name}" for name in names]
    )


def hidden(sqs: Any, url: str, seconds: int) -> Any:
    handle = handles(sqs, url)[0]["ReceiptHandle"]
    return sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)


def later(call: Call, sqs: Any, url: str) -> Any:
    """After the visibility timeout of the queues, which is a second."""
    time.sleep(1.1)
    return call(sqs, url)


@pytest.mark.parametrize("turn", TURNS)
def test_sqs_answers_as_moto_does(turn: str, queues: list[tuple[Any, str]]) -> None:
    for at, call in enumerate(TURNS[turn]):
        moto, ours = (answered(sqs, url, call) for sqs, url in queues)
        for answer in (moto, ours):
            if isinstance(answer, dict):
                for name in NOT_OURS:
                    answer.get("Attributes", {}).pop(name, None)
        assert ours == moto, f"call {at} of {turn}"


# --- EventBridge ------------------------------------------------------------------------------------------

ARN: Final = f"arn:aws:events:eu-west-1:123456789012:event-bus/{BUS}"
GOOD: Final = {
    "EventBusName": BUS, "Source": "nedlia.perf-test", "DetailType": "placement.created", "Detail": '{"id": "a"}',
    "Resources": ["arn:aws:s3:::videos"],
}  # fmt: skip


@pytest.fixture(scope="module")
def buses(aws: AwsServer, placements: PlacementsServer) -> list[tuple[Any, str]]:
    """Client of each, with the bus that ours has from the start."""
    aws.bus_into(BUS, aws.queue("placements-by-rule"))
    return [(server.client("events"), BUS) for server in (aws, placements)]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda events, bus: events.put_events(Entries=[GOOD]), id="one"),
        pytest.param(lambda events, bus: events.put_events(Entries=[GOOD] * 10), id="ten"),
        pytest.param(lambda events, bus: events.put_events(Entries=[GOOD] * 11), id="eleven"),
        pytest.param(
            lambda events, bus: events.put_events(
                Entries=[
                    GOOD, {**GOOD, "Detail": "{"}, {**GOOD, "Source": ""}, {**GOOD, "DetailType": ""},
                    {**GOOD, "Detail": ""}, {**GOOD, "EventBusName": ARN},
                ]
            ),
            id="some are refused",
        ),
        pytest.param(lambda events, bus: events.describe_event_bus(Name=bus), id="the bus"),
        pytest.param(lambda events, bus: events.describe_event_bus(Name="nowhere"), id="no bus"),
    ],
)  # fmt: skip
def test_eventbridge_answers_as_moto_does(call: Call, buses: list[tuple[Any, str]]) -> None:
    moto, ours = (answered(events, bus, call) for events, bus in buses)
    if isinstance(moto, dict):
        moto.pop("Policy", None)
    assert ours == moto


def test_an_event_comes_out_of_the_queue_as_at_moto(aws: AwsServer, placements: PlacementsServer) -> None:
    """No worker can make a placement of it, so it is a dead letter in the end, as it came."""
    name = f"b-{uuid4().hex[:8]}"
    event = {**GOOD, "Detail": json.dumps({"id": name})}
    queue = aws.queue(name)
    aws.bus_into(name, queue)
    aws.client("events").put_events(Entries=[{**event, "EventBusName": name}])
    (moto,) = received(aws.client("sqs"), queue)["Messages"]

    placements.client("events").put_events(Entries=[event])
    sqs = placements.client("sqs")
    dead = sqs.get_queue_url(QueueName="placements-dead")["QueueUrl"]
    ours: dict[str, Any] = {}
    while name not in ours.get("Body", ""):
        # It has no correlation id; neither had those of other tests.
        (ours,) = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=20)["Messages"]
    bodies = [json.loads(message["Body"]) for message in (moto, ours)]
    for body in bodies:
        assert re.fullmatch(r"[0-9a-f-]{36}", body.pop("id"))
        # The service writes the time as text and the account beside it; moto writes a number, and another time.
        body.pop("time")
        body.pop("ingestion-time", None)
    assert bodies[1].pop("account") == bodies[0].pop("account", "123456789012")
    assert bodies[0] == bodies[1]
    assert bodies[1]["detail"] == {"id": name}
