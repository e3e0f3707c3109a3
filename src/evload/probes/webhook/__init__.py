"""Has the system call back where an event takes effect."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import PushProbe
from .settings import WebhookProbeSettings


class WebhookProbeConfig(WebhookProbeSettings):
    """Settings of the webhook probe.

    evload listens, and the system sends a POST where an event takes effect: JSON, or a CloudEvent in any content
    mode (structured, binary, batched). An event is there when its delivery has arrived; each is one effect, also
    one that the system repeats because it missed the answer. The answer is 202, for what is none of ours too.
    Senders that ask first are answered: the OPTIONS request of CloudEvents' web hooks, and Event Grid's validation.

    Expressions look at {headers, body}; header names are in lower case, and in a batch each event is a `body`.
    A delivery that has to be refused (400 if it isn't JSON, 413 if it is too long) may have been about any
    event: from then on, silence proves nothing. One without the `secret` (401) is nobody's.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Listen, yield the probe, stop. Raises TargetError."""
        from .receiver import open_receiver

        return open_receiver(self, surroundings)
