"""Request headers that hold secrets: written once, and anew when there is another value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from ...spi.secrets import Secrets, filled, names_in, without

Fill = Callable[[str], str]
"""Puts the values of the moment into a text."""
Make = Callable[[Fill], str]
"""Makes the value of a header."""

REFUSED: Final = 401
"""By this a target says that it doesn't know who asks; what it is asked then has had no effect."""


def held(text: str) -> bool:
    """Whether a secret stands in a header's value."""
    return "{secrets." in text


def check_alone(name: str, value: str) -> None:
    """Raises ValueError for a header in which something else stands for a value beside a secret."""
    if "{" in without(value):
        raise ValueError(
            f"the header {name!r} holds a secret, and what is another for each event; write a header for each of them"
        )


class LiveHeaders:
    """Headers of one adapter, by their names in lower case, each with what makes its value.

    heeds  whether a refusal is to be answered by a renewal: not where a 401 is what is expected
    """

    def __init__(self, makers: Mapping[str, Make], secrets: Secrets, *, heeds: bool = True) -> None:
        """Raises TargetError for a secret that a run could not get."""
        self.heeds = heeds
        self._makers = makers
        self._secrets = secrets
        named: dict[str, None] = {}

        def note(text: str) -> str:
            named.update(dict.fromkeys(names_in(text)))
            return filled(text, secrets)

        self.values = {name: make(note) for name, make in makers.items()}
        self._named = [secrets[name] for name in named]
        self._used = [secret.value for secret in self._named]
        self._watchers: list[Callable[[], None]] = []
        for secret in self._named:
            secret.watch(self._write)

    @classmethod
    def of(
        cls,
        headers: Mapping[str, str],
        secrets: Secrets,
        made: Mapping[str, Make] | None = None,
        *,
        heeds: bool = True,
    ) -> LiveHeaders | None:
        """Those of an adapter's headers that hold secrets, and those that are `made`; None if there is none."""
        makers = {name.lower(): _maker(value) for name, value in headers.items() if held(value)} | dict(made or {})
        return cls(makers, secrets, heeds=heeds) if makers else None

    @property
    def lines(self) -> str:
        """The headers as a request has them."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.values.items())

    def watch(self, changed: Callable[[], None]) -> None:
        """Call this each time that they are others."""
        self._watchers.append(changed)

    def renewed(self, head: bytes, own: Collection[str] = ()) -> bytes:
        """The head of a request, which may be of a while ago, with the headers of the moment, but for its `own`."""
        lines = head.split(b"\r\n")
        for at, line in enumerate(lines):
            name = line.partition(b":")[0].decode("latin-1")
            value = self.values.get(name) if at and name not in own else None
            if value is not None:
                lines[at] = f"{name}: {value}".encode()
        return b"\r\n".join(lines)

    async def refused(self) -> None:
        """A target refused the headers of the moment: wait for others, as long as there are any to be had."""
        for secret, used in zip(self._named, list(self._used), strict=True):
            await secret.renewed(used)

    def _write(self) -> None:
        self.values = {name: make(self._filled) for name, make in self._makers.items()}
        self._used = [secret.value for secret in self._named]
        for changed in self._watchers:
            changed()

    def _filled(self, text: str) -> str:
        return filled(text, self._secrets)


def _maker(value: str) -> Make:
    return lambda fill: fill(value)
