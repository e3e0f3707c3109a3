"""What the docs show is a config that loads; and what they show of an adapter stands in the example."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from evload.config import load_text
from evload.config.yaml import document, parse
from evload.errors import ConfigError
from tests.mutants.changes import parsed

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = (
    "producers", "probes", "secrets", "actions", "gauges", "guard", "ceiling", "costs", "comparing", "redis-streams",
)  # fmt: skip
PIECES: Final = [
    pytest.param(piece, id=f"{page.name}-{number}")
    for page in (
        ROOT / "README.md",
        *(ROOT / "docs" / f"{name}.md" for name in DOCS),
    )
    for number, piece in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
]


def completed(piece: str) -> dict[str, Any]:
    """The piece, with the plainest thing that fits for what it names and doesn't define."""
    config: dict[str, Any] = document(parse(piece, "docs.yaml"), str)[0].data
    scenarios = config.setdefault("scenarios", {})
    probes = config.setdefault("probes", {})
    if "actions" in config:
        config.setdefault("sandbox", {})
        values = {"queue_depth": "body.depth", "dead_letters": "body.dead"}
        config["gauges"] = {
            "queue": {"kind": "http-json", "url": "http://localhost/queue", "values": values, "counter": True}
        }
        probes["rm"] = {"kind": "http", "url": "http://localhost/{correlation_id}", "deadline": "1m"}
    if "compare" in config:
        config["gauges"] = {"work-queue": {"kind": "rabbitmq-queue", "url": "amqp://localhost/", "queue": "work"}}
    if not scenarios:
        load = [{"rate": "10/s", "for": "20m" if "actions" in config else "1m"}]
        scenarios["s"] = {"producer": "api", "events": ["e"], "probes": list(probes), "load": load}
    producers, events = config.setdefault("producers", {}), config.setdefault("events", {})
    for scenario in scenarios.values():
        capture = {"kind": "http", "url": "http://localhost/events", "mode": "plain", "capture": "headers.session"}
        producers.setdefault(scenario["producer"], capture)
        for name in scenario["events"]:
            events.setdefault(name, {"type": "t", "source": "/s", "key": "{int:1..9}"})
        for name in scenario.get("probes", ()):
            probe = {"kind": "http", "url": "http://localhost/{correlation_id}", "position": "body.position"}
            settings = probes.setdefault(name, probe)
            if settings["kind"] != "redis-stream-tap":  # its entries are in an order of their own
                settings.setdefault("position", "body.position")
    return config


@pytest.mark.parametrize("piece", PIECES)
def test_every_piece_of_config_in_the_docs_loads(piece: str) -> None:
    text = yaml.safe_dump(completed(piece), sort_keys=False)
    try:
        load_text(
            text,
            "docs.yaml",
            base_dir=ROOT / "configs",
            environ=dict.fromkeys(re.findall(r"\$\{(\w+)\}", piece), "http://localhost"),
        )
    except ConfigError as error:
        pytest.fail(f"{error}\n{text}")


def test_there_are_pieces() -> None:
    assert len(PIECES) >= 5


# --- docs/plugins.md --------------------------------------------------------------------------------------

EXAMPLE: Final = ROOT / "examples" / "evload-mqtt"
PAGE: Final = (ROOT / "docs" / "plugins.md").read_text()
SHOWN: Final = re.findall(r"```(?:python|toml|yaml)\n(.*?)```", PAGE, re.DOTALL)


def words(text: str) -> str:
    """The lines of a text without what they are indented by, each with an end."""
    return "\n" + "".join(f"{line.strip()}\n" for line in text.strip().splitlines())


@pytest.mark.parametrize("piece", SHOWN, ids=lambda piece: piece.strip().partition("\n")[0])
def test_what_the_docs_show_of_an_adapter_is_taken_from_the_example(piece: str) -> None:
    files = [path for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".toml", ".yaml")]
    assert any(words(piece) in words(path.read_text()) for path in files), piece


def test_the_docs_show_something_of_an_adapter() -> None:
    assert len(SHOWN) >= 10


def imported_of_evload(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_example_uses_only_what_the_docs_say_can_be_relied_on() -> None:
    relied_on = set(re.findall(r"^- `(evload\.[a-z.]+)`", PAGE, re.MULTILINE))
    assert relied_on >= {"evload.spi", "evload.testing"}
    used = {name for path in EXAMPLE.rglob("*.py") for name in imported_of_evload(path) if name.startswith("evload.")}
    assert used == relied_on


def test_all_that_is_named_in_the_docs_is_there() -> None:
    import evload.spi
    import evload.testing

    for name in re.findall(r"`(check_[a-z_]+)`", PAGE):
        assert name in evload.testing.__all__ or name == "check_expression", name
    assert {"Inbox", "Cuts", "come_back", "Surroundings", "TargetError", "VERSION"} <= set(evload.spi.__all__)
