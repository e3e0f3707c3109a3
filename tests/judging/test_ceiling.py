"""What is asked of the ceiling, and what comes of it, by the bounds that a search found."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from evload.judging.ceiling import judge_ceiling
from evload.model.ceiling import Bounds, End
from evload.model.report import Result
from evload.objectives.ceiling import is_about_ceiling, parse_ceiling
from evload.report.wording import observed

PASS, WARN, FAIL, INCONCLUSIVE = Result.PASS, Result.WARN, Result.FAIL, Result.INCONCLUSIVE
FOUND = Bounds(End.INTERVAL, Fraction(480), Fraction(500), confirmed=True)
AT_LEAST = Bounds(End.GENERATOR, Fraction(480), limited=Fraction(500), confirmed=True)


def test_the_title_of_one_names_its_scenario() -> None:
    assert parse_ceiling("ceiling  > 400/s").title == "ceiling > 400/s"
    assert parse_ceiling("ceiling > 400/s", scenario="main").title == "ceiling > 400/s [main]"


@pytest.mark.parametrize(
    ("text", "more", "bounds", "result"),
    [
        ("ceiling > 400/s", {}, FOUND, PASS),
        ("ceiling > 480/s", {}, FOUND, INCONCLUSIVE),
        ("ceiling >= 480/s", {}, FOUND, PASS),
        ("ceiling > 490/s", {}, FOUND, INCONCLUSIVE),
        ("ceiling > 500/s", {}, FOUND, FAIL),
        ("ceiling >= 500/s", {}, FOUND, FAIL),
        ("ceiling > 600/s", {"critical": "300/s"}, FOUND, WARN),
        ("ceiling > 490/s", {"critical": "300/s"}, FOUND, WARN),
        ("ceiling > 600/s", {"critical": "490/s"}, FOUND, INCONCLUSIVE),
        ("ceiling > 600/s", {"critical": "550/s"}, FOUND, FAIL),
        ("ceiling > 400/s", {"target": "450/s"}, FOUND, PASS),
        ("ceiling > 400/s", {"target": "600/s"}, FOUND, WARN),
        ("ceiling > 550/s", {"target": "600/s"}, FOUND, FAIL),
        ("ceiling > 24000/min", {}, FOUND, PASS),
        ("ceiling > 400/s", {}, AT_LEAST, PASS),
        ("ceiling > 600/s", {}, AT_LEAST, INCONCLUSIVE),
        ("ceiling > 400/s", {}, replace(FOUND, confirmed=False), INCONCLUSIVE),
        ("ceiling > 500/s", {}, replace(FOUND, confirmed=False), FAIL),
        ("ceiling > 1/s", {}, Bounds(End.NONE, bad=Fraction(1)), FAIL),
        ("ceiling > 1/s", {}, Bounds(End.NONE), INCONCLUSIVE),
        ("ceiling > 1/s", {}, Bounds(End.UNFINISHED, Fraction(480)), INCONCLUSIVE),
        ("ceiling > 4000/s", {}, Bounds(End.ASKED, Fraction(5000), confirmed=True), PASS),
        ("ceiling > 6000/s", {}, Bounds(End.ASKED, Fraction(5000), confirmed=True), INCONCLUSIVE),
    ],
)
def test_it_is_at_least_what_is_good_and_below_what_is_bad(
    text: str, more: dict[str, Any], bounds: Bounds, result: Result
) -> None:
    judged = judge_ceiling(parse_ceiling(text, **more), bounds)
    assert judged.result is result
    assert bool(judged.note) is (result in (WARN, INCONCLUSIVE))


@pytest.mark.parametrize(
    ("text", "more", "note"),
    [
        ("ceiling > 600/s", {"critical": "300/s"}, "below the limit, but within the critical one"),
        ("ceiling > 490/s", {"critical": "300/s"}, "not shown to keep the limit, but within the critical one"),
        ("ceiling > 400/s", {"target": "600/s"}, "below the target, but within the limit"),
        ("ceiling > 400/s", {"target": "490/s"}, "not shown to keep the target, but within the limit"),
    ],
)
def test_a_warning_says_which_of_two_limits_is_kept(text: str, more: dict[str, Any], note: str) -> None:
    judged = judge_ceiling(parse_ceiling(text, **more), FOUND)
    assert (judged.result, judged.note) == (WARN, note)


def test_it_is_told_as_a_rate() -> None:
    judged = judge_ceiling(parse_ceiling("ceiling  >  500/s", scenario="base"), FOUND)
    assert (judged.expression, judged.scenario, judged.limit) == ("ceiling > 500/s", "base", 500)
    assert observed(judged) == "480/s … 500/s"
    assert observed(judge_ceiling(parse_ceiling("ceiling > 600/s"), AT_LEAST)) == "480/s … ?"
    assert judge_ceiling(parse_ceiling("ceiling > 400/s", target="450/s"), FOUND).limit == 400


def test_why_it_cant_be_told() -> None:
    def note(text: str, bounds: Bounds) -> str:
        return judge_ceiling(parse_ceiling(text), bounds).note

    assert note("ceiling > 600/s", AT_LEAST) == "above that the generator was the limit"
    assert note("ceiling > 490/s", FOUND) == "the limit lies between the ends"
    assert note("ceiling > 400/s", replace(FOUND, confirmed=False)) == "the highest good rate could not be confirmed"


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("ceiling > 500", {}, "'500' is not a rate; write a rate such as 500/s or 500/min"),
        ("ceiling < 500/s", {}, "a ceiling can't be compared by <; write > or >="),
        ("ceiling == 500/s", {}, "a ceiling can't be compared by ==; write > or >="),
        ("ceiling 500/s", {}, "'ceiling 500/s' is not an objective; write for example ceiling > 500/s"),
        ("ceiling", {}, "'ceiling' is not an objective; write for example ceiling > 500/s"),
        ("ceiling > 5/s", {"critical": "6/s"}, "critical 6/s is not looser than the objective; it has to be below"),
        ("ceiling > 5/s", {"target": "5/s"}, "target 5/s is not tighter than the objective; it has to be above"),
        ("ceiling > 5/s", {"target": "6/s", "critical": "1/s"}, "give target or critical, not both"),
        ("ceiling > 5/s", {"critical": "1"}, "'1' is not a rate"),
    ],
)
def test_a_mistake_is_told_with_its_cure(text: str, more: dict[str, str], said: str) -> None:
    assert is_about_ceiling(text)
    with pytest.raises(ValueError, match=r"\A[^;]+; .+") as caught:
        parse_ceiling(text, **more)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text", ["max(ceiling) < 5", "ceiling(queue) < 5", "ceilings > 5", "lost == 0", "ceiling.depth < 5"]
)
def test_other_objectives_are_left_to_others(text: str) -> None:
    assert not is_about_ceiling(text)
