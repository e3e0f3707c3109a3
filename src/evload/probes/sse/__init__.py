"""Listens to server-sent events instead of polling."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import PushProbe
from .settings import SseProbeSettings


class SseProbeConfig(SseProbeSettings):
    """Settings of the SSE probe.

    The system keeps a stream of server-sent events open and sends one where an event takes effect. Its data is the
    correlation id, or JSON that holds it. An event is there when its message arrives; each message is one
    effect. All expressions look at the JSON data.

    When the connection ends, the probe connects again, after as long as the server asks for with `retry`, and with
    the Last-Event-ID. What the server says meanwhile is missed for good, unless it replays it: then say with
    `replays` how long it may take to do so. What arrives within that time may have been visible ever since the cut,
    and after it moments are exact again. Replaying needs an `id` in every message: those without one are sent
    again and count twice. HTTP 204 means that there is no more, and ends it.

    Give `heartbeat` if the server says something (a comment is enough) at least so often. Only then is a connection
    that died without a word noticed for certain; otherwise TCP's keep-alive needs up to 20 s for it.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Connect, yield the probe, disconnect. Raises TargetError."""
        from .listener import open_listener

        return open_listener(self, surroundings)
