"""Which parts of a scenario are folded apart for what a config asks."""

from __future__ import annotations

import pytest

from evload.config import load_text
from evload.run.prepare import fold_plan

CONFIG = """
producers: {{api: {{kind: http, url: "http://localhost/e"}}}}
events: {{event: {{type: t, source: /s}}, other: {{type: o, source: /s}}}}
probes: {{model: {{kind: http, url: "http://localhost/{{correlation_id}}"}}}}
scenarios:
  spike: {{producer: api, events: [event, other], probes: [model], load: [{{rate: 10/s, for: 10m}}]}}
slos: [{objective}]
"""


@pytest.mark.parametrize("after", ["spike", "5m"])
def test_what_counts_from_a_moment_is_about_events_before_it_too(after: str) -> None:
    """The way back is looked for in all events of that name; those of later moments are not a part of their own."""
    objective = f'{{objective: "recovery(p95(consistency) < 3s) < 5m", after: {after}, event: event}}'
    config = load_text(CONFIG.format(objective=objective), "load.yaml", environ={}).config
    (part,) = (one for one in fold_plan(config, "spike").slices if one.label == "event=event")
    assert (part.event, part.after, part.during, part.timed) == (0, None, None, False)


def test_what_a_probe_tells_is_asked_of_those_scenarios_alone_that_ask_it() -> None:
    """Events that nobody looks for would make a share of those that were lost smaller."""
    text = CONFIG.format(objective='{objective: "rate(lost) < 10%", probe: model}').replace(
        "slos:", "  calm: {producer: api, events: [event], load: [{rate: 100/s, for: 10m}]}\nslos:"
    )
    config = load_text(text, "load.yaml", environ={}).config
    told = {
        name: [one.label for one in fold_plan(config, name).slices if one.probe is not None]
        for name in ("spike", "calm")
    }
    assert told == {"spike": ["probe=model"], "calm": []}
