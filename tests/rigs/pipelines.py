"""Configs of short runs, as YAML text."""

from __future__ import annotations

from typing import Final

LENIENT: Final = "self_checks: {offered_rate: warn, lateness: warn, headroom: warn, resolution: warn}\n"
"""A busy machine must not decide a test."""

EMBEDDED: Final = (
    """\
name: short
seed: 3
settle: 8s
sandbox:
  seed: 5
  workers: 8
  service: 2ms
  visibility: {lognormal: {median: 50ms, p99: 200ms}}
  replicas:
    - {name: eu-1, lag: 0ms}
    - {name: eu-2, lag: 40ms}
producers:
  broker: {kind: http, url: "{sandbox}/events"}
events:
  created:
    type: placement.created
    source: /tests
    key: "{data.video}"
    data: {video: "{int:1..50}", note: "{uuid}"}
probes:
  read-model:
    kind: http
    url: "{sandbox}/items/query"
    ids: {in: body, at: ids}
    items: body.items
    replica: body.replica
    effects: item.effects
    position: item.position
    deadline: 6s
    confirm: {reads: 4, over: 1s}
scenarios:
  steady:
    producer: broker
    events: {created: 1}
    probes: [read-model]
    load: [{rate: 100/s, for: 2s}]
  unwatched:
    start: 500ms
    producer: broker
    events: {created: 1}
    load: [{burst: 20}, {rate: 40/s, for: 1s}]
slos:
  - {objective: p95(consistency) < 2s, scenario: steady}
  - {objective: lost == 0, scenario: steady}
  - {objective: duplicates == 0, scenario: steady}
  - rate(errors) < 1%
reports: {}
"""
    + LENIENT
)
"""Two scenarios against the embedded pipeline: 200 events that are watched and 60 that are not. Without a page, which
takes longer to draw than all else takes."""
