"""Runs of a config against the stand-ins of videos and of leases, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from leases.app import STAND_IN as LEASES
from leases.app import running as running_leases
from stand_in.clock import Clock
from stand_in.command import StandIn
from stand_in.record import Record
from stand_in.resources import Fixed, Resources
from tests.rigs.virtual_runs import Ran, run_virtually
from videos.app import STAND_IN as VIDEOS
from videos.app import running as running_videos


class _Running(Protocol):
    def __call__(
        self, knobs: Any, record: Record, port: int, *, clock: Clock, resources: Resources
    ) -> AbstractAsyncContextManager[Mapping[str, str]]: ...


@dataclass(frozen=True)
class _Known:
    stand_in: StandIn[Any]
    running: _Running


_KNOWN: Final = {"videos": _Known(VIDEOS, running_videos), "leases": _Known(LEASES, running_leases)}


def run_stand_in(
    name: str,
    directory: Path,
    *,
    profiles: Sequence[str] = ("short",),
    knobs: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    parts: Sequence[str] = (),
    stop_s: float | None = None,
) -> Ran[Record]:
    """The run of a config in `configs/`, or of these of its scenarios, against a stand-in that is --quick but for
    these knobs. `stop_s` as in `run_virtually`.
    """
    known = _KNOWN[name.partition("-")[0].removesuffix(".yaml")]
    record, turned = Record(), known.stand_in.knobs()
    turned.change({**known.stand_in.quick, **(knobs or {})})

    def serve(wall: Callable[[], datetime]) -> AbstractAsyncContextManager[Any]:
        return known.running(turned, record, known.stand_in.port, clock=Clock(wall), resources=Fixed())

    return run_virtually(name, directory, serve, record, profiles=profiles, sets=sets, parts=parts, stop_s=stop_s)
