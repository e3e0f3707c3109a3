"""What a failed self-check does to a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..settings import Settings

Policy = Literal["strict", "warn", "off"]


class SelfCheckPolicy(Settings):
    """What a failed check does: make the run invalid (strict), warn, or nothing because it is off."""

    ledger: Annotated[Policy, Field(description="the sums close and no unexpected id was answered")] = "strict"
    offered_rate: Annotated[Policy, Field(description="sent within 1 % of the schedule in every window")] = "strict"
    lateness: Annotated[Policy, Field(description="sends are late by 1 % of the tightest objective at most")] = (
        "strict"
    )
    arrival_shape: Annotated[Policy, Field(description="random arrivals scatter as those of a Poisson process")] = (
        "strict"
    )
    headroom: Annotated[Policy, Field(description="the generator's CPU and event loop are not the limit")] = "strict"
    resolution: Annotated[Policy, Field(description="few events can't be told to be within a limit or not")] = (
        "strict"
    )
    observer_effect: Annotated[Policy, Field(description="reads stay within max_reads and hardly any fails")] = (
        "strict"
    )
    steady_state: Annotated[Policy, Field(description="where it is claimed, what is in flight doesn't grow")] = (
        "strict"
    )
    evidence: Annotated[Policy, Field(description="enough events to decide the objectives")] = "strict"
    horizon: Annotated[Policy, Field(description="probes look long enough to call an event lost")] = "strict"
    clocks: Annotated[Policy, Field(description="the clocks agree, and stamps don't contradict one another")] = (
        "strict"
    )
    attribution: Annotated[
        Policy, Field(description="all that arrived or was answered is about an event of a run, this one or another")
    ] = "strict"
