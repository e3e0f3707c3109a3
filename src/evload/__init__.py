"""evload measures how long after a publish everyone who reads an event-driven system sees the effect.

From Python: `evload.measure("shop.yaml")`, or `await evload.measure_async("shop.yaml")` in an event loop.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take for true; `typing` itself is the half of what this import would take
if TYPE_CHECKING:
    from typing import Any

    from .api.measure import measure, measure_async
    from .api.measurement import (
        Distribution,
        Interval,
        Measurement,
        Objective,
        Scenario,
        SelfCheck,
        VerdictError,
    )
    from .errors import (
        ConfigError,
        EvloadError,
        GuardError,
        NotUndoneError,
        OutputError,
        Problem,
        TargetError,
        UsageError,
    )
    from .model.report import Result

__version__ = "0.1.0"

_HOMES = {
    "api.measure": ("measure", "measure_async"),
    "api.measurement": (
        "Distribution", "Interval", "Measurement", "Objective", "Scenario", "SelfCheck", "VerdictError",
    ),
    "errors": (
        "ConfigError", "EvloadError", "GuardError", "NotUndoneError", "OutputError", "Problem", "TargetError",
        "UsageError",
    ),
    "model.report": ("Result",),
}  # fmt: skip
"""The modules from which each of these is taken when it is asked for."""

__all__ = [
    "ConfigError",
    "Distribution",
    "EvloadError",
    "GuardError",
    "Interval",
    "Measurement",
    "NotUndoneError",
    "Objective",
    "OutputError",
    "Problem",
    "Result",
    "Scenario",
    "SelfCheck",
    "TargetError",
    "UsageError",
    "VerdictError",
    "__version__",
    "measure",
    "measure_async",
]


if not TYPE_CHECKING:  # to whom a name that isn't there would be anything at all

    def __getattr__(name: str) -> Any:
        # Whoever wants the version, or one of the adapters, doesn't load all that a run needs.
        for home, names in _HOMES.items():
            if name in names:
                from importlib import import_module

                value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
