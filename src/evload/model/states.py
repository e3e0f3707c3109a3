"""The states that an event goes through: what became of its publish, how it ended, what one read said."""

from __future__ import annotations

import enum


class Outcome(enum.IntEnum):
    """What became of a publish, as the transport saw it."""

    ACCEPTED = 1
    """The broker took responsibility for the event."""
    REJECTED = 2
    """The broker said no: a nack, or a status outside the expected ones."""
    RETURNED = 3
    """The broker found no route for it."""
    IN_DOUBT = 4
    """It was sent and no answer came: it may or may not have arrived."""
    UNSENT = 5
    """It never left the generator: no connection could be had, or the in-flight limit dropped it."""


class State(enum.IntEnum):
    """The one state in which an event ends.

    In this order: up to RETURNED the publish alone makes sure that the effect never comes, and from VISIBLE on
    the event was acked.
    """

    UNSENT = 1
    REJECTED = 2
    RETURNED = 3
    IN_DOUBT = 4
    VISIBLE = 5
    """Seen, and seen in its last read."""
    LOST = 6
    """Never seen, with a read at or after its deadline to prove it."""
    REGRESSED = 7
    """Seen once, absent in its last read."""
    PENDING = 8
    """Acked, and not settled when the run ended."""
    UNOBSERVED = 9
    """Acked, and no read ever said anything about it at its deadline. So is what nobody followed, what was to stay
    absent and did, and what was to go and had never been there."""
    ENDED = 10
    """Acked, and a read said that it came to another end, so that its effect never comes."""


class Seen(enum.IntEnum):
    """What one read said about one event."""

    ABSENT = 0
    PRESENT = 1
    FAILED = 2
    """The read itself failed (timeout, 500, nonsense): it says nothing about the event."""
    ENDED = 3
    """Absent, and it will never come: the event is at an end of another kind, such as a job that failed."""
