"""The login of a Redis connection, which may be another one for the next."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from ..spi.context import Surroundings
from ..spi.secrets import without
from .redis import RedisSettings


def address_of(config: RedisSettings, surroundings: Surroundings) -> tuple[str, dict[str, Any]]:
    """What the SDK is given: the address, and beside it who knows the login, if a secret stands in that."""
    if without(config.url) == config.url:
        return config.url, {}
    from redis.credentials import CredentialProvider

    class Login(CredentialProvider):
        """Whoever connects asks it."""

        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            url = urlsplit(surroundings.with_login(config).url)
            password = unquote(url.password or "")
            return (unquote(url.username), password) if url.username else (password,)

        async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
            return self.get_credentials()

    url = urlsplit(config.url)
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl(), {"credential_provider": Login()}
