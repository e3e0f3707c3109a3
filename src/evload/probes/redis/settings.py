"""Settings of the Redis probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from ...clients.redis import RedisSettings
from ...spi.context import AnswerTimeout, Capabilities
from .._shared.fact_expressions import told_by
from .._shared.id_template import EventKey, KeyTemplate, KeyText
from .._shared.looked_into import ValuesLookedInto
from .._shared.stored_value import ONE_EACH, ValueExpression

_SOURCES: Final = ("key", "hash", "stream")


class RedisProbeSettings(RedisSettings, ValuesLookedInto):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    kind: Literal["redis"]
    key: Annotated[EventKey | None, Field(description="key of an event's string, with {correlation_id}")] = None
    hash: Annotated[KeyText | None, Field(min_length=1, description="key of a hash")] = None
    stream: Annotated[str | None, Field(min_length=1, description="key of a stream")] = None
    field: Annotated[
        KeyText | None, Field(min_length=1, description="field of the hash, or of the stream's entries")
    ] = None
    visible: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the value: is the event visible? default: it is there"),
    ] = None
    ended: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the value: has it come to another end, so that it will never be visible?"),
    ] = None
    effects: Annotated[
        ValueExpression | None, Field(description="JMESPath over the value: how many side effects the event has had")
    ] = None
    version: Annotated[
        ValueExpression | None,
        Field(description="JMESPath over the value: how many writes of the event's key it reflects, visible or not"),
    ] = None
    timeout: AnswerTimeout = 5_000_000_000
    pool: Annotated[int, Field(ge=1, le=1000, description="most connections; a read waits for a free one")] = 8
    parallel: Annotated[int, Field(ge=1, le=10_000, description="most reads at the same time")] = 8
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one read")] = 1000

    @model_validator(mode="before")
    @classmethod
    def _an_entry_is_an_effect(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "stream" in values and "effects" not in values:
            return {**values, "effects": ONE_EACH}
        return values

    @model_validator(mode="after")
    def _looks_at_one_thing(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "nothing"
            raise ValueError(f"the probe looks at {found}; give it one of key, hash with field, or stream with field")
        if self.key is not None and self.field is not None:
            raise ValueError("field belongs to a hash or a stream, not to a key; leave it out, or write hash for key")
        if self.key is None and self.field is None:
            raise ValueError(f"{given[0]} without field; say which field, such as {{field: correlation_id}}")
        if self.stream is not None and self.ended is not None:
            raise ValueError("ended belongs to a key or a hash; entries of a stream are never written again")
        if self.stream is not None and self.version is not None:
            raise ValueError("version belongs to a key or a hash; entries of a stream are never written again")
        names_event = [text is not None and KeyTemplate(text).names_event for text in (self.hash, self.field)]
        if self.hash is not None and not any(names_event):
            raise ValueError("hash and field are the same for every event; put {correlation_id} into one of them")
        if self.stream is not None and names_event[1]:
            raise ValueError(
                "field of a stream names where the id is, so it holds no {correlation_id}; leave that out"
            )
        return self

    def waiting(self, until: str | None, within_ns: int, captures: Mapping[str, str]) -> Self:
        self._check_asked_by_a_step()
        return super().waiting(until, within_ns, captures)

    @property
    def following(self) -> Self:
        self._check_asked_by_a_step()
        return super().following

    def _check_asked_by_a_step(self) -> None:
        """Raises ValueError. What a stream holds is found by the correlation ids of events, once for all of them."""
        if self.stream is not None:
            raise ValueError("nobody can ask a stream about an id; name a probe that looks at a key or a hash")

    @property
    def capabilities(self) -> Capabilities:
        # Only the entries of a stream have an order.
        numbered = frozenset() if self.stream is None else frozenset({"position"})
        return Capabilities(tells=told_by(self, "ended", "effects", "version") | numbered)
