"""What happens to the system around a run: the set-up of a config before it, and the clean-up after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from ..clients.credentials.opening import Learn, open_secrets
from ..clock import Clock
from ..config.run_config import RunConfig, Step
from ..errors import EvloadError
from ..spi.context import Surroundings
from .clean_up import Journal, clean_up, clean_up_early
from .directory import OpenDirectory
from .set_up import set_up
from .used_secrets import secrets_of


class Around:
    """The set-up and the clean-up of one run. With `keep` all is left as it is. `say` gets remarks for a person."""

    def __init__(
        self,
        config: RunConfig,
        directory: OpenDirectory,
        clock: Clock,
        base_dir: Path,
        learn: Learn,
        say: Callable[[str], None],
        *,
        keep: bool,
    ) -> None:
        self._config = config
        self._directory = directory
        self._clock = clock
        self._base_dir = base_dir
        self._learn = learn
        self._say = say
        self._keep = keep
        self._begun = False
        self._values: dict[str, Any] = {"run_id": directory.run_id}
        self._journal = Journal(directory.names.cleanup)

    async def before(self, config: RunConfig) -> Mapping[str, Any]:
        """Set up by a config that has the address of the embedded pipeline by now.

        Returns what placeholders in activities stand for. Raises TargetError where it can't be done, and OutputError
        where nobody could clean up later.
        """
        self._config, names = config, self._directory.names
        self._begun = True
        if config.setup:
            async with self._surroundings(config.setup) as surroundings:
                await set_up(config.setup, surroundings, self._values)
        if config.cleanup:
            self._directory.write(names.cleanup, self._journal.head(self._values, self._base_dir))
        return self._values

    async def after(self, ledger: Path | None, enough: asyncio.Event) -> None:
        """Clean up, unless somebody wants the end. What couldn't be done is said, and changes nothing else."""
        if not self._config.cleanup:
            return
        later = f"evload cleanup {self._directory.names.path}"
        if self._keep:
            self._say(f"nothing is cleaned up; later: {later}")
            return
        cleaning = asyncio.ensure_future(self._clean(ledger))
        stop = asyncio.ensure_future(enough.wait())
        await asyncio.wait((cleaning, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not cleaning.done():
            cleaning.cancel()
            with suppress(asyncio.CancelledError):
                await cleaning
            self._say(f"interrupted: the clean-up isn't done; later: {later}")
        elif troubles := cleaning.result():
            for trouble in troubles:
                self._say(trouble)
            self._say(f"to clean up the rest: {later}")

    async def after_failure(self) -> None:
        """Clean up after a run that never began, of which there are no events."""
        steps = self._config.cleanup
        if not self._begun or self._keep or not steps:
            return
        try:
            async with self._surroundings(steps) as surroundings:
                troubles = await clean_up_early(steps, surroundings, self._values)
        except EvloadError as error:
            troubles = [f"clean-up: {error}"]
        for trouble in troubles:
            self._say(trouble)

    async def _clean(self, ledger: Path | None) -> list[str]:
        steps = self._config.cleanup
        try:
            async with self._surroundings(steps) as surroundings:
                return await clean_up(steps, surroundings, ledger, self._journal)
        except EvloadError as error:
            return [f"clean-up: {error}"]

    @asynccontextmanager
    async def _surroundings(self, steps: Sequence[Step]) -> AsyncIterator[Surroundings]:
        needed = secrets_of([step.settings for step in steps], self._config.secrets)
        async with open_secrets(needed, self._clock, self._base_dir, self._learn) as secrets:
            yield Surroundings(
                self._clock, self._directory.run_id, self._base_dir, secrets=secrets, guard=self._config.guard
            )
