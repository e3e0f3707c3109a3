"""What a user writes, held by mypy: it takes what is right, and each mistake, or its comment is one too many."""

from __future__ import annotations

from pathlib import Path

import evload
from evload.api.pytest_plugin import Evload


def right() -> float | None:
    measured: evload.Measurement = evload.measure(
        {"seed": 1}, out=Path("out"), sets={"seed": 2}, profiles=["a"], scenarios="b", seed=3, environ={}
    )
    upper: float | None = measured.distributions["consistency"]["p95"].upper
    names: list[str] = [objective.name for objective in measured.objectives if not objective.passed]
    if measured.verdict is evload.Result.PASS and not names:
        return upper
    return measured.raise_for_verdict().objectives[0].observed.lower


async def right_in_a_loop() -> int:
    try:
        return (await evload.measure_async("shop.yaml")).counts["lost"]
    except evload.ConfigError as error:
        return error.problems[0].line or error.exit_code


def right_in_a_test(evload: Evload) -> bool:
    return evload("shop.yaml", seed=1).passed


def wrong(evload_fixture: Evload) -> None:
    evload.measure(5)  # type: ignore[arg-type]
    evload.measure("shop.yaml", seeds=3)  # type: ignore[call-arg]
    evload.measure("shop.yaml", "out")  # type: ignore[call-arg]
    print(evload.measure("shop.yaml").verdct)  # type: ignore[attr-defined]
    count: str = evload.measure("shop.yaml").counts["lost"]  # type: ignore[assignment]
    evload.mesure("shop.yaml")  # type: ignore[attr-defined]
    print(evload.measure_async("shop.yaml").passed)  # type: ignore[attr-defined]
    evload_fixture("shop.yaml", sinks=[])  # type: ignore[call-arg]
    print(count)
