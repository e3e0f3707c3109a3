"""What is drawn with characters, by its characters."""

from __future__ import annotations

from math import inf

import pytest

from evload.sinks.console.charts import BAD, chart, cursor, shape, sparkline


def test_a_sparkline_goes_from_nothing_to_its_largest_value() -> None:
    assert sparkline([0, 1, 2, 4, 8, None, inf], 20) == "▁▁▂▄█ █"
    assert sparkline([8, 1, 2], 2) == "▄█"
    assert sparkline([0, 0], 5) == "▁▁"
    assert sparkline([None], 5) == " "
    assert sparkline([1, 2], 0) == ""
    assert sparkline([], 5) == ""


def test_a_load_has_the_shape_of_its_rate() -> None:
    ramp, hold, idle = (0.0, 8.0, 0.0, 80.0), (8.0, 12.0, 40.0, 40.0), (12.0, 16.0, 0.0, 0.0)
    burst = (14.0, 14.0, 0.0, 0.0)
    assert shape([ramp, hold, idle, burst], 16, 80, 16) == "▁▂▂▄▄▆▆█▄▄▄▄  │ "
    assert shape([(2.0, 4.0, 5.0, 5.0)], 8, 80, 4) == " ▁  "
    assert shape([(8.0, 8.0, 0.0, 0.0)], 8, 0, 4) == "   │"


@pytest.mark.parametrize(("elapsed", "place"), [(0, 0), (4.9, 4), (9.99, 9), (25, 9)])
def test_the_cursor_is_where_the_run_is(elapsed: float, place: int) -> None:
    assert cursor(elapsed, 10, 10).plain == "─" * place + "▲"


def test_what_is_above_the_limit_is_marked_without_colour_too() -> None:
    rows = chart([1, 2, 2.1, None, inf], 2.0, 8, 2, "p95")
    assert [(name, line.plain) for name, line in rows] == [
        ("above limit", "  ! !"),
        ("limit", "┄▅▅┄█┄┄┄"),
        ("p95", "▆██ █"),
    ]
    assert [line.plain[span.start : span.end] for _, line in rows for span in line.spans if span.style == BAD] == [
        "▅", "█", "█", "█",
    ]  # fmt: skip


def test_below_the_limit_there_is_no_row_of_marks() -> None:
    assert [(name, line.plain) for name, line in chart([0.1, 0.2], 2.0, 4, 3, "p99")] == [
        ("limit", "┄┄┄┄"),
        ("", "  "),
        ("p99", "▁▂"),
    ]


def test_without_a_limit_the_largest_value_is_the_top() -> None:
    assert [(name, line.plain) for name, line in chart([1, 2, 4], None, 8, 2, "p95")] == [("", "  █"), ("p95", "▄██")]
    assert [(name, line.plain) for name, line in chart([inf], None, 8, 1)] == [("", "█")]


def test_in_a_single_row_the_limit_has_marks_but_no_line() -> None:
    assert [(name, line.plain) for name, line in chart([1, 4], 2.0, 8, 1)] == [("above limit", " !"), ("", "▂█")]
