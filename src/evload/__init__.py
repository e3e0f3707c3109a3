"""evload measures how long after a publish everyone who reads an event-driven system sees the effect."""

__version__ = "0.1.0"
