"""Does what a run has left to clean up: `evload cleanup`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..clients.credentials.opening import open_secrets
from ..clock import SystemClock
from ..config.guard import held_for_clean_up
from ..config.load import load_text
from ..config.run_config import LoadedConfig
from ..errors import EvloadError, OutputError, UsageError
from ..ledger.reader import LedgerReader
from ..run import directory as directories
from ..run.clean_up import Journal, clean_up
from ..run.directory import RunDirectory
from ..run.used_secrets import secrets_of
from ..spi.context import Surroundings


def run(
    directory: Path, *, environ: Mapping[str, str], say: Callable[[str], None], may_load: Sequence[str] = ()
) -> None:
    """Clean up after the run in a directory, and say what was done. `may_load` are hosts that a guard doesn't allow.

    Raises UsageError where there is nothing of the kind, ConfigError where its config can't be used any more, or a
    guard has something against it, OutputError if something could not be done.
    """
    names = directories.find(directory)
    if directories.goes_on(names.path):
        raise UsageError(f"the run in {names.path} still goes on, and cleans up itself; stop it with Ctrl-C")
    if not names.cleanup.exists():
        raise UsageError(f"{names.path} has no cleanup.jsonl: its config has no clean-up, or nobody got so far")
    base_dir = Journal(names.cleanup).read().base_dir
    loaded = load_text(names.config_text(), str(names.config), base_dir=base_dir, environ=environ)
    if not loaded.config.cleanup:
        say(f"nothing is to be cleaned up: the config of {names.path} has no cleanup")
        return
    loaded = held_for_clean_up(loaded, environ, may_load)
    try:
        troubles = asyncio.run(_clean(loaded, names))
    except EvloadError as error:
        error.args = (loaded.redact(str(error)),)
        raise
    except KeyboardInterrupt:
        raise OutputError(f"interrupted; for the rest: evload cleanup {directory}") from None
    if troubles:
        raise OutputError(loaded.redact("\n".join(troubles)))
    say(f"all of {names.path} is cleaned up")


async def _clean(loaded: LoadedConfig, names: RunDirectory) -> list[str]:
    steps, clock = loaded.config.cleanup, SystemClock()
    with LedgerReader(names.ledger) as ledger:
        run_id = str(ledger.meta["run_id"])
    try:
        needed = secrets_of([step.settings for step in steps], loaded.config.secrets)
        async with open_secrets(needed, clock, loaded.base_dir, loaded.learn) as secrets:
            surroundings = Surroundings(clock, run_id, loaded.base_dir, secrets=secrets, guard=loaded.config.guard)
            return await clean_up(steps, surroundings, names.ledger, Journal(names.cleanup))
    finally:
        clock.close()
