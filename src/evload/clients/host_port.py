"""Where to listen: an address and a port as one text. No I/O."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import AfterValidator


class HostPort(NamedTuple):
    """An address of this machine and a port; port 0 is any that is free."""

    host: str
    port: int


def parse_host_port(text: str) -> HostPort:
    """From `127.0.0.1:8099` or `[::1]:8099`. Raises ValueError, `what is wrong; what would be right`."""
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    plain = port.isascii() and port.isdigit() and int(port[:6]) <= 65_535
    if not bare or not plain or (":" in bare and bare == host) or any(sign in bare for sign in " /@[]"):
        raise ValueError(f"{text!r} is nowhere to listen; write an address and a port, such as 127.0.0.1:8099")
    return HostPort(bare, int(port))


def _check(text: str) -> str:
    parse_host_port(text)
    return text


ListenAddress = Annotated[str, AfterValidator(_check)]
"""Where to listen, as text."""
