"""What the embedded pipeline can be told: its speed, its replicas, and the misbehaviour planted in it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from ..settings import Settings
from ..units import Duration, Share
from .delay import Constant, Delay, DelayDistribution

_NONE: DelayDistribution = Constant(0)


class Stale(Settings):
    """Some events reach a replica only after a further delay."""

    share: Annotated[Share, Field(description="share of the events")]
    lasting: Annotated[Delay, Field(description="the further delay")]


class Replica(Settings):
    """One replica of the read model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", description="how it calls itself in its answers")]
    lag: Annotated[Delay, Field(description="what it lags behind, on top of the visibility delay")] = _NONE
    stale: Annotated[Stale | None, Field(description="events that it shows later still")] = None


class Duplicates(Settings):
    """Some events have their effect a second time."""

    share: Annotated[Share, Field(description="share of the events")] = 0.0
    after: Annotated[Delay, Field(description="from the first effect to the second")] = Constant(100_000_000)


class Regressions(Settings):
    """Some events disappear again for a while, from every replica."""

    share: Annotated[Share, Field(description="share of the events")] = 0.0
    after: Annotated[Delay, Field(description="from the moment the last replica shows it")] = Constant(1_000_000_000)
    lasting: Annotated[Delay, Field(description="how long it is hidden")] = Constant(1_000_000_000)


class Fault(Settings):
    """An outage or a slow-down. `at` counts from the first event that was accepted; without it and `lasting` it is in
    force as long as it stands there."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"at": ["lasting"], "lasting": ["at"]}})

    what: Annotated[
        Literal["broker-down", "workers-down", "read-model-down", "slow-workers", "slow-broker"],
        Field(
            description="broker-down: publishes get 503; read-model-down: reads get 503; workers-down: no work is "
            "begun; slow-workers: service time times `factor`; slow-broker: a publish is answered `delay` later"
        ),
    ]
    at: Annotated[Duration | None, Field(description="start, counted from the first accepted event")] = None
    lasting: Annotated[Duration | None, Field(validate_default=True, description="how long it lasts")] = None
    factor: Annotated[float | None, Field(gt=0, description="slow-workers only")] = None
    delay: Annotated[Duration | None, Field(description="slow-broker only")] = None

    @field_validator("lasting")
    @classmethod
    def _has_both_times(cls, lasting: int | None, info: ValidationInfo) -> int | None:
        if lasting is None and info.data.get("at") is not None:
            raise PydanticKnownError("missing")
        if lasting is not None and "at" in info.data and info.data["at"] is None:
            raise ValueError("lasting without at; write at: 0s to begin with the first event")
        return lasting

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for key, owner, example in (("factor", "slow-workers", "10"), ("delay", "slow-broker", "200ms")):
            given = getattr(self, key) is not None
            if given and self.what != owner:
                raise ValueError(f"{self.what} has no {key}; leave it out, it belongs to {owner}")
            if not given and self.what == owner:
                raise ValueError(f"{owner} needs a {key}; write for example {key}: {example}")
        return self


class SandboxKnobs(Settings):
    """What of the embedded pipeline can change while it runs. Each is replaced as a whole."""

    workers: Annotated[int, Field(ge=0, le=100_000, description="how many; 0 lets the queue grow")] = 4
    service: Annotated[Delay, Field(description="time a worker spends on one event")] = Constant(5_000_000)
    visibility: Annotated[Delay, Field(description="from processed to visible in the read model")] = Constant(
        50_000_000
    )
    replicas: Annotated[
        tuple[Replica, ...], Field(description="the read model's replicas", json_schema_extra={"minItems": 1})
    ] = (Replica(name="r1"),)
    loss: Annotated[Share, Field(description="share of the events accepted and never applied")] = 0.0
    duplicates: Annotated[Duplicates, Field(description="events whose effect happens twice")] = Duplicates()
    swaps: Annotated[
        Share, Field(description="share of the events with a key that are applied after the next one of their key")
    ] = 0.0
    regressions: Annotated[Regressions, Field(description="events that disappear for a while")] = Regressions()
    faults: Annotated[tuple[Fault, ...], Field(description="outages and slow-downs over time")] = ()
    retain: Annotated[
        Duration, Field(description="how long an event stays readable after the last thing that happens to it")
    ] = 600_000_000_000

    @field_validator("replicas")
    @classmethod
    def _can_be_told_apart(cls, replicas: tuple[Replica, ...]) -> tuple[Replica, ...]:
        if not replicas:
            raise ValueError("the read model needs a replica; list at least one, such as {name: r1}")
        names = [replica.name for replica in replicas]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two replicas are called {name!r}; give each a name of its own")
        return replicas


class SandboxSettings(SandboxKnobs):
    """The embedded pipeline: broker, queue, workers, read model, and what is planted in them.

    Same seed and same events at the same times: same truth. A share is of the events; which events are
    chosen for one plant doesn't depend on the other plants. A lost event is nothing else beside.
    """

    seed: Annotated[int, Field(description="of all that is random here")] = 1
    draws: Annotated[
        Literal["arrival", "event"],
        Field(description="what happens to an event is drawn in the order of arrival, or by the event's own id"),
    ] = "arrival"

    def changed(self, patch: object) -> SandboxSettings:
        """These settings with the keys of `patch` replaced, each as a whole.

        Raises ValueError, whose text has one line for each thing wrong, if the patch can't be used. The
        seed, the draws and the names of the replicas can't change.
        """
        try:
            new = SandboxSettings.model_validate(patch)
        except ValidationError as error:
            raise ValueError(explain(error)) from None
        given = {name: getattr(new, name) for name in new.model_fields_set}
        for fixed in ("seed", "draws"):
            if fixed in given:
                raise ValueError(f"the {fixed} can't change while the sandbox runs; start another one with it")
        if [replica.name for replica in given.get("replicas", self.replicas)] != [r.name for r in self.replicas]:
            names = ", ".join(replica.name for replica in self.replicas)
            raise ValueError(f"replicas can't come, go or be renamed while the sandbox runs; list {names}")
        return self.model_copy(update=given)


def explain(error: ValidationError) -> str:
    """One line for each thing wrong with sandbox settings: `where: what is wrong; what would be right`."""
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(map(str, problem["loc"]))
        kind, value = problem["type"], problem["input"]
        if kind == "value_error":
            text = str(problem["ctx"]["error"])
        elif kind == "extra_forbidden":
            text = "unknown key; `evload schema` lists those of the sandbox"
        elif kind == "missing":
            text = "is missing; add it"
        else:
            subject, should, rule = problem["msg"].partition("should")
            text = f"{value!r} can't be used; it {should}{rule}" if should else subject
        lines.append(f"{where}: {text}" if where else text)
    return "\n".join(lines)
