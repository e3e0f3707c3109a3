"""What an activity is: something done to the system or around it, such as a fault, its undo, or a set-up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol

from pydantic import Field

from ..units import Duration
from .context import AdapterSettings, Surroundings

Values = Mapping[str, Any]
"""What placeholders stand for, by their names."""
PLACEHOLDER: Final = re.compile(r"\{([a-z_]\w*(?:\.[A-Za-z_]\w*)?)\}")
"""What stands for a value in a text."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of doing it once.

    error     why it failed; empty if it is done
    in_doubt  it failed, and may all the same have had its effect
    gone      it failed, and what it would be done to is no more, with all that had been done to it: an undo has
              nothing left to do
    captured  what the settings took from the answer, by name
    """

    error: str = ""
    in_doubt: bool = False
    gone: bool = False
    captured: Values = field(default_factory=dict)


class Activity(Protocol):
    """Something that can be done, again and again."""

    async def perform(self, values: Values) -> Outcome:
        """Do it once, with these values in the place of placeholders. A failure is an outcome, never an exception."""
        ...


class ActivitySettings(AdapterSettings):
    """What every activity can be told. Its kind is the key that says what is done, such as `post`, `shell` or `sql`,
    and a field of that name is where it stands.

    A text in them may hold placeholders in braces: `filled_in` puts values in their place, where the kind has no
    better way.
    """

    timeout: Annotated[Duration, Field(ge=1_000_000, description="longest wait for it to be done")] = 30_000_000_000

    @property
    def title(self) -> str:
        """What is done, in a few words on one line, without credentials: `POST http://…/worker-delay`."""
        raise NotImplementedError

    @property
    def captured_names(self) -> Sequence[str]:
        """Names of what an outcome without an error has captured: all of them."""
        return ()

    def open(self, surroundings: Surroundings) -> AbstractAsyncContextManager[Activity]:
        """Get ready, yield the activity, close. Raises TargetError if it can't be done here at all."""
        raise NotImplementedError


def filled_in(written: Any, values: Values) -> Any:
    """Settings as written, with values in the place of their placeholders: `{correlation_id}`.

    A text that is nothing but a placeholder becomes the value with its type; a name without a value stays as it is,
    since a body may well hold braces.
    """
    if isinstance(written, str):
        whole = PLACEHOLDER.fullmatch(written)
        if whole is not None:
            return values.get(whole[1], written)
        return PLACEHOLDER.sub(lambda found: as_text(values[found[1]]) if found[1] in values else found[0], written)
    if isinstance(written, Mapping):
        return {key: filled_in(value, values) for key, value in written.items()}
    if isinstance(written, list | tuple):
        return type(written)(filled_in(value, values) for value in written)
    return written


def as_text(value: Any) -> str:
    """A value within a text: what is no text is written as in JSON."""
    return value if isinstance(value, str) else json.dumps(value)
