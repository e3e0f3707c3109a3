"""How long reads take, estimated high."""

from __future__ import annotations


class Latency:
    """A high estimate of how long a read takes: mean plus four mean deviations, as TCP does (RFC 6298)."""

    __slots__ = ("_deviation", "_mean", "high")

    def __init__(self) -> None:
        self._mean = 0.0
        self._deviation = 0.0
        self.high = 0

    def add(self, sample_ns: int) -> None:
        if not self.high:
            self._mean, self._deviation = float(sample_ns), sample_ns / 2
        else:
            self._deviation += (abs(sample_ns - self._mean) - self._deviation) / 4
            self._mean += (sample_ns - self._mean) / 8
        self.high = int(self._mean + 4 * self._deviation)
