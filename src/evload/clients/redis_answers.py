"""What Redis answers with, looked at before it is believed: what listens there may be no Redis, or a broken one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

CURE: Final = "name a Redis in url"

_SHOWN: Final = 80
"""Most characters of what came."""
_NOT_OK: Final = ("Error setting client name", "Invalid Database", "Wrong number of response items")
"""What the SDK says of answers that it can read and that no Redis gives."""
_CHOKED: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the SDK raises when it goes on with what it can't go on with."""


class Nonsense(Exception):
    """What came is no answer of Redis's. The text says what it is."""


@contextmanager
def asking(command: str) -> Iterator[None]:
    """Around a call of the SDK. Raises Nonsense where it can't make sense of what came."""
    from redis import exceptions

    try:
        yield
    except exceptions.InvalidResponse as error:
        raise Nonsense(f"what answers there isn't Redis: {_protocol_error(error)}") from error
    except exceptions.WatchError as error:  # nothing is watched here
        raise Nonsense(_answered(command, "nothing")) from error
    except exceptions.RedisError as error:
        if str(error).startswith(_NOT_OK):
            raise Nonsense(_answered(command)) from error
        raise
    except OSError:
        raise
    except _CHOKED as error:
        raise Nonsense(_answered(command)) from error


def values_in(answer: Any, command: str, count: int) -> Sequence[bytes | None]:
    """An answer of texts, some of which may be missing. Raises Nonsense."""
    if not isinstance(answer, list):
        raise Nonsense(_answered(command, _kind(answer)))
    if len(answer) != count:
        raise Nonsense(_answered(command, f"{len(answer)} values instead of {count}"))
    for value in answer:
        if value is not None and not isinstance(value, bytes):
            raise Nonsense(_answered(command, f"{_kind(value)} where a text should be"))
    return answer


def entries_in(answer: Any, command: str) -> Sequence[tuple[bytes, Mapping[bytes, bytes]]]:
    """An answer of ids with fields each. Raises Nonsense."""
    if not isinstance(answer, list):
        raise Nonsense(_answered(command, _kind(answer)))
    for entry_id, fields in answer:
        texts = (entry_id, *fields, *fields.values()) if isinstance(fields, dict) else (None,)
        if not all(isinstance(text, bytes) for text in texts):
            raise Nonsense(_answered(command))
    return answer


def number_in(answer: Any, command: str) -> int:
    """An answer that counts something. Raises Nonsense."""
    if not isinstance(answer, int):
        raise Nonsense(_answered(command, _kind(answer)))
    return answer


def _answered(command: str, what: str = "") -> str:
    return (
        f"{command} was answered with {what}, not as Redis does"
        if what
        else f"{command} wasn't answered as Redis does"
    )


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bytes | str):
        return "a text"
    if isinstance(value, Exception):
        return "an error"
    return "a number" if isinstance(value, int | float) else "a list"


def _protocol_error(error: Exception) -> str:
    """What it came with."""
    text = " ".join(str(error).removeprefix("Protocol Error: ").split())
    return f"it says {text[:_SHOWN]}" + ("…" if len(text) > _SHOWN else "")
