"""Runs k6's constant-arrival-rate executor against a URL, on one core."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from .peers import peer
from .rig import run

_SCRIPT: Final = """
import http from "k6/http";
export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ["max"],
  scenarios: {load: {executor: "constant-arrival-rate", rate: RATE, timeUnit: "1s", duration: "SECONDSs",
                     preAllocatedVUs: USERS, maxVUs: USERS, gracefulStop: "5s"}},
};
const body = BODY;
const params = {headers: {"content-type": "application/cloudevents+json; charset=utf-8"}};
export default function () { http.post("URL", body, params); }
export function handleSummary(data) { return {"SUMMARY": JSON.stringify(data)}; }
"""


@dataclass(frozen=True, slots=True)
class K6Run:
    """What k6 says of a run: iterations done, and those it dropped because no user was free."""

    iterations: int
    dropped: int


def constant_rate(url: str, body: str, rate: int, seconds: int, users: int) -> K6Run:
    """`rate` requests per second for `seconds`, by `users` users. Raises BenchmarkError."""
    with TemporaryDirectory(prefix="evload-bench-") as directory:
        script, summary = Path(directory) / "script.js", Path(directory) / "summary.json"
        values = {
            "RATE": rate,
            "SECONDS": seconds,
            "USERS": users,
            "BODY": json.dumps(body),
            "URL": url,
            "SUMMARY": summary,
        }
        text = _SCRIPT
        for name, value in values.items():
            text = text.replace(name, str(value))
        script.write_text(text)
        command = [peer("k6"), "run", "--quiet", "--no-usage-report", "--no-thresholds", str(script)]
        run(command, timeout_s=seconds + 30, env={"GOMAXPROCS": "1"})
        metrics = json.loads(summary.read_text())["metrics"]
        counted = {
            name: int(metrics[name]["values"]["count"]) if name in metrics else 0
            for name in ("iterations", "dropped_iterations")
        }
    return K6Run(counted["iterations"], counted["dropped_iterations"])
