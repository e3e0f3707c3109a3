"""What a config says of a secret: where its value comes from, and when it is renewed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from ...settings import Settings
from ...spi.context import SECRET, AnswerTimeout
from ...spi.secrets import without
from ...units import Duration, Share, format_duration, format_share
from ..jmes import check_expression
from ..proxies import ProxyKey
from ..web import Url, check_headers, parse_url

_ANSWER: Final = ("status", "headers", "body")
_SOURCES: Final = ("file", "get", "post", "oauth2")
_ONE_SOURCE: Final = "write {file: /run/secrets/token}, {post: https://…, take: body.access_token} or {oauth2: {…}}"
_OF_REQUESTS: Final = ("json", "form", "headers", "take")
_OF_FETCHED: Final = ("expires", "renew", "lifetime", "timeout", "proxy", "ca_file", "verify")
_NAMES: Final[Mapping[str, str]] = {"document": "json"}
"""Of fields that the config calls otherwise."""


def _plain(url: str) -> str:
    if "{" in url:
        raise ValueError("the address holds a placeholder, but a token belongs to no event; write a plain address")
    return url


class OAuth2(Settings):
    """The client credentials grant of OAuth 2.0 (RFC 6749, section 4.4)."""

    token_url: Annotated[str, Field(description="address of the token endpoint")]
    client_id: Annotated[str, Field(min_length=1, description="of the client")]
    client_secret: Annotated[str, Field(description="of the client", json_schema_extra=SECRET)]
    scope: Annotated[str | None, Field(description="what is asked for, names with spaces between them")] = None
    audience: Annotated[str | None, Field(description="whom the token is for, where the server wants to know")] = None
    params: Annotated[Mapping[str, str], Field(description="further parameters of the request")] = {}
    auth: Annotated[
        Literal["basic", "body"],
        Field(description="how the client says who it is: by basic authentication, or by parameters"),
    ] = "basic"

    @field_validator("token_url")
    @classmethod
    def _url_can_be_called(cls, url: str) -> str:
        parse_url(url)
        return _plain(url)

    @field_validator("params")
    @classmethod
    def _params_are_further_ones(cls, params: Mapping[str, str]) -> Mapping[str, str]:
        for name in ("grant_type", "client_id", "client_secret", "scope", "audience"):
            if name in params:
                where = "it is always client_credentials" if name == "grant_type" else f"write {name}: beside params"
                raise ValueError(f"the parameter {name} is set by oauth2; leave it out, {where}")
        return params


class SecretSettings(Settings):
    """A value that is read again when its file changes, or is fetched and renewed."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [source]} for source in _SOURCES]})

    file: Annotated[Path | None, Field(description="file that holds it; read again when it changes")] = None
    get: Annotated[Url | None, Field(description="address that is asked for it")] = None
    post: Annotated[Url | None, Field(description="address that is asked for it, by POST")] = None
    oauth2: Annotated[OAuth2 | None, Field(description="OAuth 2.0 client credentials")] = None
    document: Annotated[Any, Field(alias="json", description="JSON that is sent")] = None
    form: Annotated[Mapping[str, str] | None, Field(description="form that is sent")] = None
    headers: Annotated[Mapping[str, str], Field(description="headers of the request")] = {}
    take: Annotated[
        str | None, Field(description="JMESPath over {status, headers, body}: the value, such as body.access_token")
    ] = None
    expires: Annotated[
        str | None,
        Field(
            description="JMESPath: seconds that it is good for, or when it ends; default: body.expires_in, or what a "
            "JWT says itself"
        ),
    ] = None
    lifetime: Annotated[
        Duration | None, Field(ge=1_000_000_000, description="how long it is good for, where the answer says nothing")
    ] = None
    renew: Annotated[Share, Field(gt=0, lt=1, description="share of its lifetime after which it is renewed")] = 0.8
    timeout: AnswerTimeout = 10_000_000_000
    proxy: ProxyKey = None
    ca_file: Annotated[Path | None, Field(description="certificate authorities to trust, PEM")] = None
    verify: Annotated[bool, Field(description="check the server's certificate")] = True

    @field_validator("get", "post")
    @classmethod
    def _url_is_no_template(cls, url: str | None) -> str | None:
        return None if url is None else _plain(url)

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in headers.items():
            if "{" in without(value):
                raise ValueError(
                    f"the header {name!r} holds a placeholder, but a token belongs to no event; write a plain value"
                )
        return check_headers(headers)

    @field_validator("take", "expires")
    @classmethod
    def _expression_compiles(cls, text: str | None) -> str | None:
        return None if text is None else check_expression(text, _ANSWER)

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        given = {_NAMES.get(name, name) for name in self.model_fields_set}
        sources = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(sources) != 1:
            found = f"{' and '.join(sources)} are given" if sources else "neither file, get, post nor oauth2 is given"
            raise ValueError(f"{found}, and a secret comes from one place; {_ONE_SOURCE}")
        (source,) = sources
        for name in _OF_REQUESTS if source in ("file", "oauth2") else ():
            if name in given:
                raise ValueError(f"{name} without get or post; leave it out, {source} knows what to do")
        for name in _OF_FETCHED if source == "file" else ():
            if name in given:
                raise ValueError(f"{name} with file, which is read again whenever it changes; leave it out")
        if source in ("get", "post") and self.take is None:
            raise ValueError(f"{source} without take; say where the answer has the value: take: body.access_token")
        if "json" in given and self.form is not None:
            raise ValueError("json and form are two bodies; leave one of them out")
        if source == "get" and ("json" in given or self.form is not None):
            raise ValueError("get sends no body; write post:, or leave json and form out")
        return self

    @property
    def url(self) -> str | None:
        """The address that is asked; None for a file."""
        return self.get or self.post or (self.oauth2.token_url if self.oauth2 else None)

    @property
    def where(self) -> str:
        """Where it comes from, for people."""
        return f"file {self.file}" if self.url is None else parse_url(self.url).shown

    @property
    def habit(self) -> str:
        """When there will be another value, for people."""
        if self.file is not None:
            return "read again when it changes"
        known = "" if self.lifetime is None else f" of {format_duration(self.lifetime)}"
        return f"renewed after {format_share(self.renew)} of its lifetime{known}"
