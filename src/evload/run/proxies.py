"""Says that a proxy of the environment isn't used: other HTTP clients would use it, a load hardly wants to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from ..clients.proxies import ignored
from ..clients.web import parse_url
from ..config.run_config import RunConfig


def unused_proxies(config: RunConfig) -> str:
    """One line for a person; empty if there is nothing to be said."""
    return unused(_adapters(config), os.environ)


def _adapters(config: RunConfig) -> Iterator[tuple[str, object]]:
    yield from config.producers.items()
    for name, probe in config.probes.items():
        replicas = config.replicas.get(name, {})
        yield from ((f"{name}@{replica}", settings) for replica, settings in replicas.items())
        if not replicas:
            yield name, probe


def unused(adapters: Iterable[tuple[str, object]], environment: Mapping[str, str]) -> str:
    """One line about all adapters that could go through a proxy, don't, and would be sent there by a variable."""
    found: dict[str, str] = {}
    for name, settings in adapters:
        if getattr(settings, "proxy", "") is None:
            variable = ignored(parse_url(str(getattr(settings, "url", ""))), environment)
            if variable is not None:
                found[name] = variable
    if not found:
        return ""
    variables = sorted(set(found.values()))
    unused = f"{' and '.join(variables)} {'is' if len(variables) == 1 else 'are'} not used"
    return f"{unused}: evload goes straight to the addresses of {', '.join(found)}; write proxy: there to use it"
