"""What the docs show is a config: every piece of YAML in them loads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from evload.config import load_text
from evload.errors import ConfigError

ROOT: Final = Path(__file__).parent.parent
PIECES: Final = [
    pytest.param(piece, id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", ROOT / "docs" / "probes.md")
    for number, piece in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
]


def completed(piece: str) -> dict[str, Any]:
    """The piece, with the plainest thing that fits for what it names and doesn't define."""
    config: dict[str, Any] = yaml.safe_load(piece)
    scenarios = config.setdefault("scenarios", {})
    probes = config.setdefault("probes", {})
    if not scenarios:
        load = [{"rate": "10/s", "for": "1m"}]
        scenarios["s"] = {"producer": "api", "events": ["e"], "probes": list(probes), "load": load}
    producers, events = config.setdefault("producers", {}), config.setdefault("events", {})
    for scenario in scenarios.values():
        capture = {"kind": "http", "url": "http://localhost/events", "mode": "plain", "capture": "headers.session"}
        producers.setdefault(scenario["producer"], capture)
        for name in scenario["events"]:
            events.setdefault(name, {"type": "t", "source": "/s", "key": "{int:1..9}"})
        for name in scenario["probes"]:
            probe = {"kind": "http", "url": "http://localhost/{correlation_id}", "position": "body.position"}
            probes.setdefault(name, probe).setdefault("position", "body.position")
    return config


@pytest.mark.parametrize("piece", PIECES)
def test_every_piece_of_config_in_the_docs_loads(piece: str) -> None:
    text = yaml.safe_dump(completed(piece), sort_keys=False)
    try:
        load_text(text, "docs.yaml", environ={})
    except ConfigError as error:
        pytest.fail(f"{error}\n{text}")


def test_there_are_pieces() -> None:
    assert len(PIECES) >= 5
