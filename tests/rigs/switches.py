"""A system of switches in a directory, and the kind of activity that turns them.

What is on, how often each was turned, and planned failures are all in files: they outlive whoever turns them.

The kind is a plug-in like anybody's: `installed` writes its entry point into a directory for PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from evload.spi.activity import Activity, ActivitySettings, Outcome, Values, filled_in
from evload.spi.context import SECRET, Surroundings
from evload.units import NS_PER_S, Duration

ROOT: Final = Path(__file__).parents[2]


class SwitchConfig(ActivitySettings):
    """Turns a switch of the system in a directory."""

    live = frozenset({"key"})

    switch: Annotated[str, Field(description="its name")]
    to: Annotated[Literal["on", "off"], Field(description="how it is turned")]
    of: Annotated[Path, Field(description="the directory of the system")]
    takes: Annotated[Duration, Field(description="how long it takes until it is turned")] = 0
    late: Annotated[
        Duration, Field(description="how long it takes, also if whoever turns it is gone meanwhile: on only")
    ] = 0
    level: Annotated[int | None, Field(description="what is written into it")] = None
    key: Annotated[str, Field(description="what has to be known to turn it", json_schema_extra=SECRET)] = ""

    @property
    def title(self) -> str:
        return f"switch {self.switch} {self.to}"

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        yield Switch(self, surroundings)


class Switch:
    """Turns it."""

    def __init__(self, settings: SwitchConfig, surroundings: Surroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._system = System(surroundings.base_dir / settings.of)

    async def perform(self, values: Values) -> Outcome:
        settings = self._settings
        name = str(filled_in(settings.switch, values))
        await asyncio.sleep(settings.takes / NS_PER_S)
        key = self._surroundings.filled(settings.key)
        if (why := self._system.refuses(name, settings.to)) or (why := self._system.lacks(key)):
            return Outcome(error=f"{why} {key}")
        if settings.late:
            # Another process turns it, and whoever asked for it may be gone by then.
            command = f"sleep {settings.late / NS_PER_S}; touch 'on/{name}'; echo '{name} {settings.to}' >>log"
            turning = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", command, cwd=self._system.path, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            await turning.wait()
            return Outcome()
        self._system.turn(name, settings.to, settings.level)
        return Outcome()


class System:
    """The switches in a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> System:
        """Have the directory."""
        for name in ("on", "refuse"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        return self

    def turn(self, name: str, to: str, level: int | None = None) -> None:
        """Turn one."""
        place = self.path / "on" / name
        if to == "on":
            place.write_text("" if level is None else str(level))
        else:
            place.unlink(missing_ok=True)
        descriptor = os.open(self.path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        told = f"{name} {to}" + ("" if level is None else f" {level}")
        os.write(descriptor, f"{told}\n".encode())
        os.close(descriptor)

    @property
    def on(self) -> set[str]:
        """The names of those that are on."""
        return set(os.listdir(self.path / "on"))

    @property
    def turned(self) -> list[str]:
        """What was turned, in order, such as `slow on`."""
        with suppress(FileNotFoundError):
            return (self.path / "log").read_text().splitlines()
        return []

    def refuse(self, name: str, to: str, times: int | None = None) -> None:
        """From now on it can't be turned so, for so many times; None: ever."""
        (self.path / "refuse" / f"{name} {to}").write_text("" if times is None else str(times))

    def yield_again(self) -> None:
        """Nothing is refused any more."""
        for each in (self.path / "refuse").iterdir():
            each.unlink()

    def refuses(self, name: str, to: str) -> str:
        """Why it can't be turned so now; one time less of those that were planned."""
        place = self.path / "refuse" / f"{name} {to}"
        try:
            left = place.read_text()
        except FileNotFoundError:
            return ""
        if left:
            if int(left) <= 1:
                place.unlink()
            else:
                place.write_text(str(int(left) - 1))
        return f"{name} doesn't turn {to}"

    def lacks(self, key: str) -> str:
        """Why this key doesn't fit; empty if it does, or none is needed."""
        with suppress(FileNotFoundError):
            return "" if (self.path / "key").read_text() == key else "another key is needed than"
        return ""


def installed(directory: Path) -> Path:
    """A directory with the entry point of the kind, for the module search path."""
    info = directory / "evload_switches-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evload-switches\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[evload.activities]\nswitch = {__name__}:{SwitchConfig.__name__}\n")
    return directory
