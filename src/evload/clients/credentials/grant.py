"""What an answer of a token endpoint says: the value, and how long it is good for. No I/O."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from jmespath.exceptions import JMESPathError

from ...texts import near
from ...units import NS_PER_S
from .. import exact_json
from ..jmes import Expression, NoDocument, kind_of
from ..web import Answer, has_control

BY_DEFAULT: Final = "body.expires_in"
LONGEST: Final = 65_536
"""Most characters of a value: no server takes a header that is longer."""
_A_DATE: Final = 1_000_000_000
"""From this number of seconds on, some 30 years, it is the moment at which it ends, counted from 1970."""
_LISTED: Final = 8
_LONGEST_NAME: Final = 40


class Grant(NamedTuple):
    """A value; `lifetime_ns` is None where nobody knows how long it is good for."""

    value: str
    lifetime_ns: int | None = None


class NoGrant(Exception):
    """There is no value to be had; the text is why, `cure` what to do about it."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(" ".join(reason.split()))
        self.cure = cure


class GrantReader:
    """Reads answers: `take` finds the value, `expires` when it ends; `lifetime_ns` is for those that don't say."""

    def __init__(self, take: str, expires: str | None, lifetime_ns: int | None) -> None:
        self._take = Expression(take)
        self._expires = None if expires is None else Expression(expires)
        self._by_default = Expression(BY_DEFAULT)
        self._lifetime_ns = lifetime_ns

    def read(self, answer: Answer, now: datetime) -> Grant:
        """What came at the moment `now`. Raises NoGrant."""
        value = self._search(self._take, answer)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        where = f"HTTP {answer.status}, in which {self._take.text!r} is"
        if not isinstance(value, str):
            # The body isn't shown: what is looked for may be in it under another name.
            raise NoGrant(f"{where} {kind_of(value)}, not text", _cure_of(self._take, answer))
        check_value(value, where)
        return Grant(value, self._lifetime(answer, value, now))

    def _lifetime(self, answer: Answer, value: str, now: datetime) -> int | None:
        if self._expires is not None:
            told = self._search(self._expires, answer)
            lifetime_ns = _left(told, now)
            if lifetime_ns is None:
                where = f"HTTP {answer.status}, in which {self._expires.text!r}"
                raise NoGrant(f"{where} is {_shown(told)}, no time that lies ahead", "correct expires")
            return lifetime_ns
        for found in (_left(self._by_default_in(answer), now), _left_of_jwt(value, now)):
            if found is not None:
                return found
        return self._lifetime_ns

    def _by_default_in(self, answer: Answer) -> Any:
        """Nobody has said that there is anything, or that the body is JSON."""
        try:
            return self._search(self._by_default, answer)
        except NoGrant:
            return None

    def _search(self, expression: Expression, answer: Answer) -> Any:
        try:
            return expression.search(answer.as_dict() if expression.whole else answer)
        except NoDocument as error:
            raise NoGrant(_without_body(error), "correct the address, or take") from None
        except JMESPathError as error:
            where = f"HTTP {answer.status}, in which {expression.text!r}"
            raise NoGrant(f"{where} finds nothing", "correct it") from error


def check_value(value: str, where: str) -> None:
    """Raises NoGrant for a value that nothing can be done with; `where` is how the sentence about it begins."""
    if not value:
        raise NoGrant(f"{where} empty", "look after whoever writes it")
    if len(value) > LONGEST:
        raise NoGrant(f"{where} longer than {LONGEST} characters", "name the place of the token")
    if has_control(value):
        raise NoGrant(f"{where} text with a line break or a control character in it", "name the place of the token")


def _without_body(error: NoDocument) -> str:
    """That a body isn't JSON, and nothing of it: it may be the token."""
    return str(error).partition(": ")[0]


def _cure_of(take: Expression, answer: Answer) -> str:
    body = answer.get("body") if "body" in take.roots else None
    if not isinstance(body, Mapping) or not body:
        return "correct take"
    wanted = take.text.rpartition(".")[2]
    if close := near(wanted, body):
        return f"did you mean take: body.{close[0]}?"
    names = ", ".join(name[:_LONGEST_NAME] for name in list(body)[:_LISTED])
    return f"correct take; the body has {names}"


def _left(told: Any, now: datetime) -> int | None:
    """How long until what somebody told as an end: seconds from now, seconds since 1970, or a date; else None."""
    if isinstance(told, str):
        try:
            told = float(told)
        except ValueError:
            return _until(told, now)
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told):
        return None
    seconds = told - now.timestamp() if told >= _A_DATE else told
    return round(seconds * NS_PER_S) if 0 < seconds < _A_DATE else None


def _until(told: str, now: datetime) -> int | None:
    try:
        end = datetime.fromisoformat(told)
    except ValueError:
        return None
    seconds = ((end if end.tzinfo else end.replace(tzinfo=UTC)) - now).total_seconds()
    return round(seconds * NS_PER_S) if seconds > 0 else None


def _left_of_jwt(value: str, now: datetime) -> int | None:
    """What a JSON Web Token says itself (RFC 7519): `exp`, by our clock or, if that is off, by `iat`."""
    claims = _claims(value)
    end, begin = (claims.get(name) for name in ("exp", "iat"))
    if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
        return None
    left = _left(end, now)
    if isinstance(begin, int | float) and not isinstance(begin, bool) and math.isfinite(begin) and end > begin:
        whole = round((end - begin) * NS_PER_S)
        return whole if left is None else min(left, whole)
    return left


def _claims(value: str) -> Mapping[str, Any]:
    parts = value.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = exact_json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, Mapping) else {}


def _shown(told: Any) -> str:
    """A number, or else what it is: a text may be the token itself."""
    return str(told)[:40] if isinstance(told, int | float) and not isinstance(told, bool) else kind_of(told)
