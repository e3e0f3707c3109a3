"""When the first byte of an answer came, and what is kept of one that broke off, through the HTTP producer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest

from evload.model.facts import NEVER_CAME
from evload.model.states import Outcome
from evload.model.travel import Receipt
from tests.producers.test_http_requests import Renewing, plain, producing, request
from tests.rigs.memory_network import run
from tests.servers.httpserver import Request as Sent
from tests.servers.httpserver import Step, answer, serving

MS: Final = 1_000_000
WHOLE: Final = answer(200, b"0123456789")
EARLY: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
CHUNKED: Final = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
Steps = Sequence[bytes | float | Step]


def told(*answers: Steps, method: str = "GET", wanted: bool = True, events: Any = None, **settings: Any) -> Receipt:
    """The receipt of one request, or the last one of some events."""
    scripted = iter(answers)

    def script(_: Sent) -> Steps:
        return next(scripted)

    async def main() -> Receipt:
        async with serving(script) as server:
            around = {"wanted": frozenset({"first_byte"}) if wanted else frozenset(), **settings.pop("around", {})}
            async with producing(server.url, around, timeout="1s", **settings) as publish:
                receipts: list[Receipt] = await publish(events or request(method))
                return receipts[-1]

    return run(main())


def times(receipt: Receipt) -> tuple[float | None, float | None]:
    """Milliseconds from sending to the first byte, and to the end, to ten: there and back takes two."""
    first_ns = (receipt.facts or {})["first_byte"]
    assert receipt.sent_ns is not None
    whole = None if receipt.acked_ns is None else round((receipt.acked_ns - receipt.sent_ns) / MS, -1)
    return None if first_ns == NEVER_CAME else round(first_ns / MS, -1), whole


@pytest.mark.parametrize(
    ("method", "steps", "expected"),
    [
        ("GET", [0.1, WHOLE], (100, 100)),
        ("GET", [0.1, WHOLE[:1], 0.2, WHOLE[1:]], (100, 300)),
        ("GET", [0.1, WHOLE[:-5], 0.2, WHOLE[-5:-1], 0.2, WHOLE[-1:]], (100, 500)),
        ("GET", [0.1, CHUNKED, 0.2, b"0\r\n\r\n"], (100, 300)),
        ("GET", [0.1, b"HTTP/1.1 200 X\r\n\r\nabc", 0.2, Step.CLOSE], (100, 300)),
        # What has no body has a first byte all the same.
        ("GET", [0.1, answer(204)], (100, 100)),
        ("HEAD", [0.1, b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n"], (100, 100)),
        # An interim answer is none.
        ("GET", [0.1, EARLY, 0.2, WHOLE], (300, 300)),
        ("GET", [0.1, EARLY + WHOLE], (100, 100)),
        ("GET", [0.1, EARLY[:9], 0.1, EARLY[9:], 0.2, WHOLE[:20], 0.3, WHOLE[20:]], (400, 700)),
        ("GET", [0.1, EARLY + WHOLE[:20], 0.3, WHOLE[20:]], (100, 400)),
        # A no is an answer, too.
        ("GET", [0.1, answer(500, b"no")[:20], 0.2, answer(500, b"no")[20:]], (100, 300)),
        # None came, or not all of it.
        ("GET", [0.1, Step.CLOSE], (None, None)),
        ("GET", [EARLY, 0.1, Step.CLOSE], (None, None)),
        ("GET", [2.0, WHOLE], (None, None)),
        ("GET", [0.1, WHOLE[:-1], 0.2, Step.CLOSE], (100, None)),
        ("GET", [0.1, WHOLE[:-1], 2.0], (100, None)),
    ],
)
def test_the_first_byte_is_that_of_the_answer(method: str, steps: Steps, expected: tuple[float, float]) -> None:
    receipt = told(steps, method=method)
    assert times(receipt) == expected
    assert (receipt.outcome is Outcome.IN_DOUBT) == (expected[1] is None)


def test_nobody_keeps_it_unless_somebody_asks() -> None:
    all_steps: list[Steps] = [[0.1, WHOLE], [0.1, WHOLE[:9], 0.1, WHOLE[9:]]]
    for steps in all_steps:
        assert told(steps, wanted=False).facts == {"status": 200, "bytes_in": 10}
    assert told([Step.CLOSE], wanted=False).facts is None


def test_events_have_it_too_each_of_a_batch_that_of_its_answer() -> None:
    pieces: Steps = [0.1, WHOLE[:20], 0.2, WHOLE[20:]]
    assert times(told(pieces, events=plain(0))) == (100, 300)
    # The second is known by the first, and compared instead of parsed.
    assert times(told([WHOLE], [0.1, WHOLE], events=[plain(0), plain(1)], connections=1)) == (100, 100)
    for seqs in (1, 3):
        batch = told(pieces, events=[plain(seq) for seq in range(seqs)], mode="batched")
        assert times(batch) == (100, 300)


def test_after_a_refused_secret_it_is_that_of_the_answer_that_counts() -> None:
    refused = answer(401, b"no")
    receipt = told(
        [0.3, refused[:20], 0.3, refused[20:]], [0.1, WHOLE], around={"secrets": {"token": Renewing("old")}},
        headers={"authorization": "Bearer {secrets.token}"},
    )  # fmt: skip
    assert receipt.outcome is Outcome.ACCEPTED
    assert times(receipt) == (700, 700), "whoever waits does so from the first try"
    # The same of one that is known by an answer before it.
    again = told(
        [WHOLE], [0.3, refused[:20], 0.3, refused[20:]], [0.1, WHOLE], events=[plain(0), plain(1)], connections=1,
        around={"secrets": {"token": Renewing("old")}}, headers={"authorization": "Bearer {secrets.token}"},
    )  # fmt: skip
    assert times(again) == (700, 700)


@pytest.mark.parametrize(
    ("steps", "facts"),
    [
        ([WHOLE[:-1], Step.CLOSE], {"status": 200}),
        ([answer(503, b"later")[:-1], Step.CLOSE], {"status": 503}),
        ([CHUNKED, Step.CLOSE], {"status": 200}),
        ([WHOLE[:-1], 2.0], {"status": 200}),
        # Its head isn't complete.
        ([WHOLE[:20], Step.CLOSE], None),
        ([EARLY, Step.CLOSE], None),
        ([Step.CLOSE], None),
    ],
)
@pytest.mark.parametrize("kind", ["request", "event"])
def test_the_status_of_an_answer_that_broke_off_is_known(steps: Steps, facts: Any, kind: str) -> None:
    receipt = told(steps, wanted=False, events=plain(0) if kind == "event" else None)
    assert (receipt.outcome, receipt.facts) == (Outcome.IN_DOUBT, facts)
