"""A search as plain data, as `ceiling.json`, and back: from its trials alone a search goes on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..model.ceiling import Backlog, Ceiling, Judged, Outcome, Trial
from ..texts import plain_json
from ..units import NS_PER_S

FORMAT: Final = 1


def as_json(ceiling: Ceiling, config: str) -> bytes:
    """What `ceiling.json` holds. `config` is a digest of the config that was searched with."""
    return plain_json(orjson.dumps(document(ceiling, config), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def document(ceiling: Ceiling, config: str) -> dict[str, Any]:
    """Rates in events, or iterations, per second, times in seconds. What isn't known is None."""
    bounds = ceiling.bounds
    return {
        "format": FORMAT,
        "name": ceiling.name,
        "scenario": ceiling.scenario,
        "of": "iterations" if ceiling.of_journeys else "events",
        "started_at": ceiling.started_at.isoformat().replace("+00:00", "Z"),
        "verdict": ceiling.verdict.value,
        "ceiling": {
            "end": bounds.end.value,
            "good": _rate(bounds.good),
            "bad": _rate(bounds.bad),
            "limited": _rate(bounds.limited),
            "undecided": [float(rate) for rate in bounds.undecided],
            "confirmed": bounds.confirmed,
        },
        "asked": {
            "from": float(ceiling.first),
            "to": float(ceiling.last),
            "precision": ceiling.precision,
            "trial": ceiling.length_ns / NS_PER_S,
        },
        "config": config,
        "note": ceiling.note,
        "objectives": [
            {
                "expression": one.expression, "scenario": one.scenario, "result": one.result.value,
                "observed": list(one.observed), "limit": one.limit, "note": one.note,
            }
            for one in ceiling.objectives
        ],
        "not_asked": list(ceiling.not_asked),
        "trials": [_trial(trial, of_journeys=ceiling.of_journeys) for trial in ceiling.trials],
    }  # fmt: skip


def _rate(rate: Fraction | None) -> float | None:
    return None if rate is None else float(rate)


def _trial(trial: Trial, *, of_journeys: bool) -> dict[str, Any]:
    judged = trial.judged
    windows = None if judged.windows is None else list(judged.windows)
    usual = None if judged.usual_ns is None else judged.usual_ns / NS_PER_S
    return {
        "number": trial.number,
        "rate": float(trial.rate),
        "length": trial.length_ns / NS_PER_S,
        "doublings": trial.doublings,
        "confirms": trial.confirms,
        "outcome": judged.outcome.value,
        "reasons": list(judged.reasons),
        "directory": trial.directory,
        "consistency_p95": None if of_journeys else windows,
        **({"journey_p95": windows, "iteration": usual} if of_journeys else {}),
        "backlogs": {
            name: {
                "growth": None if one.growth is None else list(one.growth),
                "drain": None if one.drain is None else list(one.drain),
            }
            for name, one in judged.backlogs.items()
        },
    }


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Backlog(_Model):
    growth: tuple[float, float] | None
    drain: tuple[float, float | None] | None


class _Trial(_Model):
    number: int
    rate: float = Field(gt=0, allow_inf_nan=False)
    length: float = Field(gt=0, allow_inf_nan=False)
    doublings: int = Field(ge=0, le=10)
    confirms: bool
    outcome: Outcome
    reasons: tuple[str, ...]
    directory: str
    consistency_p95: tuple[float | None, float | None] | None
    journey_p95: tuple[float | None, float | None] | None = None
    iteration: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    backlogs: dict[str, _Backlog]

    def trial(self) -> Trial:
        judged = Judged(
            self.outcome,
            self.reasons,
            {name: Backlog(one.growth, one.drain) for name, one in self.backlogs.items()},
            self.consistency_p95 or self.journey_p95,
            None if self.iteration is None else round(self.iteration * NS_PER_S),
        )
        return Trial(
            self.number, exact(self.rate), round(self.length * NS_PER_S), self.doublings, self.directory, judged,
            self.confirms,
        )  # fmt: skip


class Asked(_Model):
    """What was asked for. Rates in events per second, times in seconds."""

    first: float = Field(alias="from", gt=0, allow_inf_nan=False)
    last: float = Field(alias="to", gt=0, allow_inf_nan=False)
    precision: float = Field(gt=0, le=1)
    trial: float = Field(gt=0, allow_inf_nan=False)


class Notes(_Model):
    """What of `ceiling.json` a search goes on from."""

    format: int
    name: str
    scenario: str
    started_at: datetime
    asked: Asked
    config: str
    trials: tuple[_Trial, ...] = ()

    def made(self) -> list[Trial]:
        """The trials that are over."""
        return [one.trial() for one in self.trials]


def notes_of(content: bytes) -> Notes:
    """Reads `ceiling.json`. Raises ValueError, with what is wrong, if it is something else."""
    try:
        data = orjson.loads(content)
        form = data.get("format") if isinstance(data, Mapping) else None
        if form != FORMAT:
            raise ValueError(f"it has format {form!r}, and this version of evload reads {FORMAT}")
        return Notes.model_validate(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is damaged: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"it is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def exact(rate: float) -> Fraction:
    """The rate that was written, and not the double next to it."""
    return Fraction(repr(rate))
