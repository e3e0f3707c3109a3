"""An HTTP server for those who listen: what strangers send who don't speak HTTP is no news, and is not kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def quiet_server(handle: Handle) -> web.Server:
    """It has `handle` take each request, and logs none."""
    return _Server(handle)


class _Server(web.Server):
    def __init__(self, handle: Handle) -> None:
        logger = logging.Logger(__name__)
        logger.addHandler(logging.NullHandler())
        super().__init__(handle, logger=logger, access_log=None)

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)


class _Connection(web.RequestHandler):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            # An error holds the frame that raised it, and that the error and what had come: a quarter of a megabyte
            # until the cyclic garbage collection comes by, which counts objects and not bytes.
            error = getattr(self._messages[-1][0], "exc", None)
            if error is not None:
                error.__traceback__ = None
