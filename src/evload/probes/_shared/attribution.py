"""Finds out whose event a delivery, a row or an entry is about, and keeps count of what is about nobody's. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson
from jmespath.exceptions import JMESPathError

from ...clients.jmes import Expression
from ...model.correlation import CorrelationIds, is_of_a_run
from ...texts import TELLING
from .envelopes import layers

Look = Callable[[Any], Iterable[Any]]
"""From a document to what may be its event's id, the likeliest first."""

_NAMES: Final = frozenset({"correlationid", "cecorrelationid", "cloudeventscorrelationid", "xcorrelationid"})
"""What a field with the id is called, whatever the case and whatever stands between the words."""
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]")
_VALUES: Final = ("Value", "StringValue")
"""Where attributes of SNS and SQS have theirs."""
_DEPTH: Final = 5
_EXCERPT: Final = 400
"""Characters of an example; who shows it takes secrets out and cuts it shorter."""
_SECRET: Final = re.compile(rf"""("[^"]*(?:{TELLING})[^"]*"\s*:\s*")((?:[^"\\]|\\.)*)""", re.I)


class Attribution:
    """Whose event something is about.

    strange  how much there was that is about no event of any run, and `example` the beginning of one of it
    """

    def __init__(self, ids: CorrelationIds, look: Look, within: str = "") -> None:
        """`within` is the field of a document that may be wrapped up; without it, it is the document itself."""
        self._seq_of = ids.seq_of
        self._look = look
        self._within = within
        self.strange = 0
        self.example = ""

    def find(self, document: Any) -> tuple[int, Any] | None:
        """The number of an event of this run, and the document in which it was found once all was unwrapped."""
        known = False
        for layer in self._layers(document):
            for found in self._look(layer):
                if isinstance(found, bytes | bytearray):
                    found = found.decode("utf-8", "replace")
                if isinstance(found, str):
                    seq = self._seq_of(found)
                    if seq is not None:
                        return seq, layer
                    known = known or is_of_a_run(found)
        if not known:
            self.strange += 1
            self.example = self.example or _excerpt(document[self._within] if self._within else document)
        return None

    def take(self) -> tuple[int, str]:
        """How much was strange since this was last asked, and an example."""
        found = self.strange, self.example
        self.strange, self.example = 0, ""
        return found

    def _layers(self, document: Any) -> Iterator[Any]:
        if not self._within:
            return layers(document)
        return ({**document, self._within: layer} for layer in layers(document[self._within]))


def by_match(match: str, *, default: bool) -> Look:
    """Look where an expression says; a text is the id itself.

    By `default`, that is where nobody said where the id is, also in every field that is called by its name.
    """
    expression = Expression(match)

    def look(document: Any) -> Iterator[Any]:
        if isinstance(document, str):
            yield document.strip()
            return
        with suppress(JMESPathError):
            yield expression.search(document)
        if default:
            yield from called_so(document)

    return look


def called_so(document: Any, depth: int = _DEPTH) -> Iterator[Any]:
    """The values of all fields that are called correlation id, in whatever spelling."""
    if not isinstance(document, Mapping) or not depth:
        return
    for name, value in document.items():
        if _NOT_IN_NAMES.sub("", str(name).lower()) in _NAMES:
            if isinstance(value, Mapping):
                yield from (value.get(key) for key in _VALUES)
            else:
                yield value
        else:
            yield from called_so(value, depth - 1)


def _excerpt(document: Any) -> str:
    if not isinstance(document, str):
        try:
            document = orjson.dumps(document, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
        except (TypeError, ValueError):
            document = repr(document)
    text = _SECRET.sub(r"\1***", " ".join(document[: 4 * _EXCERPT].split()))
    return text[:_EXCERPT] or "an empty text"
