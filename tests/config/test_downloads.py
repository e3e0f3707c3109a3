"""What a step says of the body of its answer: as it is meant, and each mistake as one line."""

from __future__ import annotations

import pytest

from evload.model.travel import Wanted
from evload.workload.journeys.settings import RequestStep
from evload.workload.journeys.wanted import wanted
from tests.config.test_bad_config import Bad, lines_of, load

SUM = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
GOOD = f"""\
producers:
  shop: {{kind: http, url: "http://localhost:8080"}}
  bus: {{kind: eventbridge, bus: orders}}
events:
  alive: {{type: alive, source: /evload, data: {{}}}}
journeys:
  docs:
    steps:
      - list: {{to: shop, get: /docs, capture: {{bytes: body.bytes, sum: body.sha256}}}}
      - told: {{to: shop, get: /docs/1, size: "{{bytes}}", sha256: "{{sum}}"}}
      - thumb: {{to: shop, get: /docs/1/thumb, size: 100KB..50MB}}
      - logo: {{to: shop, get: /logo, size: 4096B, sha256: {SUM}}}
      - say: {{to: bus, event: alive}}
scenarios:
  readers: {{journeys: [docs], load: [{{users: 5, for: 1m}}]}}
slos: [errors == 0]
"""


def test_the_good_one_says_what_is_meant() -> None:
    steps = [step for step in load(GOOD).config.journeys["docs"].steps if isinstance(step, RequestStep)]
    assert [(step.size, step.sha256) for step in steps] == [
        (None, None), ("{bytes}", "{sum}"), ("100KB..50MB", None), ("4096B", SUM),
    ]  # fmt: skip


THUMB = "size: 100KB..50MB"
TABLE = [
    Bad(THUMB, "size: 100..200", "11:53", "'100' is not a size", "write a size such as 300B"),
    Bad(THUMB, "size: 4096", "11:53", "4096 is neither a size nor a range of them", "write 4096B"),
    Bad(THUMB, "size: big", "11:53", "'big' is neither a size nor a range of them", "100KB..50MB"),
    Bad(THUMB, "size: 50MB..1MB", "11:53", "'50MB..1MB' is an empty range", "write 1MB..50MB"),
    Bad(THUMB, "size:", "11:52", "nothing stands behind size", "100KB..50MB"),
    Bad(THUMB, "retry:", "11:53", "nothing stands behind retry", "{on: [429], times: 3}, or leave it out"),
    Bad(THUMB, "file:", "11:52", "nothing stands behind file", "{path: logo.png} or {size: 5MB}, or leave"),
    Bad(THUMB, "size: [1MB]", "11:53", "a list is neither a size nor a range", "100KB..50MB"),
    Bad(THUMB, "size: {bytes}", "11:53", "{bytes} without quotes is a mapping", 'write "{bytes}"'),
    Bad(THUMB, 'size: "{byte}"', "11:53", "unknown placeholder {byte}", "did you mean {bytes}?"),
    Bad(THUMB, "sise: 1MB", "11:47", "unknown key 'sise'", "did you mean 'size'?"),
    Bad("get: /logo", "head: /logo", "12:39", "an answer to head has no body, so size can't be told", "or use get"),
    Bad(f"4096B, sha256: {SUM}", "4096B, sha256: abc", "12:59", "'abc' is not a sha256", "64 hexadecimal digits"),
    Bad(f"4096B, sha256: {SUM}", "4096B, sha256: 123", "12:59", "a number is not a sha256", "in quotes"),
    Bad(f"4096B, sha256: {SUM}", "4096B, sha256: {sum}", "12:59", "{sum} without quotes is a mapping", '"{sum}"'),
    Bad(
        f"4096B, sha256: {SUM}",
        '4096B, sha256: "{summ}"',
        "12:59",
        "unknown placeholder {summ}",
        "did you mean {sum}?",
    ),
    Bad("event: alive", "event: alive, size: 1MB", "13:38", "size belongs to a request, and this is an event", "out"),
    Bad("event: alive", f"event: alive, sha256: {SUM}", "13:38", "sha256 belongs to a request", "leave it out"),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.new)
def test_each_mistake_is_one_clear_line(bad: Bad) -> None:
    assert GOOD.count(bad.old) == 1, "the change must be one"
    line = lines_of(GOOD.replace(bad.old, bad.new))[0]
    assert bad.what in line, line
    assert bad.cure in line, line
    assert f":{bad.where}: " in line, line


def test_what_is_captured_later_is_not_known_yet() -> None:
    (line,) = lines_of(GOOD.replace("get: /docs,", 'get: /docs, size: "{bytes}",'))
    assert "{bytes} is known from step 'list' on" in line
    assert "move it behind 'list'" in line


@pytest.mark.parametrize(
    ("size", "ends"),
    [
        ("0", (0, 0)), ("1234", (1234, 1234)), ("1234.0", (1234, 1234)), ("5MB", (5_000_000, 5_000_000)),
        ("10..20", (10, 20)), (" 10 .. 1KiB ", (10, 1024)),
    ],
)  # fmt: skip
def test_what_was_captured_is_mostly_a_number_of_bytes(size: str, ends: tuple[int, int]) -> None:
    assert wanted(size, None, "{bytes}", None) == Wanted(*ends, None, "{bytes}")


@pytest.mark.parametrize("size", ["", "-1", "1.5", "null", "big", "20..10", "1..2..3", "٣"])
def test_what_was_captured_and_is_no_size_is_a_problem(size: str) -> None:
    assert wanted(size, None, "{bytes}", None).problem == "size: what stands for {bytes} is no size"


def test_a_hash_is_one_however_it_is_written() -> None:
    assert wanted(None, f" {SUM.upper()} ", None, "{sum}") == Wanted(None, None, SUM, "", "{sum}")
    for text in ("", "abc", SUM[1:], SUM + "0", "null"):
        assert wanted("1", text, "x", "{sum}").problem == "sha256: what stands for {sum} is no sha256"
