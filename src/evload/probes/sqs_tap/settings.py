"""Settings of the SQS tap."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from ...clients.aws import AwsSettings
from ...clients.jmes import check_expression
from ...clients.sqs import QueueName
from ...spi.context import Capabilities
from ...spi.probe import ProbeSettings

_PLACES: Final = "detail.correlationid || correlationid || detail.correlation_id || correlation_id"


class SqsTapSettings(AwsSettings, ProbeSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

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

    @property
    def named(self) -> tuple[str, ...]:
        return (self.queue,)

    @field_validator("match")
    @classmethod
    def _match_compiles(cls, match: str) -> str:
        return check_expression(match, None)

    @model_validator(mode="after")
    def _one_place(self) -> SqsTapSettings:
        if self.message_attribute is not None and "match" in self.model_fields_set:
            raise ValueError("both match and message_attribute; say in one place where the correlation id is")
        return self

    @property
    def capabilities(self) -> Capabilities:
        numbered = {"position"} if self.is_fifo else set()
        return Capabilities(pushes=True, tells=frozenset({"effects"} | numbered))

    @property
    def is_fifo(self) -> bool:
        """Only such a queue numbers its messages."""
        return self.queue.endswith(".fifo")
