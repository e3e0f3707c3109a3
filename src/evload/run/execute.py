"""Executes a prepared run: the one way from a plan to its summary, whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..clients.credentials.opening import open_secrets, remark_of
from ..clock import Clock
from ..engine.control import RunControl
from ..engine.engine import Engine, Looking, Start
from ..engine.undoing import Undoing
from ..judging.live_checks import LiveChecks
from ..ledger.writer import Ledger
from ..model.summary import Summary
from ..spi.context import Surroundings
from ..spi.sink import Sink
from .prepare import Prepared
from .used_secrets import used_secrets


async def execute(
    prepared: Prepared,
    clock: Clock,
    ledger: Ledger,
    sinks: Sequence[Sink] = (),
    *,
    control: RunControl | None = None,
    start: Start | None = None,
    traffic: Looking | None = None,
    undoing: Undoing | None = None,
    values: Mapping[str, Any] | None = None,
) -> Summary:
    """Run it to its end.

    control  stops it before that
    start    says when the schedule begins, once all targets are open; by default at once
    undoing  guarantees that what is done to the system is undone
    values   what placeholders in activities stand for
    traffic  gives each producer and probe, by its name, somebody who looks on

    Raises TargetError if a target can't be opened. A ledger that can't be written says so itself.
    """
    needed = used_secrets(prepared.plan, prepared.config.secrets)
    async with open_secrets(needed, clock, prepared.base_dir, prepared.learn) as secrets:
        engine = Engine(
            prepared.plan,
            Surroundings(clock, prepared.run_id, prepared.base_dir, secrets=secrets, guard=prepared.config.guard),
            ledger,
            sinks,
            control=control or RunControl(clock, prepared.plan.settle_ns),
            start=start,
            traffic=traffic,
            redact=prepared.redact,
            live=LiveChecks(prepared.criteria, prepared.gauge_values, prepared.redact),
            troubles=secrets.troubles.attend,
            undoing=undoing,
            values=values or {"run_id": prepared.run_id},
            remarks=[
                *(told for name, one in secrets.live.items() if (told := remark_of(name, one, needed[name]))),
                *(
                    f"guard: {host} may be loaded because --i-may-load says so"
                    for host in prepared.config.guard.passed
                ),
            ],
        )
        return await engine.run()
