"""Values that one journey gives and another takes: each is taken once, by whoever has waited longest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

Taken = Callable[[Any, int], bool]
"""Is handed a value that has come, and when. False: it isn't wanted any more."""


class Pools:
    """The pools of a run, by their names."""

    def __init__(self) -> None:
        self._values: dict[str, deque[Any]] = {}
        self._waiting: dict[str, deque[Taken]] = {}

    def give(self, pool: str, value: Any, at_ns: int) -> None:
        """Put a value in at a time, or hand it on to who waits for one."""
        waiting = self._waiting.get(pool)
        while waiting:
            if waiting.popleft()(value, at_ns):
                return
        self._values.setdefault(pool, deque()).append(value)

    def take(self, pool: str) -> tuple[Any, ...]:
        """The value that has been there longest, as a tuple; empty if there is none."""
        values = self._values.get(pool)
        return (values.popleft(),) if values else ()

    def put_back(self, pool: str, value: Any) -> None:
        """A value that was taken is not used after all: it comes first again."""
        self._values.setdefault(pool, deque()).appendleft(value)

    def wait(self, pool: str, taken: Taken) -> None:
        """Be handed a value as soon as there is one."""
        self._waiting.setdefault(pool, deque()).append(taken)

    def left(self, pool: str) -> int:
        """How many values nobody has taken."""
        return len(self._values.get(pool, ()))
