"""Whether requests of a round really were in flight at once: without that nobody contended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def contended(flights: Iterable[tuple[str, int, int]], times: Mapping[str, int]) -> bool:
    """Whether requests of different contenders were in flight at once; of one contender's, where there is only one,
    at least half of them together.

    `flights` are what was sent: by whom, from when, until when it was answered or given up. `times` says how many
    requests each contender was to send.
    """
    moments: list[tuple[int, int, str]] = []
    for name, start_ns, end_ns in flights:
        moments += [(start_ns, 1, name), (end_ns, -1, name)]
    under_way = dict.fromkeys(times, 0)
    for _, change, name in sorted(moments):
        under_way[name] += change
        if len(times) > 1 and sum(count > 0 for count in under_way.values()) > 1:
            return True
        if len(times) == 1 and 2 * under_way[name] >= times[name]:
            return True
    return False
