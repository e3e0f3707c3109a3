"""Receives what arrives in an SQS queue of its own."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ...spi.context import Surroundings
from ...spi.probe import PushProbe
from .settings import SqsTapSettings


class SqsTapConfig(SqsTapSettings):
    """Settings of the SQS tap.

    The queue must be the tap's own: every message in it is received and deleted, those of other runs included.
    Add it as a further target to the rule, or as a further subscription to the topic, that feeds the system.

    An event is there when its message is received, so the time that a long poll takes to bring a message is
    part of what is measured. A message whose answer is lost comes again only after the queue's visibility timeout:
    the event was there between the beginning of the first poll that failed and the end of the last, which is its
    bracket. Each message is one effect. A standard queue may, rarely, deliver a message twice of its
    own accord, which can't be told from a duplicate of the system's; a FIFO queue doesn't, and tells the order.
    """

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Find the queue, yield the tap. Raises TargetError."""
        from .listener import open_listener

        return open_listener(self, surroundings)
