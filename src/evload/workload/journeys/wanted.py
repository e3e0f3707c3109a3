"""What the body of an answer has to be, by the texts of a step: sizes, a hash, or what was captured of these."""

from __future__ import annotations

import re
from typing import Final

from ...model.travel import Wanted
from ...units import parse_size, told

_DIGITS: Final = re.compile(r"(\d{1,19})(?:\.0+)?", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
SHA256_HELP: Final = "write 64 hexadecimal digits, as sha256sum prints them"


def check_sha256(value: object) -> None:
    """Raises ValueError for what holds no placeholders and is no hash."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"a number is not a sha256; {SHA256_HELP}, in quotes")
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"{told(value)} is not a sha256; {SHA256_HELP}")


def wanted(size: str | None, sha256: str | None, size_text: str | None, sha256_text: str | None) -> Wanted:
    """Of texts that are filled in, and those from which they were made, by which people know them."""
    least = most = None
    problem = ""
    if size is not None:
        try:
            least, most = _bytes(size)
        except ValueError:
            problem = f"size: what stands for {size_text} is no size"
    if sha256 is not None and not _SHA256.fullmatch(sha256.strip()):
        problem = problem or f"sha256: what stands for {sha256_text} is no sha256"
    return Wanted(
        least, most, None if sha256 is None else sha256.strip().lower(), size_text or "", sha256_text or "", problem
    )


def _bytes(text: str) -> tuple[int, int]:
    """Least and most. What was captured is mostly a number of bytes, without a unit. Raises ValueError."""
    ends = [_number(end.strip()) for end in text.split("..")]
    if len(ends) > 2 or ends[0] > ends[-1]:
        raise ValueError(text)
    return ends[0], ends[-1]


def _number(text: str) -> int:
    digits = _DIGITS.fullmatch(text)
    return int(digits[1]) if digits else parse_size(text)
