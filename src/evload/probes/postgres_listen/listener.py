"""Listens to notifications of PostgreSQL, and knows when it was cut off from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
from jmespath.exceptions import JMESPathError

from ...clients.jmes import Expression
from ...errors import TargetError
from ...model.states import Seen
from ...model.travel import Read, ReadResult, Target
from ...spi.context import Surroundings
from ...units import format_duration
from .._shared.database_url import shown_address
from .._shared.postgres import connection_errors, explain_connection, load_asyncpg
from .settings import PostgresListenSettings

_PATIENCE_S: Final = 10.0
"""For connecting, and for a sign of life."""
_LOOK_S: Final = 5.0
"""A connection that died without a word is noticed this late."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0

Report = Callable[[ReadResult], None]


class NotificationListener:
    """The probe."""

    def __init__(self, config: PostgresListenSettings, surroundings: Surroundings, sdk: Any) -> None:
        self._config = config
        self._clock = surroundings.clock
        self._seq_of = surroundings.ids.seq_of
        self._match = Expression(config.match)
        self._sdk = sdk
        self.errors: tuple[type[Exception], ...] = (*connection_errors(sdk), TimeoutError)
        self._connection: Any = None
        self._asking = asyncio.Lock()
        self._number = 0
        self._fresh: list[Read] = []
        self._news = asyncio.Event()
        self._report: Report | None = None
        self._cut_since_ns: int | None = None
        self._cut_ns = 0
        self._cut_reason = ""

    async def attach(self) -> None:
        """Connect and listen. Raises what the SDK raises."""
        connection = await self._sdk.connect(
            self._config.url, timeout=_PATIENCE_S, server_settings={"application_name": "evload"}
        )
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

    async def listen(self, report: Report) -> None:
        """See `PushProbe`. Connects again when it was cut off."""
        self._report = report
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                await self._is_alive()
            self._news.clear()
            self._tell()
            if self._connection.is_closed():
                await self._return()

    async def read(self, targets: Sequence[Target]) -> ReadResult:
        """Nothing has come of these: absent, unless there was a cut in which it could have."""
        start_ns = self._clock.now_ns()
        # An answer to this comes after all notifications that were sent before it.
        await self._is_alive()
        self._tell()
        end_ns = self._clock.now_ns()
        error = self._deafness()
        seen = Seen.FAILED if error else Seen.ABSENT
        return ReadResult([Read(target.seq, seen, start_ns, end_ns) for target in targets], error=error)

    def _deafness(self) -> str:
        """Why an absence proves nothing; empty if it does prove something."""
        if self._cut_since_ns is not None:
            return f"the listener is cut off: {self._cut_reason}"
        if self._cut_reason:
            return f"the listener was cut off for {format_duration(self._cut_ns)}: {self._cut_reason}"
        return ""

    async def _is_alive(self) -> None:
        """Ask the connection for a sign of life, and end it if there is none."""
        async with self._asking:
            connection = self._connection
            if connection.is_closed():
                return
            try:
                await connection.execute("SELECT 1", timeout=_PATIENCE_S)
                # Notifications that came before the answer are handed over in the loop's next round.
                await asyncio.sleep(0)
            except self.errors as error:
                self._cut(self.explain(error)[0])
                connection.terminate()

    def _arrived(self, connection: object, process: int, channel: str, payload: str) -> None:
        at_ns = self._clock.now_ns()
        self._number += 1
        seq = self._seq_of(self._correlation_id(payload))
        if seq is not None:
            self._fresh.append(Read(seq, Seen.PRESENT, at_ns, at_ns, position=self._number, exact=True))
            self._news.set()

    def _correlation_id(self, payload: str) -> str:
        if not payload.startswith(("{", "[", '"')):
            return payload
        try:
            found = self._match.search(orjson.loads(payload))
        except (orjson.JSONDecodeError, JMESPathError):
            return payload
        return found if isinstance(found, str) else ""

    def _tell(self) -> None:
        if self._fresh and self._report is not None:
            reads, self._fresh = self._fresh, []
            self._report(ReadResult(reads))

    def _ended(self, connection: object) -> None:
        # The end of one that has been replaced may be told late.
        if connection is self._connection:
            self._cut("connection lost")
            self._news.set()

    def _cut(self, reason: str) -> None:
        if self._cut_since_ns is None:
            self._cut_since_ns = self._clock.now_ns()
            self._cut_reason = reason

    async def _return(self) -> None:
        """Connect again, however long it takes."""
        self._cut("connection lost")
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self.attach()
                break
            except self.errors as error:
                self._cut_reason = f"{self._cut_reason.partition(' (')[0]} ({self.explain(error)[0]})"
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        assert self._cut_since_ns is not None
        self._cut_ns += self._clock.now_ns() - self._cut_since_ns
        self._cut_since_ns = None
        self._cut_reason = self._cut_reason.partition(" (")[0]


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
