"""evload measures how long after a publish everyone who reads an event-driven system sees the effect."""

from __future__ import annotations

__version__ = "0.1.0"
