"""`evload try` in virtual time, with adapters that know nothing of anybody who looks on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from evload.commands.trying.following import Trial
from evload.commands.trying.looking import Tried
from evload.commands.trying.telling import lines_of
from evload.config import load_text
from evload.model.states import Seen
from evload.run.prepare import build, kinds_of
from evload.sandbox.settings import SandboxSettings
from evload.spi import NS_PER_S, Surroundings
from evload.testing import MemoryWorld, run_virtual, virtual_clock

CONFIG: Final = """
producers:
  p: {kind: http, url: "http://localhost/events"}
events:
  event: {type: t, source: /s}
probes:
  r: {kind: http, url: "http://localhost/{correlation_id}"}
scenarios:
  main: {producer: p, events: [event], probes: [r], load: [{rate: 1/s, for: 1s}]}
"""
MS: Final = NS_PER_S // 1000


def tried(world: MemoryWorld, *, wait_ns: int | None = None, **probe: Any) -> tuple[Tried, list[str]]:
    """The event, and what was remarked meanwhile."""
    config = load_text(CONFIG, "config.yaml", environ={}).config
    config = replace(config, producers={"p": world.producer()}, probes={"r": world.probe(**probe)})
    said: list[str] = []

    async def run() -> Tried:
        trial = Trial(
            build(config, "run"), kinds_of(config, "run"), Surroundings(virtual_clock(), "run", Path()),
            wait_ns=wait_ns, enough=asyncio.Event(), say=said.append,
        )  # fmt: skip
        (found,) = await trial.run(lambda one: None)
        return found

    return run_virtual(run()), said


def world(**settings: Any) -> MemoryWorld:
    return MemoryWorld(SandboxSettings.model_validate({"service": "0ms", **settings}))


def test_reads_until_it_is_seen_and_shows_what_each_of_them_said() -> None:
    found, said = tried(world(visibility="100ms"))
    (look,) = found.looks
    # It arrives 1 ms before its ack; a read that begins after that sees it, and takes 1 ms.
    assert look.seen_ns is not None
    assert 99 * MS < look.seen_ns < 125 * MS
    assert [asked.seen for asked in look.reads] == [Seen.ABSENT] * (len(look.reads) - 1) + [Seen.PRESENT]
    told = list(lines_of(found, str))
    assert told[0].startswith("event, sent by p (scenario main): seen after ")
    assert any(line.startswith('  {"specversion":"1.0"') for line in told)
    assert "accepted after 2 ms" in told
    assert any(f"{len(look.reads) - 1} times the same, from 20 ms to " in line for line in told)
    assert said == []


def test_it_goes_on_after_the_deadline_for_as_long_again() -> None:
    slow = world(visibility="17s")
    found, said = tried(slow, deadline="10s")
    assert (found.looks[0].late, found.good) == (True, False)
    assert [clue.kind for clue in found.looks[0].clues] == ["late"]
    assert [line.partition(";")[0] for line in said] == [
        "event: sent, and not seen yet", "r: not seen within its deadline"
    ]  # fmt: skip
    gone, _ = tried(world(visibility="21s"), deadline="10s")
    assert gone.looks[0].seen_ns is None
    assert [clue.kind for clue in gone.looks[0].clues] == ["never"]
    assert "or in 10 s after it" in gone.looks[0].clues[0].text
    at_once, said = tried(world(visibility="12s"), deadline="10s", wait_ns=0)
    assert at_once.looks[0].seen_ns is None
    assert len(said) == 1


def test_an_event_that_comes_to_another_end_is_not_waited_for() -> None:
    failing = world()
    failing.ends = 1.0
    found, _ = tried(failing, deadline="10s")
    (look,) = found.looks
    assert (found.good, look.seen_ns, look.reads[-1].seen) == (False, None, Seen.ENDED)
    assert [asked.seen for asked in look.reads[:-1]] == [Seen.ABSENT] * (len(look.reads) - 1)
    assert look.reads[-1].end_ns - look.reads[0].start_ns < 400 * MS
    assert [clue.text for clue in look.clues] == [
        "r says that the event came to another end, so that it will never be visible; see why its system ended it, "
        "or correct ended"
    ]
    assert any("says that it came to another end" in line for line in lines_of(found, str))


def test_an_outage_of_the_read_model_is_no_reason_of_its_own() -> None:
    """Reads that fail in the middle are shown, and end nothing."""
    down = world(visibility="1s", faults=[{"what": "read-model-down", "at": "100ms", "lasting": "500ms"}])
    found, _ = tried(down)
    seen = [asked.seen for asked in found.looks[0].reads]
    assert found.good
    assert Seen.FAILED in seen
    assert any(line.endswith("says nothing of it: the read model is down") for line in lines_of(found, str))
