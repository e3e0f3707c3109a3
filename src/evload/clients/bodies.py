"""What is in the body of an answer: its compression and its character set undone as it declares them. No I/O."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterable
from typing import Final

WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""How zlib knows the content codings that are undone."""
MOST_CODINGS: Final = 3
_GZIP: Final = b"\x1f\x8b"
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE | re.ASCII)
_TEXT: Final = re.compile(
    r"utf-?(8|16|32)(-?[bl]e)?|(us-)?ascii|latin-?\d|iso-?8859-?\d{1,2}|(windows-?|cp)125\d|koi8-[ru]|"
    r"gb(k|2312|18030)|big5|euc-(jp|kr)|shift[_-]jis",
    re.IGNORECASE | re.ASCII,
)
"""Character sets of the field. Python's others needn't be text, or take their time."""
_UTF_8: Final = "utf-8"


class Garbled(ValueError):
    """A body isn't compressed as its answer says."""


def unpacked(body: bytes, codings: str, limit: int) -> bytes:
    """The body without its content codings, at most a byte more than `limit`; one that nobody asked for stays.

    Raises Garbled.
    """
    for coding in reversed(named(codings)[-MOST_CODINGS:]):
        bits = WINDOW_BITS.get(coding)
        if bits is None or not body:
            break
        body = _decompressed(body, bits, limit)
    return body


def named(codings: str) -> list[str]:
    """The content codings that a header names, in lower case, in the order in which they were applied."""
    return [coding.strip().lower() for coding in codings.split(",") if coding.strip()]


def bits_for(bits: int, body: bytes) -> int:
    """How zlib knows the coding of a body that begins so: some servers leave out the zlib header of `deflate`."""
    return -zlib.MAX_WBITS if bits == zlib.MAX_WBITS and body[0] & 0x0F != 8 else bits


def _decompressed(body: bytes, bits: int, limit: int) -> bytes:
    unpacker = zlib.decompressobj(bits_for(bits, body))
    try:
        found = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise Garbled from None
    if not unpacker.eof and len(found) <= limit:
        raise Garbled
    return found


def beginning(body: bytes, codings: str, content_type: str, limit: int) -> bytes:
    """As much of a body that may be cut off as can be read, in UTF-8 if that can be."""
    bits = WINDOW_BITS.get(codings.strip().lower())
    if bits is not None and body:
        try:
            body = zlib.decompressobj(bits).decompress(body, limit)
        except zlib.error:
            return body
    return as_utf8(body, content_type)


def as_utf8(body: bytes, content_type: str) -> bytes:
    """The text of a body in UTF-8, without a byte order mark. As it is if it isn't what it declares.

    The mark goes before what `content_type` says. It is asked only where the text isn't UTF-8: many a server says
    Latin-1 of all that it sends.
    """
    charset: str = json.detect_encoding(body)
    if charset == _UTF_8:
        try:
            body.decode()
            return body
        except UnicodeDecodeError:
            declared = _CHARSET.search(content_type)
            if declared is None or not _TEXT.fullmatch(declared[1]):
                return body
            charset = declared[1]
    try:
        return codecs.decode(body, charset).encode()
    except (LookupError, UnicodeError):
        return body


def what_it_is(body: bytes, codings: str, content_type: str) -> str:
    """What people call a body that isn't text that they could read."""
    if not body:
        return "an empty body, not JSON"
    if body.startswith(_GZIP):
        return "a body in gzip, which it doesn't declare in content-encoding"
    coding = codings.strip().lower()
    if coding and coding != "identity" and coding not in WINDOW_BITS:
        return f"a body in {coding[:40]!r}, a content-encoding that nobody asked for"
    kind = content_type.partition(";")[0].strip()[:60]
    return f"{len(body)} bytes of {kind or 'something'}, not JSON"


def in_latin_1(body: bytes, limit: int) -> str:
    """The beginning of a text that isn't UTF-8 and declares nothing, if it could be Latin-1; else empty."""
    text = " ".join(body[: 4 * limit].decode("latin-1").split())
    return text[:limit] if text and text.isprintable() else ""


def field(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """All values of a header, in one."""
    size = len(name)
    # Most of them have another length, which is told without a copy in lower case.
    found = [value for key, value in headers if len(key) == size and key.lower() == name]
    return ", ".join([value.decode("latin-1").strip() for value in found]) if found else ""
