"""What docs/python.md shows works as it stands there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Final

import pytest

import evload
from evload.api import pytest_plugin
from tests.rigs.pipelines import EMBEDDED

pytest_plugins = ("pytester",)

PAGE: Final = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
PIECES: Final = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHOP: Final = (
    EMBEDDED.replace("for: 2s", "for: 300ms")
    .replace("p95(consistency) < 2s", "p50(consistency) < 5s")
    .replace("  - rate(errors) < 1%\n", "")
)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the config of the page."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    monkeypatch.chdir(tmp_path)


def test_a_run_a_mistake_and_a_run_in_a_loop(shop: None, capsys: pytest.CaptureFixture[str]) -> None:
    run, mistake, in_a_loop, _, _ = PIECES
    exec(compile(run, "python.md", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert re.match(r"(pass|warn) every objective is met", told[0])
    assert told[1] == "30 0"
    assert re.fullmatch(r"pass p50\(consistency\) < 5s \[steady\] .* ms ", told[2])
    assert re.fullmatch(r"results in runs/\d{8}-\d{6}-[0-9a-f]{4}", told[-1])
    exec(compile(mistake, "python.md", "exec"), {})
    said = capsys.readouterr().out
    assert said == "None None 'fast' is not a rate write a rate such as 500/s or 30/min\n"
    exec(compile(in_a_loop, "python.md", "exec"), {})


def test_tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(PIECES[3])
    pytester.makepyfile(PIECES[4])
    pytester.path.joinpath("shop.yaml").write_text(SHOP)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "default")
    result.assert_outcomes(passed=2, warnings=result.parseoutcomes().get("warnings", 0))


def test_each_argument_and_each_part_of_a_result_is_told() -> None:
    tables = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    told = {name for cell in tables for name in re.findall(r"`(\w+)`", cell)}
    assert told >= signature(evload.measure).parameters.keys() - {"config"}
    assert told >= evload.Measurement.__dataclass_fields__.keys() - {"name", "run_id", "interrupted", "remarks"}
    arguments: Mapping[str, object] = signature(pytest_plugin.Evload.__call__).parameters
    assert signature(evload.measure).parameters.keys() - arguments.keys() == {"base_dir", "sinks", "say"}
    assert signature(evload.measure).parameters == signature(evload.measure_async).parameters
