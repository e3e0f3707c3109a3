"""What a newcomer does first works: the quickstart, and the commands that the README names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.rigs.commands import assert_closes, evload, summary_of

ROOT: Final = Path(__file__).parents[2]


def test_the_quickstart_passes(tmp_path: Path) -> None:
    on_warn = [f"--set=self_checks.{check}=warn" for check in ("offered_rate", "lateness", "headroom", "resolution")]
    ended = evload("run", ROOT / "configs/quickstart.yaml", "--out", "out", *on_warn, cwd=tmp_path)
    assert ended.code == 0, ended
    summary = summary_of(tmp_path / "out")
    assert summary["verdict"] in ("pass", "warn")
    assert [objective["result"] for objective in summary["objectives"]] == ["pass"] * len(summary["objectives"])
    assert len(summary["objectives"]) >= 5
    assert_closes(summary)
    assert summary["replicas"] == {"read-model": ["eu-1", "eu-2"]}

    lines = ended.out.splitlines()
    assert any("hold 200/s" in line and "visible" in line for line in lines)  # it showed progress
    assert lines.pop() == "report in out/report.html"  # said later than what is on the screen of the verdict
    screen = lines[next(n for n, line in enumerate(lines) if line.startswith(("PASS  ", "WARN  "))) :]
    assert len(screen) <= 40 + 2 * screen[0].startswith("WARN")
    assert max(map(len, screen)) <= 80
    assert screen[-1] == "results in out"


def test_the_makefile_has_every_target_that_the_documents_name() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "check", "bench"} <= targets
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"]
    for document in documents:
        if document.exists():
            assert set(re.findall(r"`make ([a-z]+)", document.read_text())) <= targets, document
