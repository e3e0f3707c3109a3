"""What can be changed about the stand-in, before it starts and while it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(slots=True)
class Knobs:
    """All of them, as they are when nobody says otherwise. Times are in milliseconds."""

    work_ms: float = 40.0
    """What a worker takes for the messages that it has in hand, before any delay."""
    delay_ms: float = 0.0
    """What it takes longer: the slow consumer."""
    slots: int = 10
    """Messages that a task has in hand at a time."""
    least: int = 0
    """Tasks that stay when there is nothing to do; with 0 the next message finds a cold start."""
    most: int = 8
    """Tasks there may be. Fewer than are wanted throttles the workers."""
    backlog: int = 50
    """Visible messages for each task, beyond which another one is started."""
    look_ms: float = 200.0
    """How often the autoscaler looks at the queue."""
    start_ms: float = 1500.0
    """From when a task is wanted until it runs."""
    cold_ms: float = 150.0
    """What the first messages of a new task wait for it to have warmed up."""
    idle_ms: float = 600_000.0
    """A task without a message for so long ends."""
    visibility_ms: float = 2000.0
    """After what time a message that a worker failed on is tried again."""
    attempts: int = 3
    """How often a message is tried before it is a dead letter."""
    latency_ms: float = 0.0
    """What each answer over HTTP takes longer."""
    refused: float = 0.0
    """Share of the entries of PutEvents, and of what the API is asked to place, that are throttled."""
    database: bool = True
    """False: the database is away; workers fail, and reads answer 503."""
    bus: bool = True
    """False: bus and queue are unavailable; what is sent to them is answered with 503."""
    idempotent: bool = True
    """False: a message that comes again makes another placement."""
    lose: int = 0
    """Of so many messages the workers take one off the queue and make nothing of it; with 0 of none."""
    leak: int = 0
    """Bytes that the workers keep of each message for no reason."""
    leak_every: int = 0
    """After so many messages the workers leave another connection to the database open; with 0 never."""

    def change(self, values: Mapping[str, Any]) -> None:
        """Set some of them, all or none. Raises ValueError."""
        checked = {name: self._checked(name, value) for name, value in values.items()}
        if checked.get("least", self.least) > checked.get("most", self.most):
            raise ValueError("least is more than most; there are never more tasks than most")
        for name, value in checked.items():
            setattr(self, name, value)

    def _checked(self, name: str, value: Any) -> Any:
        if name not in {field.name for field in fields(self)}:
            raise ValueError(f"there is no knob {name}; choose of {', '.join(field.name for field in fields(self))}")
        kind = type(getattr(self, name))
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"{name} is {value!r}; write {_WRITTEN[kind]}")
        if kind is not bool and not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}; write a number from 0")
        if name in ("slots", "most", "backlog", "attempts", "look_ms") and value < 1:
            raise ValueError(f"{name} is {value}; write at least 1")
        return value


QUICK: Mapping[str, Any] = {"idle_ms": 1000, "visibility_ms": 400, "start_ms": 500, "look_ms": 100}
"""So that minutes become seconds: what the profiles called `short` count on."""
_WRITTEN: Mapping[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}
