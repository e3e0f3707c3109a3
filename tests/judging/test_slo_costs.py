"""Verdicts on what a run cost, from its filled-in price table."""

from __future__ import annotations

from fractions import Fraction

import pytest

from evload.judging.judge import judge
from evload.model.costs import Amounts, Cost, Costs
from evload.model.report import ObjectiveResult, Result
from evload.model.summary import Summary
from evload.objectives.grammar import parse


def came(
    text: str, run: Amounts | None, second: Amounts | None, accepted: tuple[int, int] = (900, 1_000)
) -> ObjectiveResult:
    total = Cost("total", "", "", "", None, run, second, "" if run else "no samples", "" if second else "no hold")
    return judge(parse(text), Summary(costs=Costs((), total, accepted)))


RUN: Amounts = (Fraction(9), Fraction(18))
SECOND: Amounts = (Fraction(1, 1000), Fraction(2, 1000))


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        ("cost(run) < {}", (9, 18)),
        ("cost(1000 events) < {}", (9, 20)),
        ("cost(1000000 events) < {}", (9_000, 20_000)),
        ("cost(day) < {}", (86.4, 172.8)),
        ("cost(month) < {}", (2_592, 5_184)),
    ],
)
def test_a_cost_is_judged_by_both_ends_of_its_bracket(text: str, observed: tuple[float, float]) -> None:
    low, high = observed
    for limit, result, note in (
        (high * 2, Result.PASS, ""),
        (high * 1.05, Result.WARN, "above 90 % of the limit"),
        ((low + high) / 2, Result.INCONCLUSIVE, "what was used is known as a bracket, and the limit lies in it"),
        (low / 2, Result.FAIL, ""),
    ):
        found = came(text.format(f"{limit:.6g}"), RUN, SECOND)
        assert (found.result, found.note) == (result, note)
        assert found.observed == pytest.approx(observed)


def test_what_nobody_knows_the_cost_of_is_no_pass() -> None:
    for text, run, second, why in (
        ("cost(run) < 99999", None, SECOND, "no samples"),
        ("cost(1000000 events) < 99999", None, SECOND, "no samples"),
        ("cost(day) < 99999", RUN, None, "no hold"),
        ("cost(month) < 99999", RUN, None, "no hold"),
    ):
        found = came(text, run, second)
        assert (found.result, found.observed, found.note) == (Result.INCONCLUSIVE, (None, None), why)
    none = came("cost(1000000 events) < 99999", RUN, SECOND, (0, 0))
    assert (none.result, none.note) == (Result.INCONCLUSIVE, "no event was acked")
    open_end = came("cost(run) < 99999", (Fraction(9), None), SECOND)
    assert (open_end.result, open_end.observed) == (Result.INCONCLUSIVE, (9, None))
    assert came("cost(run) < 5", (Fraction(9), None), SECOND).result is Result.FAIL
    running = judge(parse("cost(run) < 5"), Summary())
    assert (running.result, running.note) == (Result.INCONCLUSIVE, "what a run costs is known when it is over")
