"""What the body of an answer has to be, through the HTTP producer: counted and hashed as it comes, and never kept."""

from __future__ import annotations

import asyncio
import gzip
import random
import tracemalloc
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import pytest

from evload.clock import SystemClock
from evload.model.states import Outcome
from evload.model.travel import Download, Receipt, Wanted
from evload.spi.traffic import Exchange
from tests.producers.test_http_requests import asked, body_of, producing, request
from tests.servers.httpserver import Step, always, answer, json_answer

CONTENT: Final = random.Random(2).randbytes(300_000)
SUM: Final = sha256(CONTENT).hexdigest()
NO_SUM: Final = sha256(b"").hexdigest()
EXACT: Final = Wanted(300_000, 300_000, size_text="300KB")
LESS: Final = Wanted(1, 299_999, size_text="1B..299999B")
MORE: Final = Wanted(300_001, 400_000, size_text="300001B..400KB")
HASH: Final = Wanted(sha256=SUM, sha256_text="{sum}")
OTHER: Final = Wanted(sha256=NO_SUM, sha256_text="{sum}")
BOTH: Final = Wanted(300_000, 300_000, SUM, "{bytes}", "{sum}")
PACKED: Final = gzip.compress(CONTENT)
GZIP: Final = "Content-Encoding: gzip"


def came(
    *steps: bytes | float | Step, wanted: Wanted | None, reads: bool = False, traffic: Any = None, status: int = 0
) -> Receipt:
    event = request(reads=reads, refused=frozenset({status}))
    event.request.wanted = wanted
    (receipt,), _ = asked(always(*steps), event, timeout="5s", traffic=traffic)
    return receipt


def download(*steps: bytes | float | Step, wanted: Wanted) -> Download:
    receipt = came(*steps, wanted=wanted)
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.answer is not None
    assert receipt.answer.download is not None
    return receipt.answer.download


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EXACT, Download(300_000, None)),
        (LESS, Download(300_000, None, "size is not 1B..299999B")),
        (MORE, Download(300_000, None, "size is not 300001B..400KB")),
        (HASH, Download(300_000, SUM)),
        (OTHER, Download(300_000, SUM, "sha256 is not {sum}")),
        (BOTH, Download(300_000, SUM)),
        (BOTH._replace(most=5, least=5), Download(300_000, None, "size is not {bytes}")),
        (BOTH._replace(sha256=NO_SUM), Download(300_000, SUM, "sha256 is not {sum}")),
        (EXACT._replace(problem="size: no"), Download(300_000, None, "size: no")),
    ],
)
@pytest.mark.parametrize("how", ["in one piece", "in many", "in chunks", "until it closes"])
def test_a_body_is_held_against_what_is_wanted(wanted: Wanted, expected: Download, how: str) -> None:
    whole = answer(200, CONTENT)
    all_steps: dict[str, list[bytes | float | Step]] = {
        "in one piece": [whole],
        "in many": [whole[:100], 0.1, whole[100:150_000], 0.1, whole[150_000:]],
        "in chunks": [
            b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + CONTENT[:1000] + b"\r\n", 0.1,
            b"48ff8\r\n" + CONTENT[1000:] + b"\r\n0\r\n\r\n",
        ],
        "until it closes": [b"HTTP/1.1 200 X\r\n\r\n", CONTENT, Step.CLOSE],
    }  # fmt: skip
    assert download(*all_steps[how], wanted=wanted) == expected


def test_an_empty_body_has_a_size_and_a_hash_as_well() -> None:
    assert download(answer(204), wanted=OTHER) == Download(0, NO_SUM)
    assert download(answer(200), wanted=HASH) == Download(0, NO_SUM, "sha256 is not {sum}")
    assert download(answer(200), wanted=EXACT) == Download(0, None, "size is not 300KB")


def test_what_was_compressed_is_what_counts() -> None:
    whole = answer(200, PACKED, GZIP)
    assert download(whole, wanted=BOTH) == Download(300_000, SUM)
    assert download(whole[:5000], 0.1, whole[5000:], wanted=BOTH) == Download(300_000, SUM)
    assert download(whole, wanted=LESS) == Download(None, None, "size is not 1B..299999B")
    receipt = came(whole, wanted=BOTH)
    assert (receipt.facts or {})["bytes_in"] == len(PACKED), "bytes are counted as they came"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(200, PACKED[:-1], GZIP), "the body isn't whole gzip, as its content-encoding says"),
        (answer(200, b"x", "Content-Encoding: br"), "nobody here can undo the content-encoding 'br'"),
    ],
)
def test_what_cannot_be_told_is_no_match(said: bytes, why: str) -> None:
    assert download(said, wanted=EXACT) == Download(None, None, f"size can't be told: {why}")
    assert download(said, wanted=HASH) == Download(None, None, f"sha256 can't be told: {why}")


def test_the_beginning_is_read_beside_it() -> None:
    receipt = came(json_answer(b'{"id": 7}'), wanted=Wanted(9, 9, size_text="9B"), reads=True)
    assert receipt.answer is not None
    assert (body_of(receipt), receipt.answer.download) == ({"id": 7}, Download(9, None))


@pytest.mark.parametrize(("status", "outcome"), [(409, Outcome.ACCEPTED), (500, Outcome.REJECTED)])
def test_of_an_answer_that_is_not_expected_nothing_is_wanted(status: int, outcome: Outcome) -> None:
    receipt = came(json_answer(b'{"id": 7}', status), wanted=EXACT, status=409, reads=True)
    assert receipt.outcome is outcome
    assert receipt.answer is not None
    assert (receipt.answer.download, body_of(receipt)) == (None, {"id": 7})


@pytest.mark.parametrize("wanted", [EXACT, None], ids=["with a size", "without one"])
@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([answer(200, CONTENT)[:9000], Step.CLOSE],
         "truncated: connection closed before as many bytes came as Content-Length says"),
        ([answer(200, CONTENT)[:9000], Step.RESET],
         "truncated: connection reset before as many bytes came as Content-Length says"),
        ([answer(200, CONTENT)[:9000], Step.STALL], "no answer within 5 s: its body was still coming"),
    ],
    ids=["close", "reset", "stall"],
)  # fmt: skip
def test_a_body_that_is_cut_short_is_no_answer(
    steps: Sequence[bytes | Step], why: str, wanted: Wanted | None
) -> None:
    receipt = came(*steps, wanted=wanted)
    assert (receipt.outcome, receipt.acked_ns, receipt.answer) == (Outcome.IN_DOUBT, None, None)
    assert receipt.detail == why


def test_who_looks_on_sees_the_hash_and_the_beginning() -> None:
    class Watched:
        def __init__(self) -> None:
            self.bodies: list[bytes] = []

        def exchanged(self, exchange: Exchange) -> None:
            assert exchange.came is not None
            self.bodies.append(exchange.came().body)

    traffic = Watched()
    receipt = came(answer(200, CONTENT), wanted=EXACT, traffic=traffic)
    assert receipt.answer is not None
    assert receipt.answer.download == Download(300_000, SUM)
    assert traffic.bodies == [CONTENT[:1024]]


@pytest.mark.parametrize("megabytes", [20, pytest.param(200, marks=pytest.mark.long)])
def test_memory_does_not_follow_the_size_of_a_download(megabytes: int) -> None:
    """Over a real connection on loopback."""
    piece, count = random.Random(3).randbytes(100_000), megabytes * 10
    hashed = sha256()
    for _ in range(count):
        hashed.update(piece)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % (len(piece) * count))
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def main() -> tuple[Receipt, int]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with producing(f"http://127.0.0.1:{port}", clock=SystemClock(), timeout="5m") as publish:
                event = request(reads=False)
                event.request.wanted = Wanted(sha256=hashed.hexdigest(), sha256_text="{sum}")
                tracemalloc.start()
                try:
                    (receipt,) = await publish(event)
                    return receipt, tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()

    receipt, most = asyncio.run(main())
    assert receipt.answer is not None
    assert receipt.answer.download == Download(megabytes * 1_000_000, hashed.hexdigest())
    assert most < 4_000_000
