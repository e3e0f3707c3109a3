"""What the producer and the probe can be told. Neither needs an MQTT library for that."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from evload.clients.jmes import check_expression
from evload.clients.web import reason_of, tls_context
from evload.spi import (
    AdapterSettings,
    AnswerTimeout,
    Capabilities,
    Duration,
    Encoding,
    ProbeSettings,
    ProducerSettings,
    Reach,
    TargetError,
)

URL_HELP: Final = "write an address such as mqtt://user:password@localhost:1883"
FIELDS: Final = ("topic", "properties", "payload")
_LONGEST_TOPIC: Final = 65_535
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class Address(NamedTuple):
    """An MQTT address, taken apart. `shown` is what people may read: no credentials."""

    secure: bool
    host: str
    port: int
    user: str | None
    password: str | None
    shown: str


def parse_url(text: str) -> Address:
    """Take an address apart. Raises ValueError, `what is wrong; what would be right`, without the credentials."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"the address has an unusable host or port; {URL_HELP}") from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise ValueError(f"the address is not one of MQTT; {URL_HELP}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"the address goes on after the port; {URL_HELP}, and the topic in topic")
    return Address(
        secure=parts.scheme == "mqtts",
        host=host,
        port=port or _PORTS[parts.scheme],
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        shown=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
    )


def _check_url(text: str) -> str:
    parse_url(text)
    return text


class MqttSettings(AdapterSettings):
    """Where the broker is and how to get in; for both to inherit beside what evload asks of them."""

    spi: ClassVar[int] = 1
    live: ClassVar[frozenset[str]] = frozenset({"url"})

    url: Annotated[str, AfterValidator(_check_url), Field(description="address of the broker; mqtts for TLS")]
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    timeout: AnswerTimeout = 10_000_000_000
    keepalive: Annotated[
        Duration,
        Field(ge=1_000_000_000, le=65_535_000_000_000, description="a broker silent for so long is asked for a sign"),
    ] = 5_000_000_000

    @property
    def reach(self) -> Reach:
        """The broker alone: an address that it refers to is not followed."""
        return Reach((parse_url(self.url).host,))

    @field_validator("ca_file")
    @classmethod
    def _needs_tls(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and "url" in info.data and not parse_url(info.data["url"]).secure:
            raise ValueError("ca_file is for TLS, which mqtt is not; write mqtts://…")
        return file

    def tls(self, base_dir: Path) -> ssl.SSLContext | None:
        """How to speak TLS to the broker, None for mqtt. Raises TargetError if the file is of no use."""
        if not parse_url(self.url).secure:
            return None
        try:
            return tls_context(None if self.ca_file is None else base_dir / self.ca_file, verify=True)
        except OSError as error:
            raise TargetError(f"can't use ca_file {self.ca_file}: {reason_of(error)}; name a PEM file") from error


class MqttProducerSettings(MqttSettings, ProducerSettings):
    """Of the producer."""

    kind: Literal["mqtt"]
    topic: Annotated[str, Field(min_length=1, description="where to publish, such as shop/{type}")]
    mode: Annotated[
        Literal["structured", "binary", "plain"],
        Field(description="a CloudEvent in the payload, or in the user properties; or the data alone"),
    ] = "structured"
    qos: Annotated[Literal[0, 1], Field(description="1: the broker answers; 0: nobody knows what became of it")] = 1
    window: Annotated[
        int, Field(ge=1, le=65_535, description="most unanswered events; the broker may want fewer")
    ] = 5000

    @field_validator("topic")
    @classmethod
    def _is_no_filter(cls, topic: str) -> str:
        if "+" in topic or "#" in topic:
            raise ValueError(f"{topic!r} is a filter; name the topic without + and #")
        return topic

    def encoding(self) -> Encoding:
        """The content mode; attributes go by their own names; and as an extra the topic, if it has placeholders."""
        return Encoding(mode=self.mode, header_prefix="", extras=(self.topic,) if "{" in self.topic else ())


class MqttTapSettings(MqttSettings, ProbeSettings):
    """Of the probe that listens."""

    kind: Literal["mqtt-tap"]
    topic: Annotated[str, Field(min_length=1, description="filter of the topics to listen to, such as shop/done/#")]
    qos: Annotated[Literal[0, 1], Field(description="quality of service to ask the broker for")] = 1
    match: Annotated[str, Field(description="JMESPath over {topic, properties, payload}: the correlation id")] = (
        "properties.correlationid || payload.correlationid"
    )
    bulk: Annotated[int, Field(ge=1, le=100_000, description="most ids in one look back")] = 10_000

    @field_validator("topic")
    @classmethod
    def _is_a_filter(cls, topic: str) -> str:
        if topic.startswith("$share/"):
            raise ValueError("a shared subscription takes messages away from others; name the filter alone")
        levels = topic.split("/")
        if any(("+" in level and level != "+") or ("#" in level and level != "#") for level in levels):
            raise ValueError(f"{topic!r} is no filter; let + or # stand for whole levels, as in shop/+/done")
        if "#" in levels[:-1] or len(topic.encode()) > _LONGEST_TOPIC:
            raise ValueError(f"{topic!r} is no filter; let # be the last of its levels, as in shop/#")
        return topic

    @field_validator("match")
    @classmethod
    def _match_compiles(cls, text: str) -> str:
        return check_expression(text, FIELDS)

    @property
    def capabilities(self) -> Capabilities:
        """It is told, counts effects, and knows in which order messages came."""
        return Capabilities(pushes=True, tells=frozenset({"effects", "position"}))
