"""Receives what arrives in an SQS queue of its own: settings of the SQS tap."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from ..clients.aws import AwsSettings
from ..clients.jmes import check_expression
from ..clients.sqs import QueueName
from ..ports import ProbeSettings, PushProbe, Surroundings

_PLACES: Final = "detail.correlationid || correlationid || detail.correlation_id || correlation_id"


class SqsTapConfig(AwsSettings, ProbeSettings):
    """Settings of the SQS tap.

    The queue must be the tap's own: every message in it is received and deleted, those of other runs included.
    Add it as a further target to the rule, or as a further subscription to the topic, that feeds the system.

    An event is there when its message is received, so the time that a long poll takes to bring a message is
    part of what is measured. Each message is one effect. A standard queue may, rarely, deliver a message twice of its
    own accord, which can't be told from a duplicate of the system's; a FIFO queue doesn't, and tells the order.
    """

    kind: Literal["sqs-tap"]
    queue: Annotated[QueueName, Field(description="name or URL of the tap's own queue")]
    match: Annotated[
        str, Field(description="JMESPath over the JSON body: the correlation id; default: where CloudEvents have it")
    ] = _PLACES
    message_attribute: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_.-]{1,256}$", description="message attribute that holds the id instead"),
    ] = None
    pollers: Annotated[int, Field(ge=1, le=90, description="long polls at a time")] = 4

    @field_validator("match")
    @classmethod
    def _match_compiles(cls, match: str) -> str:
        return check_expression(match, None)

    @model_validator(mode="after")
    def _one_place(self) -> SqsTapConfig:
        if self.message_attribute is not None and "match" in self.model_fields_set:
            raise ValueError("both match and message_attribute; say in one place where the correlation id is")
        return self

    @property
    def pushes(self) -> bool:
        """Always: nothing is polled for single events."""
        return True

    @property
    def position(self) -> str | None:
        """What tells the order of events; only a FIFO queue has it."""
        return "SequenceNumber" if self.queue.endswith(".fifo") else None

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[PushProbe]:
        """Find the queue, yield the tap. Raises TargetError."""
        from .sqs_listener import open_listener

        return open_listener(self, surroundings)
