"""The cookies that a user's browser would keep and send (RFC 6265), in as much memory as is set beforehand. No I/O.

Not http.cookiejar or aiohttp's: these tell the time by themselves, so that no cookie would run out in virtual time;
they keep as many as come; and to take and to find cookies costs them four times as much and more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final, NamedTuple

from ..units import NS_PER_S
from .web import has_control

MOST: Final = 50
"""Cookies that a jar keeps; of more the oldest go (RFC 6265, 6.1)."""
LONGEST: Final = 4096
"""Bytes of one cookie, its attributes included; a longer one isn't kept."""
_MOST_AGE_S: Final = 400 * 86_400
_DELIMITERS: Final = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME: Final = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D.*)?", re.ASCII)
_DAY: Final = re.compile(r"(\d{1,2})(?:\D.*)?", re.ASCII)
_YEAR: Final = re.compile(r"(\d{2,4})(?:\D.*)?", re.ASCII)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_AGE: Final = re.compile(r"-?\d+", re.ASCII)


class _Cookie(NamedTuple):
    value: str
    host_only: bool
    secure: bool
    expires_ns: int | None


class CookieJar:
    """The cookies of one user. Times are those of the clock of the run."""

    __slots__ = ("_cookies",)

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], _Cookie] = {}
        """By name, domain and path, in the order in which they were made."""

    def __len__(self) -> int:
        return len(self._cookies)

    def take(self, lines: Iterable[str], host: str, path: str, now_ns: int, wall: datetime) -> None:
        """Keep the cookies of an answer: its Set-Cookie headers, to a request to a host (as DNS knows it) and a path,
        with or without a query. `wall` is the time of day at `now_ns`."""
        for line in lines:
            self._take(line, host, path, now_ns, wall)

    def header(self, host: str, path: str, now_ns: int, *, secure: bool) -> str:
        """What a request sends back, the longest path first; empty: nothing. `secure`: it goes through TLS."""
        cookies = self._cookies
        if not cookies:
            return ""
        path = path.partition("?")[0]
        over = [about for about, one in cookies.items() if one.expires_ns is not None and one.expires_ns <= now_ns]
        for about in over:
            del cookies[about]
        found = [
            (kept, f"{name}={one.value}")
            for (name, domain, kept), one in cookies.items()
            if (domain == host if one.host_only else _domain_matches(host, domain))
            and _path_matches(path, kept)
            and (secure or not one.secure)
        ]
        if len(found) > 1:
            found.sort(key=lambda entry: -len(entry[0]))
        return "; ".join([pair for _, pair in found])

    def clear(self) -> None:
        """Forget all of them."""
        self._cookies.clear()

    def _take(self, line: str, host: str, path: str, now_ns: int, wall: datetime) -> None:
        pair, _, rest = line.partition(";")
        name, equals, value = pair.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not equals or not name or len(line) > LONGEST or has_control(line):
            return
        attributes: dict[str, str] = {}
        for attribute in rest.split(";"):
            key, _, said = attribute.partition("=")
            key, said = key.strip(" \t").lower(), said.strip(" \t")
            # Of several the last counts, of those that say nothing none.
            if key != "domain" or said.removeprefix("."):
                attributes[key] = said
        domain = attributes.get("domain", "").removeprefix(".").lower()
        if domain and not _may_set(host, domain):
            return
        kept = attributes.get("path", "")
        about = name, domain or host, kept if kept.startswith("/") else _default_path(path)
        expires_ns = _expires_ns(attributes, now_ns, wall)
        if expires_ns is not None and expires_ns <= now_ns:
            self._cookies.pop(about, None)
            return
        host_only = not domain or "." not in domain
        # One that is replaced keeps its place: it counts as made when the first of its name was.
        self._cookies[about] = _Cookie(value, host_only, "secure" in attributes, expires_ns)
        if len(self._cookies) > MOST:
            self._make_room(now_ns)

    def _make_room(self, now_ns: int) -> None:
        cookies = self._cookies
        over = [about for about, one in cookies.items() if one.expires_ns is not None and one.expires_ns <= now_ns]
        for about in over or [next(iter(cookies))]:
            del cookies[about]


def _may_set(host: str, domain: str) -> bool:
    """Whether an answer of a host may set cookies for a domain. For a whole top level it may not."""
    return domain == host or ("." in domain and _domain_matches(host, domain))


def _domain_matches(host: str, domain: str) -> bool:
    """RFC 6265, 5.1.3."""
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _path_matches(path: str, kept: str) -> bool:
    """RFC 6265, 5.1.4."""
    return path.startswith(kept) and (len(path) == len(kept) or kept.endswith("/") or path[len(kept)] == "/")


def _default_path(path: str) -> str:
    """Up to the last slash, without it (RFC 6265, 5.1.4)."""
    above = path.partition("?")[0].rpartition("/")[0]
    return above if above.startswith("/") else "/"


def _expires_ns(attributes: dict[str, str], now_ns: int, wall: datetime) -> int | None:
    """When a cookie runs out; None: at the end. Max-Age goes before Expires."""
    age = attributes.get("max-age", "")
    if _AGE.fullmatch(age):
        return now_ns + min(max(int(age[:12]), 0), _MOST_AGE_S) * NS_PER_S
    date = _date(attributes.get("expires", ""))
    if date is None:
        return None
    return now_ns + min(int((date - wall).total_seconds() * NS_PER_S), _MOST_AGE_S * NS_PER_S)


def _date(text: str) -> datetime | None:
    """A date as cookies have it (RFC 6265, 5.1.1), in whatever order its parts stand; None: it is none."""
    time: tuple[int, int, int] | None = None
    day: int | None = None
    month: int | None = None
    year: int | None = None
    for token in _DELIMITERS.split(text):
        if time is None and (found := _TIME.fullmatch(token)):
            time = int(found[1]), int(found[2]), int(found[3])
        elif day is None and (found := _DAY.fullmatch(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.fullmatch(token)):
            year = int(found[1])
            year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    if time is None or day is None or month is None or year is None or year < 1601:
        return None
    try:
        return datetime(year, month, day, *time, tzinfo=UTC)
    except ValueError:
        return None
