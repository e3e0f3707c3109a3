"""Takes what a system sends out of what transports wrap around it. No I/O."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...clients import exact_json

_MOST_BYTES: Final = 64 << 20
"""What gets longer than this when it is decompressed is left as it is."""
_MOST_LAYERS: Final = 16
_GZIP: Final = b"\x1f\x8b"
_AS_GZIP, _AS_ZLIB, _AS_RAW = 31, 15, -15
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]{16,}={0,2}\s*")


def decompressed(body: bytes, encoding: str = "") -> bytes:
    """What gzip or deflate made of it undone, by its first bytes or, for deflate without a header, by `encoding`."""
    if body.startswith(_GZIP):
        how = _AS_GZIP
    elif body[:1] == b"x" and len(body) > 1 and (body[0] << 8 | body[1]) % 31 == 0:
        how = _AS_ZLIB
    elif encoding.strip().lower() == "deflate":
        how = _AS_RAW
    else:
        return body
    unzip = zlib.decompressobj(how)
    try:
        found = unzip.decompress(body, _MOST_BYTES)
    except zlib.error:
        return body
    return found if unzip.eof else body


def layers(document: Any) -> Iterator[Any]:
    """The document itself, and what is wrapped up in it, the outer ones first.

    Known are the `Message` of SNS, the `detail` of EventBridge, `data` and `data_base64` of CloudEvents and
    Event Grid, JSON as text within JSON, and base64 of any of it, compressed or not.
    """
    waiting = deque([document])
    for _ in range(_MOST_LAYERS):
        if not waiting:
            return
        layer = waiting.popleft()
        yield layer
        waiting.extend(_within(layer))


def _within(layer: Any) -> Iterator[Any]:
    if isinstance(layer, str):
        yield from _unwrapped(layer)
    elif isinstance(layer, Mapping):
        if isinstance(layer.get("data_base64"), str):
            yield from _from_base64(layer["data_base64"])
        if "Message" in layer and ("TopicArn" in layer or layer.get("Type") == "Notification"):
            yield layer["Message"]
        if "detail" in layer and "detail-type" in layer:
            yield layer["detail"]
        if isinstance(layer.get("data"), str):
            yield layer["data"]


def _unwrapped(text: str) -> Iterator[Any]:
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            yield exact_json.loads(text)
        except ValueError:
            return
    elif _BASE64.fullmatch(text):
        yield from _from_base64(text)


def _from_base64(text: str) -> Iterator[str]:
    try:
        yield decompressed(base64.b64decode(text)).decode()
    except (binascii.Error, ValueError):
        return
