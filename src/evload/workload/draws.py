"""What is drawn anew for every event, by the placeholder that asks for it: each gives the texts of its slots."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final

Draw = Callable[[Sequence[str]], tuple[str, ...]]
"""The next values of neighbouring slots, from the slots before them."""

DIGITS: Final = 9
"""Most digits behind the point of a number."""


def slots(draws: Sequence[Draw], seq: int, now: str) -> list[str]:
    """What fills the templates of one event: its number in hexadecimal, the time, its number, and what is drawn."""
    values = [f"{seq:012x}", now, str(seq)]
    for draw in draws:
        values += draw(values)
    return values


def uuids(rng: random.Random) -> Draw:
    """UUIDs of version 4."""
    bits = rng.getrandbits

    def draw(_: Sequence[str]) -> tuple[str]:
        # 122 random bits, version 4, and the variant in the top two bits of the fourth group. An f-string would
        # take half as long again.
        return ("%08x-%04x-4%03x-%04x-%012x" % (bits(32), bits(16), bits(12), 0x8000 | bits(14), bits(48)),)  # noqa: UP031

    return draw


def integers(rng: random.Random, low: int, high: int) -> Draw:
    """Whole numbers, all of them alike, both ends included."""
    return lambda _: (str(rng.randint(low, high)),)


def decimals(rng: random.Random, low: int, high: int, digits: int) -> Draw:
    """Numbers with so many digits behind the point, from `low` to `high` units of the last digit."""
    unit = 10**digits

    def draw(_: Sequence[str]) -> tuple[str]:
        drawn = rng.randint(low, high)
        whole, part = divmod(abs(drawn), unit)
        return (f"{'-' if drawn < 0 else ''}{whole}.{part:0{digits}}",)

    return draw


def hexadecimals(rng: random.Random, digits: int) -> Draw:
    """So many hexadecimal digits."""
    bits = 4 * digits
    return lambda _: (f"{rng.getrandbits(bits):0{digits}x}",)


def choices(rng: random.Random, options: Sequence[tuple[str, ...]]) -> Draw:
    """One of these, each as often as the others."""
    return lambda _: rng.choice(options)


def weighted(rng: random.Random, options: Sequence[tuple[str, ...]], weights: Sequence[float]) -> Draw:
    """One of these, each as often as its weight says."""
    ends = list(accumulate(weights))
    last = len(options) - 1
    return lambda _: options[min(bisect_right(ends, rng.random() * ends[-1]), last)]


def turns(next_of: Callable[[], tuple[str, ...]]) -> Draw:
    """What comes next, whatever it is."""
    return lambda _: next_of()


def padded(slot: int, width: int) -> Draw:
    """What stands in a slot, with zeros in front of it."""
    return lambda values: (values[slot].zfill(width),)


def moments(slot: int, later: timedelta) -> Draw:
    """The RFC 3339 time that stands in a slot, so much later."""
    known, moved = "", ""

    def draw(values: Sequence[str]) -> tuple[str]:
        nonlocal known, moved
        if values[slot] != known:  # events that are sent together have the same
            known = values[slot]
            moment = datetime.fromisoformat(known) + later
            moved = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return (moved,)

    return draw


def fakes(seed: str | random.Random, kind: str, escape: Callable[[str], str]) -> Draw:
    """Made-up people and places, from a seed or from what another generator gives each time. Raises ImportError where
    the library that has them isn't installed."""
    provider, make = _FAKES[kind]
    again: random.Random | None = None
    source: Any
    if isinstance(seed, str):
        source = random.Random(seed) if provider is None else _provider(provider, seed)
    elif provider is None:
        source = seed
    else:
        source, again = _provider(provider, ""), seed

    def draw(_: Sequence[str]) -> tuple[str, str]:
        if again is not None:
            source.random.seed(again.getrandbits(64))
        text = str(make(source))
        return text, escape(text)

    return draw


def _provider(name: str, seed: str) -> Any:
    import mimesis
    from mimesis.locales import Locale

    return getattr(mimesis, name)(Locale.EN, seed=seed)


def _phone(rng: random.Random) -> str:
    """A number that is kept free for fiction: 555-0100 to 555-0199."""
    return f"+1-{rng.randint(201, 989)}-555-01{rng.randrange(100):02}"


_FAKES: Final[dict[str, tuple[str | None, Callable[[Any], Any]]]] = {
    "email": ("Person", lambda person: person.email(domains=["example.com"])),  # a domain that is nobody's (RFC 2606)
    "name": ("Person", lambda person: person.full_name()),
    "phone": (None, _phone),
    "street": ("Address", lambda address: address.address()),
    "city": ("Address", lambda address: address.city()),
    "company": ("Finance", lambda finance: finance.company()),
    "sentence": ("Text", lambda text: text.sentence()),
}
FAKES: Final = tuple(_FAKES)
"""What can be made up."""
