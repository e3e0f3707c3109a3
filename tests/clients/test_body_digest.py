"""What is counted and hashed of a body as it comes: its content, whatever compression lies around it."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from hashlib import sha256
from typing import Final

import pytest

from evload.clients.body_digest import BodyDigest

CONTENT: Final = random.Random(1).randbytes(70_000) + b"a" * 200_000
SUM: Final = sha256(CONTENT).hexdigest()


def digest(body: bytes, codings: str = "", piece: int = 1000, keep: int = 0, most: int | None = None) -> BodyDigest:
    made = BodyDigest(codings, keep=keep, most=most, hashes=True)
    for start in range(0, len(body), piece):
        made.append(body[start : start + piece])
    return made


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize("piece", [1, 1000, 1_000_000])
@pytest.mark.parametrize(
    ("codings", "body"),
    [
        ("", CONTENT),
        ("identity", CONTENT),
        ("gzip", gzip.compress(CONTENT)),
        ("X-GZIP", gzip.compress(CONTENT)),
        ("deflate", zlib.compress(CONTENT)),
        ("deflate", raw_deflate(CONTENT)),
        ("deflate, gzip", gzip.compress(zlib.compress(CONTENT))),
        ("gzip", gzip.compress(CONTENT[:5000]) + gzip.compress(CONTENT[5000:]) + b"\0" * 9),
    ],
    ids=["plain", "identity", "gzip", "x-gzip", "deflate", "raw deflate", "both", "two members"],
)
def test_the_content_is_counted_and_hashed_however_it_comes(codings: str, body: bytes, piece: int) -> None:
    made = digest(body, codings, piece)
    assert (made.size, made.sha256, made.problem) == (len(CONTENT), SUM, "")


@pytest.mark.parametrize("codings", ["", "gzip", "br"])
def test_a_body_that_never_came_is_an_empty_one(codings: str) -> None:
    made = digest(b"", codings)
    assert (made.size, made.sha256) == ((None, None) if codings == "br" else (0, sha256().hexdigest()))


@pytest.mark.parametrize(
    ("codings", "body", "why"),
    [
        ("gzip", gzip.compress(CONTENT)[:-1], "the body isn't whole gzip, as its content-encoding says"),
        ("gzip", CONTENT, "the body isn't whole gzip, as its content-encoding says"),
        ("gzip", gzip.compress(CONTENT) + b"more", "the body isn't whole gzip, as its content-encoding says"),
        ("gzip", gzip.compress(CONTENT)[:-8] + b"\1" * 8, "the body isn't whole gzip, as its content-encoding says"),
        ("br", CONTENT, "nobody here can undo the content-encoding 'br'"),
        ("br, gzip", gzip.compress(CONTENT), "nobody here can undo the content-encoding 'br, gzip'"),
        ("gzip, gzip, gzip, gzip", b"", "nobody here can undo the content-encoding 'gzip, gzip, gzip, gzip'"),
    ],
    ids=["cut off", "none", "more behind it", "wrong sum", "unknown", "unknown within", "too many"],
)
def test_of_what_cannot_be_undone_nothing_is_said(codings: str, body: bytes, why: str) -> None:
    made = digest(body, codings)
    assert (made.size, made.sha256, made.problem) == (None, None, why)


def test_what_is_kept_is_the_beginning_as_it_came() -> None:
    packed = gzip.compress(CONTENT)
    made = digest(packed, "gzip", piece=700, keep=1000)
    assert b"".join(made) == packed[:1000]
    assert made.sha256 == SUM
    assert list(digest(CONTENT)) == []


def test_nobody_unpacks_more_than_is_of_interest() -> None:
    packed = gzip.compress(CONTENT)
    made = digest(packed, "gzip", most=len(CONTENT) - 1)
    assert (made.is_beyond, made.size, made.sha256, made.problem) == (True, None, None, "")
    plain = digest(CONTENT, most=len(CONTENT) - 1)
    assert (plain.is_beyond, plain.size, plain.sha256) == (True, len(CONTENT), None)
    garbled_later = digest(packed[:-8] + b"\1" * 8, "gzip", piece=len(packed), most=10)
    assert (garbled_later.is_beyond, garbled_later.problem) == (True, ""), "nobody looks at what comes after that"
    exact = digest(packed, "gzip", most=len(CONTENT))
    assert (exact.is_beyond, exact.size, exact.sha256) == (False, len(CONTENT), SUM)


def test_memory_does_not_follow_what_is_packed_small() -> None:
    """20 MB in 20 KB, which come at once."""
    packed = gzip.compress(bytes(20_000_000))
    tracemalloc.start()
    try:
        made = digest(packed, "gzip", piece=len(packed))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.size == 20_000_000
    assert most < 1_000_000
