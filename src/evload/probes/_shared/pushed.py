"""Makes reads of what a system pushes, by means of expressions. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jmespath.exceptions import JMESPathError

from ...clients.jmes import Expression
from ...model.states import Seen
from .fact_expressions import BadAnswer, FactReader
from .facts import Facts


class PushedReader:
    """Finds out whose event a pushed document is about, and what it says of it.

    complaint  why the last document of ours was less use than it should be; for people, once
    unreadable why one of ours could not be judged at all, so that nothing can be concluded from silence
    """

    def __init__(
        self,
        seq_of: Callable[[str], int | None],
        *,
        match: str,
        visible: str | None,
        position: str | None,
        consumed_at: str | None,
        processed_at: str | None,
        version: str | None,
    ) -> None:
        self._seq_of = seq_of
        self._match = Expression(match)
        self._facts = FactReader(
            visible=visible, effects=None, replica=None, position=position,
            consumed_at=consumed_at, processed_at=processed_at, version=version,
        )  # fmt: skip
        self.complaint = ""
        self.unreadable = ""

    def read(self, document: Any) -> tuple[int, Facts] | None:
        """The number of an event of this run that the document shows, and what is said of it.

        A document that is text is the id itself.
        """
        try:
            found = document if isinstance(document, str) else self._match.search(document)
        except JMESPathError:
            return None
        seq = self._seq_of(found) if isinstance(found, str) else None
        if seq is None:
            return None
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
