"""What a producer is: it hands events to a broker and settles each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import Field

from ..model.travel import Encoding, Event, Receipt
from .context import AdapterSettings, Capabilities, Surroundings

Settle = Callable[[Sequence[Receipt]], None]
"""Hands receipts back to the engine; each published event must appear exactly once."""


class Producer(Protocol):
    """Hands events to a broker."""

    async def publish(self, batch: Sequence[Event], settle: Settle) -> None:
        """Give `batch` to the transport and return; waiting here is back-pressure.

        Every event is settled exactly once, now or later, also when the connection dies; what is unsettled
        when the producer closes is settled then, as IN_DOUBT if it was sent and UNSENT if not. A broker's
        failure is a Receipt, never an exception.
        """
        ...


@runtime_checkable
class Preparing(Protocol):
    """A producer that can make ready for what is about to be sent at one instant. Others needn't."""

    def prepare(self, count: int) -> None:
        """So many events come at once, soon: begin to open what connections that takes, and return."""
        ...


class ProducerSettings(AdapterSettings):
    """What every producer can be told."""

    in_flight: Annotated[int, Field(ge=1, description="most events without an answer at a time")] = 100_000
    when_full: Annotated[
        Literal["wait", "drop"],
        Field(description="at that limit: send late, or count the event as unsent"),
    ] = "wait"
    ordered: Annotated[
        bool,
        Field(description="send the events of a key one at a time: each once the one before it has its answer"),
    ] = False

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with these settings."""
        return Capabilities()

    def encoding(self) -> Encoding:
        """How this producer wants its events rendered."""
        return Encoding()

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Producer]:
        """Connect, yield the producer, close. Raises TargetError if the target can't be reached."""
        raise NotImplementedError
