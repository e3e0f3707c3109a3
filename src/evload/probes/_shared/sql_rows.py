"""What the rows of an SQL answer say about the events that were asked for. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final, TypeVar

from jmespath.exceptions import JMESPathError

from ...clients.stamps import NO_STAMP, Stamp, read_stamp, within_64_bits
from ...model.states import Seen
from ...model.travel import Read, Target
from ...texts import meant, near
from .asked_ids import AskedIds, asked_id
from .facts import ABSENT, Facts, NonsenseError, effects_of, position_of
from .row_looks import RowLooks, plain

COLUMNS: Final = (
    "id",
    "visible",
    "ended",
    "effects",
    "position",
    "consumed_at",
    "processed_at",
    "replica",
    "version",
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


T = TypeVar("T")


class BadColumns(ValueError):
    """The query's columns aren't what a probe understands. The text says what is wrong and what would be right."""


class BadRow(ValueError):
    """A row holds what its column can't mean, so the answer says nothing."""


_PRESENT: Final = Facts(Seen.PRESENT, 1)
_TELLING: Final = (Seen.ABSENT, Seen.ENDED, Seen.PRESENT)
"""Of several rows of one event, the one that says more counts."""


class RowReader:
    """Turns rows into reads. Knows by the names of the columns where each figure stands."""

    def __init__(self, columns: Sequence[str], by_capture: bool = False, looks: RowLooks | None = None) -> None:
        """`looks` are those of a step that asks: a query may have further columns for these. Raises BadColumns."""
        self._by_capture = by_capture
        self._looks = looks
        names = self._names = [column.lower() for column in columns]
        for name in names:
            if looks is not None and name not in COLUMNS and (looks.looks_at(name) or not near(name, COLUMNS, 0.8)):
                continue
            if name not in COLUMNS:
                cure = meant(name, COLUMNS, f"known columns: {', '.join(COLUMNS)}")
                raise BadColumns(f"the query has an unknown column {name!r}; {cure}")
            if names.count(name) > 1:
                raise BadColumns(f"the query has {names.count(name)} columns {name!r}; keep one")
        if "id" not in names:
            raise BadColumns("the query has no column 'id'; call the one with the correlation id so: ... AS id")
        if looks is not None and (wrong := looks.missing(names)):
            raise BadColumns(wrong)
        self._at = {name: at for at, name in enumerate(names)}

    def reads(
        self, rows: Iterable[Sequence[Any]], targets: Sequence[Target], start_ns: int, end_ns: int
    ) -> tuple[list[Read], int]:
        """One read for each target, and how many ids nobody asked for. Raises BadRow."""
        asked = AskedIds(targets, self._by_capture)
        found = self._by_id(rows, asked)
        reads = []
        for target in targets:
            facts = found.get(asked_id(target, self._by_capture), ABSENT)
            reads.append(facts.read(target.seq, start_ns, end_ns))
        return reads, len(found.keys() - asked.all)

    def _by_id(self, rows: Iterable[Sequence[Any]], asked: AskedIds) -> dict[str, Facts]:
        found: dict[str, Facts] = {}
        id_at = self._at["id"]
        alike = len(self._at) == 1 and self._looks is None
        for row in rows:
            key = row[id_at]
            if type(key) is not str:
                key = _id(key)
            key = asked.as_asked(key)
            facts = _PRESENT if alike else self._facts(row)
            known = found.get(key)
            found[key] = facts if known is None else _together(known, facts)
        return found

    def _facts(self, row: Sequence[Any]) -> Facts:
        at, looks = self._at, self._looks
        told = None if looks is None else dict(zip(self._names, map(plain, row), strict=True))
        replica = _name("replica", row[at["replica"]]) if "replica" in at else None
        version = _number("version", row[at["version"]]) if "version" in at else None
        if not self._shows(row, told):
            ended = "ended" in at and _truth("ended", row[at["ended"]])
            return Facts(Seen.ENDED if ended else Seen.ABSENT, replica=replica, version=version)
        consumed = _stamp(row[at["consumed_at"]]) if "consumed_at" in at else NO_STAMP
        processed = _stamp(row[at["processed_at"]]) if "processed_at" in at else NO_STAMP
        return Facts(
            Seen.PRESENT,
            _effects(row[at["effects"]]) if "effects" in at else 1,
            replica,
            _position(row[at["position"]]) if "position" in at else None,
            consumed.ns,
            processed.ns,
            version=version,
            unread_stamp=consumed.unread or processed.unread,
            captured=None if looks is None or told is None else _found(looks.captured, told),
        )

    def _shows(self, row: Sequence[Any], told: Mapping[str, Any] | None) -> bool:
        """Whether a row shows its event; `told` is the row as expressions look at it."""
        if told is not None and self._looks is not None and self._looks.says_when:
            return _found(self._looks.shows, told)
        return "visible" not in self._at or _truth("visible", row[self._at["visible"]])


def _found(look: Callable[[Mapping[str, Any]], T], row: Mapping[str, Any]) -> T:
    """What expressions find in a row. Raises BadRow."""
    try:
        return look(row)
    except JMESPathError as error:
        raise BadRow(" ".join(str(error).split())) from error


def _together(one: Facts, other: Facts) -> Facts:
    """Two rows of one event: its effects add up, the rest is that of the first one in which it is visible."""
    if one.seen is not Seen.PRESENT or other.seen is not Seen.PRESENT:
        return max(one, other, key=lambda facts: _TELLING.index(facts.seen))
    return one._replace(effects=None if one.effects is None or other.effects is None else one.effects + other.effects)


def _id(value: Any) -> str:
    """The text of an id that the driver gives as something else: a UUID, bytes, a number."""
    if value is None or isinstance(value, bool | float):
        raise BadRow(f"column 'id' holds {_kind(value)} in a row of the answer, not an id")
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadRow("column 'id' holds bytes that are no text; select it as text") from None
    return str(value)


def _truth(column: str, value: Any) -> bool:
    if isinstance(value, bytes):
        # A BIT of MySQL is a byte, but max() of one is a digit.
        return any(value) and value != b"0"
    if value is None or isinstance(value, int | float | Decimal):
        return bool(value)
    raise BadRow(f"column {column!r} holds {_kind(value)}; select a condition, such as file_url IS NOT NULL")


def _number(column: str, value: Any) -> float | None:
    if isinstance(value, Decimal) and value.is_finite():
        value = int(value) if value == value.to_integral_value() else float(value)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)):
        return value
    raise BadRow(f"column {column!r} holds {_kind(value)}, not a number")


def _effects(value: Any) -> int | None:
    try:
        return effects_of(_number("effects", value))
    except NonsenseError as error:
        raise BadRow(f"column 'effects' holds {error}") from None


def _position(value: Any) -> float | str | None:
    told = value if isinstance(value, str) else _number("position", value)
    try:
        return None if told is None else position_of(told)
    except NonsenseError as error:
        raise BadRow(f"column 'position' holds {error}") from None


def _name(column: str, value: Any) -> str | None:
    if isinstance(value, bool | float | bytes):
        raise BadRow(f"column {column!r} holds {_kind(value)}, not a name")
    return None if value is None or value == "" else str(value)


def _stamp(value: Any) -> Stamp:
    """What a driver gives for a stamp; a time without a zone is UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=UTC)
        since: timedelta = value - _EPOCH
        return Stamp(within_64_bits(since // _MICROSECOND * 1000))
    return read_stamp(value)


def _kind(value: Any) -> str:
    """What people call it."""
    for types, name in (
        (bool, "a truth value"), (int | float | Decimal, "a number"), (str, "text"),
        (bytes | bytearray, "bytes"), (date, "a time"),
    ):  # fmt: skip
        if isinstance(value, types):
            return name
    return "null" if value is None else f"a {type(value).__name__}"
