"""Finds adapters by kind and formats by name through entry points, and imports only those that are asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel

from ..texts import near
from .activity import ActivitySettings
from .context import VERSION, AdapterSettings
from .format import Format
from .gauge import GaugeSettings
from .probe import ProbeSettings
from .producer import ProducerSettings
from .sink import SinkSettings

Group = Literal[
    "evload.producers", "evload.probes", "evload.gauges", "evload.activities", "evload.sinks", "evload.formats"
]

_BASES: Final[Mapping[Group, type[AdapterSettings | Format]]] = MappingProxyType(
    {
        "evload.producers": ProducerSettings,
        "evload.probes": ProbeSettings,
        "evload.gauges": GaugeSettings,
        "evload.activities": ActivitySettings,
        "evload.sinks": SinkSettings,
        "evload.formats": Format,
    }
)
"""What the classes of each group are made of."""
_SPOKEN: Final = ("evload.producers", "evload.probes")
"""Groups whose kinds are what a system speaks."""


_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "amqp": "rabbitmq", "amqps": "rabbitmq", "https": "http", "rest": "http", "mariadb": "mysql",
        "pg": "postgres",
    }
)  # fmt: skip
"""What people call a kind."""
NOT_INSTALLED: Final = "anything else needs a plug-in (docs/plugins.md), or an HTTP API in front of it (kind: http)"
"""What to do about a system that none of them speaks to."""


class UnknownKind(LookupError):
    """Nothing of that name is installed. The text says what is wrong and what would be right."""


class BrokenPlugin(LookupError):
    """Something of that name is installed and can't be used. The text says why, and what would be right."""


def kinds(group: Group) -> dict[str, EntryPoint]:
    """All installed kinds of a group by name, nothing imported."""
    return {point.name: point for point in _installed_points(tuple(sys.path))[group]}


@lru_cache(maxsize=1)
def _installed_points(path: tuple[str, ...]) -> Mapping[str, Sequence[EntryPoint]]:
    """Ours of all packages on a path, by their groups. Each package has a file to be read: they are read once."""
    points = entry_points()
    return {group: points.select(group=group) for group in _BASES}


def load(group: Group, kind: str) -> type[Any]:
    """The settings model of one kind. Raises UnknownKind and BrokenPlugin."""
    known, noun = kinds(group), _noun(group)
    if kind not in known:
        close = [meant] if (meant := _ELSEWHERE.get(kind, "")) in known else near(kind, known)
        cure = f"did you mean {close[0]!r}?" if close else f"installed {noun}s: {', '.join(sorted(known)) or 'none'}"
        if group in _SPOKEN and not close:
            cure += f"; {NOT_INSTALLED}"
        if group == "evload.sinks" and kind in kinds("evload.formats"):
            cure = f"it is a format: write kind: files and format: {kind}"
        raise UnknownKind(f"unknown {noun} {kind!r}; {cure}")
    point = known[kind]
    try:
        model = point.load()
        if isinstance(model, type) and issubclass(model, BaseModel):
            model.model_rebuild()  # settings are put off until they are read, and so are mistakes in them
    except Exception as error:
        # Whatever somebody else's code raises while it is imported must not take the others along.
        reason = " ".join(str(error).split()) or type(error).__name__
        what = f"{_installed(noun, point)} can't be imported ({reason})"
        raise BrokenPlugin(f"{what}; install what it needs") from error
    base = _BASES[group]
    if not (isinstance(model, type) and issubclass(model, base)):
        what = f"{_installed(noun, point)} is no {base.__name__} but {point.value}"
        raise BrokenPlugin(f"{what}; correct the entry point of its package")
    if model.spi != VERSION:
        what = f"{_installed(noun, point)} is written for version {model.spi} of evload.spi"
        raise BrokenPlugin(f"{what}, and this evload has {VERSION}; install versions that go together")
    return model


def load_format(name: str) -> Format:
    """The format of that name. Raises UnknownKind and BrokenPlugin."""
    found: Format = load("evload.formats", name)()
    return found


def _noun(group: Group) -> str:
    return "format" if group == "evload.formats" else "kind"


def _installed(noun: str, point: EntryPoint) -> str:
    package = f" by {point.dist.name}" if point.dist is not None and point.dist.name != "evload" else ""
    return f"{noun} {point.name!r} is installed{package} but"
