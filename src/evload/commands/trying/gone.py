"""What was seen of one pass of a journey, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...model.iteration import End, Iteration
from ...model.travel import Event, Receipt
from ...workload.journeys.program import Send, Watch
from .clue import Clue
from .looking import Asked, Found, Looked

OK: Final = "ok"
REFUSED: Final = "refused"
FAILED: Final = "failed"
NOTHING: Final = "no answer"


@dataclass
class StepTried:
    """One step, and what became of it.

    part      begin, steps, finally or end
    to        the producer through which it was sent; of a wait the probe that was asked
    begun_ns  when it was begun
    asked     each time that it was sent, and what was answered; look: how a probe was asked
    said      how the journey took the answer
    detail    what the producer says of it
    taken     out of pools, by the names under which it is known
    captured  by their names, secrets among them
    found     what each capture and each check found
    followed  how each reader looked for its effect, while the journey went on
    """

    operation: Send | Watch
    part: str
    to: str
    event: Event
    begun_ns: int
    asked: list[Asked] = field(default_factory=list)
    look: Looked | None = None
    receipt: Receipt | None = None
    said: str = NOTHING
    detail: str = ""
    taken: Mapping[str, Any] = field(default_factory=dict)
    captured: Mapping[str, Any] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    clues: list[Clue] = field(default_factory=list)
    followed: list[Looked] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Within its journey."""
        return self.operation.name

    @property
    def took_ns(self) -> int | None:
        """From when it was begun to when it was answered, or until it was shown, or gone; None: neither. What is to
        stay absent takes no time."""
        if self.look is not None:
            return {"wait": self.look.seen_ns, "absent": None, "gone": self.look.gone_ns}[self.look.awaits]
        if self.receipt is None or self.receipt.acked_ns is None:
            return None
        return self.receipt.acked_ns - self.begun_ns


@dataclass
class JourneyTried:
    """One pass of a journey.

    over     how it ended; None: somebody had enough before that
    secrets  names of what it captures that no one is shown
    undone   steps that it didn't come to
    rules    of a race: what each rule gives, where all that it looks at was read; None: it is a journey
    interrupted  somebody had enough before all was seen
    """

    journey: str
    scenario: str
    secrets: frozenset[str]
    steps: list[StepTried] = field(default_factory=list)
    over: Iteration | None = None
    undone: list[str] = field(default_factory=list)
    rules: list[Found] | None = None
    interrupted: bool = False

    @property
    def good(self) -> bool:
        """It came to its end, and so did what its user does at the very end; what showed it means something, and what
        its steps sent was seen in time."""
        return (
            self.over is not None
            and self.over.end is End.COMPLETED
            and not any(step.part == "end" and step.said != OK for step in self.steps)
            and not any(step.look is not None and step.look.blind for step in self.steps)
            and all(rule.value is True or rule.value is False for rule in self.rules or ())
            and not self.unseen
        )

    @property
    def unseen(self) -> list[tuple[StepTried, Looked]]:
        """The steps whose effect a reader didn't see in time."""
        return [(step, look) for step in self.steps for look in step.followed if not look.good]
