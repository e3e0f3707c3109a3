"""Other databases of a Redis, in which values may be that a probe looks for in vain."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from ...clients.databases import shown_address
from ...errors import TargetError
from ...spi.context import Surroundings
from ...units import NS_PER_S
from .settings import RedisProbeSettings

_MOST: Final = 16
_NAME: Final = re.compile(r"db(\d+)", re.ASCII)


async def other_databases(config: RedisProbeSettings, surroundings: Surroundings) -> list[tuple[int, str]]:
    """Number and address of each that has keys, but for the one that is looked at. Raises TargetError."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    limit_s = config.timeout / NS_PER_S
    redis = Redis.from_url(
        surroundings.with_login(config).url, socket_timeout=limit_s, socket_connect_timeout=limit_s, protocol=2
    )
    try:
        found = await redis.info("keyspace")
        here = int(redis.connection_pool.connection_kwargs.get("db") or 0)
    except (RedisError, OSError, ValueError, TypeError) as error:
        where = shown_address(config.url)
        raise TargetError(f"can't ask {where} for its databases: {error}; name one in url") from error
    finally:
        await redis.aclose()
    numbers = sorted(int(name[1]) for name in map(_NAME.fullmatch, map(str, found)) if name)
    return [(number, _with_number(config.url, number)) for number in numbers if number != here][:_MOST]


def _with_number(url: str, number: int) -> str:
    parts = urlsplit(url)
    kept = "&".join(one for one in parts.query.split("&") if one and not one.startswith("db="))
    if parts.scheme == "unix":
        return parts._replace(query="&".join([*([kept] if kept else []), f"db={number}"])).geturl()
    return parts._replace(path=f"/{number}", query=kept).geturl()
