"""A loop in virtual time that does at once what others do in a thread, whose time isn't virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from evload.testing import VirtualLoop


class ThreadlessLoop(VirtualLoop):
    """The loop."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        done = self.create_future()
        try:
            done.set_result(func(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done
