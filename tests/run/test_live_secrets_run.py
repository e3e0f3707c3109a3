"""Tokens that change, by the real command: what it says, leaves and ends with."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from tests.rigs.commands import Ended, assert_closes, assert_one_clear_line, evload, summary_of
from tests.rigs.quoting import FORMS
from tests.rigs.token_system import ENVIRON, Steps, TokenSystem, config, token_of
from tests.servers.httpserver import Request, answer, serving

T = TypeVar("T")
SECRET: Final = '{post: "URL/token", json: {user: a, password: "${PW}"}, take: body.access_token}'


def beside(system: TokenSystem, text: str, directory: Path, do: Callable[[], T]) -> T:
    """What `do` gives while the system runs, with its config in the directory."""

    async def main() -> T:
        system.began = asyncio.get_running_loop().time()
        async with serving(system.script) as server:
            (directory / "c.yaml").write_text(text.replace("URL", server.url))
            return await asyncio.to_thread(do)

    return asyncio.run(main())


def read_all(ended: Ended, out: Path) -> dict[str, str]:
    """All that anybody could read, by where it is."""
    files = {path.name: path.read_bytes().decode("latin-1") for path in out.rglob("*") if path.is_file()}
    return {"terminal": ended.said, **files}


class Indiscreet(TokenSystem):
    """Refuses every third event, and quotes the token that it was shown, in another form each time."""

    def __init__(self, seconds: float) -> None:
        """Its tokens are good for so many seconds."""
        super().__init__(about={"expires_in": seconds})
        self._forms = itertools.cycle(FORMS.values())
        self._events = itertools.count()

    def script(self, request: Request) -> Steps:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.target == "/events" and next(self._events) % 3 == 0:
            return (answer(403, f"{next(self._forms)(token)} is not welcome".encode()),)
        return TokenSystem.script(self, request)


def test_no_token_is_in_anything_that_a_run_leaves_or_says(tmp_path: Path) -> None:
    system = Indiscreet(2)
    text = config(SECRET, "{rate: 20/s, for: 6s}") + "reports: {page: {kind: html}, text: {kind: markdown}}\n"

    def run() -> Ended:
        return evload("run", "c.yaml", "--out", "out", "--verbose", cwd=tmp_path, env=ENVIRON)

    ended = beside(system, text, tmp_path, run)
    summary = summary_of(tmp_path / "out")
    assert_closes(summary)
    assert ended.code == 1
    assert (summary["ledger"]["rejected"], summary["ledger"]["visible"]) == (40, 80)
    assert len(system.answers) >= 4
    everything = read_all(ended, tmp_path / "out")
    assert everything.keys() >= {"terminal", "config.yaml", "events.sqlite", "summary.json", "traffic.jsonl"}
    assert "{secrets.api} is not welcome" in everything["events.sqlite"]
    for where, said in everything.items():
        low = "".join(said.split()).lower()
        for number in range(1, len(system.answers) + 1):
            for form, quote in FORMS.items():
                # Of base64 what stands before it says nothing of it.
                hidden = quote(token_of(number)).lower()
                assert (hidden[4:-6] if "base64" in form else hidden) not in low, (where, form)
        assert ENVIRON["PW"] not in low


def test_the_config_of_a_run_keeps_what_was_declared_and_runs_again(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("from-a-file-77")
    text = config(SECRET, "{rate: 10/s, for: 1s}").replace("secrets: {", "secrets: {other: {file: other}, ")
    text = text.replace("user: a", 'user: "{secrets.other}"')

    def run() -> tuple[Ended, Ended]:
        first = evload("run", "c.yaml", "--out", "out", cwd=tmp_path, env=ENVIRON)
        kept = (tmp_path / "out" / "config.yaml").read_text()
        assert 'json: {user: "{secrets.other}", password: "${PW}"}' in kept
        assert "from-a-file" not in kept
        (tmp_path / "again.yaml").write_text(kept)
        return first, evload("run", "again.yaml", "--out", "second", cwd=tmp_path, env=ENVIRON)

    first, second = beside(TokenSystem(), text, tmp_path, run)
    assert (first.code, second.code) == (0, 0), first.said + second.said
    report = evload("report", "out", "--format", "md", cwd=tmp_path)
    assert report.code == 0
    assert summary_of(tmp_path / "second")["ledger"]["visible"] == 10


def test_a_token_that_can_t_be_had_is_one_line_and_no_directory(tmp_path: Path) -> None:
    system = TokenSystem(says=lambda number: (answer(401, b"no such client, pass-word-4711"),))
    ended = beside(
        system, config(SECRET), tmp_path, lambda: evload("run", "c.yaml", "--out", "out", cwd=tmp_path, env=ENVIRON)
    )
    assert_one_clear_line(
        ended,
        3,
        "secret api: can't get it from http://127.0.0.1:",
        "HTTP 401: no such client, ${PW}; correct",
    )
    assert not (tmp_path / "out").exists()
    assert system.accepted == []


def test_what_looks_at_a_config_fetches_nothing(tmp_path: Path) -> None:
    system = TokenSystem()
    text = config(SECRET).replace("secrets: {", "secrets: {other: {file: /no/such/file}, ")

    def look() -> list[Ended]:
        return [evload(verb, "c.yaml", cwd=tmp_path, env=ENVIRON) for verb in ("validate", "plan")]

    validated, planned = beside(system, text, tmp_path, look)
    assert (validated.code, planned.code) == (0, 0), validated.said
    assert "/token, renewed after 80 % of its lifetime" in planned.out
    assert "secret other" not in planned.out
    assert system.asked == []


def test_doctor_gets_each_secret_and_says_how_long_it_is_good_for(tmp_path: Path) -> None:
    def look() -> Ended:
        return evload("doctor", "c.yaml", cwd=tmp_path, env={**ENVIRON, "COLUMNS": "300"})

    well = beside(TokenSystem(), config(SECRET), tmp_path, look)
    (line,) = [line for line in well.out.splitlines() if line.startswith("secret api")]
    assert line.split()[2] == "ok"
    assert "/token, good for 5 min" in line
    unsaid = beside(TokenSystem(about={}), config(SECRET), tmp_path, look)
    assert "doesn't say how long it is good for" in " ".join(unsaid.out.split())
    ill = beside(TokenSystem(says=lambda number: (answer(503),)), config(SECRET), tmp_path, look)
    assert ill.code == 3
    said = " ".join(ill.out.split())
    assert "HTTP 503; look after the token endpoint" in said
    assert "producer shop bad it needs the secret 'api', which could not be had" in said


def test_try_shows_no_token(tmp_path: Path) -> None:
    ended = beside(
        TokenSystem(), config(SECRET), tmp_path, lambda: evload("try", "c.yaml", cwd=tmp_path, env=ENVIRON)
    )
    assert ended.code == 0, ended.said
    assert "authorization: Bearer ***" in ended.out
    assert "token+number" not in ended.said
