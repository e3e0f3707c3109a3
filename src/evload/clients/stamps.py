"""The stamps that systems put on events: text or numbers in the shapes of the field, made nanoseconds since 1970."""

from __future__ import annotations

import calendar
import re
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

_ISO: Final = re.compile(
    r"(\d{4})(-?)(\d\d)\2(\d\d)[Tt ](\d\d)(:?)(\d\d)(?:\6(\d\d)(?:[.,](\d+))?)?"
    r"(?: ?(?:[Zz]|UTC|GMT|([+-])(\d\d)(?::?(\d\d))?))?(?: [A-Z]{3,4})?(?:\[[\w/+:-]+\])?",
    re.ASCII,
)
"""ISO 8601 and RFC 3339, also without a zone, and as Go and Java write it: `… +0000 UTC`, `…+01:00[Europe/Paris]`."""
_HTTP: Final = re.compile(r"(?:[A-Z][a-z]{2}, )?\d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|[+-]\d{4})", re.ASCII)
"""What HTTP and mail have: `Thu, 01 Jan 2026 00:00:00 GMT`."""
_NUMBER: Final = re.compile(r"[+-]?\d{1,40}(?:\.\d{0,40})?(?:[eE]\+?\d{1,2})?", re.ASCII)
_EPOCH_UNITS: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
"""Numbers below the first are in units of as many nanoseconds: the year 5138 for seconds, and so on."""
_LATEST_NS: Final = 1 << 63
_SHOWN: Final = 400
"""Whoever shows it cuts it again, after what is secret in it is masked."""


class Stamp(NamedTuple):
    """What a system wrote where a stamp is expected.

    ns      nanoseconds since 1970, None for what is no point in time
    unread  for people: the beginning of what was written, if it is neither a stamp nor the lack of one
    """

    ns: int | None
    unread: str = ""


NO_STAMP: Final = Stamp(None)


def parse_stamp(value: Any) -> int | None:
    """Nanoseconds since 1970, or None for what is no point in time."""
    return read_stamp(value).ns


def read_stamp(value: Any) -> Stamp:
    """What is written there.

    Takes ISO 8601 text, in which no zone is UTC, the dates of HTTP, and numbers (also as text) in seconds,
    milliseconds, microseconds or nanoseconds since 1970, told apart by their size. Null, an empty text, zero and
    below mean that there is no stamp, and so does what 64 bits can't hold: the year 9999 that a system writes for
    "never", or its year 1.
    """
    if isinstance(value, str):
        text = value.strip()
        if match := _ISO.fullmatch(text):
            return _known(_iso(match), value)
        if _NUMBER.fullmatch(text):
            return Stamp(_since_1970(Decimal(text)))
        if _HTTP.fullmatch(text):
            return _known(_http(text), value)
        return Stamp(None, shown(value)) if text else NO_STAMP
    if value is None:
        return NO_STAMP
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value != value:
        return Stamp(None, shown(value))
    return Stamp(_since_1970(value))


def within_64_bits(stamp: int | None) -> int | None:
    """A number of nanoseconds since 1970 as such, None if it isn't after 1970 and before 2262."""
    return stamp if stamp is not None and 0 < stamp < _LATEST_NS else None


def shown(value: Any) -> str:
    """The beginning of what is there instead of a stamp, for people."""
    text = " ".join(str(value[: _SHOWN + 1] if isinstance(value, str) else value).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _known(ns: int | None, value: str) -> Stamp:
    """Of a text that has the shape of a stamp: a day that no calendar has isn't one."""
    return Stamp(None, shown(value)) if ns is None else Stamp(within_64_bits(ns))


def _since_1970(value: float | Decimal) -> int | None:
    if not 0 < value < _LATEST_NS:
        return None
    for below, scale in _EPOCH_UNITS:
        if value < below:
            whole, part = divmod(value, 1)
            return within_64_bits(int(whole) * scale + round(part * scale))
    return within_64_bits(int(value))


def _iso(match: re.Match[str]) -> int | None:
    year, _, month, day, hour, _, minute, second, fraction, sign, hours, minutes = match.groups()
    if year == "0000":
        return 0  # MySQL's zero date
    leap = second == "60"
    try:
        whole = 59 if leap else int(second or "0")
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), whole)
        seconds = calendar.timegm(moment.timetuple()) + leap
    except ValueError:
        return None
    if sign is not None:
        if int(hours) > 23 or int(minutes or "0") > 59:
            return None
        offset = int(hours) * 3600 + int(minutes or "0") * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))


def _http(text: str) -> int | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return calendar.timegm(moment.utctimetuple()) * 1_000_000_000
