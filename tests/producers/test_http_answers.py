"""The HTTP producer and scripted servers in virtual time: which requests are sent, when, and how each event ends."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evload.errors import TargetError
from evload.model.states import Outcome
from evload.model.travel import Event, Receipt
from evload.producers.http import HttpProducerConfig
from evload.spi.context import Surroundings
from evload.spi.producer import Producer
from evload.testing import virtual_clock
from tests.rigs.memory_network import CONNECT_NS, memory_loop, run
from tests.servers.httpserver import Request, Script, Server, Step, always, answer, json_answer, serving

MS = 1_000_000
S = 1_000_000_000
ACCEPTED, REJECTED, IN_DOUBT, UNSENT = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.IN_DOUBT, Outcome.UNSENT
API = {"routing_key": "k"}
HEADERS = (("content-type", "application/cloudevents+json"),)


class Load:
    """Events numbered from 0, on their way through one producer, and what became of them."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.clock = virtual_clock()
        self.receipts: dict[int, Receipt] = {}
        self.calls: list[list[int]] = []
        """The numbers of what was settled together."""
        self.count = 0
        """How many there are."""
        self._news = asyncio.Event()

    def make(self, count: int) -> list[Event]:
        seqs = range(self.count, self.count + count)
        self.count += count
        return [Event(seq, f"c-{seq}", 0, 0, 0, None, b"%d" % seq, HEADERS, ()) for seq in seqs]

    async def publish(self, count: int = 1) -> None:
        """In one batch. Their bodies are their numbers."""
        await self.producer.publish(self.make(count), self.settle)

    def settle(self, receipts: Sequence[Receipt]) -> None:
        self.calls.append([receipt.seq for receipt in receipts])
        for receipt in receipts:
            assert receipt.seq not in self.receipts, f"settled twice: {receipt}"
            self.receipts[receipt.seq] = receipt
        self._news.set()

    async def settled(self, count: int | None = None) -> None:
        """Return once all that was published is settled, or so many."""
        async with asyncio.timeout(60):
            while len(self.receipts) < (self.count if count is None else count):
                self._news.clear()
                await self._news.wait()

    def told(self) -> list[tuple[int, Outcome, str]]:
        """Number, outcome and detail, in the order in which they were settled."""
        return [(receipt.seq, receipt.outcome, receipt.detail) for receipt in self.receipts.values()]

    def outcomes(self) -> list[tuple[int, Outcome]]:
        return [(receipt.seq, receipt.outcome) for receipt in self.receipts.values()]


@asynccontextmanager
async def producing(url: str, **settings: Any) -> AsyncIterator[Load]:
    """A producer that is open."""
    config = HttpProducerConfig.model_validate({"kind": "http", "url": url, **settings})
    async with config.open(Surroundings(virtual_clock(), "r-1", Path())) as producer:
        load = Load(producer)
        yield load
    assert len(load.receipts) == load.count, "all is settled once it has closed"


@asynccontextmanager
async def loaded(script: Script, **settings: Any) -> AsyncIterator[tuple[Load, Server]]:
    """A producer and the server that it sends to."""
    async with serving(script) as server, producing(f"{server.url}/events", **settings) as load:
        yield load, server


async def moment(milliseconds: float = 2) -> None:
    """Let what is on the wire arrive."""
    await asyncio.sleep(milliseconds / 1000)


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def batches(server: Server) -> list[list[int]]:
    """The numbers of the events in each request."""
    return [json.loads(body) for body in server.bodies]


class TestBatches:
    def test_what_comes_while_a_request_is_under_way_goes_into_the_next(self) -> None:
        """It must not join the request that has left already, whose answer says nothing of it."""

        async def main() -> None:
            async with loaded(always(0.5, answer(202)), mode="batched", batch=3) as (load, server):
                await load.publish()
                await moment(10)
                await load.publish()
                await load.settled()
                assert batches(server) == [[0], [1]]
                assert load.outcomes() == [(0, ACCEPTED), (1, ACCEPTED)]
                sent = [receipt.sent_ns or 0 for receipt in load.receipts.values()]
                assert sent[1] > sent[0]

        run(main())

    def test_what_waits_for_a_connection_is_filled_up_in_order(self) -> None:
        async def main() -> None:
            script = always(0.5, answer(202))
            async with loaded(script, mode="batched", batch=3, connections=1) as (load, server):
                for count in (1, 1, 2, 1, 4, 1):
                    await load.publish(count)
                    await moment(10)
                await load.settled()
                assert batches(server) == [[0], [1, 2, 3], [4, 5, 6], [7, 8, 9]]
                assert load.calls == batches(server)

        run(main())

    def test_what_is_published_at_once_is_cut_into_requests(self) -> None:
        async def main() -> None:
            async with loaded(always(0.5, answer(202)), mode="batched", batch=3, connections=1) as (load, server):
                await load.publish(7)
                await load.publish(3)
                await load.settled()
                assert batches(server) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
                assert {(r.method, r.target, r.headers["content-type"]) for r in server.requests} == {
                    ("POST", "/events", "application/cloudevents-batch+json")
                }

        run(main())

    def test_a_batch_that_is_filled_up_keeps_its_place_and_its_age(self) -> None:
        """The time for which an event may wait is that of the first in its request."""

        async def main() -> None:
            script = always(Step.STALL)
            async with loaded(script, mode="batched", batch=2, connections=1, timeout="1s") as (load, server):
                await load.publish()
                await moment(10)
                await load.publish()
                await asyncio.sleep(0.5)
                await load.publish()
                await asyncio.sleep(0.45)
                assert load.receipts == {}
                await asyncio.sleep(0.1)
                why = "no free connection within 1 s"
                assert sorted(load.told()) == [
                    (0, IN_DOUBT, "no answer within 1 s"), (1, UNSENT, why), (2, UNSENT, why),
                ]  # fmt: skip
                assert batches(server) == [[0]]

        run(main())

    def test_events_of_two_publishers_never_share_a_request(self) -> None:
        """Each of the two is told of its own events, and of no others."""

        async def main() -> None:
            script = always(0.5, answer(202))
            async with loaded(script, mode="batched", batch=3, connections=1) as (load, server):
                ours: list[Receipt] = []
                theirs: list[Receipt] = []
                first, second, third, fourth = load.make(4)
                await load.producer.publish([first], ours.extend)
                await moment(10)
                await load.producer.publish([second], ours.extend)
                await load.producer.publish([third], theirs.extend)
                await load.producer.publish([fourth], ours.extend)
                await asyncio.sleep(3)
                assert batches(server) == [[0], [1], [2], [3]]
                assert [receipt.seq for receipt in ours] == [0, 1, 3]
                assert [receipt.seq for receipt in theirs] == [2]
                load.settle([*ours, *theirs])

        run(main())

    def test_what_comes_after_a_request_that_failed_unsent_is_settled_too(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202)), mode="batched", batch=3) as (load, server):
                await server.stop()
                await moment()
                for _ in range(2):
                    await load.publish()
                    await moment(10)
                assert load.told() == [(0, UNSENT, "connection refused"), (1, UNSENT, "connection refused")]
                again = Server(always(answer(202)))
                await again.start(None, port_of(server))
                await load.publish()
                await load.settled()
                assert batches(again) == [[2]]
                assert load.told()[2:] == [(2, ACCEPTED, "")]
                await again.stop()

        run(main())

    def test_what_comes_after_a_request_that_waited_in_vain_is_settled_too(self) -> None:
        async def main() -> None:
            script = always(Step.STALL)
            async with loaded(script, mode="batched", batch=5, connections=1, timeout="1s") as (load, _):
                await load.publish()
                await moment(10)
                await load.publish()
                await asyncio.sleep(1.2)
                await load.publish()  # the connection is new
                await moment(10)
                await load.publish()
                await asyncio.sleep(1.2)
                assert sorted(load.outcomes()) == [(0, IN_DOUBT), (1, UNSENT), (2, IN_DOUBT), (3, UNSENT)]

        run(main())

    def test_a_request_that_fails_leaves_the_one_that_waits_to_be_filled_up(self) -> None:
        async def main() -> None:
            script: Script = lambda request: [Step.RESET] if request.body == b"[0]" else [answer(202)]  # noqa: E731
            async with loaded(script, mode="batched", batch=3, connections=1) as (load, server):
                await load.publish()
                await load.publish()
                await load.settled(1)
                await load.publish()
                await load.settled()
                assert batches(server) == [[0], [1, 2]]

        run(main())

    def test_all_events_of_a_request_have_its_stamps(self) -> None:
        async def main() -> None:
            async with loaded(always(0.1, answer(503, b"full")), mode="batched", batch=3) as (load, _):
                began = load.clock.now_ns()
                await load.publish(3)
                await load.settled()
                assert list(load.receipts.values()) == [
                    Receipt(
                        seq,
                        REJECTED,
                        began,
                        began + 102 * MS,
                        "HTTP 503: full",
                        facts={"status": 503, "bytes_in": size},
                    )
                    for seq, size in ((0, 2), (1, 1), (2, 1))  # the four bytes of the answer, shared
                ]
                assert load.calls == [[0, 1, 2]]

        run(main())


class TestStamps:
    def test_sent_when_it_is_written_and_acked_when_the_whole_answer_is_there(self) -> None:
        async def main() -> None:
            half, rest = json_answer(b'{"id": "srv"}')[:70], json_answer(b'{"id": "srv"}')[70:]
            script = always(0.1, half, 0.2, rest)
            async with loaded(script, connections=1, capture="body.id") as (load, _):
                began = load.clock.now_ns()
                await load.publish(2)
                await load.settled()
                assert [(r.sent_ns, r.acked_ns, r.capture) for r in load.receipts.values()] == [
                    (began, began + 302 * MS, "srv"), (began + 302 * MS, began + 604 * MS, "srv"),
                ]  # fmt: skip

        run(main())

    def test_what_has_no_answer_was_sent_when_it_was_written(self) -> None:
        async def main() -> None:
            script: Script = lambda request: [0.1, answer(202)] if request.body == b"0" else [Step.RESET]  # noqa: E731
            async with loaded(script, connections=1) as (load, _):
                began = load.clock.now_ns()
                await load.publish(2)
                await load.settled()
                assert load.receipts[1] == Receipt(1, IN_DOUBT, began + 102 * MS, None, "connection reset")

        run(main())

    def test_the_bytes_of_an_answer_are_counted_though_nobody_keeps_its_body(self) -> None:
        """Of accepted events nothing of the answer is needed; a short one is known by sight the second time."""

        async def main(size: int) -> None:
            async with loaded(always(answer(202, b"x" * size))) as (load, _):
                for _ in range(2):
                    await load.publish()
                    await load.settled()
                told = [receipt.facts and receipt.facts["bytes_in"] for receipt in load.receipts.values()]
                assert told == [size, size]

        run(main(50))
        run(main(5000))

    def test_an_answer_that_ends_its_connection_has_its_stamp_too(self) -> None:
        async def main() -> None:
            async with loaded(always(0.1, answer(202, b"", "Connection: close"))) as (load, _):
                began = load.clock.now_ns()
                await load.publish()
                await load.settled()
                assert load.receipts[0] == Receipt(
                    0, ACCEPTED, began, began + 102 * MS, "", facts={"status": 202, "bytes_in": 0}
                )

        run(main())

    def test_what_waited_for_a_connect_after_the_one_that_was_refused_was_never_tried(self) -> None:
        async def main() -> None:
            script = always(answer(202), Step.CLOSE)
            async with loaded(script, connections=1, timeout="1s") as (load, server):
                await load.publish()
                await load.settled()
                await moment()
                server.stop_listening()
                began = load.clock.now_ns()
                await load.publish()
                await moment(1)
                await load.publish()
                memory_loop().silent.add(port_of(server))
                await moment(100)
            assert list(load.receipts.values())[1:] == [
                Receipt(1, UNSENT, began + CONNECT_NS, None, "connection refused"),
                Receipt(2, UNSENT, None, None, "no connection was free before the end"),
            ]

        run(main())

    def test_a_refused_connection_is_an_attempt_and_says_when(self) -> None:
        async def main() -> None:
            async with serving(always(answer(202))) as server, producing(server.url) as load:
                await server.stop()
                await moment()
                began = load.clock.now_ns()
                await load.publish(2)
                await load.settled()
                refused = began + CONNECT_NS
                assert list(load.receipts.values()) == [
                    Receipt(seq, UNSENT, refused, None, "connection refused") for seq in (0, 1)
                ]

        run(main())

    def test_what_never_had_a_connection_was_never_tried(self) -> None:
        async def main() -> None:
            async with loaded(always(Step.STALL), connections=1) as (load, _):
                began = load.clock.now_ns()
                await load.publish(2)
                await moment()
            assert list(load.receipts.values()) == [
                Receipt(1, UNSENT, None, None, "no connection was free before the end"),
                Receipt(0, IN_DOUBT, began, None, "no answer before the end"),
            ]

        run(main())

    def test_answers_of_one_moment_are_told_together(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202)), connections=5) as (load, _):
                await load.publish(5)
                await load.settled()
                await load.publish(5)
                await load.settled()
                assert sorted(load.calls[-1]) == [5, 6, 7, 8, 9]

        run(main())

    def test_what_is_published_after_the_end_is_unsent(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202))) as (load, server):
                pass
            await load.publish()
            await moment()
            assert load.told() == [(0, UNSENT, "the client is closed")]
            assert server.requests == []

        run(main())


class TestTimeouts:
    @pytest.mark.parametrize(
        ("timeout", "steps_ms"), [("20s", 250), ("1s", 50), ("10ms", 1)], ids=["20s", "1s", "10ms"]
    )
    def test_a_timeout_is_noticed_within_a_twentieth_of_it_and_a_quarter_of_a_second(
        self, timeout: str, steps_ms: float
    ) -> None:
        async def main() -> None:
            async with loaded(always(Step.STALL), timeout=timeout, connections=1) as (load, _):
                timeout_ns = {"20s": 20 * S, "1s": S, "10ms": 10 * MS}[timeout]
                for wait in (0.1, 0.3, 0.7, 0.9):
                    await asyncio.sleep(wait * steps_ms / 1000)
                    began = load.clock.now_ns()
                    before = len(load.receipts)
                    await load.publish(2)
                    await load.settled(before + 1)
                    late_ns = load.clock.now_ns() - began - timeout_ns
                    assert 0 <= late_ns <= steps_ms * MS
                    await load.settled()
                assert [outcome for _, outcome in sorted(load.outcomes())] == [IN_DOUBT, UNSENT] * 4

        run(main())

    def test_a_timeout_is_over_to_the_nanosecond_when_it_is(self) -> None:
        async def main() -> None:
            async with loaded(always(Step.STALL), timeout="1s", connections=1) as (load, _):
                # It looks every twentieth of a second since it began to connect.
                await asyncio.sleep(0.1 - CONNECT_NS / S)
                began = load.clock.now_ns()
                await load.publish(2)
                await load.settled()
                assert load.clock.now_ns() - began == S

        run(main())

    @pytest.mark.parametrize(
        ("timeout", "max_idle", "a_second"),
        [("10s", "4s", 4), ("1s", "4s", 20), ("20ms", "4s", 1000), ("5ms", "4s", 1000), ("10s", "100ms", 10)],
    )
    def test_an_idle_producer_looks_after_its_timeouts_and_no_more_often_than_it_must(
        self, timeout: str, max_idle: str, a_second: int
    ) -> None:
        async def main() -> None:
            async with loaded(always(answer(202)), timeout=timeout, max_idle=max_idle):
                await asyncio.sleep(5)
                before = memory_loop().timers
                await asyncio.sleep(2)
                assert abs(memory_loop().timers - before - 1 - 2 * a_second) <= 1
            after = memory_loop().timers
            await asyncio.sleep(300)
            assert memory_loop().timers == after + 1, "this sleep alone"

        run(main())

    def test_an_answer_just_in_time_counts(self) -> None:
        async def main() -> None:
            async with loaded(always(0.99, answer(202)), timeout="1s") as (load, _):
                await asyncio.sleep(0.035)
                await load.publish()
                await load.settled()
                assert load.told() == [(0, ACCEPTED, "")]

        run(main())

    def test_the_time_for_an_answer_begins_when_the_request_is_written(self) -> None:
        async def main() -> None:
            async with loaded(always(0.8, answer(202)), timeout="1s", connections=1) as (load, _):
                await load.publish()
                await asyncio.sleep(0.1)
                await load.publish()
                await load.settled()
                assert load.told() == [(0, ACCEPTED, ""), (1, ACCEPTED, "")]

        run(main())

    def test_only_what_is_overdue_is_given_up(self) -> None:
        async def main() -> None:
            script: Script = lambda request: [Step.STALL] if request.body == b"0" else [0.9, answer(202)]  # noqa: E731
            async with loaded(script, timeout="1s", connections=2) as (load, server):
                await load.publish()
                await asyncio.sleep(0.5)
                await load.publish()
                await asyncio.sleep(0.2)
                await load.publish()
                await load.settled()
                assert load.told() == [(0, IN_DOUBT, "no answer within 1 s"), (1, ACCEPTED, ""), (2, ACCEPTED, "")]
                assert [request.connection for request in server.requests] == [0, 1, 2]

        run(main())

    def test_a_target_that_does_not_answer_a_connect(self) -> None:
        async def main() -> str:
            memory_loop().silent.add(7)
            with pytest.raises(TargetError) as caught:
                async with producing("http://127.0.0.1:7/", timeout="300ms"):
                    pass
            return str(caught.value)

        assert run(main()) == (
            "can't connect to http://127.0.0.1:7/: no connection within 300 ms; start the target, or correct url"
        )

    def test_a_target_that_stops_answering_connects_is_data(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202), Step.CLOSE), timeout="1s") as (load, server):
                memory_loop().silent.add(port_of(server))
                await load.publish()
                await load.settled()
                await moment()
                began = load.clock.now_ns()
                await load.publish()
                await load.settled()
                assert [(o, d) for _, o, d in load.told()][1] in (
                    (UNSENT, "no free connection within 1 s"), (UNSENT, "no connection within 1 s"),
                )  # fmt: skip
                assert S <= load.clock.now_ns() - began <= S + 51 * MS
                memory_loop().silent.clear()
                await load.publish()
                await load.settled()
                assert load.outcomes()[2:] == [(2, ACCEPTED)]

        run(main())


class TestConnections:
    def test_a_connection_for_each_event_that_waits_and_no_more(self) -> None:
        async def main() -> None:
            async with loaded(always(0.5, answer(202)), connections=10) as (load, server):
                assert len(memory_loop().dials) == 1
                await load.publish(3)  # one goes to the connection that is open
                assert len(memory_loop().dials) == 1
                await moment(1)
                assert len(memory_loop().dials) == 3
                await load.publish(1)
                await moment(10)
                assert len(memory_loop().dials) == 4
                await load.publish(20)
                await moment(10)
                assert len(memory_loop().dials) == 10
                await load.settled()
                assert server.connections == 10

        run(main())

    def test_sixty_four_connects_are_under_way_at_most(self) -> None:
        async def main() -> None:
            async with loaded(always(0.5, answer(202)), connections=1000) as (load, _):
                await load.publish(201)
                dialled = []
                for _ in range(5):
                    await moment(1.999)
                    dialled.append(len(memory_loop().dials) - 1)
                    await moment(0.001)
                assert dialled[0] == 64
                assert max(later - earlier for earlier, later in pairwise([0, *dialled])) == 64
                await load.settled()
                assert {outcome for _, outcome in load.outcomes()} == {ACCEPTED}

        run(main())

    def test_a_connect_that_fails_after_all_that_waited_for_it_was_served_takes_nothing_along(self) -> None:
        """More than waited when it began was sent meanwhile, over a connection that is gone by now."""

        async def main() -> None:
            async with loaded(always(answer(202)), connections=1, max_idle="10ms") as (load, _):
                client = load.producer.client  # type: ignore[attr-defined]
                await load.publish(5)
                await load.settled()
                await moment(100)
                client._connect_failed(3, OSError("refused"))
                await load.publish(1)
                await load.settled()
                assert {outcome for _, outcome in load.outcomes()} == {ACCEPTED}

        run(main())

    def test_the_connection_that_fell_idle_last_is_used_first(self) -> None:
        """So that those which aren't needed grow old and are closed."""

        async def main() -> None:
            script: Script = lambda request: [0.01 * (3 - request.connection), answer(202)]  # noqa: E731
            async with loaded(script, connections=3, max_idle="1s") as (load, server):
                await load.publish(3)
                await load.settled()  # the last connection answers first
                for _ in range(20):
                    await load.publish()
                    await load.settled()
                    await asyncio.sleep(0.2)
                assert [request.connection for request in server.requests[3:]] == [0] * 20
                assert server.open_now == 1
                assert server.connections == 3

        run(main())

    @pytest.mark.parametrize(("idle_ms", "connection"), [(999, 0), (1000, 0), (1021, 1)])
    def test_an_idle_connection_is_used_up_to_its_age(self, idle_ms: float, connection: int) -> None:
        async def main() -> None:
            async with loaded(always(answer(202)), max_idle="1s", timeout="10m") as (load, server):
                await load.publish()
                await load.settled()
                await moment(idle_ms)
                await load.publish()
                await load.settled()
                assert [request.connection for request in server.requests] == [0, connection]
                await moment()
                assert server.open_now == 1, "what is too old is closed"

        run(main())

    def test_an_idle_connection_is_closed_though_nothing_is_sent(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202)), max_idle="100ms", connections=2) as (load, server):
                await load.publish(2)
                await load.settled()
                assert server.open_now == 2
                await moment(205)
                assert server.open_now == 0
                await load.publish()
                await load.settled()
                assert load.outcomes()[2:] == [(2, ACCEPTED)]
                assert server.connections == 3

        run(main())

    def test_a_connection_carries_exactly_as_many_requests_as_it_may(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202)), requests_per_connection=3, connections=1) as (load, server):
                await load.publish(8)
                await load.settled()
                assert [request.connection for request in server.requests] == [0, 0, 0, 1, 1, 1, 2, 2]
                assert server.bodies == [b"%d" % seq for seq in range(8)]

        run(main())

    def test_what_an_idle_connection_says_unasked_is_no_answer(self) -> None:
        async def main() -> None:
            script: Script = lambda request: (  # noqa: E731
                [answer(202), 0.05, answer(500)] if request.connection == 0 else [answer(202)]
            )
            async with loaded(script) as (load, server):
                await load.publish()
                await load.settled()
                await moment(100)
                await load.publish()
                await load.settled()
                assert load.told() == [(0, ACCEPTED, ""), (1, ACCEPTED, "")]
                assert [request.connection for request in server.requests] == [0, 1]

        run(main())

    @pytest.mark.parametrize("ending", [Step.CLOSE, Step.RESET])
    def test_a_connection_that_ends_in_between_is_not_used_again(self, ending: Step) -> None:
        async def main() -> None:
            async with loaded(always(answer(202), 0.05, ending)) as (load, server):
                for _ in range(3):
                    await load.publish()
                    await load.settled()
                    await moment(100)
                assert load.told() == [(seq, ACCEPTED, "") for seq in range(3)]
                assert [request.connection for request in server.requests] == [0, 1, 2]

        run(main())

    def test_those_that_waited_when_a_connect_was_refused_are_unsent_and_those_since_get_one_of_their_own(
        self,
    ) -> None:
        async def main() -> None:
            async with serving(always(answer(202), Step.CLOSE)) as server, producing(server.url) as load:
                await load.publish()
                await load.settled()
                await moment()
                port = port_of(server)
                await server.stop()
                await load.publish(2)
                await moment(1)
                await load.publish()
                await moment(1.5)
                again = Server(always(answer(202)))
                await again.start(None, port)
                await load.settled()
                assert load.told() == [
                    (0, ACCEPTED, ""), (1, UNSENT, "connection refused"), (2, UNSENT, "connection refused"),
                    (3, ACCEPTED, ""),
                ]  # fmt: skip
                assert again.bodies == [b"3"]
                await again.stop()

        run(main())

    def test_the_next_connect_is_tried_as_soon_as_one_was_refused(self) -> None:
        async def main() -> None:
            script = always(answer(202), Step.CLOSE)
            async with serving(script) as server, producing(server.url, connections=1) as load:
                await load.publish()
                await load.settled()
                await moment()
                port = port_of(server)
                await server.stop()
                began = load.clock.now_ns()
                await load.publish()
                await moment(1)
                await load.publish()
                await moment(1.5)
                again = Server(always(answer(202)))
                await again.start(None, port)
                await load.settled()
                assert load.told()[1:] == [(1, UNSENT, "connection refused"), (2, ACCEPTED, "")]
                assert load.receipts[2].sent_ns == began + 2 * CONNECT_NS
                await again.stop()

        run(main())

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (TimeoutError(110, "Connect call failed"), "connection timed out"),
            (OSError(113, "Connect call failed"), "no route to host"),
            (OSError("of its own kind"), "of its own kind"),
        ],
    )
    def test_what_a_connect_failed_with_is_said(self, error: OSError, said: str) -> None:
        async def main() -> None:
            async with loaded(always(answer(202), Step.CLOSE)) as (load, server):
                await load.publish()
                await load.settled()
                await moment()
                memory_loop().broken[port_of(server)] = error
                await load.publish()
                await load.settled()
                assert load.told()[1:] == [(1, UNSENT, said)]

        run(main())

    def test_refused_connects_do_not_count_against_the_limit_nor_for_it(self) -> None:
        async def main() -> None:
            script = always(0.1, answer(202))
            async with loaded(script, connections=2, requests_per_connection=1) as (load, server):
                await load.publish(2)
                await load.settled()
                await moment()
                memory_loop().broken[port_of(server)] = OSError(111, "refused")
                for _ in range(5):
                    await load.publish(1)
                    await load.settled()
                memory_loop().broken.clear()
                server.most_open = 0
                await load.publish(10)
                await load.settled()
                assert server.most_open == 2
                assert load.outcomes()[7:] == [(seq, ACCEPTED) for seq in range(7, 17)]

        run(main())

    def test_connects_that_are_over_leave_nothing_behind(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202), Step.CLOSE)) as (load, server):
                memory_loop().broken[port_of(server)] = OSError(111, "refused")
                for _ in range(100):
                    await load.publish()
                    await moment(10)
                gc.collect()
                assert sum(isinstance(each, asyncio.Task) for each in gc.get_objects()) < 20
                assert len(memory_loop().dials) == 100

        run(main())

    def test_events_that_wait_get_a_connection_when_there_are_some_again(self) -> None:
        async def main() -> None:
            async with loaded(always(5.0, answer(202)), timeout="20s") as (load, server):
                server.stop_listening()
                began = load.clock.now_ns()
                await load.publish(3)
                await asyncio.sleep(0.9)
                listener = Server(always(answer(202)))
                await listener.start(None, port_of(server))
                await load.settled()
                late = [(load.receipts[seq].sent_ns or 0) - began for seq in (1, 2)]
                assert late == [1000 * MS] * 2, "when it looked after timeouts the next time"
                assert listener.bodies == [b"1", b"2"]
                await listener.stop()

        run(main())

    def test_all_idle_connections_are_used_at_once(self) -> None:
        async def main() -> None:
            async with loaded(always(0.1, answer(202)), max_idle="1h", timeout="1h") as (load, server):
                for _ in range(3):
                    await load.publish(300)
                    await load.settled()
                before = len(server.requests)
                for _ in range(2):
                    began = load.clock.now_ns()
                    seqs = range(load.count, load.count + 300)
                    await load.publish(300)
                    await load.settled()
                    assert {load.receipts[seq].sent_ns for seq in seqs} == {began}
                assert set(server.bodies[before:]) == {b"%d" % seq for seq in range(900, 1500)}

        run(main())

    def test_with_a_connection_open_a_refused_connect_fails_nobody(self) -> None:
        async def main() -> None:
            async with loaded(always(0.5, answer(202))) as (load, server):
                server.stop_listening()
                await load.publish(4)
                await load.settled()
                held = "accepted, but it waited while no further connection could be opened: connection refused"
                assert load.told() == [(0, ACCEPTED, ""), *((seq, ACCEPTED, held) for seq in (1, 2, 3))]
                assert server.bodies == [b"0", b"1", b"2", b"3"]
                assert server.connections == 1

        run(main())

    def test_when_the_only_connection_is_lost_those_that_wait_get_another(self) -> None:
        async def main() -> None:
            script: Script = lambda request: [Step.RESET] if request.body == b"0" else [answer(202)]  # noqa: E731
            async with loaded(script, connections=1) as (load, server):
                await load.publish(3)
                await load.settled()
                assert load.told() == [(0, IN_DOUBT, "connection reset"), (1, ACCEPTED, ""), (2, ACCEPTED, "")]
                assert [request.connection for request in server.requests] == [0, 1, 1]
                assert (load.receipts[1].sent_ns or 0) - (load.receipts[0].sent_ns or 0) == 2 * MS + CONNECT_NS

        run(main())

    def test_a_connect_without_an_answer_does_not_hold_up_the_end(self) -> None:
        async def main() -> None:
            async with loaded(always(answer(202), Step.CLOSE), timeout="1h") as (load, server):
                await load.publish()
                await load.settled()
                await moment()
                memory_loop().silent.add(port_of(server))
                await load.publish()
                await moment()
                ended = load.clock.now_ns()
            assert load.clock.now_ns() == ended
            assert load.told()[1:] == [(1, UNSENT, "no connection was free before the end")]

        run(main())

    def test_while_it_closes_no_connection_is_opened_any_more(self) -> None:
        async def main() -> None:
            async with serving(always(Step.STALL)) as server:
                async with producing(server.url, connections=5) as load:
                    await load.publish(5)
                    await moment(1)
                    dials = len(memory_loop().dials)
                    assert dials == 5
                await asyncio.sleep(30)
                assert len(memory_loop().dials) == dials
                assert (server.connections, server.open_now) == (1, 1), "the first, in which the server stalls"
            assert sorted(load.outcomes()) == [(0, IN_DOUBT), *((seq, UNSENT) for seq in range(1, 5))]

        run(main())


class TestAnswers:
    @pytest.mark.parametrize(("size", "outcome"), [(65_536, ACCEPTED), (65_537, IN_DOUBT)])
    def test_how_long_the_head_of_an_answer_may_be(self, size: int, outcome: Outcome) -> None:
        """Counted before its last byte is there: in the piece that completes it, it is complete."""
        start = b"HTTP/1.1 202 X\r\nContent-Length: 0\r\nX-Long: "
        head = start + b"x" * (size - len(start))

        async def main() -> None:
            async with loaded(always(head, 0.1, b"\r\n\r\n")) as (load, _):
                await load.publish()
                await load.settled()
                assert load.outcomes() == [(0, outcome)]

        run(main())

    def test_a_long_body_has_nothing_to_do_with_the_length_of_the_head(self) -> None:
        async def main() -> None:
            start = b"HTTP/1.1 202 X\r\nContent-Length: 300000\r\n\r\n"
            async with loaded(always(start, *[b"x" * 30_000] * 10)) as (load, _):
                await load.publish()
                await load.settled()
                assert load.told() == [(0, ACCEPTED, "")]

        run(main())

    def test_a_connection_is_kept_after_an_answer_in_many_pieces(self) -> None:
        async def main() -> None:
            hint = b"HTTP/1.1 103 Hints\r\nLink: x\r\nX-Capture: wrong\r\n\r\n"
            chunked = b"HTTP/1.1 202 X\r\nX-Capture: right\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
            script = always(hint, 0.01, chunked, 0.01, b"0\r\n", 0.01, b"\r\n")
            async with loaded(script, capture='headers."x-capture"', connections=1) as (load, server):
                await load.publish(2)
                await load.settled()
                assert [receipt.capture for receipt in load.receipts.values()] == ["right", "right"]
                assert server.connections == 1

        run(main())

    def test_each_answer_has_its_own_headers_and_body(self) -> None:
        async def main() -> None:
            def script(request: Request) -> Sequence[bytes]:
                return [json_answer(b'{"n": [%b]}' % request.body, 200, f"X-Id: {request.body.decode()}")]

            both = "join('/', [headers.\"x-id\", to_string(body.n)])"
            async with loaded(script, capture=both, connections=1) as (load, server):
                await load.publish(3)
                await load.settled()
                assert [receipt.capture for receipt in load.receipts.values()] == ["0/[0]", "1/[1]", "2/[2]"]
                assert server.connections == 1

        run(main())

    @pytest.mark.parametrize(
        ("steps", "reused"),
        [
            ([answer(202)], True),
            ([answer(202, b"", "Connection: close")], False),
            ([b"HTTP/1.0 202 X\r\nContent-Length: 0\r\n\r\n"], False),
            ([answer(202) + b"\r\n"], True),
            ([answer(202) + b"more"], False),
            ([answer(202) + answer(500)], False),
        ],
    )
    def test_when_a_connection_can_be_used_again(self, steps: Sequence[bytes], reused: bool) -> None:
        async def main() -> None:
            async with loaded(always(*steps), connections=1) as (load, server):
                await load.publish(2)
                await load.settled()
                assert load.told() == [(0, ACCEPTED, ""), (1, ACCEPTED, "")]
                assert server.connections == (1 if reused else 2)

        run(main())

    def test_a_connection_that_can_not_be_used_again_is_closed_by_us(self) -> None:
        """The server says so, and waits for it."""

        async def main() -> None:
            script = always(answer(202, b"", "Connection: close"), Step.STALL)
            async with serving(script) as server:
                ends: list[bytes] = []

                async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer(202, b"", "Connection: close"))
                    ends.append(await reader.read())
                    writer.close()

                listening = await asyncio.start_server(polite, "127.0.0.1", 0)
                url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
                async with producing(url) as load:
                    await load.publish()
                    await load.settled()
                    await moment()
                    assert ends == [b"0"]
                assert server.requests == []

        run(main())

    def test_a_request_that_is_given_up_half_written_is_not_written_to_its_end(self) -> None:
        async def main() -> None:
            bodies: list[int] = []

            async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(5)
                bodies.append(len(await reader.read()))
                writer.close()

            listening = await asyncio.start_server(slow, "127.0.0.1", 0, limit=1 << 16)
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
            async with producing(url, connections=1, timeout="1s") as load:
                (event,) = load.make(1)
                event.body = b"x" * 1_000_000
                await load.producer.publish([event], load.settle)
                await load.settled()
                assert load.told() == [(0, IN_DOUBT, "no answer within 1 s")]
            await asyncio.sleep(10)
            assert max(bodies) < 300_000

        run(main())

    def test_an_answer_to_half_a_request_counts_and_ends_the_connection(self) -> None:
        """The other half would be taken for the next request."""

        async def main() -> None:
            heads: list[bytes] = []
            bodies: list[int] = []

            async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer(413, b"too large"))
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(5)
                writer.transport.resume_reading()  # type: ignore[attr-defined]
                bodies.append(len(await reader.read()))
                writer.close()

            listening = await asyncio.start_server(hasty, "127.0.0.1", 0, limit=1 << 16)
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
            async with producing(url, connections=1) as load:
                first, second = load.make(2)
                first.body = b"x" * 1_000_000
                await load.producer.publish([first, second], load.settle)
                await load.settled()
                assert load.told() == [(0, REJECTED, "HTTP 413: too large"), (1, REJECTED, "HTTP 413: too large")]
                assert len(heads) == 2
            await asyncio.sleep(10)
            assert max(bodies) < 200_000, "the rest of it is not sent"

        run(main())

    @pytest.mark.parametrize(
        ("steps", "detail"),
        [
            ([Step.CLOSE], "connection closed without an answer"),
            ([b"HTTP/1.1 2", Step.CLOSE], "connection closed in the middle of the answer"),
            (
                [b"HTTP/1.1 202 X\r\nServer: s\r\nContent-Length: 3\r\n\r\nab", Step.CLOSE],
                "truncated: connection closed before as many bytes came as Content-Length says",
            ),
            ([b"HTTP/1.1 100 Continue\r\n\r\n", Step.CLOSE], "connection closed in the middle of the answer"),
            (
                [b"HTTP/1.1 202 X\r\nServer: s\r\ntransfer-ENCODING: chunked\r\n\r\n2\r\nab", Step.CLOSE],
                "truncated: connection closed before the last chunk came",
            ),
            ([b"HTTP/1.1 202 X\r\nServer: s\r\n\r\nab", Step.RESET], "connection reset"),
            (
                [b"HTTP/1.1 202 X\r\nContent-Length: 3\r\n\r\nab", Step.RESET],
                "truncated: connection reset before as many bytes came as Content-Length says",
            ),
        ],
    )
    def test_how_a_connection_ended(self, steps: Sequence[bytes | Step], detail: str) -> None:
        async def main() -> None:
            async with loaded(always(*steps)) as (load, _):
                await load.publish()
                await load.settled()
                assert load.told() == [(0, IN_DOUBT, detail)]

        run(main())

    def test_an_answer_that_says_nothing_of_its_length_ends_with_the_connection(self) -> None:
        async def main() -> None:
            async with loaded(always(b'HTTP/1.1 409 X\r\nServer: s\r\n\r\n{"a', 0.1, b'": 1}', Step.CLOSE)) as (
                load,
                _,
            ):
                began = load.clock.now_ns()
                await load.publish()
                await load.settled()
                assert load.receipts[0] == Receipt(
                    0, REJECTED, began, began + 102 * MS, 'HTTP 409: {"a": 1}', facts={"status": 409, "bytes_in": 8}
                )

        run(main())

    def test_the_beginning_of_a_refusal_is_told_in_however_many_pieces_it_comes(self) -> None:
        async def main() -> None:
            body = b"".join(b"word-%d " % number for number in range(100))
            pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
            head = b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n" % len(body)
            async with loaded(always(head, *pieces)) as (load, _):
                await load.publish()
                await load.settled()
                assert load.told() == [(0, REJECTED, f"HTTP 500: {body[:119].decode()}…")]

        run(main())

    @pytest.mark.parametrize(("status", "settings"), [(202, {}), (500, {}), (202, {"capture": "body.id"})])
    def test_however_long_an_answer_is_no_more_of_it_is_kept_than_is_looked_at(
        self, status: int, settings: dict[str, Any]
    ) -> None:
        async def main() -> None:
            piece = b"x" * 50_000
            head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, 400 * len(piece))
            async with loaded(always(head, *[piece] * 400), **settings) as (load, _):
                await load.publish()
                tracemalloc.start()
                try:
                    await load.settled()
                    assert tracemalloc.get_traced_memory()[1] < 3_000_000
                finally:
                    tracemalloc.stop()

        run(main())

    @pytest.mark.parametrize(("size", "found"), [(1_048_575, True), (1_048_576, False)])
    def test_of_the_body_of_an_answer_a_megabyte_is_captured_from(self, size: int, found: bool) -> None:
        async def main() -> None:
            body = b'{"id": "i", "filler": "' + b"x" * (size - 25) + b'"}'
            assert len(body) == size
            async with loaded(always(json_answer(body)), capture="body.id") as (load, _):
                await load.publish()
                await load.settled()
                receipt = load.receipts[0]
                assert (receipt.outcome, receipt.capture) == (ACCEPTED, "i" if found else None)
                assert ("longer than 1048576 bytes" in receipt.detail) is not found

        run(main())


class TestManagementApi:
    """RabbitMQ's management API, asked for the exchange before the run."""

    def test_it_is_asked_for_the_exchange_and_each_answer_says_what_became_of_the_event(self) -> None:
        async def main() -> None:
            routed = iter([b'{"routed": true}', b'{"routed": false}', b"{}", b'{"routed": true}'])

            def script(request: Request) -> Sequence[bytes]:
                if request.method == "GET":
                    return [json_answer(b'{"name": "x"}')]
                return [json_answer(next(routed))]

            async with serving(script) as server:
                url = f"{server.url}/api/exchanges/%2F/x/publish"
                async with producing(url, rabbitmq_api=API, connections=1) as load:
                    await load.publish(4)
                    await load.settled()
                    assert load.told() == [
                        (0, ACCEPTED, ""),
                        (1, Outcome.RETURNED, "NO_ROUTE"),
                        (2, IN_DOUBT, "the answer doesn't say whether it was routed: {}"),
                        (3, ACCEPTED, ""),
                    ]  # fmt: skip
                    assert [r.acked_ns is None for r in load.receipts.values()] == [False, False, True, False]
                asked, *published = server.requests
                assert (asked.method, asked.target, asked.body) == ("GET", "/api/exchanges/%2F/x", b"")
                assert {(r.method, r.target) for r in published} == {("POST", "/api/exchanges/%2F/x/publish")}
                assert {r.headers["content-type"] for r in published} == {"application/json"}
                first = json.loads(published[0].body)
                assert (first["payload"], first["properties"]["message_id"]) == ("0", "c-0")

        run(main())

    def test_an_exchange_of_a_template_is_not_asked_for(self) -> None:
        async def main() -> None:
            async with serving(always(json_answer(b'{"routed": true}'))) as server:
                url = f"{server.url}/api/exchanges/%2F/{{data.x}}/publish"
                async with producing(url, rabbitmq_api=API) as load:
                    (event,) = load.make(1)
                    event.extras = ("/api/exchanges/%2F/one/publish",)
                    await load.producer.publish([event], load.settle)
                    await load.settled()
                assert [(r.method, r.target) for r in server.requests] == [("POST", "/api/exchanges/%2F/one/publish")]

        run(main())

    def test_an_exchange_that_there_is_not_is_called_by_its_name(self) -> None:
        async def main() -> str:
            async with serving(always(answer(404))) as server:
                with pytest.raises(TargetError) as caught:
                    async with producing(f"{server.url}/api/exchanges/%2Fshop/a%20b/publish", rabbitmq_api=API):
                        pass
                return str(caught.value)

        assert run(main()).endswith(" knows no exchange 'a b' in virtual host '/shop'; create it, or correct url")

    def test_one_that_gives_no_answer_is_said_before_the_run(self) -> None:
        async def main() -> str:
            async with serving(always(Step.STALL)) as server:
                url = f"{server.url}/api/exchanges/%2F/x/publish"
                began = virtual_clock().now_ns()
                with pytest.raises(TargetError) as caught:
                    async with producing(url, rabbitmq_api=API, timeout="2s"):
                        pass
                assert virtual_clock().now_ns() - began < 3 * S
                return str(caught.value).replace(server.url, "URL")

        where = "URL/api/exchanges/%2F/x/publish"
        assert run(main()) == f"no answer by {where}: no answer within 2 s; look after the broker, or correct url"


def heads(events: Callable[[list[Event]], None], count: int = 1, **settings: Any) -> list[Request]:
    """The requests for some events, changed as is wanted."""

    async def main() -> list[Request]:
        async with loaded(always(answer(202)), connections=1, **settings) as (load, server):
            made = load.make(count)
            events(made)
            await load.producer.publish(made, load.settle)
            await load.settled()
            return server.requests

    return run(main())


class TestRequests:
    def test_an_event_is_sent_with_these_headers_and_no_others(self) -> None:
        (request,) = heads(lambda _: None, headers={"X-Team": "shop"})
        host = request.headers["host"]
        assert request == Request(
            "POST", "/events",
            {
                "host": host, "user-agent": "evload", "x-team": "shop",
                "content-type": "application/cloudevents+json", "content-length": "1",
            },
            b"0", 0,
        )  # fmt: skip

    def test_a_header_of_ours_gives_way_to_one_of_the_configs(self) -> None:
        def typed(events: list[Event]) -> None:
            events[0].headers = [("Content-Type", "text/plain"), ("X-Own", "the event's")]

        settings = {"User-Agent": "mine", "content-TYPE": "text/csv", "x-own": "the config's"}
        (request,) = heads(typed, mode="plain", headers=settings)
        assert request.headers["user-agent"] == "mine"
        assert request.headers["content-type"] == "text/csv"
        assert request.headers["x-own"] == "the config's"

    def test_a_template_takes_the_place_of_the_events_own_header(self) -> None:
        def typed(events: list[Event]) -> None:
            for event in events:
                event.extras = (f"kind/{event.seq}",)

        requests = heads(typed, 2, mode="plain", headers={"Content-Type": "{data.kind}"})
        assert [request.headers["content-type"] for request in requests] == ["kind/0", "kind/1"]

    def test_attributes_are_sent_for_each_event_anew(self) -> None:
        def attributed(events: list[Event]) -> None:
            for event in events:
                event.headers = [("content-type", "application/json"), ("ce-id", f"é {event.seq}~")]

        requests = heads(attributed, 2, mode="binary")
        assert [request.headers["ce-id"] for request in requests] == ["%C3%A9%200~", "%C3%A9%201~"]

    def test_of_an_attribute_no_more_is_encoded_than_must_be(self) -> None:
        """Space, quote, percent sign and what is no printable ASCII, as the HTTP binding of CloudEvents has it."""
        printable = "".join(map(chr, range(0x20, 0x7F)))

        def attributed(events: list[Event]) -> None:
            events[0].headers = [("ce-subject", printable + "\x7f\tü")]

        (request,) = heads(attributed, mode="binary")
        expected = printable.replace("%", "%25").replace(" ", "%20").replace('"', "%22") + "%7F%09%C3%BC"
        assert request.headers["ce-subject"] == expected
