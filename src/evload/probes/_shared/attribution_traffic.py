"""Lets somebody look on at what a system pushes, whosever event it is about."""

from __future__ import annotations

from typing import Any

import orjson

from ...clock import Clock
from ...model.correlation import CorrelationIds
from ...spi.context import Surroundings
from ...spi.traffic import Exchange, Message, Traffic
from .attribution import Attribution, Look


def attribution(surroundings: Surroundings, look: Look, within: str = "") -> Attribution:
    """Finds out whose event something is about; see there."""
    if surroundings.traffic is None:
        return Attribution(surroundings.ids, look, within)
    return _WatchedAttribution(surroundings.ids, look, within, surroundings.traffic, surroundings.clock)


class _WatchedAttribution(Attribution):
    def __init__(self, ids: CorrelationIds, look: Look, within: str, traffic: Traffic, clock: Clock) -> None:
        super().__init__(ids, look, within)
        self._traffic = traffic
        self._clock = clock

    def find(self, document: Any) -> tuple[int, Any] | None:
        now_ns = self._clock.now_ns()
        self._traffic.exchanged(Exchange(now_ns, now_ns, None, lambda: _came(document)))
        return super().find(document)


def _came(document: Any) -> Message:
    if isinstance(document, str):
        return Message("", document.encode(), lambda: document)
    body = orjson.dumps(document, default=repr, option=orjson.OPT_NON_STR_KEYS)
    return Message("", body, lambda: document)
