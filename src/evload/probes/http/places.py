"""Other addresses of an HTTP read model that say why an event isn't found at the one in the config. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...spi.probe import Elsewhere
from .settings import HttpProbeSettings

_NOWHERE: Final = "/no-such-path-of-evload"


def places_of(config: HttpProbeSettings) -> Iterator[Elsewhere]:
    """One that no server has; and the address with a slash at its end, or without it."""
    start, path, query = _parts(config.url)
    yield Elsewhere("at a path that no server has", _at(config, start + _NOWHERE + path + query), nowhere=True)
    other = path[:-1] if path.endswith("/") else f"{path}/"
    if other:
        said = "without the slash at its end" if path.endswith("/") else "with a slash at its end"
        yield Elsewhere(f"at the same path {said}", _at(config, start + other + query), f"write url {said}")


def _at(config: HttpProbeSettings, url: str) -> HttpProbeSettings:
    return config.model_copy(update={"url": url})


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme and authority, path, query."""
    scheme, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    path, mark, query = (slash + target).partition("?")
    return f"{scheme}://{authority}", path or "/", mark + query
