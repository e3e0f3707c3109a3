"""Knobs of the embedded pipeline, turned while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, field_validator

from ..clients.web import parse_url, reach_of
from ..sandbox.settings import SandboxKnobs
from ..spi.activity import Activity, ActivitySettings, Outcome, Values, filled_in
from ..spi.context import Surroundings
from ..spi.guard import NOBODY, Reach
from ._shared.failing import Failed
from ._shared.http_address import json_body, parse_address

_EMBEDDED: Final = "{sandbox}"
"""Stands for the address of the embedded pipeline, until that is known."""
_REFUSED: Final = "connection refused"
"""What is said where nobody listens any more."""


def _check_at(text: str) -> str:
    if text != _EMBEDDED:
        parse_url(text)
    return text


class SandboxConfig(ActivitySettings):
    """Settings of a change to the embedded pipeline.

    What is named is replaced as a whole, and holds from then on; nothing else changes. What of it an undo is to put
    back has to be written there.
    """

    sandbox: Annotated[SandboxKnobs, Field(description="what is changed, such as {workers: 0}")]
    at: Annotated[
        str,
        AfterValidator(_check_at),
        Field(description="address, of a pipeline that runs by itself"),
    ] = _EMBEDDED

    @field_validator("sandbox")
    @classmethod
    def _changes_something(cls, knobs: SandboxKnobs) -> SandboxKnobs:
        if not knobs.model_fields_set:
            raise ValueError("nothing is changed; write a knob such as {workers: 0}")
        return knobs

    @property
    def changes(self) -> dict[str, Any]:
        """What is changed, as it can be written."""
        return self.sandbox.model_dump(mode="json", exclude_unset=True)

    @property
    def reach(self) -> Reach:
        return NOBODY if self.at == _EMBEDDED else reach_of(self.at)

    @property
    def title(self) -> str:
        return "sandbox: " + ", ".join(f"{name} {_shown(value)}" for name, value in self.changes.items())

    @asynccontextmanager
    async def open(self, surroundings: Surroundings) -> AsyncIterator[Activity]:
        """Yield what changes it."""
        yield _Knobs(self, surroundings)


class _Knobs:
    def __init__(self, config: SandboxConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._surroundings = surroundings

    async def perform(self, values: Values) -> Outcome:
        """Change it once."""
        from ._shared.http_calls import open_calls

        config = self._config
        url = str(filled_in(config.at, values))
        if url == _EMBEDDED:
            return Failed("there is no embedded pipeline any more", gone=True).outcome
        address = parse_address(url)
        headers = {"content-type": "application/json"}
        try:
            # A connection of its own: the next time is minutes away.
            async with open_calls(address, self._surroundings, headers, timeout_ns=config.timeout) as calls:
                await calls.call("POST", "/admin", json_body(config.changes))
        except Failed as failure:
            # It keeps nothing: one that has ended has taken all changes with it.
            failure.gone = str(failure) == _REFUSED
            return failure.outcome
        return Outcome()


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else "…" if value else "none"
