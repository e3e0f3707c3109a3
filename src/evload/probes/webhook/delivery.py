"""Takes a delivery apart into what expressions look at: JSON, or a CloudEvent in any content mode. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from ...clients import exact_json
from ...clients.bodies import as_utf8
from ...clients.web import excerpt
from .._shared.envelopes import decompressed

_BATCH: Final = "application/cloudevents-batch+json"
_BINARY: Final = "ce-specversion"
_EVENT_GRID: Final = "aeg-event-type"
"""A header of Azure Event Grid, which posts lists of events of its own schema."""
_VALIDATION: Final = "Microsoft.EventGrid.SubscriptionValidationEvent"


class BadDelivery(ValueError):
    """It can't be understood; the text is why, for whoever sent it."""


def handshake_of(headers: Mapping[str, str]) -> dict[str, str] | None:
    """What to answer an OPTIONS request with which a sender asks whether it may deliver; None if it is none.

    As in CloudEvents' web hooks, 4.1 (abuse protection). Header names must be in lower case.
    """
    origin = headers.get("webhook-request-origin")
    if origin is None:
        return None
    return {"allow": "POST", "webhook-allowed-origin": origin, "webhook-allowed-rate": "*"}


def validation_code(document: Mapping[str, Any]) -> str | None:
    """The code with which Event Grid asks the same in a POST, which wants it back; None in a delivery."""
    event = document["body"]
    data = event.get("data") if isinstance(event, dict) and event.get("eventType") == _VALIDATION else None
    code = data.get("validationCode") if isinstance(data, dict) else None
    return code if isinstance(code, str) else None


def documents_of(headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """`{headers, body}` of each event in a delivery. Header names must be in lower case. Raises BadDelivery.

    In binary mode the attributes are in the headers, percent-decoded (CloudEvents HTTP binding, 3.1.3.2), and the
    body may be anything: it is null if it isn't JSON.
    """
    body = decompressed(body, headers.get("content-encoding", ""))
    if _BINARY in headers:
        decoded = {name: unquote(text) if name.startswith("ce-") else text for name, text in headers.items()}
        try:
            return [{"headers": decoded, "body": exact_json.loads(body)}]
        except ValueError:
            return [{"headers": decoded, "body": None}]
    body = as_utf8(body, headers.get("content-type", ""))
    try:
        document = exact_json.loads(body)
    except ValueError:
        text = excerpt(body)
        raise BadDelivery(f"the body isn't JSON: {text}" if text else "the body isn't JSON") from None
    if _EVENT_GRID in headers and isinstance(document, list):
        return [{"headers": headers, "body": event} for event in document]
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _BATCH:
        return [{"headers": headers, "body": document}]
    if not isinstance(document, list):
        raise BadDelivery("a batch of CloudEvents must be a JSON list")
    return [{"headers": headers, "body": event} for event in document]
