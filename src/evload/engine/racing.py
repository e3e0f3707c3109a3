"""Sends what the races of a scenario have due, and tells of each round that is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..spi.producer import Preparing
from ..workload.journeys.pools import Pools
from ..workload.races.room import Races
from .journeying import StepPacer
from .plan import ScenarioRun


class RacePacer(StepPacer[Races]):
    """The rounds of one scenario. `remark` takes what is wrong with a rule, for people."""

    def __init__(self, *args: Any, remark: Callable[[str], None], **more: Any) -> None:
        self._remark = remark
        super().__init__(*args, **more)

    def _opened(self, run: ScenarioRun, scenarios: int, origin_ns: int, pools: Pools) -> Races:
        plan = run.race
        assert plan is not None
        return Races(
            self._index, scenarios, plan.program, plan.course, origin_ns=origin_ns, seed=plan.seed, pools=pools,
            stamp=self._stamp, wake=self.wake, ready=self._prepare,
        )  # fmt: skip

    def _prepare(self, name: str, count: int) -> None:
        producer = self._lines[name].producer
        if isinstance(producer, Preparing):
            producer.prepare(count)

    def _tell(self) -> None:
        for text in self._room.remarks():
            self._remark(text)
        if over := self._room.over():
            self._books.rounded(over)
