"""Takes a delivery apart into what expressions look at: JSON, or a CloudEvent in any content mode. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import orjson

from ...clients.web import excerpt

_BATCH: Final = "application/cloudevents-batch+json"
_BINARY: Final = "ce-specversion"


class BadDelivery(ValueError):
    """It can't be understood; the text is why, for whoever sent it."""


def documents_of(headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """`{headers, body}` of each event in a delivery. Header names must be in lower case. Raises BadDelivery.

    In binary mode the attributes are in the headers, percent-decoded (CloudEvents HTTP binding, 3.1.3.2), and the
    body may be anything: it is null if it isn't JSON.
    """
    if _BINARY in headers:
        decoded = {name: unquote(text) if name.startswith("ce-") else text for name, text in headers.items()}
        try:
            return [{"headers": decoded, "body": orjson.loads(body)}]
        except orjson.JSONDecodeError:
            return [{"headers": decoded, "body": None}]
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = excerpt(body)
        raise BadDelivery(f"the body isn't JSON: {text}" if text else "the body isn't JSON") from None
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _BATCH:
        return [{"headers": headers, "body": document}]
    if not isinstance(document, list):
        raise BadDelivery("a batch of CloudEvents must be a JSON list")
    return [{"headers": headers, "body": event} for event in document]
