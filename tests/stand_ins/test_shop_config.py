"""What the configs of the shop say: the load of each profile, and that all that is asked there can be decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from evload.config.load import load
from evload.config.part import part_of
from evload.run.feasibility import prospects
from evload.workload.schedule import duration_ns

CONFIG: Final = Path(__file__).parents[2] / "configs" / "shop.yaml"
RACES: Final = CONFIG.with_name("shop-races.yaml")


def config_of(profile: str) -> Any:
    return part_of(load(CONFIG, profiles=[profile] if profile else [], environ={}), ()).config


@pytest.mark.parametrize(
    ("profile", "scenarios", "users", "seconds"),
    [
        ("", {"mixed", "flash-sale", "spike", "cross-domain"}, 50, 730),
        ("smoke", {"mixed"}, 5, 60),
        ("load", {"mixed"}, 50, 310),
        ("cross-domain", {"cross-domain"}, 30, 310),
        ("flash-sale", {"flash-sale"}, None, 5),
        ("stress", {"mixed"}, 200, 420),
        ("spike", {"spike"}, None, 5),
        ("endurance", {"mixed"}, 30, 1810),
    ],
)
def test_each_profile_has_its_load_and_every_objective_can_be_decided(
    profile: str, scenarios: set[str], users: int | None, seconds: int
) -> None:
    config = config_of(profile)
    assert set(config.scenarios) == scenarios
    written = [phase for scenario in config.scenarios.values() for phase in scenario.load]
    assert max((getattr(phase, "users", None) or 0 for phase in written), default=0) == (users or 0)
    ends = (one.start + duration_ns(one.load) for one in config.scenarios.values())
    assert max(ends) == seconds * 1_000_000_000
    undecided = [one.objective.title for one in prospects(config) if not one.decidable]
    assert undecided == []


def test_bursts_are_of_fifty_who_want_ten_units_and_of_a_hundred_who_buy() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    assert config["scenarios"]["flash-sale"]["load"] == [{"burst": 50}]
    assert config["setup"][0]["json"]["quantity"] == 10
    assert config["scenarios"]["spike"]["load"] == [{"burst": 100}]
    (fork,) = [step["choose"] for step in config["journeys"]["saga"]["steps"] if "choose" in step]
    assert [branch["weight"] for branch in fork] == [70, 30]


def test_smoke_forgives_nothing() -> None:
    titles = {one.title for one in config_of("smoke").slos}
    assert {"errors == 0", "failed == 0", "rate(completed) >= 100% [mixed]"} <= titles


@pytest.mark.parametrize("profile", ["", "short", "flash-sale", "cancel-while-paying", "modify-while-confirming"])
def test_races_have_sixty_rounds_in_three_minutes_and_can_be_decided(profile: str) -> None:
    config = part_of(load(RACES, profiles=[profile] if profile else [], environ={}), ()).config
    assert [one.objective.title for one in prospects(config) if not one.decidable] == []
    for name, scenario in config.scenarios.items():
        assert scenario.rounds is not None
        lasts_s = scenario.rounds.count * scenario.rounds.every / 1e9
        assert lasts_s == (7.5 if profile == "short" else 180)
        assert sum(one.times for one in config.races[name].contenders) == (50 if name == "flash-sale" else 30)
