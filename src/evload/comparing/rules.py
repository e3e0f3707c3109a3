"""By what runs are compared: the defaults, what the config of NEW says, and what the command line does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..objectives import change
from ..objectives.change import DEFAULT_RULES, RULES, WARN_ABOVE, ChangeRules, with_rules


@dataclass(frozen=True, slots=True)
class Options:
    """Rules as the command line has them."""

    max_regression: Sequence[str] = ()
    week_over_week: Sequence[str] = ()
    limit: Sequence[str] = ()
    warn_above: str | None = None


def rules_of(written: Mapping[str, Any], options: Options, warn: Callable[[str], None]) -> ChangeRules:
    """The rules. `written` is what the config of NEW has under `compare`; what makes no sense there is warned about,
    as a config that ran was sound. Raises UsageError for an option that is no rule."""
    found: dict[str, dict[str, float]] = {"max_regression": dict(DEFAULT_RULES), "week_over_week": {}, "limit": {}}
    for name, parse in RULES.items():
        for text in _texts(written.get(name)):
            try:
                found[name] = with_rules(found[name], [text], parse)
            except ValueError as error:
                warn(f"{name}: {text} in the config of NEW is left out: {error}")
        for text in getattr(options, name):
            try:
                found[name] = with_rules(found[name], [text], parse)
            except ValueError as error:
                raise UsageError(f"--{name.replace('_', '-')} {text}: {error}") from error
    warn_above: float | None = WARN_ABOVE
    if isinstance(above := written.get("warn_above"), str):
        try:
            warn_above = change.warning(above)
        except ValueError as error:
            warn(f"warn_above: {above} in the config of NEW is left out: {error}")
    if options.warn_above is not None:
        try:
            warn_above = change.warning(options.warn_above)
        except ValueError as error:
            raise UsageError(f"--warn-above {options.warn_above}: {error}") from error
    return ChangeRules(found["max_regression"], found["week_over_week"], found["limit"], warn_above)


def _texts(written: Any) -> Iterable[str]:
    return [text for text in written if isinstance(text, str)] if isinstance(written, list | tuple) else ()
