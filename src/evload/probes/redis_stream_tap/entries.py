"""What the entries of a stream say, and what Redis says of the stream. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ...clients import exact_json
from ...clients.redis_answers import Nonsense
from ...clients.redis_replies import Reply, fields_of
from ...model.correlation import is_of_a_run
from ...model.states import Seen
from ...model.travel import Read
from ...spi.context import Surroundings
from .._shared.envelopes import decompressed
from .._shared.pushed import PushedReader
from .settings import RedisStreamTapSettings

_ID: Final = re.compile(rb"(\d{1,20})-(\d{1,20})")
_WHERE: Final = b"correlationid"
"""The field in which our producer has it."""

Id = tuple[int, int]
"""Of an entry: milliseconds, and a number within them."""


class Entry(NamedTuple):
    """One of a stream. `fields` are names and values in turn."""

    id: Id
    fields: Sequence[bytes]


class Standing(NamedTuple):
    """How a stream is.

    last   the greatest id that it has ever had
    first  the id of the first entry that it still has, None if it has none
    added  entries that it has ever had, which Redis counts since version 7; None: it doesn't
    """

    last: Id
    first: Id | None
    added: int | None


NO_STREAM: Final = Standing((0, 0), None, None)
"""One that doesn't exist: nobody knows yet whether Redis counts."""


def id_of(text: Reply) -> Id:
    """Raises Nonsense."""
    found = _ID.fullmatch(text) if isinstance(text, bytes) else None
    if found is None:
        raise Nonsense("an entry of the stream has no id, which isn't Redis's")
    return int(found[1]), int(found[2])


def text_of(entry_id: Id) -> str:
    """An id as Redis writes it."""
    return f"{entry_id[0]}-{entry_id[1]}"


def position_of(entry_id: Id) -> str:
    """An id as it can be compared with others: as a text it grows as it does."""
    return f"{entry_id[0]:020}-{entry_id[1]:020}"


def entries_in(reply: Reply) -> list[Entry]:
    """What XREAD answers about one stream. Raises Nonsense."""
    if reply is None:
        return []
    try:
        ((_, entries),) = reply
        return [Entry(id_of(entry_id), _texts(fields)) for entry_id, fields in entries]
    except (TypeError, ValueError):
        raise Nonsense("XREAD wasn't answered as Redis does") from None


def standing_in(reply: Reply) -> Standing:
    """What XINFO STREAM answers. Raises Nonsense."""
    info = fields_of(reply, "XINFO")
    first, added = info.get(b"first-entry"), info.get(b"entries-added")
    if not isinstance(added, int | None) or not (first is None or isinstance(first, list)):
        raise Nonsense("XINFO wasn't answered as Redis does")
    return Standing(id_of(info.get(b"last-generated-id")), id_of(first[0]) if first else None, added)


class EntryReader:
    """Makes sightings of entries."""

    def __init__(self, config: RedisStreamTapSettings, surroundings: Surroundings) -> None:
        by_default = "match" not in config.model_fields_set
        self.pushed = PushedReader(
            surroundings, match=config.match, by_default=by_default, visible=config.visible, position=None,
            consumed_at=config.consumed_at, processed_at=config.processed_at, version=None,
        )  # fmt: skip
        self._seq_of = surroundings.ids.seq_of
        told = (config.visible, config.consumed_at, config.processed_at)
        self._plain = by_default and told == (None, None, None) and surroundings.traffic is None

    def read(self, entry: Entry, from_ns: int, to_ns: int) -> Read | None:
        """The sighting of an event that was there between these moments; None if it is none of this run."""
        position = position_of(entry.id)
        if self._plain:
            for at in range(0, len(entry.fields) - 1, 2):
                if entry.fields[at] != _WHERE:
                    continue
                text = entry.fields[at + 1].decode("utf-8", "replace")
                seq = self._seq_of(text)
                if seq is not None:
                    return Read(seq, Seen.PRESENT, from_ns, to_ns, position=position, exact=True)
                if is_of_a_run(text):
                    return None
        found = self.pushed.read(_opened(entry.fields))
        if found is None:
            return None
        seq, facts = found
        return facts.pushed(seq, to_ns)._replace(start_ns=from_ns, position=position)


def _texts(fields: Reply) -> Sequence[bytes]:
    if not isinstance(fields, list) or len(fields) % 2 or not all(isinstance(text, bytes) for text in fields):
        raise ValueError
    return fields


def _opened(fields: Sequence[bytes]) -> dict[str, Any]:
    """Names and values as an expression sees them: JSON as what it says, the rest as text."""
    return {
        name.decode("utf-8", "replace"): _value(value) for name, value in zip(fields[::2], fields[1::2], strict=True)
    }


def _value(value: bytes) -> Any:
    value = decompressed(value)
    try:
        return exact_json.loads(value)
    except ValueError:
        return value.decode("utf-8", "replace")
