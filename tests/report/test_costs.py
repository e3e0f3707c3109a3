"""What a run cost, as people and scripts read it: the same on the terminal, in Markdown, JSON and measures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import orjson
import pytest

from evload.formats.markdown import markdown
from evload.formats.measures import of_report
from evload.judging.costs import priced
from evload.judging.judge import judge
from evload.model.costs import Amounts, Costs, Hold, Usage
from evload.model.report import Report, Result
from evload.model.summary import Summary
from evload.objectives.cost import service
from evload.objectives.grammar import parse
from evload.report import costs as told
from evload.report.document import document
from evload.report.redaction import redacted
from evload.sinks.console.figures import costs as on_console
from tests.rigs.sink_reports import finished

S = 1_000_000_000
GAUGES = {"fn": ("gb_seconds",), "ecs": ("tasks",)}
TABLE = [
    service("compute", "rise(gb_seconds)", "0.5", "1", GAUGES),
    service("tasks", "integral(tasks)", "3.6", "1h", GAUGES),
]


def exactly(amount: float) -> Amounts:
    return Fraction(amount), Fraction(amount)


def costs(tasks: Usage | None = None, accepted: tuple[int, int] = (2000, 2000)) -> Costs:
    """50 units of compute at 0.5, and 1,000 to 1,200 task-seconds at 0.001."""
    usages = {
        "compute": Usage(exactly(50), exactly(1)),
        "tasks": tasks or Usage((Fraction(1000), Fraction(1200)), exactly(2)),
    }
    return priced(TABLE, usages, accepted, Hold("baseline", 60 * S, 360 * S, 30_000))


IN_IT = "what was used is known as a bracket, and the limit lies in it"
UNKNOWN = Usage(None, None, "4 samples could not be taken", "4 samples could not be taken")


def report(found: Costs) -> Report:
    done = finished()
    return replace(done, summary=replace(done.summary, costs=found))


def test_the_table_is_usage_by_price_and_the_total_the_sum_of_it() -> None:
    compute, tasks, total = told.rows(costs())
    assert compute.cells == ("50", "25.00", "12.50", "43,200.00", "1,296,000.00")
    assert (tasks.price, tasks.cells[:3]) == ("3.6 for 1h", ("1,000 … 1,200", "1.00 … 1.20", "0.50 … 0.60"))
    assert total.cells == ("", "26.00 … 26.20", "13.00 … 13.10", "43,372.80", "1,301,184.00")
    assert told.basis(costs()) == (
        "A day and a month (30 days) are those at 100/s, by what the longest hold used (60 s to 6 min of baseline)."
    )


@pytest.mark.parametrize(
    ("amounts", "text"),
    [
        ((Fraction(12345, 1000), Fraction(12345, 1000)), "12.34"),
        ((Fraction(1, 3), Fraction(1, 3)), "0.333"),
        ((Fraction(1, 2), Fraction(3, 2)), "0.50 … 1.50"),
        ((Fraction(123, 10**7), Fraction(123, 10**7)), "0.0000123"),
        ((Fraction(0), Fraction(0)), "0.00"),
        ((Fraction(3), None), "at least 3.00"),
        ((Fraction(1_234_567), Fraction(1_234_567)), "1,234,567.00"),
        (None, "?"),
    ],
)
def test_money_has_cents_and_below_one_three_digits(amounts: Amounts | None, text: str) -> None:
    assert told.money(amounts) == text


def test_what_isnt_known_is_a_question_mark_with_its_reason_everywhere() -> None:
    found = costs(UNKNOWN)
    compute, tasks, total = told.rows(found)
    assert compute.cells[1] == "25.00"
    assert tasks.cells == ("?",) * 5
    assert tasks.why == ["4 samples could not be taken"]
    assert total.cells == ("", "?", "?", "?", "?")
    done = report(found)
    text = markdown(done)
    assert "| tasks | integral(tasks) | 3.6 for 1h | ? | ? | ? | ? | ? |" in text
    assert "- tasks: 4 samples could not be taken" in text
    lines = [line.plain for line in on_console(found, 80)]
    assert "tasks: 4 samples could not be taken" in lines
    data = document(done)["costs"]
    assert data["services"]["tasks"]["run"] is data["total"]["run"] is data["total"]["month"] is None
    assert data["total"]["unknown"] == data["total"]["not_projected"] == "tasks: 4 samples could not be taken"
    (measure,) = [one for one in of_report(done) if one.name == "cost"]
    assert {labels["service"] for labels, _ in measure.points} == {"compute"}, "no point, and no zero"


def test_scripts_get_brackets_and_people_the_same() -> None:
    done = report(costs())
    data = orjson.loads(orjson.dumps(document(done)["costs"]))
    assert data["services"]["tasks"] == {
        "usage": "integral(tasks)", "price": "3.6", "per": "1h", "used": [1000, 1200], "run": [1, 1.2],
        "per_1000_events": [0.5, 0.6], "day": [172.8, 172.8], "month": [5184, 5184],
    }  # fmt: skip
    assert data["hold"] == {"scenario": "baseline", "start": 60, "end": 360, "events": 30_000, "rate": 100}
    assert "| total |  |  |  | 26.00 … 26.20 | 13.00 … 13.10 | 43,372.80 | 1,301,184.00 |" in markdown(done)
    points = {
        (labels["of"], labels["bound"]): value
        for measure in of_report(done)
        if measure.name == "cost"
        for labels, value in measure.points
        if labels["service"] == "total"
    }
    assert points["events", "upper"] == pytest.approx(13.1)
    assert points["month", "lower"] == pytest.approx(1_301_184)


def test_a_narrow_terminal_keeps_what_is_asked_most() -> None:
    wide, narrow = ([line.plain for line in on_console(costs(), width)] for width in (80, 44))
    assert wide[0].split("  ")[-1].strip() == "a month"
    assert "a day" not in narrow[0]
    assert "1,000 events" in narrow[0]
    assert all(len(line) <= 44 for line in narrow)
    assert on_console(None, 80) == []


def test_a_run_without_a_price_table_has_no_costs() -> None:
    done = finished()
    assert "costs" not in document(done)
    assert "## Costs" not in markdown(done)


def test_secrets_are_in_no_text_of_it() -> None:
    done = redacted(report(costs()), lambda text: text.replace("3.6", "***"))
    assert done.summary.costs is not None
    assert done.summary.costs.services[1].price == "***"


@pytest.mark.parametrize(
    ("text", "result", "note"),
    [
        ("cost(1000 events) < 15", Result.PASS, ""),
        ("cost(1000 events) < 13.2", Result.WARN, "above 90 % of the limit"),
        ("cost(1000 events) < 13.05", Result.INCONCLUSIVE, IN_IT),
        ("cost(1000 events) < 13", Result.FAIL, ""),
        ("cost(1 event) <= 0.02", Result.PASS, ""),
        ("cost(run) < 30", Result.PASS, ""),
        ("cost(day) < 43372", Result.FAIL, ""),
        ("cost(month) < 2000000", Result.PASS, ""),
    ],
)  # fmt: skip
def test_objectives_about_it_are_judged_by_both_ends(text: str, result: Result, note: str) -> None:
    judged = judge(parse(text), Summary(costs=costs()))
    assert (judged.result, judged.note) == (result, note)
    assert judge(parse(text), Summary(costs=costs(UNKNOWN))).result is Result.INCONCLUSIVE
    assert judge(parse(text), Summary()).result is Result.INCONCLUSIVE


def test_between_a_limit_and_its_critical_one_is_a_warning() -> None:
    objective = parse("cost(run) < 26", critical="27")
    assert judge(objective, Summary(costs=costs())).result is Result.WARN
