"""What goes to a target and what comes back, for somebody who looks on: `evload try`, `evload run --verbose`.

An adapter that finds a `Traffic` in its surroundings tells it. Nearly always there is none, so that nothing may be
done for it then: an adapter looks once, when it opens, and puts something in between only if somebody looks on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


def _no_document() -> Any:
    return None


class Message(NamedTuple):
    """What was sent, or what came, as it was. Whoever shows it takes secrets out.

    head      what stands before the body, in lines: a request line with its headers, a command
    body      as it was sent; of what came, with the compression undone that it declares
    document  what the adapter's expressions see of it, None if there is none; raises ValueError if it can't be read
    """

    head: str
    body: bytes = b""
    document: Callable[[], Any] = _no_document


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, or what came by itself.

    sent   makes what was sent; None: nothing was
    came   makes what came; None: nothing did. What came although nothing was sent came by itself
    error  for people: why there is no answer
    """

    start_ns: int
    end_ns: int
    sent: Callable[[], Message] | None
    came: Callable[[], Message] | None
    error: str = ""


class Traffic(Protocol):
    """Looks on at one adapter. Must not block, and raises nothing."""

    def exchanged(self, exchange: Exchange) -> None:
        """Something was sent and answered, or came by itself."""
        ...

    def found(self, name: str, expression: str, document: Any, value: Any) -> None:
        """The setting `name`, an expression, found `value` in what came last; an exception if it can't be worked out.

        `document` is what it looked at: plain data, or what has `as_dict`.
        """
        ...
