"""What was found wrong with an adapter, told all at once."""

from __future__ import annotations

from typing import Final

_MOST: Final = 20


class Promises:
    """Keeps what is broken of what an adapter promises."""

    def __init__(self) -> None:
        self._broken: list[str] = []

    def broken(self, what: str) -> None:
        """One thing is wrong; `what` says which."""
        self._broken.append(what)

    def hold(self) -> None:
        """Raises AssertionError with what is broken, the first twenty of it."""
        if self._broken:
            raise AssertionError("\n".join(self._broken[:_MOST]))
