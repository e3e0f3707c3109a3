"""Settings of the HTTP producer."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, StrictInt, StrictStr, ValidationInfo, field_validator, model_validator

from ...clients.answer_tags import TAGGED, TagName, check_tags
from ...clients.credentials.headers import Fill, check_alone, held
from ...clients.jmes import check_expression
from ...clients.proxies import ProxyKey
from ...clients.web import Url, check_header, check_method, has_control, parse_url, reach_of, unchecked
from ...model.statuses import Statuses
from ...model.tags import MOST
from ...model.travel import Encoding
from ...spi.context import SECRET, AdapterSettings, AnswerTimeout, Capabilities
from ...spi.guard import Reach
from ...spi.producer import ProducerSettings
from ...spi.secrets import PLACEHOLDER
from ...units import Duration

Mode = Literal["structured", "binary", "batched", "plain"]
Property = Literal[
    "app_id", "content_encoding", "content_type", "correlation_id", "delivery_mode", "expiration", "headers",
    "message_id", "priority", "reply_to", "timestamp", "type", "user_id",
]  # fmt: skip
"""Properties of a message, as AMQP 0-9-1 names them."""

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_PUBLISH: Final = re.compile(r"(?:/.*)?/api/exchanges/[^/]+/[^/]+/publish")
_PUBLISH_HELP: Final = "write http://localhost:15672/api/exchanges/%2F/EXCHANGE/publish"
_TYPES: Final[Mapping[Property, tuple[type[Any], str]]] = {
    "delivery_mode": (int, "1 (transient) or 2 (persistent)"),
    "headers": (dict, "a mapping such as {x-team: shop}"),
    "priority": (int, "a whole number"),
    "timestamp": (int, "seconds since 1970"),
}
"""Of properties that aren't text: their type, and what to write."""


def is_template(text: str) -> bool:
    """Whether it is another text for each event."""
    return "{" in text and not held(text)


class Basic(AdapterSettings):
    """A login by user and password."""

    user: Annotated[str, Field(min_length=1, description="name of the user")]
    password: Annotated[str, Field(description="password of the user", json_schema_extra=SECRET)]

    @field_validator("user", "password")
    @classmethod
    def _can_be_sent(cls, text: str, info: ValidationInfo) -> str:
        if has_control(text) or (info.field_name == "user" and ":" in text):
            raise ValueError(f"the {info.field_name} holds what basic authentication can't carry; choose another")
        return text


class Auth(AdapterSettings):
    """What each request says about who sends it: a token, or a user and a password."""

    bearer: Annotated[str | None, Field(description="a token, without the word Bearer", json_schema_extra=SECRET)] = (
        None
    )
    basic: Annotated[Basic | None, Field(description="user and password")] = None

    @field_validator("bearer")
    @classmethod
    def _token_can_be_sent(cls, token: str | None) -> str | None:
        if token is not None and not _TOKEN.fullmatch(PLACEHOLDER.sub("x", token)):
            raise ValueError("the token is empty or holds a space or a line break; write the token alone")
        return token

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if (self.bearer is None) == (self.basic is None):
            raise ValueError(
                "auth is one of bearer and basic; write {bearer: ...} or {basic: {user: ..., password: ...}}"
            )
        return self

    def header(self, fill: Fill = str) -> str:
        """The value of the Authorization header. `fill` puts the values of secrets into a text."""
        if self.basic is None:
            return f"Bearer {fill(self.bearer or '')}"
        return "Basic " + b64encode(f"{fill(self.basic.user)}:{fill(self.basic.password)}".encode()).decode()

    @property
    def changes(self) -> bool:
        """Whether a secret stands in it that may change while the run goes on."""
        return held(self.bearer or "") or (self.basic is not None and held(self.basic.user + self.basic.password))


class RabbitmqApi(AdapterSettings):
    """How to publish through RabbitMQ's management API, for clusters into which no AMQP leads.

    Messages are persistent and carry their id as `message_id` and `correlation_id`, unless `properties` says
    otherwise. An event that no queue wanted is returned. The API opens a connection for each event, which makes
    it slow; for load, kind rabbitmq is the right one.
    """

    routing_key: Annotated[str, Field(description="routing key; can hold an event's placeholders")] = "{type}"
    properties: Annotated[
        Mapping[Property, StrictStr | StrictInt | Mapping[str, Any]],
        Field(description="further properties of the messages, by their AMQP names"),
    ] = {}

    @field_validator("properties")
    @classmethod
    def _properties_have_their_types(cls, properties: Mapping[Property, Any]) -> Mapping[Property, Any]:
        for name, value in properties.items():
            wanted, what = _TYPES.get(name, (str, "text"))
            if not isinstance(value, wanted):
                raise ValueError(f"the property {name} can't be {value!r}; write {what}")
        return properties


class HttpProducerSettings(ProducerSettings):
    """What it can be told. The plug-in, with what opens it, is the package itself."""

    live: ClassVar[frozenset[str]] = frozenset({"headers", "auth"})

    kind: Literal["http"]
    mode: Annotated[
        Mode,
        Field(description="a CloudEvent in the body, in the headers, many in one body; or the data alone"),
    ] = "structured"
    url: Annotated[Url, Field(description="where to send the events")]
    method: Annotated[str, Field(description="HTTP method")] = "POST"
    headers: Annotated[Mapping[str, str], Field(description="further headers")] = {}
    expect: Annotated[Statuses, Field(description="statuses with which the target accepts an event")] = ("2xx",)
    capture: Annotated[
        str | None,
        Field(description="JMESPath over {status, headers, body}: the id that the target gave the event"),
    ] = None
    tag: Annotated[Mapping[TagName, str], Field(max_length=MOST, description=TAGGED)] = {}
    timeout: AnswerTimeout = 10_000_000_000
    connections: Annotated[int, Field(ge=1, le=60_000, description="most connections at a time")] = 1000
    max_idle: Annotated[
        Duration,
        Field(description="an idle connection older than this is not used again; stay below the target's own limit"),
    ] = 4_000_000_000
    requests_per_connection: Annotated[
        int | None,
        Field(ge=1, description="close a connection after so many requests; stay below the target's own limit"),
    ] = None
    batch: Annotated[int, Field(ge=1, le=100_000, description="most events in one request, in mode batched")] = 100
    auth: Annotated[Auth | None, Field(description="a token, or user and password")] = None
    cookies: Annotated[
        bool, Field(description="keep the cookies of each user of journeys, as a browser does, and send them back")
    ] = False
    rabbitmq_api: Annotated[RabbitmqApi | None, Field(description="the target is RabbitMQ's management API")] = None
    proxy: ProxyKey = None
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the target's certificate")] = True
    cert_file: Annotated[Path | None, Field(description="own certificate, PEM, with its key or beside key_file")] = (
        None
    )
    key_file: Annotated[Path | None, Field(description="key of the own certificate, PEM, not encrypted")] = None

    @field_validator("url")
    @classmethod
    def _url_fits_mode(cls, url: str, info: ValidationInfo) -> str:
        if info.data.get("mode") == "batched" and "{" in url:
            raise ValueError("url is a template, but a batch has many events; leave the placeholders out")
        return url

    @field_validator("method")
    @classmethod
    def _method_can_be_sent(cls, method: str, info: ValidationInfo) -> str:
        if "{" in method:
            if info.data.get("mode") == "batched":
                raise ValueError("method is a template, but a batch has many events; write one method")
            return method
        return check_method(method)

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        mode = info.data.get("mode")
        for name, value in headers.items():
            check_header(name, value)
            if held(value):
                check_alone(name, value)
            elif mode == "batched" and "{" in value:
                raise ValueError(f"header {name!r} is a template, but a batch has many events; write one value")
            if mode != "plain" and (name.lower() == "content-type" or name.lower().startswith("ce-")):
                raise ValueError(f"header {name!r} is part of mode {mode}; leave it out, or use mode: plain")
        return headers

    @field_validator("capture")
    @classmethod
    def _capture_compiles(cls, capture: str | None, info: ValidationInfo) -> str | None:
        if capture is None:
            return None
        if info.data.get("mode") == "batched":
            raise ValueError("capture can't tell the events of a batch apart; use another mode, or leave it out")
        return check_expression(capture, ("status", "headers", "body"))

    @field_validator("tag")
    @classmethod
    def _tags_compile(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        return check_tags(tags)

    @field_validator("auth")
    @classmethod
    def _one_login(cls, auth: Auth | None, info: ValidationInfo) -> Auth | None:
        if auth is None:
            return None
        if any(name.lower() == "authorization" for name in info.data.get("headers", ())):
            raise ValueError("auth writes the header authorization, which is there already; leave one of them out")
        if (url := info.data.get("url")) and parse_url(url).credentials:
            raise ValueError("auth and the user in url are two logins; leave one of them out")
        return auth

    @field_validator("cookies")
    @classmethod
    def _one_who_writes_cookies(cls, cookies: bool, info: ValidationInfo) -> bool:
        if cookies and any(name.lower() == "cookie" for name in info.data.get("headers", ())):
            raise ValueError("cookies: true writes the header cookie, which is there already; leave one of them out")
        return cookies

    @field_validator("rabbitmq_api")
    @classmethod
    def _is_the_publish_endpoint(cls, api: RabbitmqApi | None, info: ValidationInfo) -> RabbitmqApi | None:
        given = info.data
        if api is None or not given.keys() >= {"url", "mode", "method", "headers"}:
            return api
        endpoint = parse_url(given["url"])
        if not _PUBLISH.fullmatch(endpoint.target):
            raise ValueError(f"{endpoint.shown} is not where the management API publishes; {_PUBLISH_HELP}")
        if given["mode"] not in ("structured", "plain"):
            raise ValueError(f"the management API has no mode {given['mode']}; write mode: structured, or plain")
        if given["method"] != "POST":
            raise ValueError("the management API publishes by POST; leave method out")
        if any(name.lower() == "content-type" for name in given["headers"]):
            raise ValueError("the header content-type is that of the API; write properties: {content_type: ...}")
        if given.get("capture") is not None:
            raise ValueError("the management API answers with no id of an event; leave capture out")
        return api

    @field_validator("cert_file", "key_file")
    @classmethod
    def _certificate_is_used(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        url = info.data.get("url")
        if file is not None and url and not parse_url(url).secure:
            raise ValueError(f"{info.field_name} is for TLS, which {parse_url(url).shown} is not; write https://…")
        if info.field_name == "key_file" and file is not None and info.data.get("cert_file") is None:
            raise ValueError("key_file without a cert_file is of no use; name both")
        return file

    @property
    def templates(self) -> tuple[str, ...]:
        """Whatever of target, method and header values holds a placeholder."""
        texts = (parse_url(self.url).target, self.method, *self.headers.values())
        return tuple(text for text in texts if is_template(text))

    @property
    def reach(self) -> Reach:
        return reach_of(self.url)

    @property
    def remarks(self) -> Sequence[str]:
        return unchecked(self.verify, self.url)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            captures=self.capture is not None,
            tells=frozenset({"status", "first_byte"}),
            tags=frozenset(self.tag),
            counts_bytes=True,
        )

    def encoding(self) -> Encoding:
        """The content mode, and as extras the templates, that of the routing key last."""
        mode: Literal["structured", "binary", "plain"] = "structured" if self.mode == "batched" else self.mode
        key = self.rabbitmq_api.routing_key if self.rabbitmq_api else ""
        return Encoding(mode=mode, extras=(*self.templates, key) if "{" in key else self.templates)
