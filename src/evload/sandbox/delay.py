"""How long something takes: a constant or a distribution, read from config text and drawn from a seed.

Every form is its own quantile function, so that one uniform number gives one delay. That keeps the number
of random draws per event the same whatever the forms are.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from statistics import NormalDist
from typing import Annotated, Any, Final, NamedTuple

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, WithJsonSchema

from ..units import Duration, Share, parse_duration, parse_share

_STANDARD_NORMAL: Final = NormalDist()
_Z99: Final = 2.3263478740408408
"""The 0.99 quantile of the standard normal distribution."""
_SMALLEST: Final = 2.0**-53
"""Stands in for a uniform draw of exactly 0, whose normal quantile would be minus infinity."""


class DelayDistribution(ABC):
    """A distribution of durations in nanoseconds."""

    @abstractmethod
    def quantile(self, u: float) -> int:
        """The delay in nanoseconds below which a share `u` (0 <= u < 1) of all delays lies."""

    def draw(self, rng: random.Random) -> int:
        """One delay in nanoseconds, for exactly one number of `rng`."""
        return self.quantile(rng.random())


@dataclass(frozen=True, slots=True)
class Constant(DelayDistribution):
    """Always the same. Nanoseconds."""

    ns: int

    def quantile(self, u: float) -> int:
        return self.ns


@dataclass(frozen=True, slots=True)
class Lognormal(DelayDistribution):
    """Lognormal through its median and its 0.99 quantile, both in nanoseconds.

    ln X is normal with mu = ln(median) and sigma = ln(p99 / median) / z(0.99).
    """

    median: int
    p99: int

    def __post_init__(self) -> None:
        if not 0 < self.median <= self.p99:
            raise ValueError("the median of a lognormal delay must be above 0 and at most its p99")

    def quantile(self, u: float) -> int:
        sigma = math.log(self.p99 / self.median) / _Z99
        return round(self.median * math.exp(sigma * _STANDARD_NORMAL.inv_cdf(u or _SMALLEST)))


@dataclass(frozen=True, slots=True)
class Bimodal(DelayDistribution):
    """`slow` for a share of the cases, `fast` for the others. Nanoseconds."""

    fast: int
    slow: int
    slow_share: float

    def __post_init__(self) -> None:
        if self.fast > self.slow:
            raise ValueError("the fast mode of a bimodal delay must not be slower than the slow one")

    def quantile(self, u: float) -> int:
        return self.slow if u >= 1 - self.slow_share else self.fast


@dataclass(frozen=True, slots=True)
class Uniform(DelayDistribution):
    """Equally likely between two bounds in nanoseconds."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("a uniform delay must not end before it starts")

    def quantile(self, u: float) -> int:
        return self.low + round(u * (self.high - self.low))


@dataclass(frozen=True, slots=True)
class Exponential(DelayDistribution):
    """Exponential with a mean in nanoseconds."""

    mean: int

    def quantile(self, u: float) -> int:
        return round(-self.mean * math.log1p(-u))


class _Form(NamedTuple):
    """How a distribution is written: `{name: {key: value}}`, the keys in the order of its fields."""

    make: Callable[..., DelayDistribution]
    keys: Mapping[str, Any]
    example: str

    def read(self, name: str, values: object) -> DelayDistribution:
        if not isinstance(values, Mapping) or set(values) != set(self.keys):
            raise ValueError(f"{name} needs exactly {' and '.join(self.keys)}; write {self.example}")
        parsers = {Duration: parse_duration, Share: parse_share}
        try:
            return self.make(*(parsers[kind](values[key]) for key, kind in self.keys.items()))
        except ValueError as error:
            cure = "" if ";" in str(error) else f"; write for example {self.example}"
            raise ValueError(f"{error}{cure}") from None


_FORMS: Final[Mapping[str, _Form]] = {
    "lognormal": _Form(Lognormal, {"median": Duration, "p99": Duration}, "{lognormal: {median: 150ms, p99: 900ms}}"),
    "bimodal": _Form(
        Bimodal,
        {"fast": Duration, "slow": Duration, "slow_share": Share},
        "{bimodal: {fast: 50ms, slow: 2s, slow_share: 5%}}",
    ),
    "uniform": _Form(Uniform, {"from": Duration, "to": Duration}, "{uniform: {from: 1s, to: 2s}}"),
    "exponential": _Form(Exponential, {"mean": Duration}, "{exponential: {mean: 100ms}}"),
}

_CURE: Final = f"write a duration such as 100ms, or one of {', '.join(form.example for form in _FORMS.values())}"


def parse_delay(value: object) -> DelayDistribution:
    """A distribution from `100ms` or `{lognormal: {median: 150ms, p99: 900ms}}` and its like.

    Raises ValueError, whose text is `what is wrong; what would be right`, for anything else.
    """
    if isinstance(value, DelayDistribution):
        return value
    if isinstance(value, Mapping):
        if len(value) != 1 or next(iter(value)) not in _FORMS:
            raise ValueError(f"{dict(value)!r} is not a delay; {_CURE}")
        ((name, values),) = value.items()
        return _FORMS[name].read(name, values)
    if isinstance(value, str) or value == 0:
        return Constant(parse_duration(value))
    raise ValueError(f"{value!r} is not a delay; {_CURE}")


def delay_text(delay: DelayDistribution) -> str | dict[str, dict[str, str]]:
    """What `parse_delay` reads back as the same distribution."""
    if isinstance(delay, Constant):
        return _written(delay.ns, Duration)
    for name, form in _FORMS.items():
        if form.make is type(delay):
            values = astuple(delay)  # type: ignore[call-overload]
            return {
                name: {
                    key: _written(value, kind) for (key, kind), value in zip(form.keys.items(), values, strict=True)
                }
            }
    raise TypeError(f"no way to write {delay!r}")


def _written(value: float, kind: Any) -> str:
    return str(TypeAdapter(kind).dump_python(value, mode="json"))


def _json_schema() -> dict[str, Any]:
    text = {kind: TypeAdapter(kind).json_schema() for kind in (Duration, Share)}
    forms = [
        {
            "type": "object",
            "additionalProperties": False,
            "required": [name],
            "properties": {
                name: {
                    "type": "object",
                    "additionalProperties": False,
                    "required": list(form.keys),
                    "properties": {key: text[kind] for key, kind in form.keys.items()},
                }
            },
        }
        for name, form in _FORMS.items()
    ]
    return {"anyOf": [text[Duration], *forms]}


Delay = Annotated[
    DelayDistribution,
    PlainValidator(parse_delay),
    PlainSerializer(delay_text, when_used="json"),
    WithJsonSchema(_json_schema()),
]
