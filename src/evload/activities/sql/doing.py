"""Does the statements, each of which is done or has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import TargetError
from ...spi.activity import Outcome, Values
from ...units import NS_PER_S, format_duration
from .._shared.failing import Failed
from .database import Connection, Database, Found
from .settings import SqlActivitySettings


class Statements:
    """The activity."""

    def __init__(self, config: SqlActivitySettings, database: Database) -> None:
        self._database = database
        self._statements = config.statements()
        self._timeout_ns = config.timeout
        self._capture = config.capture

    async def perform(self, values: Values) -> Outcome:
        """Do all of them once."""
        try:
            bound = [statement.bound(values) for statement in self._statements]
            found = await self._do(bound)
            return Outcome(captured=captured(found, self._capture))
        except Failed as failure:
            return failure.outcome

    async def _do(self, bound: Sequence[Sequence[Any]]) -> Found:
        """What the last one answered. Raises Failed."""
        connection: Connection | None = None
        begun = done = 0
        found = Found((), None)

        def failed(reason: str, refused: bool) -> Failed:
            which = f"statement {begun} of {len(bound)}: " if begun and len(bound) > 1 else ""
            after = f" ({done} of them done before)" if done else ""
            return Failed(f"{which}{reason}{after}", in_doubt=done > 0 or (begun > done and not refused))

        try:
            async with asyncio.timeout(self._timeout_ns / NS_PER_S):
                connection = await self._database.connect()
                for statement, values in zip(self._statements, bound, strict=True):
                    begun += 1
                    found = await connection.do(statement, values)
                    done += 1
            return found
        except TimeoutError:
            raise failed(f"it was not done after {format_duration(self._timeout_ns)}", False) from None
        except TargetError as error:  # a secret that could not be had
            raise failed(str(error), True) from None
        except Failed as failure:
            raise failed(str(failure), not failure.in_doubt) from None
        except self._database.errors as error:
            raise failed(self._database.explain(error), self._database.refused(error)) from None
        finally:
            if connection is not None:
                connection.drop()


def captured(found: Found, capture: Mapping[str, str]) -> dict[str, Any]:
    """The values of the first row by the names that are wanted. Raises Failed."""
    if not capture:
        return {}
    if found.row is None:
        raise Failed("it is done, but there is no row to capture from", in_doubt=True)
    values = dict(zip(found.columns, found.row, strict=False))
    taken = {}
    for name, column in capture.items():
        if column not in values:
            what = f"it is done, but there is no column {column!r} to capture, only {', '.join(found.columns)}"
            raise Failed(what, in_doubt=True)
        if values[column] is None:
            raise Failed(f"it is done, but there is no {name}: {column} is null", in_doubt=True)
        taken[name] = plain(values[column])
    return taken


def plain(value: Any) -> Any:
    """A value of a database as JSON could have it: what isn't one there is text."""
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    return value if isinstance(value, bool | int | float | str) else str(value)
