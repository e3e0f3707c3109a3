"""Listens to notifications of PostgreSQL, and knows when it was cut off from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from ...clients.bounded import Allowance, Bounded
from ...clients.databases import shown_address
from ...clients.postgres import bounded_of, connect, connection_errors, explain_connection, load_asyncpg, remark_on
from ...errors import TargetError
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...spi.listening import Cuts, Inbox, Tell, come_back, nothing_of
from .._shared.attribution import by_match
from .._shared.attribution_traffic import attribution
from .settings import PostgresListenSettings

_PATIENCE_S: Final = 10.0
"""For connecting, and for a sign of life."""
_LONGEST: Final = 1 << 20
"""Most that may come and be no notification, in bytes; one has 8,000 at most."""
_LOOK_S: Final = 5.0
"""A connection that died without a word is noticed this late."""


class NotificationListener:
    """The probe."""

    _bounded: Bounded

    def __init__(self, config: PostgresListenSettings, surroundings: Surroundings, sdk: Any) -> None:
        self._config = config
        self._with_login = partial(surroundings.with_login, config)
        self._remark = surroundings.remark
        self._clock = surroundings.clock
        self._attribution = attribution(
            surroundings, by_match(config.match, default="match" not in config.model_fields_set)
        )
        self._sdk = sdk
        self.errors: tuple[type[Exception], ...] = (*connection_errors(sdk), TimeoutError)
        self._connection: Any = None
        self._asking = asyncio.Lock()
        self._number = 0
        self._inbox = Inbox()
        self._cuts = Cuts(self._clock)

    async def attach(self) -> None:
        """Connect and listen. Raises what the SDK raises."""
        config = self._config
        allowance, url = Allowance(_LONGEST), self._with_login().url
        connection = await connect(self._sdk, url, {}, allowance, verify=config.verify, timeout_s=_PATIENCE_S)
        remark_on(connection, shown_address(config.url), self._remark)
        self._bounded = bounded_of(connection)
        try:
            connection.add_termination_listener(self._ended)
            await connection.add_listener(self._config.channel, self._arrived)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    def detach(self) -> None:
        """Stop listening."""
        connection, self._connection = self._connection, None
        connection.terminate()

    def explain(self, error: Exception) -> tuple[str, str]:
        """Why the connection can't be had, and what would be right."""
        if isinstance(error, TimeoutError):
            return f"no answer within {_PATIENCE_S:g} s", "check the network, and that the database answers"
        return explain_connection(self._sdk, error)

    async def listen(self, report: Tell) -> None:
        """See `PushProbe`. Connects again when it was cut off."""
        self._inbox.attend(report)
        while True:
            if not await self._inbox.news(_LOOK_S):
                await self._is_alive()
            self._inbox.tell()
            if self._connection.is_closed():
                self._cuts.cut("connection lost")
                await come_back(self.attach, self.errors, lambda error: self._cuts.hindered(self.explain(error)[0]))
                self._cuts.heal()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless there was a cut in which it could have."""
        start_ns = self._clock.now_ns()
        # An answer to this comes after all notifications that were sent before it.
        await self._is_alive()
        self._inbox.tell()
        return nothing_of(targets, start_ns, self._clock.now_ns(), self._cuts.gap)

    async def _is_alive(self) -> None:
        """Ask the connection for a sign of life, and end it if there is none."""
        async with self._asking:
            connection = self._connection
            if connection.is_closed():
                return
            try:
                with self._bounded.answer():
                    await connection.execute("SELECT 1", timeout=_PATIENCE_S)
                # Notifications that came before the answer are handed over in the loop's next round.
                await asyncio.sleep(0)
            except self.errors as error:
                self._cuts.cut(self.explain(error)[0])
                connection.terminate()

    def _arrived(self, connection: object, process: int, channel: str, payload: str) -> None:
        at_ns = self._clock.now_ns()
        self._bounded.settled()
        self._number += 1
        found = self._attribution.find(payload)
        if found is not None:
            self._inbox.put([Read(found[0], Seen.PRESENT, at_ns, at_ns, position=self._number, exact=True)])
        self._inbox.put_strange(*self._attribution.take())

    def _ended(self, connection: object) -> None:
        # The end of one that has been replaced may be told late.
        if connection is self._connection:
            self._cuts.cut("connection lost")
            self._inbox.wake()


@asynccontextmanager
async def open_listener(
    config: PostgresListenSettings, surroundings: Surroundings
) -> AsyncIterator[NotificationListener]:
    """Listen, yield the probe, stop. Raises TargetError."""
    listener = NotificationListener(config, surroundings, load_asyncpg(config.kind))
    try:
        await listener.attach()
    except listener.errors as error:
        reason, cure = listener.explain(error)
        raise TargetError(f"can't listen to {shown_address(config.url)}: {reason}; {cure}") from error
    try:
        yield listener
    finally:
        listener.detach()
