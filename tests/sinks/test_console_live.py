"""What a terminal shows of a moment, at several sizes; and what of it a pipe gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from evload.model.marker import Marker
from evload.model.progress import Progress, Standing, actions_now
from evload.model.report import ObjectiveResult, Result
from evload.sinks.console.live import news, screen, words
from tests.rigs.summaries import S


def moment(**more: Any) -> Progress:
    """A moment at which nearly everything that can be shown is."""
    return replace(
        Progress(
            phase="base: hold 200/s, spike: idle",
            elapsed=52,
            total=130,
            offered_rate=200.4,
            achieved_rate=171.2,
            scheduled=12500,
            in_flight=37,
            outstanding=1250,
            states={"acked": 12000, "visible": 11000, "lost": 21, "in_doubt": 3},
            spans={"base": [(0, 10, 0, 200), (10, 130, 200, 200)], "spike": [(30, 30, 0, 0), (30, 130, 0, 0)]},
            recent={"p50": (0.112, 0.121), "p95": (1.112, 1.3), "p99": (1.326, None)},
            lateness=0.034,
            limits={"consistency": 1.0, "schedule_delay": 0.02},
            gauges={"work queue_depth": 1234.0, "dead queue_depth": 0.0},
            worries=["lateness: s0: p99 34 ms, limit 20 ms"],
            incidents=[("read-model: connection refused\x1b[31m", 40.0, 120)],
            history={
                "offered": (100.0, 200.0), "achieved": (100.0, 50.0), "consistency": (0.5, 1.3),
                "work queue_depth": (1.0, 2.0),
            },
        ),
        **more,
    )  # fmt: skip


def shown(width: int, height: int, now: Progress) -> list[str]:
    return [line.plain.rstrip() for line in screen(now, width, height)]


def test_a_wide_terminal_shows_everything() -> None:
    assert shown(74, 40, moment()) == [
        "base         ▁▃▄▆█████████████████████████████████████████████████████████",
        "spike                      │",
        "             ────────────────────────▲",
        "time         0:52 of 2:10, 1:18 left   base: hold 200/s, spike: idle",
        "offered      200/s    ▄█",
        "achieved     171/s    █▄",
        "events       12,500 scheduled, 37 in flight, 1,250 awaiting outcome",
        "settled      visible 91.67 %, 21 lost, 3 in doubt",
        "consistency  p50 112 … 121 ms  p95 1.11 … 1.3 s  p99 1.33 s … never",
        "above limit   !",
        "limit 1 s    ┄█" + "┄" * 58,
        "             ▁█",
        "p95          ██",
        "sent late    ! p99 34 ms, limit 20 ms",
        "backlog      work queue_depth 1,234  ▄█",
        "             dead queue_depth 0",
        "! read-model: connection refused [31m, since 12 s, 120 ×",
        "! lateness: s0: p99 34 ms, limit 20 ms",
    ]


def test_a_narrow_terminal_shows_the_essential_lines() -> None:
    assert shown(40, 20, moment()) == [
        "0:52 of 2:10, 1:18 left",
        "────────────────▲",
        "base: hold 200/s, spike: idle",
        "offered 200/s, achieved 171/s",
        "37 in flight, 1,250 awaiting outcome",
        "visible 91.67 %, 21 lost, 3 in doubt",
        "p95 1.11 … 1.3 s, limit 1 s",
        " !",
        "▃█",
        "sent late ! p99 34 ms, limit 20 ms",
        "backlog work queue_depth 1,234  ▄█",
        " dead queue_depth 0",
        "! read-model: connection refused [31m, …",
        "! lateness: s0: p99 34 ms, limit 20 ms",
    ]


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
@pytest.mark.parametrize("height", [1, 6, 12, 18, 24, 50])
def test_it_never_leaves_the_terminal_and_keeps_what_matters(width: int, height: int) -> None:
    lines = shown(width, height, moment())
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(height - 1, 1)
    text = "\n".join(lines)
    assert "0:52 of" in text
    if height >= 12:
        assert "visible 91.67 %" in text
        assert "! lateness" in text


def test_how_late_sends_are_is_marked_only_beyond_the_limit() -> None:
    lines = shown(80, 40, moment(lateness=0.0004, worries=(), incidents=()))
    assert "sent late    p99 400 µs, limit 20 ms" in lines
    assert "sent late    p99 400 µs" in shown(80, 40, moment(lateness=0.0004, limits={}))
    assert not any("late" in line for line in shown(80, 40, moment(lateness=None, worries=(), incidents=())))


def test_a_run_that_has_just_begun_has_nothing_to_draw_yet() -> None:
    begun = Progress("waiting", 0.0, 15.0, 0, 0, 0, 0, 0, {})
    assert shown(80, 24, begun) == [
        "             ▲",
        "time         0 s of 15 s, 15 s left   waiting",
        "offered      0/s",
        "achieved     0/s",
        "events       0 scheduled, 0 in flight, 0 awaiting outcome",
        "settled      none yet",
        "consistency  none yet",
    ]


def test_when_the_load_is_over_it_says_for_how_long() -> None:
    assert "time         2:10 over, settling for 0:20   settling" in shown(
        80, 24, moment(elapsed=150.2, phase="settling")
    )


def test_the_percentiles_say_what_they_are_about() -> None:
    lines = shown(90, 24, moment())
    assert "consistency  p50 112 … 121 ms  p95 1.11 … 1.3 s  p99 1.33 s … never  (last 5 s)" in lines
    overall = moment(recent={}, percentiles={"p50": (0.1, 0.2)})
    assert "consistency  p50 100 … 200 ms  (so far)" in shown(90, 24, overall)


def test_words_for_a_pipe_are_plain() -> None:
    told = words(moment(phase='odd "name": hold\n1/s', lateness=0.000034))
    assert told == (
        r't=52.0s of=130s phase="odd \"name\": hold 1/s" offered=200/s achieved=171/s scheduled=12500 in_flight=37 '
        "not_settled=1250 visible=91.67% lost=21 in_doubt=3 p50=112ms..121ms p95=1.11s..1.3s p99=1.33s..never "
        "late_p99=34us work.queue_depth=1234 dead.queue_depth=0"
    )
    assert told.isascii()


def standing(state: str, note: str = "", text: str = "p99(consistency) < 1s") -> Standing:
    result = ObjectiveResult(text, Result.FAIL, (0.05, 0.055), 1.0, subject="consistency")
    return Standing(state, result, note)


def outage(**more: Any) -> Progress:
    """Half of 1,000 events wait, for 3.9 s at most; 312 of them are over the limit."""
    standings = [standing("broken", "too many"), standing("holds", text="max(consistency) < 5s")]
    return moment(states={"acked": 400, "visible": 400}, shown=100, waiting=400, oldest=3.9, overdue=312,
                  objectives=standings, **more)  # fmt: skip


def test_what_waits_is_told_with_its_age_and_each_objective_as_it_stands() -> None:
    lines = shown(110, 60, outage())
    assert "settled      visible 61.58 %" in lines
    assert "waiting      400 not seen yet, the oldest for 3.9 s, 312 over the limit already" in lines
    place = lines.index("objectives   p99(consistency) < 1s: broken; too many; 50 … 55 ms by what is settled")
    assert lines[place + 1].strip() == "max(consistency) < 5s: met so far; 50 … 55 ms by what is settled"
    assert "400 not seen yet, the oldest for 3.9 s, 312 over th…" in shown(52, 60, outage())
    assert not any("not seen yet" in line for line in shown(110, 60, moment()))


def test_without_a_limit_whatever_waits_is_not_visible() -> None:
    assert "settled      visible 55.56 %" in shown(110, 60, outage(limits={}))


def test_a_pipe_is_told_what_waits_and_what_is_broken() -> None:
    told = words(outage())
    assert " visible=61.58% waiting=400 oldest=3.9s overdue=312 " in told
    assert told.endswith('"p99(consistency) < 1s"=broken "max(consistency) < 5s"=holds')
    known = {*news(moment(), set())}
    (line,) = news(outage(), known).values()
    assert line == 't=52.0s objective="p99(consistency) < 1s: broken; too many; 50 … 55 ms by what is settled"'


def test_news_is_what_was_not_told() -> None:
    told = {"lateness"}
    assert news(moment(), told) == {
        "read-model: connection refused\x1b[31m": 't=52.0s incident="read-model: connection refused [31m"'
    }
    assert len(news(moment(), set())) == 2


ACTIONS: Final = actions_now(
    [
        Marker("slow-workers", 0, (2 * S, 2 * S)),
        Marker("db-down", 0, (3 * S, 3 * S), (4 * S, 4 * S)),
        Marker("block", 0, (3 * S, 3 * S), (4 * S, None), undo_error="HTTP 500"),
    ],
    {"slow-workers": 300 * S},
)


def test_what_is_on_is_told_with_its_time() -> None:
    lines = shown(100, 40, moment(actions=ACTIONS, elapsed=44.0))
    assert "actions      slow-workers on for 0:42 of 5:00" in lines
    assert "             block can't be undone: HTTP 500" in lines
    assert not any("db-down" in line for line in lines)
    assert "actions slow-workers on for 0:42 of 5:00" in shown(50, 40, moment(actions=ACTIONS, elapsed=44.0))


def test_a_pipe_is_told_what_is_on_and_once_what_came_and_went() -> None:
    now = moment(actions=ACTIONS)
    assert " actions=slow-workers,block" in words(now)
    assert "actions=" not in words(moment())
    at = f"t={now.elapsed:.1f}s"
    fresh = news(now, set())
    assert [line for line in fresh.values() if "action=" in line] == [
        f'{at} action="slow-workers is on"',
        f'{at} action="db-down is over"',
        f'{at} action="block can\'t be undone: HTTP 500"',
    ]
    assert not any("action=" in line for line in news(now, set(fresh)).values())
