"""docs/activities.md: all that it shows can be used, and it names every key of every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from evload.config.yaml import document, parse
from evload.spi import registry
from evload.spi.activity import ActivitySettings
from tests.rigs.activities import activity

PAGE: Final = (Path(__file__).parents[2] / "docs" / "activities.md").read_text()
SHOWN: Final[list[dict[str, Any]]] = [
    one
    for piece in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for one in document(parse(f"a:\n{piece}", "docs"), str)[0].data["a"]
]
KINDS: Final = sorted(name for name, one in registry.kinds("evload.activities").items() if "evload." in one.value)
OF_REQUESTS: Final = {"get", "post", "put", "patch", "delete"}
SECTIONS: Final = {
    **dict.fromkeys(OF_REQUESTS, "Requests"), "shell": "Commands", "sql": "SQL", "sandbox": "The embedded pipeline",
    "rabbitmq": "RabbitMQ",
}  # fmt: skip


def model_of(kind: str) -> type[ActivitySettings]:
    model: type[ActivitySettings] = registry.load("evload.activities", kind)
    return model


def section(name: str) -> str:
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("written", SHOWN, ids=lambda written: yaml.safe_dump(written, width=1000)[:60].strip())
def test_what_it_shows_can_be_used(written: dict[str, Any]) -> None:
    settings = activity(**written)
    assert settings.title
    (kind,) = written.keys() & set(KINDS)
    Draft202012Validator(model_of(kind).model_json_schema()).validate(written)


@pytest.mark.parametrize("kind", KINDS)
def test_it_shows_each_kind_and_names_all_of_its_keys(kind: str) -> None:
    assert any(kind in written for written in SHOWN)
    told = set(re.findall(r"`([a-z_]+)`", section(SECTIONS[kind]) + section("What holds for all of them")))
    assert set(model_of(kind).model_json_schema()["properties"]) <= told


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_a_key_of_its_own_and_of_no_other(kind: str) -> None:
    """By it a kind is found."""
    assert set(model_of(kind).model_json_schema()["properties"]) & set(KINDS) == {kind}
    assert kind in model_of(kind).model_json_schema()["required"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_key_of_each_kind_has_a_description(kind: str) -> None:
    schema = model_of(kind).model_json_schema()
    for place in (schema, *schema.get("$defs", {}).values()):
        for name, one in place.get("properties", {}).items():
            assert one.get("description"), name


@pytest.mark.parametrize("code", [-1, 256, "0", True, []])
def test_a_schema_refuses_exit_codes_that_there_are_none_of(code: object) -> None:
    schema = Draft202012Validator(model_of("shell").model_json_schema())
    assert schema.is_valid({"shell": "x", "expect": [0, 255]})
    assert not schema.is_valid({"shell": "x", "expect": code})


def test_the_knobs_that_it_names_are_those_there_are() -> None:
    knobs = set(model_of("sandbox").model_json_schema()["$defs"]["SandboxKnobs"]["properties"])
    row = next(line for line in section("The embedded pipeline").splitlines() if line.startswith("| `sandbox`"))
    assert set(re.findall(r"`([a-z]+)`", row)) - {"sandbox"} == knobs
