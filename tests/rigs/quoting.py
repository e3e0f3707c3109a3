"""The forms in which systems quote what they were sent."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus


def _base64_at(before: int) -> Callable[[str], str]:
    return lambda text: base64.b64encode(b"u" * before + text.encode() + b":tail").decode()


def _lower_percent(text: str) -> str:
    return "".join(f"%{byte:02x}" if chr(byte) in "/ &<" or byte > 127 else chr(byte) for byte in text.encode())


FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "as it is": str,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "as Python shows it": lambda text: repr(text)[1:-1],
    "as Python shows it without other letters": lambda text: ascii(text)[1:-1],
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with letters": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "HTML": html.escape,
    "HTML in HTML": lambda text: html.escape(html.escape(text)),
    "HTML, all by number": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML, all in hexadecimal": lambda text: "".join(f"&#x{ord(letter):X};" for letter in text),
    "percent": quote,
    "percent, all": lambda text: quote(text, safe=""),
    "percent, every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent in small letters": _lower_percent,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "a form": quote_plus,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 after a user": _base64_at(2),
    "base64 after a letter": _base64_at(1),
    "base64 after a longer user": _base64_at(9),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal in capitals": lambda text: text.encode().hex().upper(),
}
