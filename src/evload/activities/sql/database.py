"""What statements are done in, whatever database it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from .statements import Statement

MOST: Final = 1 << 20
"""Bytes that a database may answer with. What is done by SQL says little, and drivers make much of each row."""


class Found(NamedTuple):
    """What a statement answered: the columns' names, and the first row if there is any."""

    columns: Sequence[str]
    row: Sequence[Any] | None


class Connection(Protocol):
    """One connection."""

    async def do(self, statement: Statement, values: Sequence[Any]) -> Found:
        """Do it, and commit. Raises one of the database's errors, or Failed."""
        ...

    def drop(self) -> None:
        """Cut it off, whatever it is doing."""
        ...


class Database(Protocol):
    """Where the connections come from. `errors` is what connecting and doing raise."""

    errors: tuple[type[Exception], ...]

    async def connect(self) -> Connection:
        """A new connection. Raises one of `errors`."""
        ...

    def explain(self, error: Exception) -> str:
        """One of `errors`, for people."""
        ...

    def refused(self, error: Exception) -> bool:
        """Whether the database itself says so, and hence has done nothing."""
        ...
