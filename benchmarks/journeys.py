"""Steps per second of a journey of five steps, users that wait for their answers, on one core: evload with every step
in its ledger, Locust's FastHttpUser, and k6.

    python -m benchmarks.journeys

All do the same against the same receiver on the other core: create with a value that is drawn, take the id out of the
answer, and use it in the path and the body of four more requests. Taken in turns; the median of three.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from .peers import peer
from .rig import BenchmarkError, evload_run, receiver, run

_ROUNDS: Final = 3
_SECONDS: Final = 6
_USERS: Final = 64
_ANSWER: Final = '{"id":"o-4711","total":9.5,"status":"open"}'
_TARGETS: Final = {"Locust": 3.0, "k6": 2.0}
_K6: Final = """
import http from "k6/http";
export const options = {
  summaryTrendStats: ["max"],
  scenarios: {load: {executor: "constant-vus", vus: USERS, duration: "SECONDSs", gracefulStop: "5s"}},
};
const params = {headers: {"content-type": "application/json"}};
const base = "URL";
export default function () {
  const quantity = 1 + Math.floor(Math.random() * 3);
  const order = http.post(base + "/orders", JSON.stringify({quantity: quantity}), params).json().id;
  http.get(base + "/orders/" + order, params);
  http.post(base + "/payments", JSON.stringify({order_id: order, amount: 9.5}), params);
  http.put(base + "/orders/" + order + "/ship", JSON.stringify({carrier: "post"}), params);
  http.get(base + "/orders/" + order + "/history", params);
}
export function handleSummary(data) { return {}; }
"""


def main() -> None:
    takers = {"evload": _evload, "Locust": _locust, "k6": _k6}
    rates: dict[str, list[float]] = {name: [] for name in takers}
    for _ in range(_ROUNDS):
        for name, take in takers.items():
            with receiver(_ANSWER) as received:
                take(received.url.rstrip("/"))
            rates[name].append(received.steady_rate())
            print(f"{name:7} {rates[name][-1]:7.0f} steps/s, receiver {received.busy():.0%} busy", flush=True)
    found = {name: median(some) for name, some in rates.items()}
    ratios = [f"{found['evload'] / found[name]:.2f} x {name} (target: {goal:g})" for name, goal in _TARGETS.items()]
    print("ratio: evload does " + ", ".join(ratios))


def _evload(url: str) -> None:
    with evload_run(_config(url), timeout_s=_SECONDS + 60):
        pass


def _config(url: str) -> dict[str, Any]:
    order = "/orders/{order}"
    steps: list[dict[str, Any]] = [
        {
            "create": {
                "to": "shop",
                "post": "/orders",
                "json": {"quantity": "{quantity}"},
                "capture": {"order": "body.id"},
            }
        },
        {"look": {"to": "shop", "get": order}},
        {"pay": {"to": "shop", "post": "/payments", "json": {"order_id": "{order}", "amount": 9.5}}},
        {"ship": {"to": "shop", "put": f"{order}/ship", "json": {"carrier": "post"}}},
        {"history": {"to": "shop", "get": f"{order}/history"}},
    ]
    return {
        "name": "benchmark",
        "producers": {"shop": {"kind": "http", "url": url}},
        "journeys": {"order": {"vars": {"quantity": "{int:1..3}"}, "steps": steps}},
        "scenarios": {"users": {"journeys": ["order"], "load": [{"users": _USERS, "for": f"{_SECONDS}s"}]}},
        "slos": [{"objective": "failed == 0", "journey": "order"}],
    }


def _locust(url: str) -> None:
    script = Path(__file__).with_name("locust_journey.py")
    command = [
        peer("locust"), "-f", str(script), "--headless", "--host", url, "--users", str(_USERS),
        "--spawn-rate", "1000", "--run-time", f"{_SECONDS}s", "--only-summary",
    ]  # fmt: skip
    run(command, timeout_s=_SECONDS + 30)


def _k6(url: str) -> None:
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        script = Path(directory) / "script.js"
        text = _K6.replace("USERS", str(_USERS)).replace("SECONDS", str(_SECONDS)).replace("URL", url)
        script.write_text(text)
        command = [peer("k6"), "run", "--quiet", "--no-usage-report", "--no-thresholds", str(script)]
        run(command, timeout_s=_SECONDS + 30, env={"GOMAXPROCS": "1"})


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks.journeys: {error}")
