"""HTTP proxies that a config names, and those of the environment that it doesn't. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed hasn't got it

from pydantic import AfterValidator, Field

from .web import Endpoint, parse_url

PROXY_HELP: Final = "write an address such as http://proxy.example:3128"


def parse_proxy(text: str) -> Endpoint:
    """Take a proxy's address apart. Raises ValueError, `what is wrong; what would be right`."""
    proxy = parse_url(text)
    if proxy.secure:
        raise ValueError(f"{proxy.shown} is a proxy that is spoken to by TLS, which evload can't; {PROXY_HELP}")
    if proxy.target != "/":
        raise ValueError(f"{proxy.shown} is more than a proxy's host and port; {PROXY_HELP}")
    return proxy


def _check(text: str) -> str:
    parse_proxy(text)
    return text


ProxyKey = Annotated[
    Annotated[str, AfterValidator(_check)] | None,
    Field(description="HTTP proxy to go through, such as http://user:password@proxy.example:3128"),
]


def through(endpoint: Endpoint, proxy: str | None) -> Endpoint:
    """The same endpoint, to be reached through the proxy if there is one."""
    return endpoint if proxy is None else endpoint._replace(proxy=parse_proxy(proxy))


def ignored(endpoint: Endpoint, environment: Mapping[str, str]) -> str | None:
    """The variable that would send an HTTP client there through a proxy; None if none does."""
    try:
        loopback = ipaddress.ip_address(endpoint.host).is_loopback
    except ValueError:
        loopback = endpoint.host == "localhost" or endpoint.host.endswith(".localhost")
    exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if loopback or proxy_bypass_environment(f"{endpoint.host}:{endpoint.port}", {"no": exempt}):
        return None
    scheme = "https" if endpoint.secure else "http"
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((name for name in names if environment.get(name)), None)
