"""What a run can decide, said before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from evload.config import load_text
from evload.gate.outlook import Prospect, prospects

CONFIG = """
producers: {{broker: {{kind: http, url: "http://localhost/e"}}}}
events: {{event: {{type: t, source: /s}}}}
probes: {{read-model: {{kind: http, url: "http://localhost/{{correlation_id}}", sample: {sample}}}}}
scenarios:
  watched: {{producer: broker, events: [event], probes: [read-model], load: [{{burst: {events}}}]}}
{more}
slos: ["{objective}"]
"""


def prospect(objective: str, events: int, *, sample: str = "100%", more: str = "") -> Prospect:
    text = CONFIG.format(objective=objective, events=events, sample=sample, more=more)
    (found,) = prospects(load_text(text, "config.yaml", base_dir=Path(), environ={}).config)
    return found


@pytest.mark.parametrize(
    ("events", "bad"), [(298, None), (299, 0), (472, 0), (473, 1), (627, 1), (628, 2), (200_000, 1926)]
)
def test_how_many_events_may_be_bad(events: int, bad: int | None) -> None:
    found = prospect("p99(consistency) < 2s", events)
    assert (found.events, found.bad, found.needed) == (events, bad, 299)
    assert found.decidable == (bad is not None)


def test_only_followed_events_count() -> None:
    assert prospect("p99(consistency) < 2s", 1000, sample="20%").bad is None
    assert prospect("p99(consistency) < 2s", 1500, sample="20%").bad == 0


def test_a_count_can_be_decided_unless_somebody_is_not_watched() -> None:
    assert prospect("lost == 0", 10).decidable
    unwatched = "  other: {producer: broker, events: [event], load: [{burst: 5}]}"
    assert not prospect("lost == 0", 10, more=unwatched).decidable
    assert prospect("rejected == 0", 10, more=unwatched).events == 15
