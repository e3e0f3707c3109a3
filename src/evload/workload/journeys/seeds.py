"""Numbers from which all that is drawn derives, whatever the order in which it is drawn."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_MASK: Final = (1 << 64) - 1


def seed_of(text: str) -> int:
    """64 bits that follow from a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def mixed(*numbers: int) -> int:
    """64 bits that each of these numbers changes all over: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014)."""
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state
