"""Durations, rates, shares and sizes: read, refused and printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from evload.units import (
    Duration,
    Rate,
    Share,
    Size,
    format_byte_rate,
    format_duration,
    format_rate,
    format_share,
    format_size,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
    parse_size_range,
    write_duration,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("250ms", 250_000_000),
        ("5s", 5_000_000_000),
        ("10m", 600_000_000_000),
        ("8h", 28_800_000_000_000),
        ("1d", 86_400_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5 s", 1_500_000_000),
        (".5us", 500),
        ("20µs", 20_000),
        ("7ns", 7),
        ("0s", 0),
        (0, 0),
        ("0.1s", 100_000_000),
    ],
)
def test_durations(text: object, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["5", 5, 1.5, "5 parsecs", "-5s", "", "s", "1s5", "1.s", None, True, False, ["5s"], "1e3s"]
)
def test_refused_durations(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write a number with a unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("500/s", Fraction(500)), ("30/min", Fraction(1, 2)), ("10/h", Fraction(1, 360)), ("0.1 /s", Fraction(1, 10))],
)
def test_rates_are_exact(text: str, per_second: Fraction) -> None:
    assert parse_rate(text) == per_second


@pytest.mark.parametrize("text", ["500", 500, "-1/s", "500/d", "/s", "500 per s", None])
def test_refused_rates(text: object) -> None:
    with pytest.raises(ValueError, match="is not a rate; write a rate such as"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("parse", "most", "more", "said"),
    [
        (parse_duration, "36500d", "36500d1ns", "'36500d1ns' is too long; write 36500d or less"),
        (parse_duration, "876000h", "9" * 99 + "s", "is too long; write 36500d or less"),
        (parse_rate, "1000000000/s", "1000000000.1/s", "'1000000000.1/s' is too high; write 1000000000/s or less"),
        (parse_rate, "60000000000/min", "9" * 90 + "/h", "is too high; write 1000000000/s or less"),
        (parse_size, "1073741824GiB", "1152921504606846977B", "is too large; write 1073741824GiB or less"),
        (parse_duration, "0" * 99 + "s", "0" * 100 + "s", "is not a duration; write a number with a unit"),
        (parse_rate, "0" * 98 + "/s", "0" * 99 + "/s", "is not a rate; write a rate such as"),
        (parse_share, "0" * 99 + "%", "0" * 100 + "%", "is not a share; write a share such as"),
        (parse_size, "0" * 99 + "B", "0" * 100 + "B", "is not a size; write a size such as"),
        (parse_duration, "1s", "9" * 5000 + "s", "is not a duration"),
    ],
)
def test_each_has_an_end(parse: Callable[[object], object], most: str, more: str, said: str) -> None:
    parse(most)
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(more)


@pytest.mark.parametrize(("text", "share"), [("95%", 0.95), ("99.9 %", 0.999), ("0%", 0.0), ("100%", 1.0)])
def test_shares(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["0.95", 0.95, 95, "-1%", "%", None])
def test_refused_shares(text: object) -> None:
    with pytest.raises(ValueError, match="is not a share; write a share such as"):
        parse_share(text)


def test_more_than_the_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the whole; write a share between 0% and 100%"):
        parse_share("100.1%")


@pytest.mark.parametrize(
    ("text", "size"), [("300B", 300), ("256KB", 256_000), ("1MiB", 1_048_576), ("1.5 GB", 1_500_000_000)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (300, "300 B"),
        (2000, "2 KB"),
        (2001, "2001 B"),
        (2048, "2 KiB"),
        (5_000_000, "5 MB"),
        (1 << 20, "1 MiB"),
        (1_000_000_000, "1 GB"),
    ],
)
def test_sizes_as_people_read_them(size: int, text: str) -> None:
    assert format_size(size) == text
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["300", 300, "1kb", "-1B", None])
def test_refused_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write a size such as"):
        parse_size(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 s"),
        (7, "7 ns"),
        (999.6, "1 µs"),
        (152_300_000, "152 ms"),
        (999_600_000, "1 s"),
        (1_250_000_000, "1.25 s"),
        (90_000_000_000, "90 s"),
        (600_000_000_000, "10 min"),
        (14_400_000_000_000, "4 h"),
        (5_000_000_000_000_000, "1389 h"),
        (-1_500_000, "-1.5 ms"),
    ],
)
def test_printed_durations(ns: float, text: str) -> None:
    assert format_duration(ns) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (500, "500/s"),
        (40_000, "40000/s"),
        (999.96, "1000/s"),
        (1234.5, "1234/s"),
        (1.5, "1.5/s"),
        (Fraction(1, 2), "30/min"),
        (0, "0/s"),
    ],
)
def test_printed_rates(rate: float | Fraction, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.972, "97.2 %"),
        (0.9999, "99.99 %"),
        (0.99999, "99.999 %"),
        (0.9999999, "99.99999 %"),
        (1, "100 %"),
        (0, "0 %"),
        (0.001, "0.1 %"),
        (1e-7, "0.00001 %"),
    ],
)
def test_printed_shares_tell_nearly_all_from_all(share: float, text: str) -> None:
    assert format_share(share) == text


class _Settings(BaseModel):
    wait: Duration = 0
    rate: Rate = Fraction(1)
    share: Share = 0.5
    size: Size = 1


@given(st.integers(0, 10**18))
def test_a_duration_survives_json(ns: int) -> None:
    dumped = _Settings.model_construct(wait=ns).model_dump(mode="json", include={"wait"})
    assert isinstance(dumped["wait"], str)
    assert _Settings(wait=dumped["wait"]).wait == ns


def test_settings_are_read_from_text() -> None:
    settings = _Settings.model_validate({"wait": "1m30s", "rate": "30/min", "share": "20%", "size": "256KB"})
    assert settings == _Settings.model_construct(wait=90 * 10**9, rate=Fraction(1, 2), share=0.2, size=256_000)


@pytest.mark.parametrize(("field", "value"), [("wait", 5), ("rate", 5), ("share", 0.5), ("size", 5)])
def test_a_bare_number_in_settings_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match="is not a"):
        _Settings.model_validate({field: value})


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"), (1, "1ms"), (250_000_000, "250ms"), (999_999_999, "1s"), (1_500_000_000, "1.5s"),
        (59_999_000_000, "59.999s"), (59_999_000_001, "1m"), (60_000_000_000, "1m"), (60_000_000_001, "1m1s"),
        (240_000_000_000, "4m"), (5_400_000_000_000, "1h30m"), (90_000_000_000_000, "25h"),
    ],
)  # fmt: skip
def test_a_duration_can_be_written_as_it_is_proposed(ns: int, text: str) -> None:
    assert write_duration(ns) == text
    assert ns <= parse_duration(text) < ns + (1_000_000 if ns < 59_999_000_000 else 1_000_000_000)


@pytest.mark.parametrize(
    ("text", "ends"),
    [("100KB..50MB", (100_000, 50_000_000)), (" 1B .. 1B ", (1, 1)), ("1.5KiB", (1536, 1536)), ("0B", (0, 0))],
)
def test_a_range_of_sizes_has_two_ends_and_a_size_is_both(text: str, ends: tuple[int, int]) -> None:
    assert parse_size_range(text) == ends


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("2MB..1KB", "'2MB..1KB' is an empty range; write 1KB..2MB"),
        ("1..2MB", "'1' is not a size; write a size such as 300B, 256KB or 1MiB"),
        ("1KB..", "'' is not a size; write a size such as 300B, 256KB or 1MiB"),
        ("much", "'much' is neither a size nor a range of them; write one such as 1MB, or two such as 100KB..50MB"),
        (4096, "4096 is neither a size nor a range of them; write 4096B"),
        (-1, "-1 is neither a size nor a range of them; write one such as 1MB, or two such as 100KB..50MB"),
        (True, "true is neither a size nor a range of them; write one such as 1MB, or two such as 100KB..50MB"),
        ("2000000000GiB", "'2000000000GiB' is too large; write 1073741824GiB or less"),
    ],
)
def test_what_is_no_range_of_sizes_is_refused_with_its_cure(value: object, error: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        parse_size_range(value)


def test_rates_of_bytes_are_told_to_three_digits() -> None:
    told = {0: "0 B/s", 999: "999 B/s", 1000: "1 KB/s", 1234567: "1.23 MB/s", 999_600: "1 MB/s", 5e12: "5000 GB/s"}
    assert {value: format_byte_rate(value) for value in told} == told
