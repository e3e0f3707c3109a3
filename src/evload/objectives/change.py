"""What a comparison of runs may find: by how much each figure may be worse, and which value none may exceed."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from ..texts import meant, near
from ..units import NS_PER_S, parse_duration, parse_rate, parse_share
from .limits import parse_value
from .objective import GaugeValues


class Kind(enum.Enum):
    """How a figure is compared."""

    TIME = "time"
    """By ratio; up is worse."""
    RATE = "rate"
    """By ratio; down is worse."""
    SHARE = "share"
    """By difference; up is worse."""
    SUCCESS = "success"
    """A share of what went well: by difference; down is worse."""
    VALUE = "value"
    """A value of a gauge, which may be 0: by difference, told as a share of BASE; up is worse."""
    COST = "cost"
    """Money: by ratio; up is worse."""

    @property
    def is_share(self) -> bool:
        """It is a share of something, from 0 to 1."""
        return self in (Kind.SHARE, Kind.SUCCESS)

    @property
    def sign(self) -> int:
        """1 where up is worse, -1 where down is."""
        return -1 if self in (Kind.RATE, Kind.SUCCESS) else 1


FIGURES: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "p50": Kind.TIME,
        "p90": Kind.TIME,
        "p95": Kind.TIME,
        "p99": Kind.TIME,
        "mean": Kind.TIME,
        "throughput": Kind.RATE,
        "errors": Kind.SHARE,
        "lost": Kind.SHARE,
        "duplicates": Kind.SHARE,
        "cost": Kind.COST,
    }
)
"""Those that runs have by themselves. A gauge's are named like `max(work-queue.queue_depth)`, those of journeys and
of their steps like `completed(order)` and `p95(order.pay)`."""
DEFAULT_RULES: Final[Mapping[str, float]] = MappingProxyType({"p50": 0.20, "p99": 0.50, "throughput": 0.20})
"""How much worse each gated figure may be, unless told otherwise."""
WARN_ABOVE: Final = 0.9
"""Above this share of a limit is a warning."""
GAUGED: Final = re.compile(r"(max|min|mean|last)\(([^()]+)\)")
OF_JOURNEYS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "completed": Kind.SUCCESS, "refused": Kind.SHARE, "failed": Kind.SHARE,
        "violated": Kind.SHARE, **{name: FIGURES[name] for name in ("p50", "p90", "p95", "p99")},
    }
)  # fmt: skip
"""What there is of the iterations of a journey; of its steps there are percentiles alone. Of a race there is
`violated`, and percentiles of RACE.settle."""
_OF_A_RACE: Final = "violated"
JOURNEYED: Final = re.compile(rf"({'|'.join(OF_JOURNEYS)})\((.+)\)")
_TOLERANCE: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*%")
_RULE_HELP: Final = "write for example p99=10%, lost=0.1% or p50=off"
_LIMITS: Final[Mapping[Kind, tuple[Callable[[str], float], str]]] = {
    Kind.TIME: (lambda text: parse_duration(text) / NS_PER_S, "250ms"),
    Kind.RATE: (lambda text: float(parse_rate(text)), "100/s"),
    Kind.SHARE: (parse_share, "0.5%"),
    Kind.SUCCESS: (parse_share, "99%"),
    Kind.VALUE: (lambda text: float(parse_value(text)), "500"),
    Kind.COST: (lambda text: float(Fraction(text)), "0.05"),
}


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """By what runs are compared. Times in seconds, rates per second.

    tolerated   figure to how much worse it may be than BASE, as a share
    weekly      the same of the last seven days against the seven before
    limits      figure to the value that it may not be worse than, whatever BASE is
    warn_above  a figure above this share of its limit is warned about; None: never
    """

    tolerated: Mapping[str, float] = field(default_factory=lambda: DEFAULT_RULES)
    weekly: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    warn_above: float | None = WARN_ABOVE

    @property
    def gauged(self) -> list[str]:
        """The figures of gauges that they name, each once."""
        return self._named(GAUGED)

    @property
    def journeyed(self) -> list[str]:
        """The figures of journeys and their steps that they name, each once."""
        return self._named(JOURNEYED)

    def _named(self, form: re.Pattern[str]) -> list[str]:
        return [name for name in dict.fromkeys((*self.tolerated, *self.weekly, *self.limits)) if form.fullmatch(name)]


def kind_of(name: str) -> Kind:
    """How a figure is compared. Raises ValueError for what is no figure."""
    if name in FIGURES:
        return FIGURES[name]
    if GAUGED.fullmatch(name):
        return Kind.VALUE
    if match := JOURNEYED.fullmatch(name):
        return OF_JOURNEYS[match[1]]
    close = near(name, FIGURES)
    others = (
        f"choose one of {', '.join(FIGURES)}, or a gauge's, such as max(work-queue.queue_depth), "
        "or a journey's, such as completed(order) or p95(order.pay)"
    )
    raise ValueError(f"{name!r} isn't a figure; {f'did you mean {close[0]}?' if close else others}")


def tolerance(text: str) -> tuple[str, float | None]:
    """(figure, how much worse it may be) of `FIGURE=TOLERANCE`; None for `off`. Raises ValueError."""
    name, equals, written = (part.strip() for part in text.partition("="))
    kind = kind_of(name)
    if written == "off":
        return name, None
    if match := _TOLERANCE.fullmatch(written):
        share = float(match[1]) / 100
    elif equals and written == "0":
        share = 0.0
    else:
        raise ValueError(f"{written!r} isn't a tolerance; {_RULE_HELP}")
    if (kind is Kind.RATE or kind.is_share) and share >= 1:
        raise ValueError("nothing can be worse than that; write less than 100%")
    return name, share


def limit(text: str) -> tuple[str, float | None]:
    """(figure, the value that it may not be worse than) of `FIGURE=VALUE`; None for `off`. Raises ValueError."""
    name, _, written = (part.strip() for part in text.partition("="))
    parse, example = _LIMITS[kind_of(name)]
    if written == "off":
        return name, None
    try:
        value = parse(written)
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"{written!r} is no limit of {name}; write for example {name}={example} or {name}=off"
        ) from None
    if value < 0:
        raise ValueError(f"no {name} is below 0; write for example {name}={example}")
    return name, value


def warning(text: str) -> float | None:
    """The share of a limit above which is a warning; None for `off`. Raises ValueError."""
    if text.strip() == "off":
        return None
    share = parse_share(text)
    if not 0 < share < 1:
        raise ValueError(f"{text!r} is no part of a limit; write for example 90%, or off")
    return share


def check_gauge(figure: str, gauges: GaugeValues) -> None:
    """Raise ValueError unless a figure of a gauge is of one that there is, and of one alone."""
    match = GAUGED.fullmatch(figure)
    if match is None:
        return
    gauge, dot, value = match[2].rpartition(".")
    having = [one for one, values in gauges.items() if value in values and (not dot or one == gauge)]
    if not having:
        known = [f"{one}.{each}" for one, values in gauges.items() for each in values]
        cure = meant(match[2], known, f"gauges have {', '.join(known)}") if known else "add a gauge under gauges:"
        raise ValueError(f"there is no gauge with {match[2]!r}; {cure}")
    if len(having) > 1:
        raise ValueError(f"{' and '.join(having)} both have {value}; write {match[1]}({having[0]}.{value})")


def settling(race: str) -> str:
    """What the time to settle of a race is called among the times of steps."""
    return f"{race}.settle"


def check_journey(figure: str, journeys: Mapping[str, Collection[str]], races: Collection[str] = ()) -> None:
    """Raise ValueError unless a figure of a journey is of one that there is, or of a step of one, JOURNEY.STEP; and
    one of a race, or of RACE.settle. `journeys`: the steps of each."""
    match = JOURNEYED.fullmatch(figure)
    if match is None:
        return
    function, about = match.groups()
    if function == _OF_A_RACE:
        if about not in races:
            cure = meant(about, races, f"there are {', '.join(races)}") if races else "there are no races"
            raise ValueError(f"there is no race {about!r}; {cure}")
        return
    steps = [*(step for own in journeys.values() for step in own), *map(settling, races)]
    if about in journeys or (about in steps and OF_JOURNEYS[function] is Kind.TIME):
        return
    if about in steps:
        raise ValueError(f"{about} is a step, and only a journey is {function}; write for example p95({about})")
    known = [*journeys, *(steps if OF_JOURNEYS[function] is Kind.TIME else ())]
    cure = meant(about, known, f"there are {', '.join(known)}") if known else "there are no journeys"
    raise ValueError(f"there is no journey and no step {about!r}; {cure}")


Rule = Callable[[str], tuple[str, float | None]]
RULES: Final[Mapping[str, Rule]] = {"max_regression": tolerance, "week_over_week": tolerance, "limit": limit}
"""What stands under `compare` in a config, and the options of these names."""


def with_rules(known: Mapping[str, float], texts: Iterable[str], parse: Rule) -> dict[str, float]:
    """Rules with what texts replace, add or take away. Raises ValueError for a text that is no rule."""
    rules = dict(known)
    for text in texts:
        name, value = parse(text)
        if value is None:
            rules.pop(name, None)
        else:
            rules[name] = value
    return rules
