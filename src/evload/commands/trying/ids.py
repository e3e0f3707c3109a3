"""Where an id is in what came, in whatever spelling; and under which other ids an event may be known. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...model.correlation import plain_id
from ...model.travel import Event
from ...run.shown_traffic import hidden_value
from .expressions import Path, walk, written

_MOST: Final = 20
_ALIAS: Final = re.compile(r"[\w.:@/+=~-]{1,100}")


class Place(NamedTuple):
    """Where an id is. `path` in the document, `spelt` how it differs, empty if it doesn't."""

    path: Path
    spelt: str
    within: bool
    """It is part of a longer text."""


class Alias(NamedTuple):
    """Another id by which an event may be known. `source` says whose it is: `capitals`, `answer` or `data`."""

    id: str
    words: str
    source: str
    path: str = ""


def places_of(document: Any, correlation_id: str) -> Iterator[Place]:
    """Everywhere in a document."""
    bare = correlation_id.replace("-", "")
    for path, value in walk(document):
        for text, where in ((value, path), (path[-1] if path else None, path)):
            if not isinstance(text, str):
                continue
            if plain_id(text.strip()) == correlation_id:
                yield Place(where, spelling(text.strip(), correlation_id), False)
            elif correlation_id in text.lower() or bare in text.lower():
                yield Place(where, "", True)


def spelling(text: str, correlation_id: str) -> str:
    """How an id is written there, in words; empty if it is written as it was sent."""
    words = []
    if text.lower().startswith("urn:uuid:"):
        words.append("as a URN")
        text = text[9:]
    if text.startswith("{"):
        words.append("in braces")
    if any("A" <= letter <= "F" for letter in text):
        words.append("in capitals")
    if "-" not in text:
        words.append("without hyphens")
    return " and ".join(words)


def spellings(correlation_id: str) -> Iterator[Alias]:
    """The same id in other spellings."""
    bare = correlation_id.replace("-", "")
    for text in (correlation_id.upper(), bare, bare.upper(), f"{{{correlation_id}}}", f"urn:uuid:{correlation_id}"):
        yield Alias(text, spelling(text, correlation_id), "spelling")


def in_answer(document: Any, correlation_id: str) -> Iterator[Alias]:
    """The ids that the target's answer to the publish may have given the event."""
    if not isinstance(document, Mapping):
        return
    found = 0
    for path, value in walk(document.get("body"), ("body",)):
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if _is_alias(text, path) and text != correlation_id and found < _MOST:
            found += 1
            yield Alias(text, f"the target's own, `{written(path)}` of its answer", "answer", written(path))
    location = str((document.get("headers") or {}).get("location", ""))
    last = re.split(r"[?#]", location)[0].rstrip("/").rpartition("/")[2]
    if _is_alias(last, ()) and last != correlation_id:
        yield Alias(last, "the target's own, the end of the `location` header of its answer", "location")


def in_event(event: Event) -> Iterator[Alias]:
    """Texts in the event by which the read model may know it."""
    try:
        document = json.loads(event.body)
    except ValueError:
        return
    found = 0
    for path, value in walk(document):
        if path[:1] in (("specversion",), ("time",), ("datacontenttype",), ("type",), ("source",), ("traceparent",)):
            continue
        text = value if isinstance(value, str) else ""
        if _is_alias(text, path) and text != event.correlation_id and found < _MOST:
            found += 1
            yield Alias(text, f"`{written(path)}` of the event", "data", written(path))


def _is_alias(text: str, path: Path) -> bool:
    """Whether it may be an id that can be asked for. What is a secret, going by its name, is sent nowhere."""
    return _ALIAS.fullmatch(text) is not None and not (path and hidden_value(written(path)))
