"""Shows what is published, and what comes of it, to somebody who looks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...model.travel import Event, Receipt
from ...spi.producer import Settle
from ...spi.traffic import Exchange, Message, Traffic


def shown(
    batch: Sequence[Event],
    settle: Settle,
    traffic: Traffic,
    *,
    sent: Callable[[Event], Message],
    came: Callable[[Receipt], Message],
) -> Settle:
    """A `settle` for these events that tells `traffic` of each before it passes its receipts on.

    `sent` says what went out for an event, and `came` what was answered to it.
    """
    events = {event.seq: event for event in batch}

    def tell(event: Event, receipt: Receipt) -> None:
        sent_ns = event.intended_ns if receipt.sent_ns is None else receipt.sent_ns
        if receipt.acked_ns is None:
            out = None if receipt.sent_ns is None else lambda: sent(event)
            traffic.exchanged(Exchange(sent_ns, sent_ns, out, None, receipt.detail))
            return
        answer = came(receipt)
        traffic.exchanged(Exchange(sent_ns, receipt.acked_ns, lambda: sent(event), lambda: answer))

    def told(receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            tell(events[receipt.seq], receipt)
        settle(receipts)

    return told
