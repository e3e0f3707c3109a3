"""What an activity is: something done to the system or around it, such as a fault, its undo, or a set-up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol

from pydantic import Field

from ..units import Duration
from .context import AdapterSettings, Surroundings

Values = Mapping[str, Any]
"""What placeholders stand for, by their names."""
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]\w*(?:\.[A-Za-z_]\w*)?)\}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of doing it once.

    error     why it failed; empty if it is done
    in_doubt  it failed, and may all the same have had its effect
    captured  what the settings took from the answer, by name
    """

    error: str = ""
    in_doubt: bool = False
    captured: Values = field(default_factory=dict)


class Activity(Protocol):
    """Something that can be done, again and again."""

    async def perform(self, values: Values) -> Outcome:
        """Do it once, with these values in the place of placeholders. A failure is an outcome, never an exception."""
        ...


class ActivitySettings(AdapterSettings):
    """What every activity can be told. Its kind is the key that says what is done: `post`, `shell`, `sql`.

    A text in them may hold placeholders in braces: `filled_in` puts values in their place.
    """

    timeout: Annotated[Duration, Field(ge=1_000_000, description="longest wait for it to be done")] = 30_000_000_000

    @property
    def title(self) -> str:
        """What is done, in a few words for people, such as `POST http://…/worker-delay`."""
        raise NotImplementedError

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Activity]:
        """Get ready, yield the activity, close. Raises TargetError if it can't be done here at all."""
        raise NotImplementedError


def filled_in(written: Any, values: Values) -> Any:
    """Settings as written, with values in the place of their placeholders: `{correlation_id}`.

    A text that is nothing but a placeholder becomes the value with its type; a name without a value stays as it is,
    since a body may well hold braces.
    """
    if isinstance(written, str):
        whole = _PLACEHOLDER.fullmatch(written)
        if whole is not None:
            return values.get(whole[1], written)
        return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), written)
    if isinstance(written, Mapping):
        return {key: filled_in(value, values) for key, value in written.items()}
    if isinstance(written, list | tuple):
        return type(written)(filled_in(value, values) for value in written)
    return written
