"""The sections of a config file that belong to no adapter, as pydantic models of what stands in YAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails

from ..objectives.objective import DEFAULT_DELAY_NS
from ..settings import Name, Settings
from ..units import Duration, DurationRange, Share
from ..workload.races.written import WrittenRace
from ..workload.schedule import (
    Load,
    Rounds,
    Shape,
    events_before,
    expected_events,
    is_closed,
    iterations_of,
    longest_hold,
)
from .params import MOST as MOST_LABELS
from .params import Label, Params

MOST: Final = 500
"""Scenarios, and objectives: each of these is looked at for each of those."""


MOST_TIMES: Final = 10_000
"""That an action is done."""


def _equal_weights(value: object, info: ValidationInfo) -> object:
    """A list of names stands for equal weights."""
    if isinstance(value, dict) and value:
        return value
    if not value or not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"this names no {info.field_name}; write {{name: weight, ...}} or a list of names")
    for name in value:
        if value.count(name) > 1:
            raise ValueError(f"{name!r} is listed twice; write weights instead, such as {{{name}: 2}}")
    return dict.fromkeys(value, 1.0)


Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weights = Annotated[
    dict[str, Weight],
    BeforeValidator(_equal_weights),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
                    "minProperties": 1,
                },
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            ]
        }
    ),
]


_OF_EVENTS: Final = ("probes", "resend")
"""Keys of a scenario that say what becomes of events, and can't be said of journeys."""
_NOT_OF_RACES: Final = {
    **dict.fromkeys(("producer", "events", "journeys"), "a race says itself what is sent; make two scenarios of it"),
    "probes": "what a race does is looked at by its own reads; write reads: under race:",
    "resend": "copies are of events; write times: 2 for a contender",
    "arrivals": "rounds begin at a fixed pace; write every: under rounds:",
    "warmup": "each round of a race is judged by itself; write another race for warming up",
    "steady": "what a race sends comes in bursts, and isn't steady; write steady: at another scenario",
    "think": "nobody waits between two rounds; write every: under rounds:",
    "every": "the pace of rounds stands beside their number; write rounds: {count: 60, every: 3s}",
}
"""Keys of a scenario that can't be said of a race: what is wrong, or what would be right."""


def _misplaced(name: str, text: str, *, key: bool = True) -> InitErrorDetails:
    """A key that can't stand beside another: `what is wrong; what would be right`."""
    return InitErrorDetails(
        type="value_error", loc=(name, "[key]") if key else (name,), input=..., ctx={"error": ValueError(text)}
    )


class Resend(Settings):
    """Copies of some events, sent on purpose: idempotency is only exercised by what arrives more than once."""

    share: Annotated[Share, Field(gt=0, description="share of the events of which copies are sent")]
    copies: Annotated[int, Field(ge=1, le=1000, description="how many of each")] = 1
    after: Annotated[Duration, Field(ge=1_000_000, description="time between an event and its copy, and so on")] = (
        500_000_000
    )


class Scenario(Settings):
    """What one producer is sent, and who watches for its effect; or which journeys are made; or a race."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["producer", "events", "load"]},
                {"required": ["journeys", "load"]},
                {"required": ["race", "rounds"]},
            ]
        }
    )

    start: Annotated[Duration, Field(description="how long after the run begins")] = 0
    producer: Annotated[str, Field(description="name of a producer")] = ""
    events: Annotated[Weights, Field(description="names of events with their weights, or a list of names")] = {}
    journeys: Annotated[
        Weights,
        Field(description="names of journeys with their weights, or a list; in place of producer and events"),
    ] = {}
    probes: Annotated[tuple[str, ...], Field(description="names of the probes that look for its effect")] = ()
    arrivals: Annotated[Shape, Field(description="evenly spaced, or random with the same rate")] = "constant"
    race: Annotated[
        WrittenRace | None,
        Field(description="requests that are sent at one instant, and what has to hold; in place of events"),
    ] = None
    rounds: Annotated[
        Rounds | None, Field(description="how many rounds a race has, and how often; in place of load")
    ] = None
    load: Annotated[Load, Field(description="phases, one after another")] = ()
    warmup: Annotated[
        Duration, Field(description="what is due so long after its start is sent and followed, and asked of nobody")
    ] = 0
    resend: Annotated[Resend | None, Field(description="copies of some events, with the same source and id")] = None
    steady: Annotated[
        bool, Field(description="claims a steady state in its longest hold: what is in flight doesn't grow")
    ] = False
    think: Annotated[
        DurationRange | None, Field(description="a user's pause between two iterations, or a range to draw it from")
    ] = None
    every: Annotated[
        Duration | None, Field(ge=1_000_000, description="from one iteration of a user to his next, at a fixed pace")
    ] = None

    @property
    def closed(self) -> bool:
        """Whether its load is of users."""
        return is_closed(self.load)

    @model_validator(mode="after")
    def _one_way(self) -> Scenario:
        if found := [*self._contradictions()]:
            raise ValidationError.from_exception_data("scenario", found)
        return self if self.rounds is None else self.model_copy(update={"load": (self.rounds,)})

    def _contradictions(self) -> Iterator[InitErrorDetails]:
        given = self.model_fields_set
        if self.race is not None or self.rounds is not None:
            yield from self._about_race()
            return
        if "load" not in given:
            yield InitErrorDetails(type="missing", loc=("load",), input={})
            return
        yield from self._about_steadiness()
        events = [name for name in ("producer", "events") if name in given]
        if "journeys" not in given:
            if not events:
                what = "nothing says what is sent; write producer: and events:, or journeys:, or race:"
                yield InitErrorDetails(type="value_error", loc=(), input=..., ctx={"error": ValueError(what)})
            for name in ("producer", "events") if events else ():
                if name not in given:
                    yield InitErrorDetails(type="missing", loc=(name,), input={})
            for name in ("think", "every"):
                if name in given:
                    yield _misplaced(name, f"{name} goes with journeys, and these are events; leave it out")
            if self.closed:
                yield _misplaced("load", "users make journeys, and these are events; write journeys:, or a rate")
            elif iterations_of(self.load) is not None:
                yield _misplaced("load", "iterations are of journeys, and these are events; write for: alone")
            return
        for name in events:
            yield _misplaced(name, f"{name} and journeys exclude each other; the steps of a journey say what is sent")
        for name in _OF_EVENTS:
            if name in given:
                yield _misplaced(name, f"{name} belongs to events, and these are journeys; leave it out")
        yield from self._about_pace()

    def _about_race(self) -> Iterator[InitErrorDetails]:
        given = self.model_fields_set
        if self.race is None:
            yield _misplaced("rounds", "rounds are of a race, and this has none; write load:, or race:")
            return
        if self.rounds is None and "load" in given:
            yield _misplaced("load", "a race has rounds in place of a load; write rounds: {count: 60, every: 3s}")
        elif self.rounds is None:
            what = "nothing says how many rounds there are; write rounds: {count: 60, every: 3s}"
            yield InitErrorDetails(type="value_error", loc=(), input=..., ctx={"error": ValueError(what)})
        elif "load" in given:
            yield _misplaced("load", "rounds say how often a race is run, and this has a load, too; leave load out")
        for name, text in _NOT_OF_RACES.items():
            if name in given:
                yield _misplaced(name, f"{text}, or leave {name} out")

    def _about_steadiness(self) -> Iterator[InitErrorDetails]:
        if self.steady and longest_hold(self.load) is None:
            what = "steady claims a steady state in a phase with one rate, and this load has none"
            yield _misplaced(
                "steady", f"{what}; add one such as {{rate: 100/s, for: 5m}}, or leave it out", key=False
            )

    def _about_pace(self) -> Iterator[InitErrorDetails]:
        given = self.model_fields_set
        if not self.closed:
            for name in ("think", "every"):
                if name in given:
                    cure = "leave it out, or write a load such as {users: 50, for: 5m}"
                    yield _misplaced(name, f"{name} is said of users, and this load is of rates; {cure}")
            if self.arrivals == "poisson" and iterations_of(self.load) is not None:
                what = "nobody knows when random arrivals come to so many iterations"
                yield _misplaced("load", f"{what}; write arrivals: constant, or for: alone", key=False)
        elif "arrivals" in given:
            what = "a user's next iteration is due when the last is over, and arrivals is said of rates"
            yield _misplaced("arrivals", f"{what}; leave it out")
        if {"think", "every"} <= given:
            yield _misplaced("think", "think and every exclude each other; keep one of them")

    @property
    def many(self) -> str:
        """What its schedule has many of, for people."""
        return "rounds" if self.race is not None else "iterations" if self.journeys else "events"

    @property
    def judged_events(self) -> int:
        """How many events its schedule has after its warm-up; of random arrivals the mean."""
        return expected_events(self.load) - events_before(self.load, self.warmup)


class AbortSettings(Settings):
    """When a hopeless objective may end the run."""

    after: Annotated[Duration, Field(description="not before this long after the schedule began")] = DEFAULT_DELAY_NS


class ActionTimes(Settings):
    """What is done to the system while the run goes on, when, and how it is undone."""

    at: Annotated[Duration | None, Field(description="how long after the schedule began")] = None
    after: Annotated[str | None, Field(description="a scenario or an action: when that is over")] = None
    when: Annotated[str | None, Field(description="a condition on a gauge, such as queue_depth > 500")] = None
    from_: Annotated[Duration | None, Field(alias="from", description="when it is done for the first time")] = None
    to: Annotated[Duration | None, Field(description="when it isn't done any more")] = None
    every: Annotated[Duration | None, Field(ge=100_000_000, description="time from one time to the next")] = None
    for_: Annotated[
        Duration | None, Field(alias="for", ge=1_000_000, description="how long it is on; to the load's end without")
    ] = None
    do: Annotated[Any, Field(description="an activity, or a list of them: {post: URL}, {shell: COMMAND}")]
    undo: Annotated[Any, Field(description="what puts it back, or none, if nothing has to be")]

    @model_validator(mode="after")
    def _when(self) -> ActionTimes:
        given = [name for name in ("at", "after", "when", "from") if self._given(name) is not None]
        if len(given) != 1:
            both = f"it has {' and '.join(given)}" if given else "nothing says when it is done"
            raise ValueError(f"{both}; write one of at: 2m, after: NAME, when: CONDITION, or from, to and every")
        if given == ["from"]:
            if self.to is None or self.every is None or self.from_ is None:
                raise ValueError("what is done again and again needs from, to and every; write all three")
            if self.to <= self.from_:
                raise ValueError("to comes before from; write a later one")
            if (self.to - self.from_) // self.every > MOST_TIMES:
                raise ValueError(f"that is more than {MOST_TIMES} times; write a longer every")
            if self.for_ is not None and self.for_ >= self.every:
                raise ValueError("it would be done again before it is undone; write for: shorter than every:")
            if self.for_ is None and self.undo != "none":
                raise ValueError("nothing says when it is undone, each time; write for: shorter than every:")
        elif wrong := [name for name in ("to", "every") if getattr(self, name) is not None]:
            raise ValueError(f"{wrong[0]} goes with from; write from, to and every, or leave {wrong[0]} out")
        return self

    def _given(self, name: str) -> object:
        return self.from_ if name == "from" else getattr(self, name)

    @property
    def at_ns(self) -> int | None:
        """When it is first due, in nanoseconds since the schedule began; None: nobody knows beforehand."""
        return self.at if self.from_ is None else self.from_

    @property
    def again(self) -> bool:
        """It is done more than once."""
        return self.every is not None

    @property
    def lasting(self) -> bool:
        """It is on for a while, and not just done."""
        return self.undo != "none" or self.for_ is not None or self.again

    @property
    def ends_ns(self) -> int | None:
        """When it is over at last, in nanoseconds since the schedule began; None: nobody knows beforehand."""
        if self.at_ns is None:
            return None
        if self.again and self.every is not None and self.to is not None:
            last_ns = self.at_ns + (self.to - 1 - self.at_ns) // self.every * self.every
            return self.to if self.for_ is None else last_ns + self.for_
        return self.at_ns if self.for_ is None else self.at_ns + self.for_


def _amount_as_text(written: object) -> object:
    """A number as it was written: of a price each digit counts."""
    if isinstance(written, bool):
        raise ValueError(f"{str(written).lower()} is no amount; write a number")
    return str(written) if isinstance(written, int | float) else written


_AMOUNT: Final = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}


class CostEntry(Settings):
    """What is used of one service, and what that costs."""

    usage: Annotated[
        str,
        Field(description="rise(COUNTER) or integral(GAUGE), or a counter of evload's own such as sent; or a sum"),
    ]
    price: Annotated[
        str, BeforeValidator(_amount_as_text), WithJsonSchema(dict(_AMOUNT)), Field(description="in your money")
    ]
    per: Annotated[
        str,
        BeforeValidator(_amount_as_text),
        WithJsonSchema(dict(_AMOUNT)),
        Field(description="what the price is for: a number, a time such as 1h, a size such as 1GB"),
    ] = "1"


class CompareEntry(Settings):
    """By what `evload compare` holds runs of this config against those before, beside its own options."""

    max_regression: Annotated[
        tuple[str, ...], Field(description="how much worse a figure may be than BASE, such as p50=20% or p99=off")
    ] = ()
    week_over_week: Annotated[
        tuple[str, ...], Field(description="how much worse the last seven days may be than the seven before")
    ] = ()
    limit: Annotated[
        tuple[str, ...], Field(description="what no run may be worse than, whatever BASE is, such as errors=0.5%")
    ] = ()
    warn_above: Annotated[str, Field(description="warn above this share of a limit, such as 90%, or off")] = "90%"


class ObjectiveEntry(Settings):
    """An objective with more than its expression."""

    objective: Annotated[str, Field(description="such as p95(end_to_end) < 3s")]
    target: Annotated[
        str | int | None, Field(description="a tighter limit: between it and the written one is a warning")
    ] = None
    critical: Annotated[
        str | int | None, Field(description="a looser limit: between the two is a warning, beyond it a failure")
    ] = None
    scenario: Annotated[str | None, Field(description="about this scenario alone")] = None
    event: Annotated[str | None, Field(description="about events of this name alone")] = None
    key: Annotated[str | None, Field(description="about events whose key matches this glob alone")] = None
    tag: Annotated[
        str | None, Field(description="about events with this tag alone: a name, or NAME=VALUE, as answers gave it")
    ] = None
    probe: Annotated[str | None, Field(description="about what this probe of a chain sees")] = None
    replica: Annotated[str | None, Field(description="about what this replica shows")] = None
    journey: Annotated[
        str | None, Field(description="about the iterations of this journey alone, or the journey of the step")
    ] = None
    step: Annotated[str | None, Field(description="about what this step of a journey sends, or waits for")] = None
    check: Annotated[
        str | None, Field(description="about this check of answers, in all steps that have it or in the step")
    ] = None
    rule: Annotated[str | None, Field(description="about this rule of a race alone")] = None
    contender: Annotated[str | None, Field(description="about the contenders of this name in races")] = None
    after: Annotated[
        str | None,
        Field(description="what counts from a moment: from the end of this scenario or action, or from this time"),
    ] = None
    during: Annotated[str | None, Field(description="about what was due, or sampled, while this action was on")] = (
        None
    )
    abort: Annotated[
        bool | AbortSettings, Field(description="end the run as soon as the objective can't be kept any more")
    ] = False


class Kind(BaseModel):
    """What all producers and probes have in common."""

    model_config = ConfigDict(defer_build=True)

    kind: str


class ConfigFile(Settings):
    """A load test: who sends which events when, who sees their effect, and how soon everyone must."""

    name: Annotated[Name, Field(description="of the run; the name of the file if left out")] = "run"
    labels: Annotated[
        dict[Name, Label], Field(max_length=MOST_LABELS, description="shown in every report: an environment, a build")
    ] = {}
    params: Annotated[
        Params, Field(max_length=MOST_LABELS, description="values that ${params.NAME} stands for, and reports show")
    ] = {}
    profiles: Annotated[
        dict[Name, dict[str, Any]],
        Field(description="changes that --profile chooses: {NAME: {only: [scenario], path.to.value: …, +list: […]}}"),
    ] = {}
    seed: Annotated[int, Field(ge=0, lt=2**63, description="of all that is drawn at random")] = 1
    guard: Annotated[Any, Field(description="whom a run may load, and how much; nobody else is spoken to")] = {}
    secrets: Annotated[
        dict[Name, Any], Field(description="values that change while the run goes on: {secrets.NAME} elsewhere")
    ] = {}
    sandbox: Annotated[dict[str, Any], Field(description="starts the embedded pipeline for this run")] = {}
    producers: Annotated[dict[Name, Any], Field(description="where events go")] = {}
    events: Annotated[dict[Name, Any], Field(description="what is sent")] = {}
    journeys: Annotated[
        dict[Name, Any], Field(max_length=MOST, description="steps that depend on one another, for scenarios to make")
    ] = {}
    probes: Annotated[dict[Name, Any], Field(description="where their effect is read")] = {}
    gauges: Annotated[dict[Name, Any], Field(description="what is sampled while the run goes on")] = {}
    scenarios: Annotated[dict[Name, Any], Field(max_length=MOST, description="what happens, side by side")] = {}
    actions: Annotated[
        dict[Name, Any], Field(max_length=MOST, description="what is done to the system meanwhile, and undone")
    ] = {}
    setup: Annotated[list[Any], Field(max_length=MOST, description="activities before the run, in their order")] = []
    cleanup: Annotated[
        list[Any],
        Field(max_length=MOST, description="activities after the run; with each: acked, once for each such event"),
    ] = []
    costs: Annotated[
        dict[Name, Any], Field(max_length=MOST, description="a price table: {SERVICE: {usage: …, price: …, per: …}}")
    ] = {}
    compare: Annotated[Any, Field(description="by what runs are compared with those before")] = {}
    observe: Annotated[Duration, Field(description="how long the run goes on after its load")] = 0
    slos: Annotated[list[Any], Field(max_length=MOST, description="what must hold")] = []
    reports: Annotated[
        dict[Name, Any], Field(description="what is told to whom at the end; an HTML page if left out")
    ] = {}
    self_checks: Annotated[Any, Field(description="what a failed self-check does to the verdict")] = {}
    settle: Annotated[Duration, Field(description="longest wait for outstanding events after an interrupt")] = (
        10_000_000_000
    )
