"""What a collector makes of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ...clients.web import excerpt
from .destination import Signal


@dataclass(frozen=True, slots=True)
class Heard:
    """What the collector did.

    trouble    why all was in vain, or what was refused; empty if all went well
    delivered  whether it took the message, or some of it
    again      whether it may take the same message a little later
    """

    trouble: str = ""
    delivered: bool = False
    again: bool = False


Export = Callable[[Any], Awaitable[Heard]]
"""Sends one request once."""


def taken(signal: Signal, answer: Any) -> Heard:
    """What an ExportMetricsServiceResponse or an ExportTraceServiceResponse says."""
    partial = answer.partial_success
    if signal == "metrics":
        rejected, what = partial.rejected_data_points, "data points"
    else:
        rejected, what = partial.rejected_spans, "spans"
    reason = excerpt(partial.error_message.encode()) or "no reason given"
    return Heard(f"{rejected} {what} rejected: {reason}" if rejected else "", delivered=True)
