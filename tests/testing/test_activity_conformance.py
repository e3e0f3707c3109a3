"""`check_activity` tells what is wrong with an activity."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ConfigDict

from evload.spi import ActivityOutcome, ActivitySettings, Surroundings, Values
from evload.spi.activity import Activity
from evload.testing import check_activity, check_activity_peer, run_virtual, virtual_clock
from tests.servers.httpserver import always, answer, serving


class Told(ActivitySettings):
    """An activity whose outcome is what it is told to be."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    told: ActivityOutcome = ActivityOutcome()
    raises: bool = False
    takes_s: float = 0.0
    names: tuple[str, ...] = ()
    calls_itself: str = "tell"

    @property
    def title(self) -> str:
        return self.calls_itself

    @property
    def captured_names(self) -> Sequence[str]:
        return self.names

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        yield _Told(self)


class _Told:
    def __init__(self, settings: Told) -> None:
        self._settings = settings

    async def perform(self, values: Values) -> ActivityOutcome:
        if self._settings.raises:
            raise ValueError("x")
        await asyncio.sleep(self._settings.takes_s)
        return self._settings.told


def check(**settings: Any) -> Sequence[ActivityOutcome]:
    async def run() -> Sequence[ActivityOutcome]:
        return await check_activity(Told(**settings), virtual_clock(), times=3)

    return run_virtual(run())


def test_an_activity_that_keeps_its_word_is_performed_as_often_as_was_asked() -> None:
    done = ActivityOutcome(captured={"id": 1})
    assert check(told=done, names=("id",)) == [done] * 3
    failed = ActivityOutcome("no such queue", in_doubt=True)
    assert check(told=failed, names=("id",), takes_s=3) == [failed] * 3


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"raises": True}, "perform raised ValueError"),
        ({"told": ActivityOutcome("a\nb")}, "an error is one line"),
        ({"told": ActivityOutcome("a\x1b[0m")}, "an error is one line"),
        ({"told": ActivityOutcome(in_doubt=True)}, "what has not failed is neither in doubt nor gone"),
        ({"told": ActivityOutcome(gone=True)}, "what has not failed is neither in doubt nor gone"),
        ({"told": ActivityOutcome("x", in_doubt=True, gone=True)}, "what is gone is not in doubt"),
        ({"told": ActivityOutcome("x", captured={"a": 1})}, "what has failed captures nothing"),
        ({"told": ActivityOutcome(captured={"a": 1})}, r"captured \['a'\], and captured_names are \[\]"),
        ({"names": ("a",)}, r"captured \[\], and captured_names are \['a'\]"),
        ({"takes_s": 36}, r"it took 36.0 s, with a timeout of 30 s"),
        ({"calls_itself": ""}, "a title is a few words on one line"),
        ({"calls_itself": "a\nb"}, "a title is a few words on one line"),
    ],
)
def test_what_is_wrong_is_told(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check(**settings)


def test_a_peer_that_is_well_must_do() -> None:
    async def main() -> None:
        async with serving(always(answer())) as server:
            settings = Told(told=ActivityOutcome("no"))
            await check_activity_peer(lambda port: settings, int(server.url.rpartition(":")[2]), "slow")

    with pytest.raises(AssertionError, match="with a peer that is well: no"):
        asyncio.run(main())
