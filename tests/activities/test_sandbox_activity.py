"""Knobs of the embedded pipeline: what they change from then on, and what is left once it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from evload.sandbox.server import serving
from evload.sandbox.settings import SandboxSettings
from evload.spi.activity import Outcome
from evload.testing import PEERS, Peer, SystemClock, check_activity, check_activity_peer
from tests.rigs.activities import TIMEOUT, activity, opened

FAST = SandboxSettings.model_validate({"service": "0s", "visibility": "0s", "loss": "0.5%", "seed": 7})


def changed(*changes: Mapping[str, Any], at: str | None = None) -> tuple[list[Outcome], dict[str, Any]]:
    """What comes of these changes one after the other, and the settings at their end."""

    async def main() -> tuple[list[Outcome], dict[str, Any]]:
        async with serving(FAST) as url, aiohttp.ClientSession() as session:
            outcomes = []
            for change in changes:
                async with opened(activity(sandbox=change, at=at or url)) as one:
                    outcomes.append(await one.perform({}))
            async with session.post(f"{url}/admin", json={}) as answer:
                return outcomes, await answer.json()

    return asyncio.run(main())


def test_what_is_named_is_changed_and_nothing_else() -> None:
    before = FAST.model_dump(mode="json")
    outcomes, settings = changed(
        {"workers": 0, "service": {"lognormal": {"median": "150ms", "p99": "900ms"}}},
        {"faults": [{"what": "slow-workers", "factor": 10}, {"what": "broker-down", "at": "1s", "lasting": "2s"}]},
    )
    assert outcomes == [Outcome(), Outcome()]
    assert {name: value for name, value in settings.items() if before[name] != value} == {
        "workers": 0,
        "service": {"lognormal": {"median": "150ms", "p99": "900ms"}},
        "faults": [
            {"what": "slow-workers", "at": None, "lasting": None, "factor": 10.0, "delay": None},
            {"what": "broker-down", "at": "1s", "lasting": "2s", "factor": None, "delay": None},
        ],
    }


def test_a_fault_without_times_holds_until_it_is_taken_away() -> None:
    async def main() -> list[int]:
        async with serving(FAST) as url, aiohttp.ClientSession() as session:

            async def published() -> int:
                async with session.post(f"{url}/items") as answer:
                    return answer.status

            async def change(**knobs: Any) -> None:
                async with opened(activity(sandbox=knobs, at=url)) as one:
                    assert await one.perform({}) == Outcome()

            seen = [await published()]
            await change(faults=[{"what": "broker-down"}])
            seen.append(await published())
            await change(faults=[])
            return [*seen, await published()]

    assert asyncio.run(main()) == [201, 503, 201]


def test_what_it_refuses_is_told() -> None:
    outcomes, _ = changed({"replicas": [{"name": "other", "lag": "2s"}]})
    (outcome,) = outcomes
    assert outcome.error.startswith('HTTP 400: {"error":"replicas can\'t come, go or be renamed while')
    assert not outcome.in_doubt


def test_its_address_may_be_a_value() -> None:
    async def main() -> Outcome:
        async with serving(FAST) as url, opened(activity(sandbox={"workers": 1})) as one:
            return await one.perform({"sandbox": url})

    assert asyncio.run(main()) == Outcome()


@pytest.mark.parametrize("at", ["{sandbox}", "http://127.0.0.1:9"])
def test_one_that_has_ended_has_taken_all_changes_with_it(at: str) -> None:
    (outcome,), _ = changed({"workers": 4}, at=at)
    why = "there is no embedded pipeline any more" if at == "{sandbox}" else "connection refused"
    assert outcome == Outcome(why, gone=True)


def test_the_title_says_what_is_changed() -> None:
    knobs = {"workers": 0, "service": "1s", "duplicates": {"share": "5%"}, "faults": []}
    assert activity(sandbox=knobs).title == "sandbox: workers 0, service 1s, duplicates …, faults none"


def within(task: Callable[[str], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with serving(FAST) as url:
            return await task(url)

    return asyncio.run(main())


def test_it_conforms() -> None:
    async def conforms(url: str) -> Sequence[Outcome]:
        return await check_activity(activity(sandbox={"workers": 2}, at=url), SystemClock())

    assert within(conforms) == [Outcome(), Outcome()]


@pytest.mark.parametrize("peer", PEERS)
def test_it_conforms_with_a_peer_at_fault(peer: Peer) -> None:
    async def conforms(url: str) -> Outcome:
        return await check_activity_peer(
            lambda port: activity(sandbox={"workers": 2}, at=f"http://127.0.0.1:{port}", timeout=TIMEOUT[peer]),
            int(url.rpartition(":")[2]),
            peer,
        )

    assert bool(within(conforms).error) == (peer != "slow")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"sandbox": {}}, "nothing is changed; write a knob such as {workers: 0}"),
        ({"sandbox": {"wrkers": 1}}, "Extra inputs"),
        ({"sandbox": {"seed": 1}}, "Extra inputs"),
        ({"sandbox": {"workers": -1}}, "greater than or equal to 0"),
        ({"sandbox": {"faults": [{"what": "slow-workers"}]}}, "slow-workers needs a factor"),
        ({"sandbox": {"workers": 1}, "at": "localhost"}, "has no scheme"),
    ],
    ids=["nothing", "unknown", "seed", "number", "fault", "address"],
)
def test_settings_that_make_no_sense_are_refused(written: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        activity(**written)
    assert message in str(raised.value)
