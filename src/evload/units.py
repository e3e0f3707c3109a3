"""Durations, rates, shares and sizes: parse, print, and the pydantic types made of them.

Inside evload a duration is an `int` of nanoseconds, a rate a `Fraction` of events per second, a share
a `float` between 0 and 1 and a size an `int` of bytes. Everything outside is text with a unit.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Final, TypeGuard

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

NS_PER_S: Final = 1_000_000_000

_DURATION_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
_RATE_UNITS: Final = {"s": 1, "min": 60, "m": 60, "h": 3600}
_SIZE_UNITS: Final = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

_NUMBER: Final = r"(?:\d+(?:\.\d+)?|\.\d+)"
_DURATION_PART: Final = re.compile(rf"({_NUMBER})\s*(ns|us|µs|ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_NUMBER}\s*(?:ns|us|µs|ms|s|m|h|d)\s*)+")
_RATE: Final = re.compile(rf"({_NUMBER})\s*/\s*(s|min|m|h)")
_ALMOST_RATE: Final = re.compile(rf"([-+]?)\s*({_NUMBER})\s*(/\s*(?:s|min|m|h))?")
_SHARE: Final = re.compile(rf"({_NUMBER})\s*%")
_SIZE: Final = re.compile(rf"({_NUMBER})\s*(B|KB|MB|GB|KiB|MiB|GiB)")
_BYTE_RATE: Final = re.compile(rf"({_NUMBER})\s*(B|KB|MB|GB|KiB|MiB|GiB)\s*/\s*(s|min|m|h)")
_ALMOST_BYTE_RATE: Final = re.compile(rf"({_NUMBER})\s*(B|KB|MB|GB|KiB|MiB|GiB)?\s*(/\s*(?:s|min|m|h))?")

_LONGEST_TEXT: Final = 100
"""Characters: nobody writes a number that long, and to work with one takes time."""
LONGEST_NS: Final = 36_500 * 86_400 * NS_PER_S
"""A hundred years: no run lasts that long, and 64 bits have room for two of them."""
HIGHEST_RATE: Final = NS_PER_S
"""One a nanosecond, which is as fine as times are kept."""
LARGEST_SIZE: Final = 2**60

DURATION_HELP: Final = "write a number with a unit, such as 250ms, 5s, 10m or 8h"
DURATION_RANGE_HELP: Final = "write one such as 1s, or two such as 500ms..2s"
BYTE_RATE_HELP: Final = "write one such as 5MB/s or 300KB/min"
RATE_HELP: Final = "write a rate such as 500/s or 30/min"
SHARE_HELP: Final = "write a share such as 95% or 0.1%"
SIZE_HELP: Final = "write a size such as 300B, 256KB or 1MiB"
SIZE_RANGE_HELP: Final = "write one such as 1MB, or two such as 100KB..50MB"


def parse_duration(value: object) -> int:
    """Nanoseconds from `250ms`, `5s`, `10m`, `8h` or a sum of them (`1m30s`).

    Raises ValueError, whose text is `what is wrong; what would be right`, for anything else. A bare
    number is refused because its unit would be a guess; only 0 needs none.
    """
    if value == 0 and not isinstance(value, bool):
        return 0
    if _is_short(value) and _DURATION.fullmatch(value.strip()):
        total = sum(
            (Fraction(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(value)), Fraction(0)
        )
        if total > LONGEST_NS:
            raise ValueError(f"{value!r} is too long; write 36500d or less")
        return round(total)
    raise ValueError(f"{told(value)} is not a duration; {DURATION_HELP}")


def parse_duration_range(value: object) -> tuple[int, int]:
    """The shortest and the longest of `500ms..2s`, both in nanoseconds; of `1s` that is both. Raises ValueError."""
    if _is_short(value) and ".." in value:
        low, _, high = value.partition("..")
        least, most = parse_duration(low.strip()), parse_duration(high.strip())
        if least > most:
            raise ValueError(f"{value!r} is an empty range; write {high.strip()}..{low.strip()}")
        return least, most
    try:
        return (duration := parse_duration(value)), duration
    except ValueError as error:
        what, _, cure = str(error).partition("; ")
        if "is not a duration" in what:
            what, cure = f"{told(value)} is neither a duration nor a range of them", DURATION_RANGE_HELP
        raise ValueError(f"{what}; {cure}") from None


def parse_rate(value: object) -> Fraction:
    """Events per second, exact, from `500/s`, `30/min` or `10/h`. Raises ValueError like `parse_duration`."""
    if _is_short(value) and (match := _RATE.fullmatch(value.strip())):
        rate = Fraction(match[1]) / _RATE_UNITS[match[2]]
        if rate > HIGHEST_RATE:
            raise ValueError(f"{value!r} is too high; write {HIGHEST_RATE}/s or less")
        return rate
    written = str(value) if isinstance(value, float) or (type(value) is int and abs(value) <= HIGHEST_RATE) else value
    if _is_short(written) and (number := _ALMOST_RATE.fullmatch(written.strip())):
        sign, digits, unit = number.groups()
        if sign == "-":
            raise ValueError(
                f"{value!r} is not a rate; write a rate such as {digits}{unit or '/s'}: none is below zero"
            )
        raise ValueError(f"{value!r} is not a rate; write a rate such as {digits}/s or {digits}/min")
    raise ValueError(f"{told(value)} is not a rate; {RATE_HELP}")


def parse_byte_rate(value: object) -> Fraction:
    """Bytes per second, exact, from `5MB/s` or `300KB/min`. Raises ValueError like `parse_duration`."""
    if _is_short(value) and (match := _BYTE_RATE.fullmatch(value.strip())):
        rate = Fraction(match[1]) * _SIZE_UNITS[match[2]] / _RATE_UNITS[match[3]]
        if rate > LARGEST_SIZE:
            raise ValueError(f"{value!r} is too high; write {LARGEST_SIZE // 1024**3}GiB/s or less")
        return rate
    if _is_short(value) and (number := _ALMOST_BYTE_RATE.fullmatch(value.strip())):
        digits, unit, per = number.groups()
        raise ValueError(f"{value!r} is not a rate of bytes; write for example {digits}{unit or 'MB'}{per or '/s'}")
    raise ValueError(f"{told(value)} is not a rate of bytes; {BYTE_RATE_HELP}")


def parse_share(value: object) -> float:
    """A number between 0 and 1 from `95%`. Raises ValueError like `parse_duration`."""
    if _is_short(value) and (match := _SHARE.fullmatch(value.strip())):
        share = Fraction(match[1]) / 100
        if share <= 1:
            return float(share)
        raise ValueError(f"{value!r} is more than the whole; write a share between 0% and 100%")
    raise ValueError(f"{told(value)} is not a share; {SHARE_HELP}")


def parse_size(value: object) -> int:
    """Bytes from `300B`, `256KB` (1000s) or `1MiB` (1024s). Raises ValueError like `parse_duration`."""
    if _is_short(value) and (match := _SIZE.fullmatch(value.strip())):
        size = Fraction(match[1]) * _SIZE_UNITS[match[2]]
        if size > LARGEST_SIZE:
            raise ValueError(f"{value!r} is too large; write {LARGEST_SIZE // 1024**3}GiB or less")
        return round(size)
    raise ValueError(f"{told(value)} is not a size; {SIZE_HELP}")


def parse_size_range(value: object) -> tuple[int, int]:
    """The least and the most of `100KB..50MB`, both in bytes; of `1MiB` that is both. Raises ValueError."""
    if _is_short(value) and ".." in value:
        low, _, high = value.partition("..")
        least, most = parse_size(low.strip()), parse_size(high.strip())
        if least > most:
            raise ValueError(f"{value!r} is an empty range; write {high.strip()}..{low.strip()}")
        return least, most
    try:
        return (size := parse_size(value)), size
    except ValueError as error:
        what, _, cure = str(error).partition("; ")
        if "is not a size" in what:
            what, cure = f"{told(value)} is neither a size nor a range of them", SIZE_RANGE_HELP
            if type(value) is int and 0 <= value <= LARGEST_SIZE:
                cure = f"write {value}B"
        raise ValueError(f"{what}; {cure}") from None


def _is_short(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def format_duration(ns: float) -> str:
    """Three significant digits with the unit a person would choose: `152 ms`, `1.25 s`, `4 h`."""
    if ns < 0:
        return "-" + format_duration(-ns)
    if ns == 0:
        return "0 s"
    for unit, limit in (("ns", 1e3), ("µs", 1e6), ("ms", 1e9), ("s", 120e9), ("min", 7200e9)):
        scale = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 60e9}[unit]
        if ns < limit * (1 - 5e-4):
            return f"{ns / scale:.3g} {unit}"
    hours = ns / 3600e9
    return f"{hours:.3g} h" if hours < 1000 else f"{hours:.0f} h"


def write_duration(ns: int) -> str:
    """A duration as a config can have it, `250ms`, `1.5s`, `4m` or `1h30m`: no less than that, and at most a second
    more; a millisecond more below a minute."""
    milliseconds = -(-ns // (NS_PER_S // 1000))
    if milliseconds < 60_000:
        return f"{milliseconds}ms" if 0 < milliseconds < 1000 else f"{milliseconds / 1000:g}s"
    left, text = -(-ns // NS_PER_S), ""
    for unit, seconds in (("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        text += f"{count}{unit}" if count else ""
    return text


def told(value: object) -> str:
    """A value that stands where it can't, for people, as YAML has it; a list or a mapping isn't written out."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return repr(value)


def format_rate(per_second: float | Fraction) -> str:
    """`500/s`, or per minute below one event a second."""
    value = float(per_second)
    if value >= 1000:
        return f"{value:.0f}/s"
    return f"{value:.4g}/s" if value >= 1 or value == 0 else f"{value * 60:.4g}/min"


def format_byte_rate(per_second: float | Fraction) -> str:
    """`5.24 MB/s`, to three digits."""
    value = float(per_second)
    for unit in ("GB", "MB", "KB"):
        if value >= _SIZE_UNITS[unit] * (1 - 5e-4):
            return f"{value / _SIZE_UNITS[unit]:.3g} {unit}/s" if value < 999.5e9 else f"{value / 1e9:.0f} GB/s"
    return f"{value:.3g} B/s"


def format_share(share: float) -> str:
    """`97.2 %`, with as many digits as it takes to tell 99.99 % from 100 %."""
    percent = share * 100
    for digits in (4, 6, 9):
        text = f"{Decimal(f'{percent:.{digits}g}'):f}"
        if float(text) != 100 or percent == 100:
            break
    return f"{text} %"


def format_size(size: int) -> str:
    """`1 MB`, `300 B`: in the largest unit of which it is a whole number."""
    unit = max((unit for unit, each in _SIZE_UNITS.items() if size % each == 0), key=_SIZE_UNITS.__getitem__)
    return f"{size // _SIZE_UNITS[unit] if size else 0} {unit if size else 'B'}"


def duration_text(ns: int) -> str:
    """As a config has it: `90s`, `250ms`."""
    for unit in ("h", "m", "s", "ms", "us"):
        if ns and ns % _DURATION_UNITS[unit] == 0:
            return f"{ns // _DURATION_UNITS[unit]}{unit}"
    return f"{ns}ns" if ns else "0s"


def _range_text(span: tuple[int, int]) -> str:
    return "..".join(map(duration_text, dict.fromkeys(span)))


def _share_text(share: float) -> str:
    return f"{(Decimal(repr(share)) * 100).normalize():f}%"


def _schema(pattern: str, example: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "examples": [example]}


_OR_NOTHING: Final[dict[str, Any]] = {"type": ["string", "number"], "minimum": 0, "maximum": 0}
"""For a text with a unit, in whose place 0 can stand without one."""

Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str, when_used="json"),
    WithJsonSchema(_schema(r"^([0-9.]+\s*(ns|us|µs|ms|s|m|h|d)\s*)+$", "250ms") | _OR_NOTHING),
]
DurationRange = Annotated[
    tuple[int, int],
    BeforeValidator(parse_duration_range),
    PlainSerializer(_range_text, return_type=str, when_used="json"),
    WithJsonSchema(
        _schema(
            r"^([0-9.]+\s*(ns|us|µs|ms|s|m|h|d)\s*)+(\.\.\s*([0-9.]+\s*(ns|us|µs|ms|s|m|h|d)\s*)+)?$", "500ms..2s"
        )
        | _OR_NOTHING
    ),
]
Rate = Annotated[
    Fraction,
    BeforeValidator(parse_rate),
    WithJsonSchema(_schema(r"^[0-9.]+\s*/\s*(s|min|m|h)$", "500/s")),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(_share_text, return_type=str, when_used="json"),
    WithJsonSchema(_schema(r"^[0-9.]+\s*%$", "95%")),
]
Size = Annotated[
    int, BeforeValidator(parse_size), WithJsonSchema(_schema(r"^[0-9.]+\s*(B|KB|MB|GB|KiB|MiB|GiB)$", "256KB"))
]
