"""What adapters are tried with: events as the engine would render them, and the targets that ask about them."""

from __future__ import annotations

from typing import Final

from ...clock import Clock
from ...model.correlation import CorrelationIds
from ...model.travel import Encoding, Event, Target
from ...workload.events import EventSettings, EventType, Renderer

RUN_ID: Final = "conformance"
"""The run to which all events of the checks belong."""


def sample_events(encoding: Encoding, count: int, clock: Clock, run_id: str = RUN_ID) -> list[Event]:
    """Events as the engine would render them for a producer with this encoding."""
    settings = EventSettings(
        type="conformance.checked", source="/evload/testing", key="{data.group}",
        data={"group": "{choice:a,b}", "number": "{int:1..100}", "text": "plain"},
    )  # fmt: skip
    renderer = Renderer(
        scenario=0, scenarios=1, types=[EventType(0, "checked", settings, 1, None)], encoding=encoding,
        ids=CorrelationIds.for_run(run_id), run_id=run_id, seed="conformance",
    )  # fmt: skip
    return renderer.render([clock.now_ns()] * count, "2026-01-01T00:00:00.000000Z")


def sample_targets(count: int, run_id: str = RUN_ID) -> list[Target]:
    """The first events of the run, as a probe is asked about them."""
    ids = CorrelationIds.for_run(run_id)
    return [Target(seq, ids.id_of(seq)) for seq in range(count)]
