"""The checks for probes that listen, and for peers at fault: each broken adapter is told what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from evload.clock import Clock, SystemClock
from evload.model.correlation import CorrelationIds
from evload.model.states import Outcome, Seen
from evload.model.travel import Event, Read, ReadResult, Receipt, Target
from evload.spi.context import Capabilities, Surroundings
from evload.spi.listening import Tell, nothing_of
from evload.spi.probe import Probe, ProbeSettings
from evload.spi.producer import Producer, ProducerSettings, Settle
from evload.testing import (
    Relay,
    check_probe,
    check_probe_peer,
    check_producer_peer,
    check_push_peer,
    check_push_probe,
    run_virtual,
    sample_targets,
    virtual_clock,
)

MS = 1_000_000


@dataclass
class System:
    """Shows events to whoever listens."""

    queue: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def push(self, ids: Sequence[str]) -> None:
        for correlation_id in ids:
            self.queue.put_nowait(correlation_id)


Sightings = Callable[[int, int, int], list[Read]]
"""From an event's number, the number of reports before it, and now, to what is reported."""


def sighting(seq: int, number: int, now_ns: int) -> list[Read]:
    return [Read(seq, Seen.PRESENT, now_ns, now_ns, exact=True)]


class Listening(ProbeSettings):
    """A probe that is pushed to, and as honest as its settings are."""

    kind: Literal["listening"] = "listening"
    system: Any
    tell: Any = staticmethod(sighting)
    silence: Seen = Seen.ABSENT
    declared: bool = True
    ends: bool = False
    stubborn: bool = False
    everybodys: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(pushes=self.declared)

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _Listening(self, surroundings)


class _Listening:
    def __init__(self, settings: Listening, surroundings: Surroundings) -> None:
        self._settings = settings
        self._clock = surroundings.clock
        self._ids = surroundings.ids

    async def listen(self, report: Tell) -> None:
        number = 0
        while not self._settings.ends:
            try:
                told = await self._settings.system.queue.get()
            except asyncio.CancelledError:
                if not self._settings.stubborn:
                    raise
                await asyncio.sleep(100)
                raise
            seq = self._ids.seq_of(told)
            if seq is None and self._settings.everybodys:
                seq = CorrelationIds.for_run("another run").seq_of(told)
                seq = None if seq is None else seq + 1000
            if seq is not None:
                report(ReadResult(self._settings.tell(seq, number, self._clock.now_ns())))
                number += 1

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        now_ns = self._clock.now_ns()
        reads = [Read(target.seq, self._settings.silence, now_ns, now_ns) for target in targets]
        return ReadResult(reads, error="why" if self._settings.silence is Seen.FAILED else "")


def pushed(**settings: Any) -> list[Read]:
    async def main() -> list[Read]:
        system = System()
        probe = Listening(system=system, **settings)
        return list(await check_push_probe(probe, virtual_clock(), system.push, events=8, within_s=1))

    return run_virtual(main())


def test_a_probe_that_keeps_its_promises_has_reported_what_was_shown() -> None:
    assert [read.seq for read in pushed()] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"declared": False}, "capabilities.pushes is False, and listen is True"),
        ({"ends": True}, "listen ended by itself: None"),
        ({"stubborn": True}, "listen goes on after it was cancelled"),
        ({"silence": Seen.PRESENT}, "nothing was shown of it, and nothing went wrong"),
        ({"silence": Seen.FAILED}, "nothing was shown of it, and nothing went wrong"),
        ({"tell": lambda seq, number, now: []}, r"events \[0, 1, 2, 3\] were shown, and not reported within 1 s"),
        (
            {"tell": lambda seq, number, now: [Read(seq, Seen.ABSENT, now, now)]},
            "has become visible, and this has not",
        ),
        (
            {"tell": lambda seq, number, now: [Read(seq, Seen.PRESENT, now - 1, now, exact=True)]},
            "an exact moment that is a span",
        ),
        (
            {"tell": lambda seq, number, now: [Read(seq, Seen.PRESENT, now, now + MS)]},
            "stamps out of order or not on the clock",
        ),
        ({"tell": lambda seq, number, now: sighting(seq, number, now) * 2}, "event 0 was shown once, and reported 2"),
        ({"everybodys": True}, r"events \[1000, 1001, 1002\] were reported and never shown"),
    ],
)
def test_a_broken_listener_is_told_what_is_wrong(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        pushed(**settings)


def test_also_the_plain_check_listens() -> None:
    async def main() -> None:
        probe = Listening(system=System(), ends=True)
        await check_probe(probe, virtual_clock(), sample_targets(3))

    with pytest.raises(AssertionError, match="listen ended by itself"):
        run_virtual(main())


# --- peers ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def line_server() -> AsyncIterator[int]:
    """Answers each line with `no`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                writer.write(b"ok\n" if line == b"event\n" else b"no\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Asking(ProbeSettings):
    """A probe that asks a line server, and is as careful as its settings are."""

    kind: Literal["asking"] = "asking"
    port: int
    limit_s: float = 0.3
    raises: bool = False
    optimist: bool = False
    resigns: bool = False

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _Asking(self, surroundings.clock)


class _Asking:
    def __init__(self, settings: Asking, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._failed = False

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        start_ns = self._clock.now_ns()
        error = ""
        try:
            if self._failed and self._settings.resigns:
                raise ConnectionError
            async with asyncio.timeout(self._settings.limit_s):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._settings.port)
                writer.write(b"is it there?\n")
                answer = await reader.readline()
                writer.close()
                if not answer:
                    raise ConnectionError
        except (OSError, TimeoutError):
            if self._settings.raises:
                raise
            self._failed = True
            error = "" if self._settings.optimist else "it doesn't answer"
        return nothing_of(targets, start_ns, self._clock.now_ns(), error)


def asked(peer: Any, **settings: Any) -> dict[int, Read]:
    async def main() -> dict[int, Read]:
        async with line_server() as port:
            reads = await check_probe_peer(
                lambda port: Asking(port=port, **settings), port, peer, sample_targets(1), within_s=1.5
            )
        return dict(reads)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("peer", "seen"), [("slow", Seen.ABSENT), ("clogged", Seen.FAILED), ("closing", Seen.FAILED)]
)
def test_a_careful_probe_survives_its_peer(peer: str, seen: Seen) -> None:
    assert asked(peer)[0].seen is seen


@pytest.mark.parametrize(
    ("peer", "settings", "told"),
    [
        ("clogged", {"limit_s": 60}, "a read has no answer after 1.5 s"),
        ("clogged", {"raises": True}, r"read raised TimeoutError\(\); a failure is Seen.FAILED"),
        ("closing", {"raises": True}, "read raised Connection"),
        ("clogged", {"optimist": True}, "an answer that a silent peer can't have given"),
        ("closing", {"resigns": True}, "reads still fail 1.5 s after the peer was well again"),
    ],
)
def test_a_careless_probe_is_told_what_is_wrong(peer: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        asked(peer, **settings)


class Sending(ProducerSettings):
    """A producer that sends a line for each event, and is as careful as its settings are."""

    kind: Literal["sending"] = "sending"
    port: int
    limit_s: float = 0.3
    raises: bool = False
    forgets: bool = False
    optimist: bool = False
    lingers: bool = False
    waits: bool = False

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Producer]:
        yield _Sending(self, surroundings.clock)
        if self.lingers:
            await asyncio.sleep(60)


class _Sending:
    def __init__(self, settings: Sending, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        for event in batch:
            sent_ns = self._clock.now_ns()
            try:
                async with asyncio.timeout(self._settings.limit_s):
                    await self._send()
            except (OSError, TimeoutError):
                if self._settings.raises:
                    raise
                if self._settings.waits:
                    await self._for_ever()
                if not self._settings.forgets:
                    settle([self._in_vain(event, sent_ns)])
                continue
            settle([Receipt(event.seq, Outcome.ACCEPTED, sent_ns, self._clock.now_ns())])

    def _in_vain(self, event: Event, sent_ns: int) -> Receipt:
        if self._settings.optimist:
            return Receipt(event.seq, Outcome.ACCEPTED, sent_ns, self._clock.now_ns())
        return Receipt(event.seq, Outcome.IN_DOUBT, sent_ns, None, "no answer")

    async def _send(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._settings.port)
        writer.write(b"event\n")
        answer = await reader.readline()
        writer.close()
        if not answer:
            raise ConnectionError

    async def _for_ever(self) -> None:
        """Not even a cancellation ends it."""
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
                return


def sent(peer: Any, **settings: Any) -> dict[int, Receipt]:
    async def main() -> dict[int, Receipt]:
        async with line_server() as port:
            receipts = await check_producer_peer(
                lambda port: Sending(port=port, **settings), port, peer, events=4, within_s=1.5
            )
        return dict(receipts)

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()  # asyncio.run would wait for what can't be cancelled


def test_a_careful_producer_survives_its_peer() -> None:
    outcomes = {peer: [receipt.outcome for _, receipt in sorted(sent(peer).items())] for peer in ("slow", "clogged")}
    accepted, doubt = Outcome.ACCEPTED, Outcome.IN_DOUBT
    assert outcomes == {"slow": [accepted] * 4, "clogged": [accepted, accepted, doubt, doubt]}
    assert len(sent("closing")) == 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"forgets": True}, "2 of 4 events were never settled, not even when the producer closed"),
        ({"raises": True}, r"publish raised TimeoutError\(\); a peer's failure is a receipt"),
        ({"optimist": True}, "an answer that a silent peer can't have given"),
        ({"lingers": True}, "the producer didn't close within 1.5 s"),
        ({"waits": True}, "publish goes on after it was cancelled"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_careless_producer_is_told_what_is_wrong(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        sent("clogged", **settings)


class Subscribed(ProbeSettings):
    """A probe that hears lines from a server, and is as careful as its settings are."""

    kind: Literal["subscribed"] = "subscribed"
    port: int
    optimist: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(pushes=True)

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Probe]:
        yield _Subscribed(self, surroundings)


class _Subscribed:
    def __init__(self, settings: Subscribed, surroundings: Surroundings) -> None:
        self._settings = settings
        self._clock = surroundings.clock
        self._ids = surroundings.ids
        self._cut = ""

    async def listen(self, report: Tell) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._settings.port)
                while line := await reader.readline():
                    now_ns = self._clock.now_ns()
                    seq = self._ids.seq_of(line.decode().strip())
                    if seq is not None:
                        report(ReadResult(sighting(seq, 0, now_ns)))
                writer.close()
            self._cut = "" if self._settings.optimist else "cut off"
            await asyncio.sleep(0.05)

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        now_ns = self._clock.now_ns()
        return nothing_of(targets, now_ns, now_ns, self._cut)


def subscribed(**settings: Any) -> list[Read]:
    async def main() -> list[Read]:
        writers: list[asyncio.StreamWriter] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await reader.read()

        async def push(ids: Sequence[str]) -> None:
            while not any(not writer.is_closing() for writer in writers):
                await asyncio.sleep(0.01)
            for writer in writers:
                if not writer.is_closing():
                    writer.write("".join(f"{told}\n" for told in ids).encode())

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return list(
                await check_push_peer(
                    lambda port: Subscribed(port=port, **settings), port, push, events=30, within_s=2
                )
            )
        finally:
            server.close()
            for writer in writers:
                writer.close()

    return asyncio.run(main())


def test_a_listener_that_knows_of_its_cut_has_come_back() -> None:
    seqs = {read.seq for read in subscribed()}
    assert set(range(10)) <= seqs
    assert seqs & set(range(10, 20))


def test_a_listener_that_calls_absent_what_it_may_have_missed_is_told_so() -> None:
    with pytest.raises(AssertionError, match="cut off and still calls an event absent"):
        subscribed(optimist=True)


# --- the relay --------------------------------------------------------------------------------------------


def test_the_relay_passes_on_until_it_is_told_otherwise() -> None:
    async def ask(port: int, limit_s: float = 5) -> str:
        try:
            async with asyncio.timeout(limit_s):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"event\n")
                answer = await reader.readline()
                writer.close()
                return answer.decode().strip()
        except OSError as error:
            return type(error).__name__

    async def main() -> list[str]:
        async with line_server() as port, Relay(port) as relay:
            told = [await ask(relay.port)]
            relay.clog()
            told.append(await ask(relay.port, 0.2))
            relay.flow()
            told.append(await ask(relay.port))
            relay.hang_up(refuse=True)
            told.append(await ask(relay.port))
            relay.flow()
            told.append(await ask(relay.port))
            clock = SystemClock()
            relay.slow()
            began_ns = clock.now_ns()
            told.append(await ask(relay.port))
            assert clock.now_ns() - began_ns > 90 * MS
            return told

    assert asyncio.run(main()) == ["ok", "TimeoutError", "ok", "ConnectionResetError", "ok", "ok"]
