"""What the process of a stand-in takes."""

from __future__ import annotations

import psutil


class Resources:
    """Of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()

    def cpu(self) -> float:
        """Cores in use since somebody asked last."""
        return self._process.cpu_percent() / 100

    def memory(self) -> int:
        """Resident bytes."""
        return int(self._process.memory_info().rss)


class Fixed(Resources):
    """Always the same: what the tests' own process takes says nothing of a stand-in in it."""

    def __init__(self, cpu: float = 0.1, memory: int = 100_000_000) -> None:
        self._cpu = cpu
        self._memory = memory

    def cpu(self) -> float:
        return self._cpu

    def memory(self) -> int:
        return self._memory
