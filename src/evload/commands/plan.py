"""Prints what a config is going to do before it does it: `evload plan`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.run_config import LoadedConfig, RunConfig
from ..config.sections import Scenario
from ..objectives.objective import Measure
from ..report.wording import circumstances
from ..run.feasibility import Prospect, cautions, may_end_early, prospects, times_of, total_ns
from ..run.prepare import build
from ..run.used_secrets import used_secrets
from ..spi.guard import Rules
from ..texts import printable
from ..units import format_duration, format_rate
from ..workload.schedule import (
    describe,
    events_before,
    expected_events,
    fewest_events,
    iterations_of,
    open_stretches,
    users_of,
    users_text,
)


def print_plan(console: Console, loaded: LoadedConfig) -> None:
    """The timeline, the number of events, and for each objective whether the run can decide it."""
    config = loaded.config
    about = " about" if any(scenario.arrivals == "poisson" for scenario in config.scenarios.values()) else ""
    total = format_duration(total_ns(config))
    if may_end_early(config):
        loads = [scenario.load for scenario in config.scenarios.values()]
        if sum(map(expected_events, loads)) != sum(map(fewest_events, loads)):
            about = f" up to{about}"
        total = f"up to {total}"
    title = (loaded.redact(config.name), "bold")
    looking = f", and {format_duration(config.observe)} more to look" if config.observe else ""
    console.print(Text.assemble(title, f":{about} {_amount(config)} in {total}{looking}"))

    for name, value in circumstances(config.circumstances):
        console.print(Text(f"  {printable(loaded.redact(name))}: {printable(loaded.redact(value))}"))

    for rules in config.guard.rules:
        console.print(Text(printable(loaded.redact(f"  {told_of(rules)}"))), soft_wrap=True)

    timeline = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("from", "to"):
        timeline.add_column(column, justify="right")
    timeline.add_column("scenario")
    timeline.add_column("load")
    timeline.add_column("by")
    lines = [
        (scenario.start + stretch.start_ns, scenario.start + stretch.end_ns, name, number, stretch.text, scenario)
        for name, scenario in config.scenarios.items()
        for number, stretch in enumerate(describe(scenario.load))
    ]
    for start, end, name, number, text, scenario in sorted(lines, key=lambda line: line[:2]):
        arrivals = " (poisson)" if scenario.arrivals == "poisson" else ""
        early = min((one.number for one in open_stretches(scenario.load)), default=number + 1)
        timeline.add_row(
            _at(start, latest=early < number), _at(end, latest=early <= number), name,
            loaded.redact(text) + arrivals, _by(scenario),
        )  # fmt: skip
    console.print()
    console.print(timeline)

    warmups = {name: scenario for name, scenario in config.scenarios.items() if scenario.warmup}
    if warmups:
        console.print()
    for name, scenario in warmups.items():
        left_out = events_before(scenario.load, scenario.warmup)
        amount = (
            "" if scenario.closed else f"{_iterations(left_out) if scenario.journeys else f'{left_out:,} events'}, "
        )
        told = f"warm-up of {name}: {format_duration(scenario.warmup)}, {amount}in no objective"
        console.print(Text(printable(loaded.redact(told))), soft_wrap=True)

    if config.actions:
        console.print()
        console.print(_actions(loaded))

    needed = used_secrets(build(config, "plan"), config.secrets) if config.secrets else {}
    if needed:
        console.print()
    for secret, settings in needed.items():
        said = f"secret {secret}: {settings.where}, {settings.habit}"
        console.print(Text(printable(loaded.redact(said))), soft_wrap=True)

    waits = {name: late for name, gauge in config.gauges.items() if (late := gauge.late_ns)}
    if waits:
        console.print()
    for name, late_ns in waits.items():
        console.print(Text(f"gauge {name}: up to {format_duration(late_ns)} more for values that come late"))

    if config.slos:
        objectives = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("objective", "decidable", "how"):
            objectives.add_column(column)
        for prospect in prospects(config):
            verdict = Text("yes", style="green") if prospect.decidable else Text("no", style="bold yellow")
            objectives.add_row(
                Text(loaded.redact(prospect.objective.title)), verdict, Text(loaded.redact(_how(prospect)))
            )
        console.print()
        console.print(objectives)
    for caution in cautions(config):
        console.print(Text.assemble("\n", ("note", "yellow"), f" {loaded.redact(caution)}"))


def _amount(config: RunConfig) -> str:
    """What the schedule has: events, iterations of journeys, and how many users."""
    scenarios = config.scenarios.values()
    of_events = [scenario for scenario in scenarios if scenario.many == "events"]
    told = [f"{sum(expected_events(one.load) for one in of_events):,} events"] if of_events else []
    if rates := [scenario for scenario in scenarios if scenario.journeys and not scenario.closed]:
        told.append(_iterations(sum(expected_events(scenario.load) for scenario in rates)))
    if races := [scenario for scenario in scenarios if scenario.race is not None]:
        rounds = sum(expected_events(scenario.load) for scenario in races)
        told.append(f"{rounds:,} round{'' if rounds == 1 else 's'}")
    for scenario in scenarios:
        if counts := [count for span in users_of(scenario.load) for count in span[2:]]:
            users = f"{'' if min(counts) == max(counts) else 'up to '}{users_text(max(counts))}"
            most = iterations_of(scenario.load)
            told.append(users if most is None else f"{users} with up to {_iterations(most)}")
    return " and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)


def _by(scenario: Scenario) -> str:
    """Through what it sends, which journeys it makes, or who contends, and how often each."""
    if scenario.race is None:
        return scenario.producer or ", ".join(scenario.journeys)
    contenders = scenario.race.meant().contenders
    return " against ".join(
        f"{one.times:,} × {one.step.name}" if one.times > 1 else one.step.name for one in contenders
    )


def _iterations(count: int) -> str:
    return f"{count:,} iteration{'' if count == 1 else 's'}"


def told_of(rules: Rules) -> str:
    """A guard in one line."""
    told = [f"allows {'everybody' if rules.allow is None else ', '.join(rules.allow) or 'nobody'}"]
    told += [f"denies {', '.join(rules.deny)}"] if rules.deny else []
    told += [f"{format_rate(rules.most)} at most"] if rules.most is not None else []
    told += ["commands too"] if rules.shell else []
    return f"{rules.source}: {', '.join(told)}"


def _actions(loaded: LoadedConfig) -> Table:
    """What is done to the system, and when."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("from", "to"):
        table.add_column(column, justify="right")
    for column in ("action", "what is done", "and undone"):
        table.add_column(column)
    load_ns = total_ns(loaded.config)
    for name, action in loaded.config.actions.items():
        times = action.times
        spans = list(times_of(action, load_ns))
        if spans:
            begins, ends = format_duration(spans[0][0]), format_duration(spans[-1][1])
        else:
            begins = f"after {times.after}" if times.after is not None else f"when {times.when}"
            ends = f"+{format_duration(times.for_)}" if times.for_ is not None else ""
        if times.every is not None:
            ends += f", every {format_duration(times.every)}"
        do, undo = ("; ".join(step.settings.title for step in steps) for steps in (action.do, action.undo))
        cells = (begins, ends if times.lasting else "", name, do, undo or "nothing has to be undone")
        table.add_row(*(Text(printable(loaded.redact(cell))) for cell in cells))
    return table


def _at(moment_ns: int, *, latest: bool) -> str:
    return f"up to {format_duration(moment_ns)}" if latest else format_duration(moment_ns)


def _how(prospect: Prospect) -> str:
    if prospect.unknown:
        return prospect.unknown
    if prospect.bad is None:
        if prospect.needed is None:
            return "not every scenario is watched by a probe"
        return f"needs {prospect.needed:,} {prospect.many}, has {prospect.has}"
    if prospect.objective.measure is Measure.GROWTH:
        return "an interval, by the samples of the gauge"
    if prospect.objective.is_gauged:
        return "exact, by the samples of the gauge"
    if prospect.needed is None:
        return f"exact, over {prospect.has} {prospect.many}"
    if prospect.fewest is not None and prospect.fewest < prospect.needed:
        return f"needs {prospect.needed:,} {prospect.many}, has {prospect.has}"
    most = "up to " if prospect.fewest not in (None, prospect.events) else ""
    return f"{prospect.has} {prospect.many}; {most}{prospect.bad:,} may be bad"
