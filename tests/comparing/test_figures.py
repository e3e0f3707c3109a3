"""The figures of a run that comparisons are made of, by values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from evload.comparing.figures import FiguresFile, RunFigures, Scope

LEDGER = {
    "scheduled": 1_000, "acked": 940, "in_doubt": 60, "visible": 880, "lost": 10, "regressed": 5, "pending": 15,
    "unobserved": 30, "recovered": 20, "duplicated": 4,
}  # fmt: skip
PERCENTILES = {"count": 9, "p50": [0.1, 0.2], "p90": [0.3, 0.4], "p95": [0.5, None], "p99": [None, None]}


def scope(
    ledger: Mapping[str, int] = {}, *, span: float | None = 9.99, effects: Mapping[str, int] = {"1": 800, "2": 4}
) -> Scope:
    return Scope.model_validate(
        {"ledger": {**LEDGER, **ledger}, "distributions": {"consistency": PERCENTILES}, "span": span,
         "effects": effects, "more": "is left alone"}
    )  # fmt: skip


def figures(run_id: str, day: int = 1, **more: Any) -> RunFigures:
    return RunFigures.model_validate(
        {"run_id": run_id, "name": "checkout", "started_at": f"2026-01-{day:02}T00:00:00Z", "verdict": "pass",
         **scope().model_dump(), **more}
    )  # fmt: skip


def test_each_percentile_as_a_bracket_and_beyond_the_deadline_as_infinite() -> None:
    found = {name: scope().figure(name, "consistency") for name in ("p50", "p90", "p95", "p99")}
    assert found == {"p50": (0.1, 0.2), "p90": (0.3, 0.4), "p95": (0.5, None), "p99": (math.inf, None)}
    assert scope().figure("p99", "end_to_end") is None


@pytest.mark.parametrize(
    ("ledger", "span", "rate"),
    [
        # A thousand events span 999 gaps, of 10 ms each; 94 % of them were acked.
        ({}, 9.99, 94.0),
        ({"scheduled": 2, "acked": 2}, 0.5, 2.0),
        ({"scheduled": 2, "acked": 0}, 0.5, 0.0),
        ({"scheduled": 1, "acked": 1}, 0.5, None),
        ({}, 0.0, None),
        ({}, None, None),
    ],
)
def test_the_throughput_is_that_of_the_schedule(ledger: Mapping[str, int], span: float | None, rate: float) -> None:
    found = scope(ledger, span=span).figure("throughput", "")
    assert found == (None if rate is None else pytest.approx((rate, rate)))


@pytest.mark.parametrize(
    ("ledger", "lost"),
    [
        # 15 pending, 30 unobserved and 40 in doubt and never seen may be lost too.
        ({}, (0.010, 0.095)),
        ({"in_doubt": 0, "recovered": 0, "pending": 0, "unobserved": 0}, (0.010, 0.010)),
        ({"in_doubt": 10, "recovered": 20}, (0.010, 0.055)),
        ({"visible": 0, "regressed": 0}, (0.010, 0.095)),
        ({"visible": 0, "lost": 0}, (0.0, 0.085)),
        ({"lost": 0, "regressed": 0}, (0.0, 0.085)),
        ({"visible": 3, "lost": 2, "regressed": 5}, (0.002, 0.087)),
        ({"visible": 2, "lost": 2, "regressed": 0}, (0.002, 0.087)),
        # Nobody saw the end of any.
        ({"visible": 0, "lost": 0, "regressed": 0}, None),
    ],
)
def test_what_is_lost_as_a_share_of_all(ledger: Mapping[str, int], lost: tuple[float, float] | None) -> None:
    found = scope(ledger).figure("lost", "")
    assert found == (None if lost is None else pytest.approx(lost))


@pytest.mark.parametrize(
    ("effects", "duplicates"),
    [
        # 885 were seen, of 804 somebody counted the effects.
        ({"1": 800, "2": 4}, (0.004, 0.085)),
        ({"1": 881, "2": 4}, (0.004, 0.004)),
        # In doubt and seen: counted as well.
        ({"1": 950}, (0.004, 0.004)),
        ({"0": 5}, (0.004, 0.884)),
        ({}, None),
    ],
)
def test_what_is_doubled_as_a_share_of_all(
    effects: Mapping[str, int], duplicates: tuple[float, float] | None
) -> None:
    found = scope(effects=effects).figure("duplicates", "")
    assert found == (None if duplicates is None else pytest.approx(duplicates))


@pytest.mark.parametrize(
    "wrong",
    [
        {"span": math.inf},
        {"distributions": {"publish": {**PERCENTILES, "p50": [-0.1, 0.2]}}},
        {"distributions": {"publish": {**PERCENTILES, "p99": [0.1, math.nan]}}},
        {"distributions": {"publish": {**PERCENTILES, "count": -1}}},
        {"ledger": {**LEDGER, "lost": -1}},
    ],
)
def test_figures_that_cant_be_are_refused(wrong: Mapping[str, Any]) -> None:
    good = scope().model_dump()
    assert Scope.model_validate(good).distributions["consistency"].censored == 0
    with pytest.raises(ValidationError):
        Scope.model_validate({**good, **wrong})


@pytest.mark.parametrize(
    ("facts", "flaw"),
    [
        ({}, ""),
        ({"verdict": "fail"}, ""),
        ({"verdict": "inconclusive"}, ""),
        ({"verdict": "invalid", "crashed": True, "interrupted": True}, "the measurement was invalid"),
        ({"crashed": True, "interrupted": True}, "it was killed or is still going on"),
        ({"interrupted": True}, "it was interrupted"),
    ],
)
def test_what_is_no_evidence(facts: Mapping[str, Any], flaw: str) -> None:
    assert figures("r-1", **facts).flaw == flaw


def test_the_whole_run_or_one_scenario_of_it() -> None:
    main = scope({"lost": 7})
    run = figures("r-1", scenarios={"main": main})
    assert run.scope(None) is run
    assert run.scope("main") == main
    assert run.scope("other") is None
    assert figures("r-1").reading == ""


def test_runs_are_added_to_a_file_or_renewed_in_order_of_time() -> None:
    first, second, third = figures("b", 2), figures("a", 3), figures("c", 1)
    renewed = figures("a", 4, verdict="fail")
    file = FiguresFile(format=1, runs=(first, second)).with_runs((third, renewed))
    assert [(run.id, run.verdict) for run in file.runs] == [("c", "pass"), ("b", "pass"), ("a", "fail")]
    assert FiguresFile.model_validate(file.entries()) == file
