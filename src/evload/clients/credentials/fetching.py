"""Fetches a token over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import orjson

from ...clock import Clock
from ...errors import TargetError
from ...spi.secrets import Secrets, filled
from ..bodies import beginning, field
from ..http_asking import NoAnswer, open_asker
from ..proxies import through
from ..web import Answer, encode_target, excerpt, parse_url
from .grant import Grant, GrantReader, NoGrant
from .settings import OAuth2, SecretSettings

_MOST: Final = 1 << 20
"""Bytes of an answer. A token has some thousand."""
_SHOWN: Final = 1024
_FORM: Final = "application/x-www-form-urlencoded"
_REFUSED: Final = (400, 401, 403)


class Fetcher:
    """Gets the value of one secret from where its settings say. `secrets` are those that they may name."""

    def __init__(self, settings: SecretSettings, clock: Clock, base_dir: Path, secrets: Secrets) -> None:
        assert settings.url is not None
        self._settings = settings
        self._clock = clock
        self._base_dir = base_dir
        self._secrets = secrets
        self._endpoint = through(parse_url(settings.url), settings.proxy)
        take = settings.take or "body.access_token"
        self._reader = GrantReader(take, settings.expires, settings.lifetime)

    async def get(self) -> Grant:
        """Ask for it. Raises NoGrant."""
        settings = self._settings
        method = "GET" if settings.get is not None else "POST"
        try:
            headers, body = self._request()
            # A connection of its own: the next time is minutes away.
            async with open_asker(
                self._endpoint, self._base_dir, self._clock, headers,
                ca_file=settings.ca_file, verify=settings.verify, timeout_ns=settings.timeout, max_body=_MOST,
            ) as asker:  # fmt: skip
                answered = await asker.ask(method, encode_target(self._endpoint.target), body)
                now = self._clock.wall(self._clock.now_ns())
                if not 200 <= answered.status < 300:
                    raise self._refusal(answered.status, answered.headers, answered.body)
                return self._reader.read(Answer(answered.status, answered.headers, asker.body_of(answered)), now)
        except NoAnswer as error:
            raise NoGrant(str(error), "start the token endpoint, or correct its address") from None
        except TargetError as error:
            what, _, cure = str(error).partition("; ")
            raise NoGrant(what, cure) from None

    def _request(self) -> tuple[Mapping[str, str], bytes | None]:
        """Headers and body, with the values of the moment of the secrets that they name. Raises TargetError."""
        settings = self._settings
        headers = {"accept": "application/json"}
        headers |= {name: filled(value, self._secrets) for name, value in settings.headers.items()}
        if settings.oauth2 is not None:
            parameters, login = self._client(settings.oauth2)
            return {**headers, **login, "content-type": _FORM}, urlencode(parameters).encode()
        if settings.form is not None:
            return {"content-type": _FORM, **headers}, urlencode(self._filled(settings.form)).encode()
        if "document" in settings.model_fields_set:
            return {"content-type": "application/json", **headers}, orjson.dumps(self._filled(settings.document))
        return headers, None

    def _client(self, oauth2: OAuth2) -> tuple[dict[str, str], dict[str, str]]:
        """The parameters of the grant, and the header by which the client says who it is (RFC 6749, 2.3.1, 4.4.2)."""
        parameters = {"grant_type": "client_credentials"}
        if oauth2.scope is not None:
            parameters["scope"] = oauth2.scope
        if oauth2.audience is not None:
            parameters["audience"] = oauth2.audience
        parameters.update(self._filled(oauth2.params))
        client, secret = filled(oauth2.client_id, self._secrets), filled(oauth2.client_secret, self._secrets)
        if oauth2.auth == "body":
            return {**parameters, "client_id": client, "client_secret": secret}, {}
        # Both are encoded as in a form before they are put together: a colon in them stays theirs.
        login = base64.b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()
        return parameters, {"authorization": f"Basic {login}"}

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return filled(value, self._secrets)
        if isinstance(value, Mapping):
            return {key: self._filled(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._filled(item) for item in value]
        return value

    def _refusal(self, status: int, headers: Any, body: bytes) -> NoGrant:
        text = excerpt(beginning(body, field(headers, b"content-encoding"), field(headers, b"content-type"), _SHOWN))
        cure = "correct the address"
        if status in _REFUSED:
            cure = "correct what it is asked with"
        elif status >= 500 or status == 429:
            cure = "look after the token endpoint"
        return NoGrant(f"HTTP {status}: {text}" if text else f"HTTP {status}", cure)
