"""The stamps that systems put on events: text or numbers in the shapes of the field, made nanoseconds since 1970."""

from __future__ import annotations

import calendar
import re
from datetime import datetime
from typing import Any, Final

_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH_UNITS: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
"""Numbers below the first are in units of as many nanoseconds: the year 5138 for seconds, and so on."""
_LATEST_NS: Final = 1 << 63


def parse_stamp(value: Any) -> int | None:
    """Nanoseconds since 1970, or None for what is no point in time.

    Takes RFC 3339 text, and numbers (also as text) in seconds, milliseconds, microseconds or nanoseconds
    since 1970, told apart by their size. Zero and below mean that there is no stamp, and so does what 64 bits
    can't hold: the year 9999 that a system writes for "never".
    """
    if isinstance(value, str):
        if match := _RFC3339.fullmatch(value.strip()):
            return within_64_bits(_rfc3339(*match.groups()))
        if not value.isascii() or not value.isdecimal() or len(value) > 19:
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LATEST_NS:
        return None
    for below, scale in _EPOCH_UNITS:
        if value < below:
            whole, part = divmod(value, 1)
            return within_64_bits(int(whole) * scale + round(part * scale))
    return int(value)


def within_64_bits(stamp: int | None) -> int | None:
    """A number of nanoseconds since 1970 as such, None if it isn't after 1970 and before 2262."""
    return stamp if stamp is not None and 0 < stamp < _LATEST_NS else None


def _rfc3339(day: str, time: str, fraction: str | None, sign: str | None, hours: str, minutes: str) -> int | None:
    leap = time.endswith(":60")
    try:
        moment = datetime.fromisoformat(f"{day}T{time[:-2]}59" if leap else f"{day}T{time}")
    except ValueError:
        return None
    seconds = calendar.timegm(moment.timetuple()) + leap
    if sign is not None:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))
