"""Correlation ids that carry their event's number: UUIDv8 of (run, seq), so that an id gives `seq` back.

Layout (RFC 9562, section 5.8): 48 bits of the run, the version, 12 more bits of the run, the variant,
14 zero bits, 48 bits of `seq`. The last group of the text is therefore `seq` in hexadecimal, and all
before it is constant for a run.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

_RUN_BITS: Final = 60
_SEQ_BITS: Final = 48
_UUID: Final = re.compile(
    r"(?:urn:uuid:)?(\{)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?(1)\})",
    re.IGNORECASE | re.ASCII,
)
"""However it is written: in capitals, without hyphens, in braces (as .NET does), as a URN (RFC 9562, section 4)."""


def plain_id(text: str) -> str:
    """A UUID as we write it: lower case, with hyphens and nothing around it. Any other text as it is."""
    match = _UUID.fullmatch(text)
    return "-".join(match.groups()[1:]).lower() if match else text


def is_of_a_run(text: str) -> bool:
    """Whether it is the id of an event of some run, this one or another, however it is written."""
    plain = plain_id(text)
    return plain[14:15] == "8" and plain[19:24] == "8000-" and _UUID.fullmatch(plain) is not None


class CorrelationIds:
    """The ids of one run.

    prefix  the text in front of the twelve hexadecimal digits of `seq`, hyphen included
    """

    __slots__ = ("prefix",)

    def __init__(self, run: int) -> None:
        """`run` is a number below 2^60. Raises ValueError for any other."""
        if run < 0 or run >> _RUN_BITS:
            raise ValueError(f"a run prefix has {_RUN_BITS} bits: {run}")
        head = f"{run:015x}"
        self.prefix = f"{head[:8]}-{head[8:12]}-8{head[12:]}-8000-"

    @classmethod
    def for_run(cls, run_id: str) -> CorrelationIds:
        """Ids of the run of that name: the first 60 bits of its BLAKE2b hash."""
        return cls(int.from_bytes(blake2b(run_id.encode(), digest_size=8).digest()) >> 64 - _RUN_BITS)

    def id_of(self, seq: int) -> str:
        """The id of event `seq` (below 2^48), in lower case."""
        return f"{self.prefix}{seq:012x}"

    def traceparent_of(self, seq: int) -> str:
        """The W3C trace context that event `seq` carries: its id is the trace, the last 64 bits of it the span."""
        trace = self.id_of(seq).replace("-", "")
        return f"00-{trace}-{trace[-16:]}-01"

    def seq_of(self, text: str) -> int | None:
        """The number of the event with that id, however a UUID is written; None if it isn't an id of this run."""
        if not text.startswith(self.prefix):
            text = plain_id(text)
        try:
            seq = int(text[len(self.prefix) :], 16)
        except ValueError:
            return None
        # int() also takes signs, underscores and foreign digits; only a true id comes out as it went in.
        return seq if 0 <= seq < 1 << _SEQ_BITS and self.id_of(seq) == text.lower() else None
