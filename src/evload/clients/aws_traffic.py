"""Lets somebody look on at the calls of an SDK's client of AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..clock import Clock
from ..spi.traffic import Exchange, Message, Traffic


def watched_client(client: Any, traffic: Traffic | None, clock: Clock) -> Any:
    """The client; its calls are told to `traffic`, if anybody looks on."""
    return client if traffic is None else _WatchedClient(client, traffic, clock)


class _WatchedClient:
    def __init__(self, client: Any, traffic: Traffic, clock: Clock) -> None:
        self._client = client
        self._traffic = traffic
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if not callable(call):
            return call

        async def watched(**arguments: Any) -> Any:
            start_ns = self._clock.now_ns()
            sent = Message(name, _json(arguments))
            try:
                answer = await call(**arguments)
            except Exception as error:
                said = " ".join(str(error).split())
                self._traffic.exchanged(Exchange(start_ns, self._clock.now_ns(), lambda: sent, None, said))
                raise
            self._traffic.exchanged(Exchange(start_ns, self._clock.now_ns(), lambda: sent, lambda: _came(answer)))
            return answer

        return watched


def _came(answer: Mapping[str, Any]) -> Message:
    said = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return Message("", _json(said), lambda: said)


def _json(value: Any) -> bytes:
    return json.dumps(value, default=str, ensure_ascii=False).encode()
