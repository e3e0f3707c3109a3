"""What a probe that listens has reported."""

from __future__ import annotations

import asyncio

from evload.model.travel import Read, ReadResult


class Told:
    """Takes the reports of one probe."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.strange, self.example = 0, ""
        self.failures: list[ReadResult] = []
        self.news = asyncio.Event()

    def __call__(self, result: ReadResult) -> None:
        assert result.reads or result.strange or result.error
        self.strange += result.strange
        self.example = self.example or result.example
        self.reads += result.reads
        if result.error:
            self.failures.append(result)
        self.news.set()

    async def until(self, reads: int = 0, failures: int = 0) -> None:
        """Wait until it has reported so many of each."""
        while len(self.reads) < reads or len(self.failures) < failures:
            self.news.clear()
            await self.news.wait()
