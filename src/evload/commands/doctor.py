"""Says before a run whether it can work: is every target there and allowed, and is this machine fast enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..clients.credentials.opening import Learn, OpenSecrets, in_turn, open_one, remark_of, state_of
from ..clients.credentials.settings import SecretSettings
from ..clock import Clock, SystemClock
from ..config.run_config import LoadedConfig, RunConfig
from ..config.sections import Scenario
from ..engine.plan import Plan
from ..errors import EvloadError, GuardError
from ..model.report import Result
from ..model.states import Seen
from ..model.travel import Target
from ..objectives.criteria import lateness_limit_ns
from ..run.prepare import build
from ..run.used_secrets import used_secrets
from ..sandbox.process import sandbox_process
from ..spi.context import AdapterSettings, Surroundings
from ..spi.gauge import Gauge
from ..spi.probe import Probe
from ..stats.histogram import Histogram
from ..texts import printable
from ..units import NS_PER_S, format_duration, format_rate
from ..workload.journeys.users import most_users
from ..workload.schedule import describe, rate_of, users_of, users_text

T = TypeVar("T")

Opening = Callable[[Surroundings], AbstractAsyncContextManager[T]]

_PATIENCE_S: Final = 15.0
_SLEEPS: Final = 300
_RENDERED: Final = 3000
_HEADROOM: Final = 0.5
"""Share of the core that rendering may take at the peak rate; the transport and the reads need the rest."""
_RUN_ID: Final = "doctor"
_TARGET, _MACHINE = 3, 5


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing looked at."""

    what: str
    result: Result
    said: str
    exit_code: int = 0


def run(loaded: LoadedConfig, console: Console) -> int:
    """Examine everything a config names, print what was found, and return the exit code.

    0 all is well, 2 a target may not be loaded, 3 one can't be reached or doesn't answer as it should, 5 this machine
    is too slow. A target goes before the machine, which may only be busy at the moment.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        examined = runner.run(_examine(loaded))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("what", "", "found"):
        table.add_column(column, no_wrap=column != "found")
    styles = {Result.PASS: "green", Result.WARN: "yellow", Result.FAIL: "bold red"}
    for one in examined:
        mark = {Result.PASS: "ok", Result.WARN: "note", Result.FAIL: "bad"}[one.result]
        said = Text(printable(loaded.redact(one.said)))
        table.add_row(Text(printable(one.what)), Text(mark, style=styles[one.result]), said)
    console.print(table)
    return exit_code_of(examined)


def exit_code_of(examined: Sequence[Examined]) -> int:
    """What all of it together ends with."""
    found = {one.exit_code for one in examined}
    return next((code for code in (GuardError.exit_code, _TARGET, _MACHINE) if code in found), 0)


async def _examine(loaded: LoadedConfig) -> list[Examined]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.callback(clock.close)
        config = loaded.config
        if config.sandbox is not None:
            sandbox = await stack.enter_async_context(sandbox_process(config.sandbox))
            config = loaded.at_sandbox(sandbox.url)
        plan = build(config, _RUN_ID)
        secrets = OpenSecrets()
        surroundings = Surroundings(clock, _RUN_ID, loaded.base_dir, secrets=secrets, guard=config.guard)
        got = await _secrets(used_secrets(plan, config.secrets), secrets, stack, surroundings, loaded.learn)
        return [*got, *await _targets(plan, surroundings), *await _machine(config, plan, clock)]


async def _secrets(
    needed: Mapping[str, SecretSettings],
    secrets: OpenSecrets,
    stack: AsyncExitStack,
    surroundings: Surroundings,
    learn: Learn,
) -> list[Examined]:
    """Those that could be got are among `secrets` then, until the stack closes."""
    found = []
    for name in in_turn(needed):
        settings = needed[name]
        what = f"secret {name}"
        try:
            secret = await open_one(name, settings, secrets, stack, surroundings.clock, surroundings.base_dir, learn)
        except EvloadError as error:
            found.append(Examined(what, Result.FAIL, str(error).removeprefix(f"{what}: "), _TARGET))
            continue
        found.append(Examined(what, Result.PASS, state_of(secret, settings)))
        if remark := remark_of(name, secret, settings):
            found.append(Examined(what, Result.WARN, remark.removeprefix(f"{what}: ")))
    return found


async def _targets(plan: Plan, surroundings: Surroundings) -> list[Examined]:
    unknown = Target(0, surroundings.ids.id_of(0))

    async def reads(probe: Probe) -> str:
        result = await probe.read([unknown])
        seen = result.reads[0].seen
        if seen is Seen.FAILED:
            raise _Unwell(f"it is there, but a read failed: {result.error}")
        if seen is Seen.PRESENT:
            raise _Unwell("it shows an event that was never sent: `visible` holds for anything")
        return "answers, and doesn't know an event that was never sent"

    async def looks(gauge: Gauge) -> str:
        sample = await gauge.sample()
        if sample.error:
            raise _Unwell(f"it is there, but could not be sampled: {sample.error}")
        return ", ".join(f"{name} {value:g}" for name, value in sample.values.items())

    async def reached(_: Any) -> str:
        return "reached"

    found: list[Examined] = []

    async def look_at(
        what: str, settings: AdapterSettings, open_it: Opening[T], ask: Callable[[T], Awaitable[str]]
    ) -> None:
        remarks = [*settings.remarks]
        guard = surroundings.guard.of(what)
        around = replace(surroundings, remark=remarks.append, guard=guard)
        found.append(await _try(what, partial(open_it, around), ask))
        found.extend(Examined(what, Result.WARN, text) for text in dict.fromkeys(remarks))

    async with AsyncExitStack() as stack:
        # Open until all is looked at: one may declare what a tap or a gauge needs.
        for name, producer in plan.producers.items():
            await look_at(f"producer {name}", producer, partial(_held, producer.open, stack), reached)
        for reader in plan.readers:
            probe = reader.settings
            can = probe.capabilities
            asks = reached if can.asks_by_capture or can.pushes else reads
            await look_at(f"probe {reader.name}", probe, probe.open, asks)
        for name, gauge in plan.gauges.items():
            await look_at(f"gauge {name}", gauge, gauge.open, looks)
        for action in plan.actions:
            for activity in (*action.do, *action.undo):
                await look_at(f"action {action.name}", activity, activity.open, _named(activity.title))
    return found


def _named(title: str) -> Callable[[Any], Awaitable[str]]:
    async def could_be_done(_: Any) -> str:
        return f"{title}: not tried"

    return could_be_done


@asynccontextmanager
async def _held(open_it: Opening[T], stack: AsyncExitStack, surroundings: Surroundings) -> AsyncIterator[T]:
    """The same, but closed with the stack."""
    yield await stack.enter_async_context(open_it(surroundings))


class _Unwell(Exception):
    """The target is there and doesn't behave."""


async def _try(
    what: str, open_it: Callable[[], AbstractAsyncContextManager[T]], ask: Callable[[T], Awaitable[str]]
) -> Examined:
    try:
        # To open it may itself be refused: its SDK may not be installed.
        async with asyncio.timeout(_PATIENCE_S), open_it() as opened:
            return Examined(what, Result.PASS, await ask(opened))
    except TimeoutError:
        return Examined(what, Result.FAIL, f"no answer within {_PATIENCE_S:g} s; is it reachable from here?", _TARGET)
    except GuardError as error:
        return Examined(what, Result.FAIL, str(error), GuardError.exit_code)
    except (EvloadError, _Unwell) as error:
        return Examined(what, Result.FAIL, str(error), _TARGET)


async def _machine(config: RunConfig, plan: Plan, clock: Clock) -> list[Examined]:
    return [await _timers(config, clock), _speed(config, plan, clock)]


async def _timers(config: RunConfig, clock: Clock) -> Examined:
    """How late a sleeper wakes on this machine, against what the lateness check will ask for."""
    late = Histogram()
    for _ in range(_SLEEPS):
        due = clock.now_ns() + 1_000_000
        await clock.sleep_until_ns(due)
        late.record(max(0, clock.now_ns() - due))
    edges = late.at_rank(_SLEEPS * 99 // 100)
    p99 = edges[1] if edges else 0
    allowed_ns = lateness_limit_ns(config.slos)
    said = f"sends are late by {format_duration(p99)} at p99 on an idle loop"
    if allowed_ns is not None and p99 > allowed_ns:
        allowed = format_duration(float(allowed_ns))
        return Examined("timers", Result.FAIL, f"{said}; the tightest objective allows {allowed}", _MACHINE)
    return Examined("timers", Result.PASS, said)


def _speed(config: RunConfig, plan: Plan, clock: Clock) -> Examined:
    """How quickly events are rendered, against the highest rate that the config asks for. How often steps of journeys
    are sent follows from the answers, so that nobody can hold them against anything beforehand."""
    events = [one for one in plan.scenarios if one.producer]
    through_journeys = " and ".join(_through_journeys(config))
    if not events:
        told = f"the config asks for {through_journeys}, whose steps are sent as the answers allow"
        return Examined("speed", Result.PASS, told)
    renderer = events[0].renderer
    began = clock.cpu_ns() or 0
    for _ in range(_RENDERED // 100):
        renderer.render([0] * 100, "2026-01-01T00:00:00.000000Z")
    cost_ns = max(1, (clock.cpu_ns() or 0) - began) / _RENDERED
    most = _HEADROOM * NS_PER_S / cost_ns
    peak = _peak([scenario for scenario in config.scenarios.values() if scenario.many == "events"])
    said = f"renders {format_rate(round(most))} on half a core; the config asks for {format_rate(peak)} at its peak"
    if through_journeys:
        said += f", beside {through_journeys}, whose steps are sent as the answers allow"
    if peak > most:
        return Examined("speed", Result.FAIL, said, _MACHINE)
    return Examined("speed", Result.PASS, said)


def _through_journeys(config: RunConfig) -> list[str]:
    """The users and the iterations that go through journeys, in words."""
    closed = [scenario for scenario in config.scenarios.values() if scenario.closed]
    told = []
    if closed:
        most = sum(most_users(users_of(scenario.load)) for scenario in closed)
        always = len({count for scenario in closed for span in users_of(scenario.load) for count in span[2:]}) == 1
        told.append(f"{'' if always and len(closed) == 1 else 'up to '}{users_text(most)}")
    if rates := [one for one in config.scenarios.values() if one.journeys and not one.closed]:
        told.append(f"iterations at up to {format_rate(_peak(rates))}")
    if most := max((race.most for race in config.races.values()), default=0):
        told.append(f"races with up to {most:,} requests at an instant")
    return told


def _peak(scenarios: Sequence[Scenario]) -> float:
    """Their highest planned rate, per second, all together. Bursts have no rate."""
    edges = {
        scenario.start + at
        for scenario in scenarios
        for stretch in describe(scenario.load)
        for at in (stretch.start_ns, max(stretch.start_ns, stretch.end_ns - 1))
    }
    rates = [(scenario.start, rate_of(scenario.load)) for scenario in scenarios]
    return max((sum(rate_at(at - start) for start, rate_at in rates) for at in edges), default=0.0)
