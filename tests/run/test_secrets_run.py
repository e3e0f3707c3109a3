"""What comes from the environment and is quoted back by every target, in all that evload writes, serves and says."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml

from tests.rigs.commands import Ended, evload, started, summary_of
from tests.rigs.quoting import FORMS
from tests.servers.httpserver import Request, Step, answer, json_answer, serving

QUOTED: Final = {
    "TOKEN": "hush/5f2a<91&c4'7b",
    "TITLE": "top-hush",
    "TENANT": "acme-internal",
    "NODE": "eu-1.internal",
}
"""Every target is sent the token and quotes it; the others are part of the run's name and of each event's key, and
what a replica calls itself."""
NEEDED: Final = {"LIMIT": "0.431s"}
"""Part of an objective: the ledger has it as it is, because the run is judged by it again."""
_PATIENCE_S: Final = 120.0
"""How long a live page may be silent before the test is given up; never what decides one."""
ENV: Final = {**QUOTED, **NEEDED}


@dataclass
class Indiscreet:
    """A system that quotes the token that it is sent, wherever it can.

    samples  how often the gauge answers as it should, before it quotes
    posted   what came at each address other than that of events
    """

    samples: int = 1
    posted: dict[str, list[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._streams, self._samples = itertools.count(), itertools.count()
        self._quoted: dict[str, itertools.cycle[Callable[[str], str]]] = {}

    def _quote(self, token: str, place: str) -> str:
        """In another form each time, as it is at first."""
        return next(self._quoted.setdefault(place, itertools.cycle(FORMS.values())))(token)

    def __call__(self, request: Request) -> Sequence[bytes | float | Step]:
        path = request.target
        token = self._quote(request.headers["x-token"], path.split("/")[1])
        said = f"{token} is not welcome".encode()
        if path == "/events":
            # Of each of the two scenarios every fifth is refused. Of the others none is ever seen.
            seq = int(json.loads(request.body)["correlationid"][-12:], 16)
            return [answer(202) if seq // 2 % 5 else answer(403, said)]
        if path == "/stream":
            if not next(self._streams):
                return [b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n: well\n\n", 0.3, Step.CLOSE]
            return [answer(302, b"", f"Location: /login/{quote(token)}")]
        if path == "/depth":
            return [json_answer(b'{"depth": 1}') if next(self._samples) < self.samples else answer(403, said)]
        if path.startswith("/broken/"):
            return [answer(200, said)]
        if path.startswith("/items/"):
            return [json_answer(b'{"done": false, "by": "%s"}' % request.headers["x-node"].encode())]
        self.posted.setdefault(path, []).append(request.body)
        return [answer(403, said)]


def config_for(url: str) -> dict[str, Any]:
    """A run whose every part has the token."""
    own = {"headers": {"x-token": "${TOKEN}", "x-node": "${NODE}"}}
    asked = {"kind": "http", "visible": "body.done", "deadline": "500ms", "confirm": {"reads": 0}, **own}
    watched = {"producer": "broker", "events": ["created"], "load": [{"rate": "20/s", "for": "1s"}]}
    return {
        "name": "a ${TITLE} run",
        "producers": {"broker": {"kind": "http", "url": f"{url}/events", **own}},
        "events": {"created": {"type": "t", "source": "/tests", "key": "${TENANT}-1"}},
        "probes": {
            "blind": {**asked, "url": f"{url}/items/{{correlation_id}}", "replica": "body.by"},
            "twin": {**asked, "url": f"{url}/items/{{correlation_id}}"},
            "broken": {**asked, "url": f"{url}/broken/{{correlation_id}}"},
            "pushed": {"kind": "sse", "url": f"{url}/stream", "deadline": "500ms", **own},
        },
        "gauges": {"queue": {"kind": "http-json", "url": f"{url}/depth", "value": "body.depth", "every": "200ms",
                             **own}},
        "scenarios": {
            "main": {**watched, "probes": ["blind", "twin"]},
            "other": {**watched, "probes": ["broken", "pushed"]},
        },
        "slos": ["p50(publish) < ${LIMIT}", "p50(consistency) < ${LIMIT}", "share(end_to_end < ${LIMIT}) >= 50%",
                 {"objective": "lost == 0", "scenario": "main", "key": "${TENANT}-*"}],
        # A busy machine must not decide a test.
        "self_checks": dict.fromkeys(("offered_rate", "lateness", "headroom", "resolution"), "warn"),
        "reports": {
            "page": {"kind": "html"}, "ci": {"kind": "junit"}, "text": {"kind": "markdown"},
            "sheet": {"kind": "csv", "directory": "tables"}, "histograms": {"kind": "hlog", "directory": "hdr"},
            "metrics": {"kind": "prometheus"},
            "hook": {"kind": "webhook", "url": f"{url}/hook", **own},
            "collector": {"kind": "otlp", "url": f"{url}/otlp", **own},
        },
    }  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """A run of it: how it ended, its directory, and by its name all that left evload elsewhere."""

    ended: Ended
    out: Path
    elsewhere: Mapping[str, str]

    def everything(self) -> dict[str, str]:
        """All that anybody could read, by where it is."""
        files = {
            str(path.relative_to(self.out)): path.read_bytes().decode("latin-1")
            for path in sorted(self.out.rglob("*"))
            if path.is_file()
        }
        return {"terminal": self.ended.said, **self.elsewhere, **files}


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """Such a run with a live page, in a step of GitHub Actions."""
    directory = tmp_path_factory.mktemp("secrets")
    system = Indiscreet()
    env = {**ENV, "GITHUB_STEP_SUMMARY": str(directory / "step.md"), "GITHUB_ACTIONS": "true"}

    def run() -> tuple[Ended, str, str]:
        with started("run", "c.yaml", "--out", "out", "--ui", cwd=directory, env=env) as running:
            first = running.first_line()
            found = re.search(r"http://\S+", first)
            assert found, first + running.ended().said
            with urllib.request.urlopen(found[0], timeout=_PATIENCE_S) as page:
                html = page.read().decode()
            with urllib.request.urlopen(found[0].replace("/?", "/events?"), timeout=_PATIENCE_S) as stream:
                told = stream.read().decode()
            ended = running.ended()
        return Ended(ended.code, first + ended.out, ended.err), html, told

    async def main() -> tuple[Ended, str, str]:
        async with serving(system) as server:
            (directory / "c.yaml").write_text(yaml.safe_dump(config_for(server.url)))
            return await asyncio.to_thread(run)

    ended, page, told = asyncio.run(main())
    posted = {path: b"\n".join(bodies).decode("latin-1") for path, bodies in system.posted.items()}
    elsewhere = {"live page": page, "live events": told, "step": (directory / "step.md").read_text(), **posted}
    return Heard(ended, directory / "out", elsewhere)


def squeezed(text: str) -> str:
    """Without the spaces and the ends of lines that a narrow terminal puts into it."""
    return "".join(text.split())


def forms() -> Iterator[tuple[str, str, str]]:
    """Each secret by its name, in every form if it is long enough."""
    for name, secret in ENV.items():
        for form in FORMS if len(secret) >= 8 else ["as it is"]:
            yield name, form, FORMS[form](secret)


def test_no_secret_is_in_anything_that_a_run_leaves_or_says(heard: Heard) -> None:
    everything = heard.everything()
    assert everything.keys() >= {
        "terminal", "live page", "live events", "step", "/hook", "/otlp/v1/metrics", "config.yaml", "events.sqlite",
        "summary.json", "report.html", "report.md", "junit.xml", "tables/percentiles.csv", "metrics.prom",
        "hdr/histograms.hlog",
    }  # fmt: skip
    found = [
        (where, name, form)
        for where, text in everything.items()
        for name, form, secret in forms()
        if (name in QUOTED or not where.startswith("events.sqlite")) and secret in squeezed(text)
    ]
    assert found == []


def test_what_targets_said_is_there_with_the_name_of_the_secret_in_it(heard: Heard) -> None:
    assert (heard.ended.code, heard.ended.err) == (4, "")
    summary = summary_of(heard.out)
    for reason in (
        "HTTP 403: ${TOKEN} is not welcome",
        "broken: HTTP 200 with a body that isn't JSON: ${TOKEN} is not welcome",
        "pushed: HTTP 302: a redirect to '/login/${TOKEN}', which is not followed",
        "queue: HTTP 403 with a body that isn't JSON: ${TOKEN} is not welcome",
    ):
        assert reason in summary["errors"], reason
    assert {one["source"] for one in summary["incidents"] if "${TOKEN}" in one["reason"]} == {
        "broker", "broken", "pushed", "queue",
    }  # fmt: skip
    publish, consistency, *_, lost = summary["objectives"]
    assert publish["expression"] == "p50(publish) < ${LIMIT}"
    (evidence,) = (check for check in summary["self_checks"] if check["name"] == "evidence")
    assert evidence["note"].startswith("p50(publish) < ${LIMIT}: ")
    assert (lost["expression"], lost["scope"], lost["result"]) == ("lost == 0", "key=${TENANT}-*", "inconclusive")
    assert lost["worst"][0]["key"] == "${TENANT}-1"
    assert summary["scenarios"]["main"]["slices"]["key=${TENANT}-*"]["ledger"]["lost"] == 16
    assert any(line["what"] == "blind at ${NODE}: lost" for line in lost["worst"][0]["timeline"])
    assert summary["replicas"]["blind"] == ["${NODE}"]
    assert consistency["limit"] == 0.431

    said = squeezed(heard.ended.said)
    for remark in (
        "webhook 127.0.0.1:", "otlp 127.0.0.1:", ": HTTP 403: ${TOKEN} is not welcome; the verdict was not delivered",
        "a ${TITLE} run", "16 of 16 acked events were never seen", "16 of them with the key ${TENANT}-1",
    ):  # fmt: skip
        assert squeezed(remark) in said, remark
    assert "a ${TITLE} run" in heard.elsewhere["live page"]
    assert "${TOKEN} is not welcome" in heard.elsewhere["live events"]
    page = (heard.out / "report.html").read_text()
    assert "p50(consistency) &lt; ${LIMIT}" in page
    assert "16 of them with the key ${TENANT}-1" in page


def said_by(*arguments: str, system: Indiscreet, cwd: Path, **changes: Any) -> Ended:
    """What a command says of the config, or of one with other parts."""

    async def main() -> Ended:
        async with serving(system) as server:
            (cwd / "c.yaml").write_text(yaml.safe_dump(config_for(server.url) | changes))
            return await asyncio.to_thread(evload, *arguments, cwd=cwd, env=ENV)

    ended = asyncio.run(main())
    assert [(name, form) for name, form, secret in forms() if secret in squeezed(ended.said)] == [], ended.said
    return ended


def test_a_target_that_quotes_a_secret_before_the_run_has_begun(tmp_path: Path) -> None:
    ended = said_by("run", "c.yaml", system=Indiscreet(samples=0), cwd=tmp_path)
    assert (ended.code, ended.out) == (3, "")
    assert "HTTP 403 with a body that isn't JSON: ${TOKEN} is not welcome; correct url or value" in ended.err


def test_doctor_says_what_targets_quote_without_the_secret(tmp_path: Path) -> None:
    ended = said_by("doctor", "c.yaml", system=Indiscreet(), cwd=tmp_path, slos=["lost == 0"])
    assert ended.code == 3
    said = squeezed(ended.out)
    assert squeezed("a read failed: HTTP 200 with a body that isn't JSON: ${TOKEN} is not welcome") in said
    assert squeezed("it is there, but could not be sampled: HTTP 403 with a body that isn't JSON: ${TOKEN}") in said


@pytest.mark.parametrize("verb", ["plan", "validate"])
def test_what_is_said_before_a_run_names_the_variables(verb: str, tmp_path: Path) -> None:
    ended = said_by(verb, "c.yaml", system=Indiscreet(), cwd=tmp_path)
    assert ended.code == 0
    if verb == "plan":
        said = squeezed(ended.out)
        for told in (
            "a ${TITLE} run",
            "p50(publish) < ${LIMIT}",
            "[main, key=${TENANT}-*]",
            "a key like ${TENANT}-*",
        ):
            assert squeezed(told) in said, told
