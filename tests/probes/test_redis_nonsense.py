"""The Redis probe where something answers that is no Redis, or a broken one: the reason is what came."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from evload.clock import SystemClock
from evload.errors import TargetError
from evload.model.states import Seen
from evload.model.travel import ReadResult
from evload.probes.redis import RedisProbeConfig
from evload.spi.context import Surroundings
from tests.rigs.asking import A, B
from tests.rigs.redis_scripted import ScriptedRedis, scripted_redis

KEY: Final = {"key": "{correlation_id}"}
JUDGED: Final = {"key": "{correlation_id}", "visible": "a"}
FIELD: Final = {"hash": "h", "field": "{correlation_id}"}
HASH: Final = {"hash": "{correlation_id}", "field": "f"}
STREAM: Final = {"stream": "s", "field": "f"}
SOURCES: Final[tuple[dict[str, str], ...]] = (KEY, JUDGED, FIELD, HASH, STREAM)

NUMBER: Final = b":5\r\n"
NESTED: Final = b"*1\r\n*1\r\n$1\r\na\r\n"
DEEP: Final = b"*1\r\n" * 5000 + b":1\r\n"
NOTHING: Final = b"$-1\r\n"
NO_LENGTH: Final = b"*abc\r\n"
HTTP: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
STRANGE: Final = (NUMBER, NESTED, DEEP, NO_LENGTH, HTTP, b"*-5\r\n", b"\x00\xff\r\n", b"\r\n", b"%1\r\n+a\r\n+b\r\n")


def told(
    source: dict[str, str], said: bytes, *, from_the_start: bool, slips: bool = False
) -> tuple[str, ReadResult | None]:
    """Why it can't be asked: what opening says, or the read. And what a read says once Redis is well again."""

    def settings(scripted: ScriptedRedis) -> RedisProbeConfig:
        values: dict[str, Any] = {"kind": "redis", "url": f"redis://127.0.0.1:{scripted.port}/0", "timeout": "5s"}
        return RedisProbeConfig.model_validate(values | source)

    async def run() -> tuple[str, ReadResult | None]:
        async with scripted_redis() as scripted:
            scripted.said, scripted.slips = said if from_the_start else None, slips
            async with settings(scripted).open(Surroundings(SystemClock(), "r-1", Path())) as probe:
                scripted.said = said
                result = await probe.read([A, B])
                assert [read.seen for read in result.reads] == [Seen.FAILED, Seen.FAILED]
                scripted.said = None
                return result.error, await probe.read([A, B])

    try:
        return asyncio.run(run())
    except TargetError as error:
        return str(error).partition("/0: ")[2], None


@pytest.mark.parametrize(
    ("source", "said", "reason"),
    [
        (KEY, NUMBER, "MGET wasn't answered as Redis does"),
        (KEY, NESTED, "MGET wasn't answered as Redis does"),
        (KEY, NOTHING, "MGET was answered with nothing, not as Redis does"),
        (KEY, b"*2\r\n:1\r\n:2\r\n", "MGET was answered with a number, not as Redis does"),
        (KEY, b"*2\r\n*2\r\n+a\r\n:7\r\n:2\r\n", "MGET was answered with a number where a text should be"),
        (KEY, b"*2\r\n*3\r\n+a\r\n+b\r\n+c\r\n:3\r\n", "MGET was answered with 3 values instead of"),
        (KEY, b"*2\r\n*2\r\n+a\r\n+b\r\n+many\r\n", "EXISTS was answered with a text, not as Redis does"),
        (FIELD, NUMBER, "HMGET was answered with a number, not as Redis does"),
        (FIELD, NESTED, "HMGET was answered with "),
        (HASH, NUMBER, "HGET was answered with a number where a text should be, not as Redis does"),
        (HASH, NESTED, "HGET was answered with a list where a text should be, not as Redis does"),
        (HASH, DEEP, "HGET wasn't answered as Redis does"),
        (STREAM, b"*2\r\n*1\r\n:1\r\n*0\r\n", "XRANGE wasn't answered as Redis does"),
        (STREAM, b"*2\r\n*1\r\n*2\r\n+1-0\r\n*2\r\n+f\r\n:1\r\n*0\r\n", "XRANGE wasn't answered as Redis does"),
        (KEY, HTTP, "what answers there isn't Redis: it says b'HTTP/1.1 400 Bad Request'"),
    ],
)
def test_what_came_is_the_reason_of_a_failed_read(source: dict[str, str], said: bytes, reason: str) -> None:
    found, _ = told(source, said, from_the_start=False)
    assert found.startswith(reason)


@pytest.mark.parametrize("said", STRANGE, ids=lambda said: repr(said[:12]))
@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_nonsense_is_no_silence_and_no_bug(source: dict[str, str], said: bytes) -> None:
    """At the beginning it is said with what to do; in the middle reads fail until it is over."""
    reason, _ = told(source, said, from_the_start=True)
    assert reason.endswith("; name a Redis in url")
    assert "no answer within" not in reason
    reason, well = told(source, said, from_the_start=False)
    assert ("as Redis does" in reason) != ("isn't Redis" in reason)
    assert well is not None
    assert (well.error, [read.seen for read in well.reads]) == ("", [Seen.ABSENT, Seen.ABSENT])


@pytest.mark.parametrize("source", [FIELD, HASH], ids=str)
def test_what_came_too_much_is_no_answer_to_the_next_read(source: dict[str, str]) -> None:
    """It would be an effect that there never was."""
    _, well = told(source, NUMBER, from_the_start=False, slips=True)
    assert well is not None
    assert (well.error, [read.seen for read in well.reads]) == ("", [Seen.ABSENT, Seen.ABSENT])


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_an_error_of_redis_is_told_in_its_own_words(source: dict[str, str]) -> None:
    """The control."""
    reason, _ = told(source, b"-ERR the disk is on fire\r\n", from_the_start=True)
    assert reason == "the disk is on fire; see Redis's log"
