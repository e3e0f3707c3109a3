"""What a run may load: whom an adapter speaks to, and the guards that this is held to.

A guard speaks of hosts by their names, and of AWS accounts by their numbers. Each guard is asked by itself, so that
one more never allows what another doesn't.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from ..errors import GuardError

LOCALHOST: Final = "localhost"
"""What this machine is called, by whatever name or socket it is spoken to."""
_NUMERIC: Final = re.compile(r"(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+)){0,3}")
_ACCOUNT: Final = re.compile(r"[0-9*?\[\]!-]+")
"""A pattern that may be about the number of an account."""
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom an adapter speaks to, with its settings.

    hosts    names or addresses of hosts, without ports
    aws      it speaks to AWS, as whoever its credentials belong to
    accounts numbers of AWS accounts that its settings name
    unknown  why nobody can know that beforehand; empty: all of it is told above
    opaque   what may speak to anybody, such as a command; empty: nothing of it does
    """

    hosts: tuple[str, ...] = ()
    aws: bool = False
    accounts: tuple[str, ...] = ()
    unknown: str = ""
    opaque: str = ""


NOBODY: Final = Reach()
"""It stays on this machine, or is spoken to itself."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One guard, as somebody wrote it.

    source  what it is called in errors
    allow   patterns of those that may be loaded; None: everybody that isn't denied
    deny    patterns of those that may not
    most    events per second, of all scenarios together; None: as many as one likes
    shell   commands may be run, whatever they do
    """

    source: str
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    most: Fraction | None = None
    shell: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """All guards of a run.

    passed  who may be loaded although no guard allows it: somebody said so for this run
    places  where in the config adapters stand, such as `producer api`
    where   the place of whoever asks
    """

    rules: tuple[Rules, ...] = ()
    passed: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)
    where: str = ""

    def of(self, adapter: str) -> Guard:
        """The same for an adapter, whose place is part of what is raised; a replica's is that of its probe."""
        place = self.places.get(adapter.partition("@")[0], adapter)
        return replace(self, where=place) if self.rules else self

    def check(self, *names: str) -> None:
        """Raises GuardError for the first host or account that may not be loaded.

        For those that only turn out while a connection is made, such as an address that a broker advertises.
        """
        for name in names:
            if refusal := self.refusal(name):
                raise GuardError(f"{self.where}: {refusal}" if self.where else refusal)

    def check_denied(self, *names: str) -> None:
        """The same for those that need not be allowed, because something else is."""
        for name in names:
            for rules in self.rules:
                if denial := _denial(rules, name):
                    raise GuardError(f"{self.where}: {denial}" if self.where else denial)

    def refusal(self, name: str) -> str:
        """Why a host or an account may not be loaded, `what is wrong; what would be right`; empty if it may."""
        for rules in self.rules:
            if denial := _denial(rules, name):
                return denial
        for rules in self.rules:
            if not self._allows(rules, name):
                allowed = ", ".join(rules.allow or ()) or "nobody"
                what = f"{name} is outside {rules.source}, which allows {allowed}"
                return f"{what}; add it there, or say --i-may-load {name}"
        return ""

    def _allows(self, rules: Rules, name: str) -> bool:
        if rules.allow is None:
            return True
        return any(is_meant(pattern, name) for pattern in (*rules.allow, *self.passed))

    @property
    def asks_for_accounts(self) -> bool:
        """Whether it has a say in which AWS account is loaded."""
        return any(
            rules.allow is not None or any(_ACCOUNT.fullmatch(pattern) for pattern in rules.deny)
            for rules in self.rules
        )

    def refusals(self, reach: Reach | None) -> Iterable[str]:
        """All that can be said beforehand against an adapter that reaches so far; None: it doesn't say."""
        limited = [rules for rules in self.rules if rules.allow is not None or rules.deny]
        if reach is None:
            if limited:
                what = f"this kind doesn't say whom it speaks to, and {limited[0].source} has to know"
                yield f"{what}; use a version of its package that declares its reach, or leave it out"
            return
        if reach.opaque and (closed := [rules.source for rules in self.rules if not rules.shell]):
            what = f"nobody can tell whom {reach.opaque} speaks to, and {closed[0]} doesn't allow it"
            yield f"{what}; write shell: allowed there, or leave it out"
        if reach.unknown and limited:
            yield f"{reach.unknown}, and {limited[0].source} has to know; write whom it is to speak to"
        for name in (*reach.hosts, *reach.accounts):
            if refusal := self.refusal(name):
                yield refusal
        if reach.aws and not reach.accounts:
            yield from self._without_account()

    def _without_account(self) -> Iterable[str]:
        for rules in self.rules:
            patterns = (*(rules.allow or ()), *self.passed)
            if rules.allow is not None and not any(_ACCOUNT.fullmatch(pattern) for pattern in patterns):
                what = f"it speaks to an AWS account, and {rules.source} allows none"
                yield f"{what}; add the account's number there, or say --i-may-load with it"
                return


NO_GUARD: Final = Guard()
"""Everybody may be loaded."""


def is_meant(pattern: str, name: str) -> bool:
    """Whether a pattern means a host or an account: `*.staging.example.com`, `10.1.0.0/16`, `localhost`."""
    pattern, name = normal(pattern), normal(name)
    if "/" in pattern:
        address = _address(name)
        return address is not None and address in ip_network(pattern, strict=False)
    return fnmatchcase(name, pattern) or (pattern == LOCALHOST and _is_local(name))


def check_pattern(text: str) -> str:
    """The pattern. Raises ValueError, `what is wrong; what would be right`, where it can't mean anybody."""
    example = (
        'write a host such as localhost, "*.staging.example.com" or 10.1.0.0/16, or the number of an AWS account'
    )
    if "://" in text or "@" in text:
        raise ValueError(f"{text!r} is an address and no host; {example}")
    if "/" in text:
        try:
            ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text!r} is no network; {example}") from None
    elif not text or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is no host; {example}")
    elif re.search(r"(?<!:):\d+$", text) and text.count(":") == 1:
        raise ValueError(f"{text!r} has a port, and a guard is about whole hosts; leave the port out")
    return text


def is_aws(host: str) -> bool:
    """Whether it is an address of AWS itself, behind which there are accounts."""
    return normal(host).endswith(_AWS)


def normal(name: str) -> str:
    """A host as it is compared: in lower case and ASCII, an IP address in its usual spelling."""
    name = name.strip("[]").rstrip(".").lower() if name != "." else name
    if not name.isascii():
        name = ".".join(map(_ascii, name.split(".")))
    if _NUMERIC.fullmatch(name) and not (len(name) == 12 and name.isdecimal()):
        try:
            return socket.inet_ntoa(socket.inet_aton(name))
        except OSError:
            return name
    address = _address(name)
    return name if address is None else str(address)


def _ascii(label: str) -> str:
    import idna

    try:
        return label if label.isascii() else idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        return label


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(name.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _is_local(name: str) -> bool:
    address = _address(name)
    return name.endswith(f".{LOCALHOST}") if address is None else address.is_loopback


def _denial(rules: Rules, name: str) -> str:
    for pattern in rules.deny:
        if is_meant(pattern, name):
            return f"{rules.source} denies {name}, by {pattern}; name another target, for nothing passes a denial"
    return ""
