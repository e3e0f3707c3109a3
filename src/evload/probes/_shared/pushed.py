"""Makes reads of what a system pushes, by means of expressions. No I/O."""

from __future__ import annotations

from typing import Any

from jmespath.exceptions import JMESPathError

from ...model.states import Seen
from ...spi.context import Surroundings
from .attribution import by_match
from .attribution_traffic import attribution
from .fact_expressions import BadAnswer, FactReader
from .facts import Facts


class PushedReader:
    """Finds out whose event a pushed document is about, and what it says of it.

    attribution  keeps count of what is about no event of any run
    complaint    why the last document of ours was less use than it should be; for people, once
    unreadable   why one of ours could not be judged at all, so that nothing can be concluded from silence
    """

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        match: str,
        by_default: bool,
        visible: str | None,
        position: str | None,
        consumed_at: str | None,
        processed_at: str | None,
        version: str | None,
        within: str = "",
    ) -> None:
        """`by_default`: nobody said what to match. `within`: see `Attribution`."""
        self.attribution = attribution(surroundings, by_match(match, default=by_default), within)
        self._facts = FactReader(
            visible=visible, effects=None, replica=None, position=position,
            consumed_at=consumed_at, processed_at=processed_at, version=version,
            traffic=surroundings.traffic,
        )  # fmt: skip
        self.complaint = ""
        self.unreadable = ""

    def read(self, document: Any) -> tuple[int, Facts] | None:
        """The number of an event of this run that the document shows, and what is said of it.

        A document that is text is the id itself. Expressions look at what is left of it without its envelopes.
        """
        found = self.attribution.find(document)
        if found is None:
            return None
        seq, document = found
        try:
            if not self._facts.visible(document, True):
                return None
        except JMESPathError as error:
            self.complaint = self.unreadable = " ".join(str(error).split())
            return None
        try:
            return seq, self._facts.facts(document, True)
        except (BadAnswer, JMESPathError) as error:
            self.complaint = " ".join(str(error).split())
            return seq, Facts(Seen.PRESENT)
