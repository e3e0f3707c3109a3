"""What aiohttp's errors mean, in words for a person."""

from __future__ import annotations

import aiohttp

from .web import reason_of


def explain(error: Exception) -> str:
    """Why a request failed, in a few words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return reason_of(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return reason_of(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "connection closed without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer is cut off or garbled"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers HTTP {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"not HTTP: {error.message}"
    return reason_of(error) if isinstance(error, OSError) else type(error).__name__
