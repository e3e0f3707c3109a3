"""Gathers receipts, so that those of one turn of the loop are handed over together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...model.travel import Event, Receipt
from ...spi.producer import Settle


class Gathered:
    """Receipts on their way to one `settle`."""

    __slots__ = ("receipts", "settle")

    def __init__(self, settle: Settle) -> None:
        self.settle = settle
        self.receipts: list[Receipt] = []


class Waiting(NamedTuple):
    """An event that is not yet written, since when, and where its receipt goes."""

    event: Event
    into: Gathered
    queued_ns: int


class Receipts:
    """The receipts of one producer. `due` is called with the first of those that `hand_over` will take along."""

    def __init__(self, due: Callable[[], object] | None = None) -> None:
        self._due = due
        self._filled: list[Gathered] = []
        self._newest: Gathered | None = None

    def of(self, settle: Settle) -> Gathered:
        """Where the receipts of what is published with this `settle` go."""
        into = self._newest
        if into is None or into.settle != settle:
            into = self._newest = Gathered(settle)
        return into

    def add(self, into: Gathered, receipt: Receipt) -> None:
        """One more."""
        if not into.receipts:
            if self._due is not None and not self._filled:
                self._due()
            self._filled.append(into)
        into.receipts.append(receipt)

    def hand_over(self) -> None:
        """Hand over what has gathered."""
        filled, self._filled = self._filled, []
        for into in filled:
            receipts, into.receipts = into.receipts, []
            into.settle(receipts)
