"""Does what a config has done to the system before the run: its set-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config.run_config import Step
from ..engine.performing import Bounded
from ..errors import TargetError
from ..spi.context import Surroundings


async def set_up(steps: Sequence[Step], surroundings: Surroundings, values: dict[str, Any]) -> None:
    """Do the steps in their order. `values` are what placeholders stand for; what is captured is added to them.

    Raises TargetError for the first that fails.
    """
    for number, step in enumerate(steps, start=1):
        where = f"set-up, step {number} of {len(steps)}"
        try:
            async with step.settings.open(surroundings) as activity:
                outcome = await Bounded.of(activity, step.settings).perform(values)
        except TargetError as error:
            raise TargetError(f"{where}: {error}; nothing was sent") from error
        if outcome.error:
            raise TargetError(f"{where}: {outcome.error}; nothing was sent")
        values.update(outcome.captured)
