"""How a peer may be at fault."""

from __future__ import annotations

from typing import Final, Literal

from ..relay import Relay

Peer = Literal["slow", "clogged", "closing"]
PEERS: Final[tuple[Peer, ...]] = ("slow", "clogged", "closing")
"""How a peer may be at fault: it takes its time, it goes silent with its connections open, it hangs up."""


def disturb(relay: Relay, peer: Peer, *, refuse: bool = False) -> None:
    """From now on it is. With `refuse` one that hangs up takes nobody in until it is well again."""
    match peer:
        case "slow":
            relay.slow()
        case "clogged":
            relay.clog()
        case "closing":
            relay.hang_up(refuse=refuse)
