"""What docs/events.md shows is drawn as it says, and everything that there is stands in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from evload.config import load_text
from evload.workload.draws import FAKES
from evload.workload.records import Records
from evload.workload.templates import Compiler, fill

PAGE: Final = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
ROWS: Final = [
    (placeholder, cells[-1].strip())
    for line in PAGE.splitlines()
    if line.startswith("| `{")
    for cells in [line.strip("|").split("|")]
    for placeholder in re.findall(r"`(\{[^`]+\})`", "|".join(cells[:-1]))
]
DATA: Final[dict[str, Any]] = {"order_id": "{uuid}", "lines": [{"sku": 5}]}
RENDERED: Final = {"text": str, "number": (int, float), "as there": object, "as captured": object}


@pytest.mark.parametrize(("placeholder", "kind"), ROWS)
def test_each_placeholder_is_drawn_as_the_table_says(placeholder: str, kind: str) -> None:
    compiler = Compiler(
        {"data": {**DATA, "it": placeholder}, "type": "t", "source": "/s", "subject": "x", "key": "k"},
        prefix="p-", run_id="run-1", seed="s", records=Records(("sku",), (("a",),), "sequential"),
        captured={"NAME": [1]},
    )  # fmt: skip
    text = fill(compiler.json(placeholder, ("data", "it")))
    assert compiler.problems == []
    values = ["0" * 12, "2026-01-02T03:04:05.678900Z", "7"]
    for draw in compiler.draws:
        values += draw(values)
    found = json.loads(text(values))
    assert isinstance(found, RENDERED[kind])  # type: ignore[arg-type]
    assert found != placeholder


def test_every_placeholder_stands_in_the_table() -> None:
    shown = " ".join(placeholder for placeholder, _ in ROWS)
    drawn = {name for name in Compiler._DRAWN if name != "seq"}
    for name in (*drawn, "seq:0", "now+", "now-", *(f"fake:{kind}" for kind in FAKES), "record.", "data."):
        assert f"{{{name}" in shown, name
    for name in ("correlation_id", "run_id", "seq", "uuid", "now", "key", "type", "source", "subject"):
        assert f"{{{name}}}" in shown, name


@pytest.mark.parametrize("number", range(2))
def test_its_configs_load(number: int, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("sku,price\na-1,9.99\n")
    piece = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[number]
    (name,) = re.findall(r"^  ([a-z-]+):$", piece, re.MULTILINE)
    rest = (
        "producers: {api: {kind: http, url: 'http://localhost/events'}}\n"
        f"scenarios: {{s: {{producer: api, events: [{name}], load: [{{rate: 1/s, for: 1s}}]}}}}\n"
    )
    loaded = load_text(piece + rest, "docs.yaml", base_dir=tmp_path, environ={})
    assert list(loaded.config.events) == [name]
