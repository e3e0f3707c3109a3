"""Failures of activities on their way to becoming outcomes."""

from __future__ import annotations

from ...spi.activity import Outcome
from ...texts import printable


class Failed(Exception):
    """It isn't done; the text is why. `in_doubt` and `gone` as of an outcome."""

    def __init__(self, reason: str, *, in_doubt: bool = False, gone: bool = False) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt
        self.gone = gone

    @property
    def outcome(self) -> Outcome:
        """The same as an outcome, on one line."""
        return Outcome(printable(" ".join(str(self).split())), in_doubt=self.in_doubt, gone=self.gone)
