"""A secret that a test turns into another one."""

from __future__ import annotations

from collections.abc import Callable


class TurnedSecret:
    """See `spi.secrets.Secret`. Nothing is renewed here but by the test."""

    def __init__(self, value: str) -> None:
        self.value = value
        self._watchers: list[Callable[[], None]] = []

    def turn(self, value: str) -> None:
        """There is another value."""
        self.value = value
        for changed in self._watchers:
            changed()

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    async def renewed(self, refused: str) -> bool:
        return self.value != refused
