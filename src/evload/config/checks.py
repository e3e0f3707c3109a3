"""What a config's parts must be to each other: names that lead somewhere, probes that can tell what is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ..spi.probe import ProbeSettings

PROBE_KEYS: Final[Mapping[str, str]] = {"duplicated": "effects", "out_of_order": "position", "staleness": "version"}
"""Which key of a probe a counter depends on."""


def looks_twice(watching: Iterable[str], probes: Mapping[str, ProbeSettings]) -> bool:
    return any(name not in probes or probes[name].confirm.reads > 0 for name in watching)


def reads_own_writes(watching: Iterable[str], probes: Mapping[str, ProbeSettings]) -> bool:
    return any(name not in probes or probes[name].session for name in watching)


def may_tell(probe: ProbeSettings | None, key: str) -> bool:
    """Whether a probe can say something; one that has no such key may always do.

    A bulk answer that lists an event twice tells effects without an expression.
    """
    if key == "effects" and getattr(probe, "ids", None) is not None:
        return True
    return probe is None or getattr(probe, key, True) is not None
