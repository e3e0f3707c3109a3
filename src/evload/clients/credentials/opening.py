"""Gets the secrets of a run before anything else is opened, and keeps them fresh until all is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ...clock import Clock
from ...errors import TargetError
from ...spi.secrets import Secret
from ...units import format_duration
from .fetching import Fetcher
from .grant import NoGrant
from .live import LiveSecret
from .settings import SecretSettings
from .watched_file import WatchedFile

Learn = Callable[[str, str], None]
"""Is given what stands for a value and the value, before anything can show it."""
Tell = Callable[[str, str], None]
"""Is told who failed, and why."""


class Troubles:
    """What went wrong with secrets, for whoever attends; until somebody does, it waits."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []
        self._heard: Tell | None = None

    def tell(self, who: str, reason: str) -> None:
        """Something failed."""
        if self._heard is None:
            self._waiting.append((who, reason))
        else:
            self._heard(who, reason)

    def attend(self, heard: Tell) -> None:
        """Tell all of it to this."""
        self._heard = heard
        for who, reason in self._waiting:
            heard(who, reason)
        self._waiting.clear()


class OpenSecrets(dict[str, Secret]):
    """The secrets of a run by their names; `troubles` has what goes wrong with them later."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles = Troubles()
        self.live: dict[str, LiveSecret] = {}


async def open_one(
    name: str,
    settings: SecretSettings,
    into: OpenSecrets,
    stack: AsyncExitStack,
    clock: Clock,
    base_dir: Path,
    learn: Learn,
) -> LiveSecret:
    """Get one secret, which is then among `into`, and is kept fresh until the stack closes. Raises TargetError."""
    if settings.file is not None:
        source: WatchedFile | Fetcher = WatchedFile(base_dir / settings.file)
    else:
        source = Fetcher(settings, clock, base_dir, into)
    secret = LiveSecret(name, source, clock, renew=settings.renew, learn=learn, tell=into.troubles.tell)
    try:
        await secret.begin()
    except NoGrant as failure:
        at = "" if settings.url is None else f"can't get it from {settings.where}: "
        raise TargetError(f"secret {name}: {at}{failure}; {failure.cure}") from None
    into[name] = into.live[name] = secret
    stack.push_async_callback(_stop, asyncio.create_task(secret.keep()), secret)
    return secret


async def _stop(keeping: asyncio.Task[None], secret: LiveSecret) -> None:
    keeping.cancel()
    await asyncio.wait((keeping,))
    await secret.close()
    if not keeping.cancelled() and (bug := keeping.exception()) is not None:
        raise bug


def in_turn(settings: Mapping[str, SecretSettings]) -> list[str]:
    """Their names, files first: what is fetched may need them."""
    return sorted(settings, key=lambda name: settings[name].file is None)


def remark_of(name: str, secret: LiveSecret, settings: SecretSettings) -> str:
    """What whoever reads the results should know of it; mostly nothing."""
    if settings.file is not None or secret.lifetime_ns is not None:
        return ""
    return (
        f"secret {name}: {settings.where} doesn't say how long it is good for, so that it is renewed only when it is "
        "refused: write expires: or lifetime:"
    )


def state_of(secret: LiveSecret, settings: SecretSettings) -> str:
    """What was found of a secret, for people."""
    if settings.file is not None:
        return f"read from {settings.file}"
    lasts = "" if secret.lifetime_ns is None else f", good for {format_duration(secret.lifetime_ns)}"
    return f"got from {settings.where}{lasts}"


@asynccontextmanager
async def open_secrets(
    settings: Mapping[str, SecretSettings], clock: Clock, base_dir: Path, learn: Learn
) -> AsyncIterator[OpenSecrets]:
    """Get all of them, and keep them fresh inside the block. Raises TargetError, which names the one that fails."""
    opened = OpenSecrets()
    async with AsyncExitStack() as stack:
        for name in in_turn(settings):
            await open_one(name, settings[name], opened, stack, clock, base_dir, learn)
        yield opened
