"""Settings of what is done to a RabbitMQ through its management API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from ...model.statuses import Statuses
from ...spi.context import AdapterSettings
from .._shared.capturing import Capturing
from .._shared.http_address import ActionUrl, Asking, json_body

_WHAT: Final = ("purge", "close_connections", "policy", "delete_policy", "limits", "clear_limits", "call")
_EXAMPLE: Final = "purge: QUEUE, close_connections: GLOB, or policy: {name: …, pattern: …, definition: {…}}"

Text = Annotated[str, Field(min_length=1)]
Limit = Literal["max-connections", "max-queues"]


class Connections(AdapterSettings):
    """Connections of the virtual host that fit all of it."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: Annotated[
        Text | None, Field(description="glob of the name that the client gave it, or of the one that RabbitMQ did")
    ] = None
    user: Annotated[Text | None, Field(description="whose they are")] = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.name is None and self.user is None:
            raise ValueError("nothing says which connections; write a glob such as 'orders-*', or {user: orders}")
        return self


class Policy(AdapterSettings):
    """A policy of the virtual host. Of those that match a queue the one with the highest priority holds."""

    name: Annotated[Text, Field(description="its name; one of the same name is replaced")]
    pattern: Annotated[Text, Field(description="regular expression of the names to which it applies")]
    definition: Annotated[
        Mapping[Text, Any], Field(min_length=1, description="what holds for them, such as {max-length: 100}")
    ]
    apply_to: Annotated[
        Literal["queues", "classic_queues", "quorum_queues", "streams", "exchanges", "all"],
        Field(description="to what it applies"),
    ] = "queues"
    priority: Annotated[int, Field(description="over other policies that match")] = 0


class Call(AdapterSettings):
    """Any request to the management API."""

    method: Annotated[Literal["GET", "POST", "PUT", "DELETE"], Field(description="HTTP method")]
    path: Annotated[
        str,
        Field(description="path and query, such as /api/queues/%2F/orders", json_schema_extra={"pattern": "^/api/"}),
    ]
    document: Annotated[Any, Field(alias="json", description="JSON that is sent")] = None
    expect: Annotated[Statuses, Field(description="statuses that say that it is done")] = ("2xx",)

    @field_validator("path")
    @classmethod
    def _path_is_of_the_api(cls, path: str) -> str:
        if not path.startswith("/api/"):
            raise ValueError(f"{path!r} is no path of the API; write one such as /api/queues/%2F/orders")
        return path

    @field_validator("document")
    @classmethod
    def _document_is_json(cls, document: Any) -> Any:
        try:
            json_body(document)
        except (TypeError, ValueError):
            raise ValueError("json holds what JSON has no way to write, such as .nan or .inf; write null") from None
        return document


def _pattern(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class RabbitmqActivitySettings(Capturing, Asking):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [what]} for what in _WHAT]})

    sees: ClassVar = ("status", "headers", "body")
    live: ClassVar = frozenset({"rabbitmq"})

    rabbitmq: Annotated[
        ActionUrl, Field(description="address of the management API, such as http://guest:guest@localhost:15672")
    ]
    vhost: Annotated[Text, Field(description="virtual host")] = "/"
    purge: Annotated[Text | None, Field(description="queue whose messages that are ready are thrown away")] = None
    close_connections: Annotated[
        Annotated[
            Connections,
            BeforeValidator(_pattern),
            WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, Connections.model_json_schema()]}),
        ]
        | None,
        Field(description="connections that are closed: a glob of their names, or {name, user}; not evload's own"),
    ] = None
    policy: Annotated[Policy | None, Field(description="policy that is set")] = None
    delete_policy: Annotated[Text | None, Field(description="name of a policy that is deleted, if there is one")] = (
        None
    )
    limits: Annotated[
        Mapping[Limit, Annotated[int, Field(ge=-1)]] | None,
        Field(description="limits of the virtual host that are set: {max-connections: 0} lets nobody in; -1 is none"),
    ] = None
    clear_limits: Annotated[
        tuple[Limit, ...] | None, Field(description="limits of the virtual host that are taken away")
    ] = None
    call: Annotated[Call | None, Field(description="any other request: {method, path, json}")] = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        given = [what for what in _WHAT if getattr(self, what) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are {len(given)} things to do" if given else "nothing says what is done"
            raise ValueError(f"{found}; {'make them a list' if given else f'write {_EXAMPLE}'}")
        if given[0] in ("limits", "clear_limits") and not getattr(self, given[0]):
            raise ValueError(f"{given[0]} names no limit; write max-connections or max-queues")
        if self.capture and self.call is None:
            raise ValueError(f"{given[0]} has no answer to capture from; leave capture out, or write call:")
        return self

    @property
    def url(self) -> str:
        return self.rabbitmq

    @property
    def title(self) -> str:
        return f"rabbitmq: {self._what} at {self.address.endpoint.shown}"

    @property
    def _what(self) -> str:
        if self.purge is not None:
            return f"purge {self.purge}"
        if self.close_connections is not None:
            whose = "" if self.close_connections.user is None else f" of {self.close_connections.user}"
            return f"close connections {self.close_connections.name or '*'}{whose}"
        if self.policy is not None:
            return f"set policy {self.policy.name}"
        if self.delete_policy is not None:
            return f"delete policy {self.delete_policy}"
        if self.limits is not None:
            return "set " + ", ".join(f"{name} {value}" for name, value in self.limits.items())
        if self.clear_limits is not None:
            return f"clear {', '.join(self.clear_limits)}"
        assert self.call is not None
        return f"{self.call.method} {self.call.path.partition('?')[0]}"
