"""The SQS tap and the SQS queue gauge against moto, and against a queue that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.gauges.sqs_queue import SqsQueueConfig
from evload.model.correlation import CorrelationIds
from evload.model.states import Seen
from evload.model.travel import Read, ReadResult, Target
from evload.probes.sqs_tap import SqsTapConfig
from evload.producers.eventbridge import EventBridgeProducerConfig
from evload.spi.context import Surroundings
from evload.spi.gauge import Gauge, Sample
from evload.spi.listening import BackOff
from evload.spi.probe import PushProbe
from evload.testing import check_gauge, check_probe, check_producer
from tests.servers.aws_server import REGION, AwsServer, MovableClock
from tests.servers.httpserver import Request, Script, Step, answer, json_answer, serving

pytestmark = pytest.mark.usefixtures("aws_environment")

RUN = "conformance"
IDS = CorrelationIds.for_run(RUN)
Steps = Sequence[bytes | float | Step]


def tap_of(**settings: Any) -> SqsTapConfig:
    return SqsTapConfig.model_validate({"kind": "sqs-tap", **settings})


def gauge_of(**settings: Any) -> SqsQueueConfig:
    return SqsQueueConfig.model_validate({"kind": "sqs-queue", **settings})


def surroundings() -> Surroundings:
    return Surroundings(SystemClock(), RUN, Path())


async def heard(settings: SqsTapConfig, enough: Callable[[list[Read]], bool]) -> list[Read]:
    """Listen until that is enough."""
    reads: list[Read] = []
    return [read for result in await told(settings, lambda: enough(reads), reads) for read in result.reads]


async def told(settings: SqsTapConfig, enough: Callable[[], bool], reads: list[Read]) -> list[ReadResult]:
    """Listen until that is enough; `reads` is filled."""
    results: list[ReadResult] = []

    def report(result: ReadResult) -> None:
        results.append(result)
        reads.extend(result.reads)

    async with settings.open(surroundings()) as probe:
        assert isinstance(probe, PushProbe)
        listening = asyncio.create_task(probe.listen(report))
        async with asyncio.timeout(20):
            while not enough():
                await asyncio.sleep(0.005)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert listening.cancelled()
    return results


def send(aws: AwsServer, queue: str, body: str, **more: Any) -> None:
    aws.client("sqs").send_message(QueueUrl=queue, MessageBody=body, **more)


def left_in(aws: AwsServer, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


# --- the tap ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detail", ["event", "envelope"])
def test_what_is_published_is_heard_once_each(aws: AwsServer, detail: str) -> None:
    queue = aws.queue(f"tap-{detail}")
    aws.bus_into(f"tap-{detail}", queue)
    bus = EventBridgeProducerConfig.model_validate(
        {"kind": "eventbridge", "bus": f"tap-{detail}", "endpoint": aws.url, "detail": detail}
    )

    async def run() -> list[Read]:
        listening = asyncio.create_task(
            heard(
                # One poller: moto may hand a message to two that ask at the same time.
                tap_of(queue=f"tap-{detail}", endpoint=aws.url, pollers=1),
                lambda reads: len(reads) >= 40 and left_in(aws, queue) == 0,
            )
        )
        began = SystemClock().now_ns()
        await check_producer(bus, SystemClock(), events=40)
        reads = await listening
        assert all(began < read.start_ns == read.end_ns for read in reads)
        return reads

    reads = asyncio.run(run())
    assert Counter(read.seq for read in reads) == Counter(range(40))
    assert {(read.seen, read.exact, read.effects, read.position) for read in reads} == {
        (Seen.PRESENT, True, None, None)
    }


def test_duplicates_are_heard_and_strangers_are_not(aws: AwsServer) -> None:
    queue = aws.queue("tap-strangers")
    bodies = [
        {"correlationid": IDS.id_of(1)},
        {"detail": {"correlation_id": IDS.id_of(2).upper()}},
        {"correlationid": IDS.id_of(1)},
        {"correlationid": CorrelationIds.for_run("another").id_of(3)},
        {"correlationid": 17},
        {"detail": "text"},
    ]
    for body in [
        *map(json.dumps, bodies),
        "[1]",
        "null",
        '"text"',
        "<xml/>",
        json.dumps({"correlation_id": IDS.id_of(9)}),
    ]:
        send(aws, queue, body)
    settings = tap_of(queue=queue, endpoint=aws.url, pollers=1)
    # What nobody asked for is deleted too.
    reads: list[Read] = []
    results = asyncio.run(told(settings, lambda: len(reads) >= 4 and left_in(aws, queue) == 0, reads))
    assert Counter(read.seq for read in reads) == {1: 2, 2: 1, 9: 1}
    # But for the one of another run.
    assert sum(result.strange for result in results) == 6
    shown = {result.example for result in results if result.strange}
    assert shown <= {'{"correlationid": 17}', '{"detail": "text"}', "[1]", "null", '"text"', "<xml/>"}
    assert shown


def test_what_sns_wrapped_up_is_heard(aws: AwsServer) -> None:
    queue = aws.queue("tap-sns")
    inner = json.dumps({"correlationid": IDS.id_of(1)})
    packed = base64.b64encode(gzip.compress(inner.encode(), mtime=0)).decode()
    envelopes: list[object] = [
        {"Type": "Notification", "TopicArn": "t", "Message": inner},
        {"Type": "Notification", "TopicArn": "t", "Message": json.dumps({"detail-type": "a", "detail": inner})},
        {"specversion": "1.0", "id": "x", "data_base64": packed},
        inner,
        {"order": {"correlationId": IDS.id_of(1).replace("-", "").upper()}},
    ]
    for envelope in envelopes:
        send(aws, queue, json.dumps(envelope))
    send(aws, queue, packed)
    reads: list[Read] = []
    settings = tap_of(queue=queue, endpoint=aws.url, pollers=1)
    results = asyncio.run(told(settings, lambda: len(reads) >= 6, reads))
    assert [read.seq for read in reads] == [1] * 6
    assert sum(result.strange for result in results) == 0


def test_the_id_can_stand_elsewhere(aws: AwsServer) -> None:
    queue = aws.queue("tap-elsewhere")
    send(aws, queue, json.dumps({"meta": [{"id": IDS.id_of(4)}]}))
    settings = tap_of(queue=queue, endpoint=aws.url, match="meta[0].id")
    assert [read.seq for read in asyncio.run(heard(settings, lambda reads: len(reads) > 0))] == [4]
    queue = aws.queue("tap-attribute")
    named = {"trace": {"DataType": "String", "StringValue": IDS.id_of(5)}}
    send(aws, queue, "no JSON", MessageAttributes=named)
    settings = tap_of(queue=queue, endpoint=aws.url, message_attribute="trace")
    assert [read.seq for read in asyncio.run(heard(settings, lambda reads: len(reads) > 0))] == [5]


def test_a_fifo_queue_tells_the_order() -> None:
    """Numbers as SQS has them: too large for a float to tell neighbours apart, and for 64 bits."""
    numbers = {3: 18849496460467696128, 1: 18849496460467696384, 4: 18849496460467696640}
    left = [
        {
            "MessageId": str(seq),
            "ReceiptHandle": "r",
            "Body": json.dumps({"correlationid": IDS.id_of(seq)}),
            "Attributes": {"SequenceNumber": str(number)},
        }
        for seq, number in reversed(numbers.items())
    ]

    def receive() -> Steps:
        return [0.01, json_answer(json.dumps({"Messages": [left.pop()] if left else []}).encode())]

    async def run(queue: str) -> list[Read]:
        async with serving(queue_that(receive)) as server:
            return await heard(tap_of(queue=queue, endpoint=server.url, pollers=1), lambda reads: len(reads) >= 3)

    reads = asyncio.run(run("q.fifo"))
    assert {read.seq: read.position for read in reads} == {3: 0, 1: 256, 4: 512}
    assert "position" in tap_of(queue="q.fifo").capabilities.tells
    assert "position" not in tap_of(queue="q").capabilities.tells


def test_absence_is_known_while_nothing_was_cut_off(aws: AwsServer) -> None:
    queue = aws.queue("tap-absent")
    targets = [Target(seq, IDS.id_of(seq)) for seq in range(3)]
    settings = tap_of(queue=queue, endpoint=aws.url)
    reads = asyncio.run(check_probe(settings, SystemClock(), targets))
    assert {read.seen for read in reads.values()} == {Seen.ABSENT}
    assert settings.capabilities.pushes


def error(code: str, message: str = "no") -> bytes:
    return json_answer(json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message}).encode(), 400)


def queue_that(receive: Callable[[], Steps], delete: Callable[[dict[str, Any]], Steps] | None = None) -> Script:
    """A queue called `q` that answers receives and deletes like that."""

    def script(request: Request) -> Steps:
        action = request.headers["x-amz-target"].rpartition(".")[2]
        if action == "GetQueueUrl":
            return [json_answer(b'{"QueueUrl": "%b/123456789012/q"}' % f"http://{request.headers['host']}".encode())]
        if action == "DeleteMessageBatch" and delete is not None:
            return delete(json.loads(request.body))
        if action == "DeleteMessageBatch":
            return [json_answer(b'{"Successful": [], "Failed": []}')]
        return receive()

    return script


@contextmanager
def short_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evload.probes.sqs_tap.listener.BackOff", partial(BackOff, 0.01))
        yield


def gap_after(*answers: bytes) -> tuple[str, str]:
    """What `read` says of a missing event while the queue answers so, and after it is well again."""
    left = iter(answers)
    well = asyncio.Event()

    def receive() -> Steps:
        if (failure := next(left, None)) is not None:
            return [failure]
        return [0.02, json_answer(b"{}")] if well.is_set() else [error("AccessDenied", "still not")]

    async def run() -> tuple[str, str]:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(serving(queue_that(receive)))
            settings = tap_of(queue="q", endpoint=server.url, pollers=1)
            probe = await stack.enter_async_context(settings.open(surroundings()))
            assert isinstance(probe, PushProbe)
            listening = asyncio.create_task(probe.listen(lambda result: None))
            said = []
            for word in ("is cut off", "was cut off for"):
                async with asyncio.timeout(20):
                    while word not in (result := await probe.read([Target(0, IDS.id_of(0))])).error:
                        await asyncio.sleep(0.005)
                assert [read.seen for read in result.reads] == [Seen.FAILED]
                said.append(result.error)
                well.set()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        return said[0], said[1]

    with short_pauses():
        return asyncio.run(run())


def test_pollers_work_side_by_side() -> None:
    bodies = [json.dumps({"correlationid": IDS.id_of(seq)}) for seq in range(12)]

    def receive() -> Steps:
        messages = [{"MessageId": body, "ReceiptHandle": "r", "Body": bodies.pop()} for body in bodies[-1:]]
        return [0.05, json_answer(json.dumps({"Messages": messages}).encode())]

    async def run() -> tuple[list[Read], int]:
        async with serving(queue_that(receive)) as server:
            reads = await heard(tap_of(queue="q", endpoint=server.url, pollers=4), lambda reads: len(reads) >= 12)
            return reads, server.most_open

    reads, most_open = asyncio.run(run())
    assert Counter(read.seq for read in reads) == Counter(range(12))
    assert most_open >= 4


def test_after_a_gap_absence_proves_nothing_any_more() -> None:
    during, after = gap_after(error("AWS.SimpleQueueService.NonExistentQueue", "The queue does not exist."))
    assert during.startswith("the tap is cut off: ")
    assert after.startswith("the tap was cut off for ")
    assert "\n" not in during + after


def test_a_deleted_queue_is_a_gap(aws: AwsServer) -> None:
    queue = aws.queue("tap-deleted")

    async def run() -> ReadResult:
        async with tap_of(queue=queue, endpoint=aws.url).open(surroundings()) as probe:
            assert isinstance(probe, PushProbe)
            listening = asyncio.create_task(probe.listen(lambda result: None))
            await asyncio.to_thread(aws.client("sqs").delete_queue, QueueUrl=queue)
            async with asyncio.timeout(90):
                while not (result := await probe.read([Target(0, IDS.id_of(0))])).error:
                    await asyncio.sleep(0.01)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            return result

    result = asyncio.run(run())
    assert result.error.startswith("the tap is cut off: AWS.SimpleQueueService.NonExistentQueue: ")
    assert [read.seen for read in result.reads] == [Seen.FAILED]


def test_what_could_not_be_deleted_is_no_second_effect() -> None:
    """The same message comes three times; the first delete fails for it, the second goes well."""
    number = count()
    body = json.dumps({"correlationid": IDS.id_of(6)})
    deletes: list[int] = []

    def receive() -> Steps:
        at = next(number)
        messages = [{"MessageId": "m", "ReceiptHandle": "r", "Body": body}] if at < 3 else []
        return [0.01, json_answer(json.dumps({"Messages": messages}).encode())]

    def delete(request: dict[str, Any]) -> Steps:
        deletes.append(len(request["Entries"]))
        failed = [{"Id": "0", "Code": "x", "SenderFault": False}] if len(deletes) == 1 else []
        return [json_answer(json.dumps({"Successful": [], "Failed": failed}).encode())]

    async def run() -> list[Read]:
        async with serving(queue_that(receive, delete)) as server:
            settings = tap_of(queue="q", endpoint=server.url, pollers=1)
            return await heard(settings, lambda _: len(deletes) == 3)

    reads = asyncio.run(run())
    assert [read.seq for read in reads] == [6, 6], "the third is a delivery of the queue's own"


@pytest.mark.parametrize("fails", [True, False])
def test_what_was_handed_out_before_was_there_then_and_not_when_it_comes_again(fails: bool) -> None:
    """To a poll of the tap's whose answer got lost, or to somebody else since the tap began to listen."""
    clock, asked = SystemClock(), list[int]()

    def receive() -> Steps:
        asked.append(clock.now_ns())
        match len(asked):
            case 1:
                return [0.05, json_answer(json.dumps({"Messages": [message(1, 1)]}).encode())]
            case 2 if fails:
                return [0.05, error("ServiceUnavailable", "the answer is lost")]
            case 3:
                return [0.1, json_answer(json.dumps({"Messages": [message(2, 2), message(3, 1)]}).encode())]
            case _:
                return [0.02, json_answer(b"{}")]

    def message(seq: int, times: int) -> dict[str, Any]:
        body, attributes = json.dumps({"correlationid": IDS.id_of(seq)}), {"ApproximateReceiveCount": str(times)}
        return {"MessageId": str(seq), "ReceiptHandle": "r", "Body": body, "Attributes": attributes}

    async def run() -> dict[int, Read]:
        async with serving(queue_that(receive)) as server:
            reads = await heard(tap_of(queue="q", endpoint=server.url, pollers=1), lambda reads: len(reads) >= 3)
            return {read.seq: read for read in reads}

    with short_pauses():
        reads = asyncio.run(run())
    first, again, other = (reads[seq] for seq in (1, 2, 3))
    assert {read.exact for read in reads.values()} == {True}
    assert asked[0] < first.start_ns == first.end_ns < asked[1]
    assert asked[2] < other.start_ns == other.end_ns
    if fails:
        assert first.end_ns < again.start_ns < asked[1] < again.end_ns < asked[2]
    else:
        assert again.start_ns < asked[0] < asked[2] < again.end_ns == other.end_ns


def opening(settings: SqsTapConfig | SqsQueueConfig) -> str:
    """The error with which opening fails."""

    async def run() -> None:
        async with settings.open(surroundings()):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(run())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_queue_is_noticed(aws: AwsServer) -> None:
    url = f"{aws.url}/123456789012/nowhere"
    for settings in (
        tap_of(queue="nowhere", endpoint=aws.url),
        tap_of(queue=url, endpoint=aws.url),
        gauge_of(queue="nowhere", endpoint=aws.url),
        gauge_of(queue=url, endpoint=aws.url),
    ):
        said = opening(settings)
        assert said == (
            f"there is no SQS queue {settings.queue!r} in {REGION}; create it, or correct its name or region"
        )


def test_a_queue_that_may_not_be_looked_at() -> None:
    async def run() -> str:
        script: Script = lambda request: [error("AccessDenied", "not authorized to sqs:getqueueurl")]  # noqa: E731
        async with serving(script) as server:
            return await asyncio.to_thread(opening, tap_of(queue="q", endpoint=server.url))

    said = asyncio.run(run())
    assert said.startswith("can't look at SQS queue 'q': access denied: not authorized to sqs:getqueueurl; give the")


def test_what_is_not_sqs_is_noticed() -> None:
    async def run(reply: bytes, settings: dict[str, str]) -> tuple[str, str]:
        async with serving(lambda _: [reply]) as server:
            of = {"endpoint": server.url, **settings}
            return (
                await asyncio.to_thread(opening, tap_of(**of)),
                await asyncio.to_thread(opening, gauge_of(**of)),
            )

    for reply in (answer(200, b"<html>welcome</html>"), answer(200, b"{}"), answer(404, b"not found")):
        for said in asyncio.run(run(reply, {"queue": "q"})):
            assert said.startswith("can't look at SQS queue 'q': ")


# --- the gauge --------------------------------------------------------------------------------------------


def sampled(settings: SqsQueueConfig, between: Callable[[], object] = lambda: None) -> Sample:
    async def run() -> Sample:
        async with settings.open(surroundings()) as gauge:
            opened: Gauge = gauge
            await asyncio.to_thread(between)
            return await opened.sample()

    return asyncio.run(run())


def test_the_gauge_tells_what_lies_in_a_queue_and_in_its_dead_letter_queue(aws: AwsServer) -> None:
    dead = aws.queue("gauge-dead")
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:123456789012:gauge-dead", "maxReceiveCount": 2}
    queue = aws.queue("gauge-work", RedrivePolicy=json.dumps(policy))
    for number in range(6):
        send(aws, queue, "x", DelaySeconds=900 if number < 2 else 0)
    aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=1)
    for _ in range(5):
        send(aws, dead, "x")
    expected = {"queue_depth": 3.0, "queue_in_flight": 1.0, "queue_delayed": 2.0}
    assert sampled(gauge_of(queue=queue, endpoint=aws.url)) == Sample(expected)
    for dead_letters in (True, "gauge-dead", dead):
        settings = gauge_of(queue="gauge-work", endpoint=aws.url, dead_letters=dead_letters, every="10ms")
        assert asyncio.run(check_gauge(settings, SystemClock())) == [Sample({**expected, "dead_letters": 5.0})] * 3
        assert settings.metrics == ("queue_depth", "queue_in_flight", "queue_delayed", "dead_letters")


def test_the_age_of_the_oldest_message_comes_from_cloudwatch(aws: AwsServer) -> None:
    """The run begins five minutes ago; CloudWatch has a value about the minute before last."""
    queue = aws.queue("gauge-aged")
    clock = MovableClock()
    settings = gauge_of(queue=queue, endpoint=aws.url, oldest_age=True)

    async def run() -> Sample:
        clock.ahead = timedelta(minutes=-5)
        async with settings.open(Surroundings(clock, RUN, Path())) as gauge:
            assert "oldest_age" not in (await gauge.sample()).values
            clock.ahead = timedelta(0)
            aws.put_metric(
                "AWS/SQS", "ApproximateAgeOfOldestMessage", 42.0, timedelta(minutes=2), QueueName="gauge-aged"
            )
            return await gauge.sample()

    assert asyncio.run(run()).values["oldest_age"] == 42.0
    assert settings.metrics[-1] == "oldest_age"


def test_a_queue_that_goes_away_is_an_error_of_the_sample(aws: AwsServer) -> None:
    queue = aws.queue("gauge-gone")
    sample = sampled(gauge_of(queue=queue, endpoint=aws.url), lambda: aws.client("sqs").delete_queue(QueueUrl=queue))
    assert sample.values == {}
    assert sample.error.startswith("AWS.SimpleQueueService.NonExistentQueue: ")


def test_dead_letters_without_a_policy(aws: AwsServer) -> None:
    aws.queue("gauge-plain")
    said = opening(gauge_of(queue="gauge-plain", endpoint=aws.url, dead_letters=True))
    assert said.startswith("SQS queue 'gauge-plain' has no redrive policy; name the queue under dead_letters")
    said = opening(gauge_of(queue="gauge-plain", endpoint=aws.url, dead_letters="gauge-nowhere"))
    assert said.startswith("there is no SQS queue 'gauge-nowhere'")


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "Field required"),
        ({"queue": "my queue"}, "'my queue' is not an SQS queue; write its name, or its URL such as https://sqs."),
        ({"queue": "https://sqs.eu-west-1.amazonaws.com/orders"}, "is not an SQS queue;"),
        ({"queue": "q" * 81}, "is not an SQS queue;"),
        ({"queue": "q", "match": "detail..id"}, "'detail..id' is not JMESPath: unexpected '.' at character 8;"),
        ({"queue": "q", "message_attribute": "a b"}, "String should match pattern"),
        ({"queue": "q", "match": "id", "message_attribute": "a"}, "both match and message_attribute; say in one"),
        ({"queue": "q", "pollers": 0}, "greater than or equal to 1"),
        ({"queue": "q", "region": "eu"}, "'eu' is not the name of a region;"),
        ({"queue": "q", "wait": "20s"}, "Extra inputs are not permitted"),
    ],
)
def test_bad_settings_of_the_tap_say_what_is_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tap_of(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queue": "my queue"}, "'my queue' is not an SQS queue;"),
        ({"queue": "q", "dead_letters": "d l"}, "'d l' is not an SQS queue;"),
        ({"queue": "q", "dead_letters": False}, "Input should be True"),
        ({"queue": "q", "every": "1ms"}, "greater than or equal to 10000000"),
        ({"queue": "q", "oldest_age": "maybe"}, "should be a valid boolean"),
        ({"queue": "q", "metric": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_bad_settings_of_the_gauge_say_what_is_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        gauge_of(**settings)
    assert message in str(caught.value)


def test_queues_have_names_and_addresses() -> None:
    for queue in ("q", "a-b_c", "q" * 80, "x.fifo", "http://127.0.0.1:1/123456789012/q"):
        assert tap_of(queue=queue).queue == queue
