"""Chooses a fixed share of the events by their numbers, so that who chooses again chooses the same."""

from __future__ import annotations

from typing import Final, Literal

_MASK: Final = (1 << 64) - 1
_SALTS: Final = {"sample": 0, "resend": 0x632BE59BD9B4E019, "explore": 0x8CB92BA72F3D8DD7}

Purpose = Literal["sample", "resend", "explore"]


def is_chosen(seq: int, share: float, purpose: Purpose) -> bool:
    """Whether event `seq` belongs to the share: a pseudo-random choice, another one for each purpose.

    The finaliser of SplitMix64 (Steele, Lea, Flood 2014) decorrelates it from any period in the load.
    """
    if share >= 1:
        return True
    if share <= 0:
        return False
    z = (seq + 1) * 0x9E3779B97F4A7C15 + _SALTS[purpose] & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return (z ^ z >> 31) < share * (1 << 64)
