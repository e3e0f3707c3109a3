"""Settings of probes into whose answers expressions look, also those of steps that wait. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import PrivateAttr

from ...clients.jmes import check_expression
from ...spi.probe import ProbeSettings


class LookedInto(ProbeSettings):
    """What a step that waits has looked for in the answers of a probe, beside what its settings say."""

    _captures: Mapping[str, str] | None = PrivateAttr(None)

    @property
    def captures(self) -> Mapping[str, str]:
        """What is looked for in an answer that shows its event, for somebody who waits: expressions by name."""
        return self._captures or {}

    @property
    def is_waited_for(self) -> bool:
        """Its ids may be any text, and not only those of events: it is asked for what a step says."""
        return self._captures is not None

    @property
    def following(self) -> Self:
        return self._asked_by_a_step({}, {})

    def _asked_by_a_step(self, changes: Mapping[str, Any], captures: Mapping[str, str]) -> Self:
        asked = self.model_copy(update=changes)
        asked._captures = dict(captures)
        return asked


class ValuesLookedInto(LookedInto):
    """Of a probe that looks at one stored value for each event: what is waited for are expressions over that value.

    `shown_by` is the setting that says whether a value shows its event, for which `until` stands in.
    """

    shown_by: ClassVar[str] = "visible"

    def waiting(self, until: str | None, within_ns: int, captures: Mapping[str, str]) -> Self:
        for text in captures.values():
            check_expression(text, None)
        changes = self.waited(within_ns)
        if until is not None:
            changes[self.shown_by] = check_expression(until, None)
        return self._asked_by_a_step(changes, captures)
