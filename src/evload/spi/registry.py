"""Finds adapters by kind through entry points, and imports only those that a config names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final, Literal

from .context import VERSION, AdapterSettings
from .gauge import GaugeSettings
from .probe import ProbeSettings
from .producer import ProducerSettings
from .sink import SinkSettings

Group = Literal["evload.producers", "evload.probes", "evload.gauges", "evload.sinks"]

_BASES: Final[Mapping[Group, type[AdapterSettings]]] = MappingProxyType(
    {
        "evload.producers": ProducerSettings,
        "evload.probes": ProbeSettings,
        "evload.gauges": GaugeSettings,
        "evload.sinks": SinkSettings,
    }
)
"""What the settings of each group are made of."""


class UnknownKind(LookupError):
    """No adapter of that kind is installed. The text says what is wrong and what would be right."""


class BrokenPlugin(LookupError):
    """An adapter of that kind is installed and can't be used. The text says why, and what would be right."""


def kinds(group: Group) -> dict[str, EntryPoint]:
    """All installed kinds of a group by name, nothing imported."""
    return {point.name: point for point in entry_points(group=group)}


def load(group: Group, kind: str) -> type[Any]:
    """The settings model of one kind. Raises UnknownKind and BrokenPlugin."""
    known = kinds(group)
    if kind not in known:
        close = difflib.get_close_matches(kind, known, n=1)
        cure = f"did you mean {close[0]!r}?" if close else f"installed kinds: {', '.join(sorted(known)) or 'none'}"
        raise UnknownKind(f"unknown kind {kind!r}; {cure}")
    point = known[kind]
    try:
        model = point.load()
    except Exception as error:
        # Whatever somebody else's code raises while it is imported must not take the others along.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BrokenPlugin(f"{_installed(point)} can't be imported ({reason}); install what it needs") from error
    base = _BASES[group]
    if not (isinstance(model, type) and issubclass(model, base)):
        what = f"{_installed(point)} is no {base.__name__} but {point.value}"
        raise BrokenPlugin(f"{what}; correct the entry point of its package")
    if model.spi != VERSION:
        what = f"{_installed(point)} is written for version {model.spi} of evload.spi, and this evload has {VERSION}"
        raise BrokenPlugin(f"{what}; install versions that go together")
    return model


def _installed(point: EntryPoint) -> str:
    package = f" by {point.dist.name}" if point.dist is not None and point.dist.name != "evload" else ""
    return f"kind {point.name!r} is installed{package} but"
