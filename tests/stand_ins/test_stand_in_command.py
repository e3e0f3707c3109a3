"""The stand-ins of videos and of leases as people start them: their command, their knobs, what they answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from aiohttp.test_utils import make_mocked_request

from leases.app import STAND_IN as LEASES
from leases.creations import Creations
from leases.knobs import LeaseKnobs
from leases.ledgers import Ledgers
from leases.pool import Pool
from stand_in.clock import Clock
from stand_in.command import RECORD, StandIn, main
from stand_in.knobs import Planted
from stand_in.record import Record
from stand_in.web import Unusable
from tests.rigs.memory_network import run as in_virtual_time
from videos.app import STAND_IN as VIDEOS

FOLDER: Final = Path(__file__).parents[2] / "configs" / "stand-ins"


@dataclass(frozen=True)
class Server:
    """A stand-in that runs, by the names of its variables."""

    urls: dict[str, str]

    def ask(self, where: str, path: str, body: Any = None, *, method: str | None = None, **headers: str) -> Any:
        """The status, and what was answered."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(self.urls[where] + path, data, named, method=method)
        try:
            with urlopen(request) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)


@contextmanager
def running(name: str, directory: Path, variables: int, *knobs: str) -> Iterator[Server]:
    """The stand-in with these knobs, until the block ends."""
    options = [option for knob in knobs for option in ("--set", knob)]
    with subprocess.Popen(
        [sys.executable, FOLDER / name, "--port", "0", "--directory", directory, *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == f"{name}, record in {directory / RECORD}; in your shell:\n"
            exports = [process.stdout.readline().removeprefix("export ").strip() for _ in range(variables)]
            yield Server(dict(line.split("=", 1) for line in exports))
        finally:
            process.stdin.close()


# --- the command ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stand_in", "options", "said"),
    [
        (VIDEOS, ["--set", "speed=5"], "there is no knob speed; choose of work_ms, workers, fail, "),
        (VIDEOS, ["--set", "workers=0"], "workers is 0; write a number from 1\n"),
        (VIDEOS, ["--set", "fail=2"], "fail is 2.0; write a number from 0 to 1\n"),
        (VIDEOS, ["--set", "work_ms=soon"], "work_ms is 'soon'; write a number\n"),
        (LEASES, ["--set", "idempotent=5"], "idempotent is 5; write true or false\n"),
        (LEASES, ["--set", "pool=2.5"], "pool is 2.5; write a whole number\n"),
        (LEASES, ["--", "/nowhere/evload"], "can't run /nowhere/evload: No such file or directory; name a program\n"),
    ],
)
def test_what_is_wrong_is_one_line(
    stand_in: StandIn[Any], options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(stand_in, options if "--" in options else [*options, "--", "true"]) == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert said in told.err


def test_it_passes_on_how_the_command_ended_and_where_it_is(tmp_path: Path) -> None:
    command = ["sh", "-c", f"echo $LEASES $PAYMENTS $AUDIT > {tmp_path}/said; exit 7"]
    assert main(LEASES, ["--directory", str(tmp_path), "--", *command]) == 7
    urls = (tmp_path / "said").read_text().split()
    assert len({*urls}) == 3
    assert all(url.startswith("http://127.0.0.1:") for url in urls)


def test_a_share_is_kept_to() -> None:
    for share, due in ((0.1, 100), (0.05, 50), (0.3, 300), (1.0, 1000), (0.0, 0)):
        planted = Planted()
        assert sum(planted.due(share) for _ in range(1000)) == due


# --- videos -----------------------------------------------------------------------------------------------


def test_a_video_is_made_and_what_a_test_run_has_made_is_removed(tmp_path: Path) -> None:
    with running("videos", tmp_path, 1, "work_ms=20", "fail=0.5", "video_kb=30") as server:
        assert server.ask("VIDEOS", "/v1/jobs", {"words": 3}) == (
            422, {"error": "there is no prompt; write what the video is to show"}
        )  # fmt: skip
        names = []
        for _ in range(2):
            status, job = server.ask("VIDEOS", "/v1/jobs", {"prompt": "A kettle"}, X_Test_Run="r-1")
            assert (status, job["status"]) == (202, "queued")
            names.append(job["id"])
        ends: dict[str, str] = {}
        while set(ends.values()) != {"completed", "failed"}:
            ends = {name: server.ask("VIDEOS", f"/v1/jobs/{name}")[1]["status"] for name in names}
        assert list(ends.values()) == ["completed", "failed"]  # every second one fails
        with urlopen(f"{server.urls['VIDEOS']}/v1/jobs/{names[0]}/video") as answer:
            assert (answer.headers["content-type"], len(answer.read())) == ("video/mp4", 30_000)
        assert server.ask("VIDEOS", f"/v1/jobs/{names[1]}/video") == (
            404, {"error": "there is no video: the job is failed"}
        )  # fmt: skip
        asset = bytes(range(256)) * 4000
        form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + asset + b"\r\n--x--\r\n"
        for kind, body in (("application/octet-stream", asset), ("multipart/form-data; boundary=x", form)):
            status, stored = server.ask("VIDEOS", "/v1/assets", body, Content_Type=kind, X_Test_Run="r-1")
            assert (status, stored["bytes"]) == (201, 1_024_000)
            assert stored["sha256"] == hashlib.sha256(asset).hexdigest()
        shown = server.ask("VIDEOS", "/status")[1]
        assert shown["jobs"] == {"submitted": 2, "completed": 1, "failed": 1}
        assert (shown["busy"], shown["queue_depth"], shown["cpu"]) == (0, 0, 0)
        assert 0.01 < shown["memory"] < 1
        assert server.ask("VIDEOS", "/v1/test-runs/r-1", method="DELETE") == (200, {"jobs": 2, "assets": 2})
        assert server.ask("VIDEOS", "/v1/test-runs/r-1", method="DELETE") == (200, {"jobs": 0, "assets": 0})
        assert server.ask("VIDEOS", f"/v1/jobs/{names[0]}") == (404, {"error": "there is no such job"})
        assert server.ask("VIDEOS", "/admin/knobs", {"fail": 0})[1]["fail"] == 0
        assert server.ask("VIDEOS", "/admin/knobs", {"fail": "often"}) == (
            422, {"error": "fail is 'often'; write a number"}
        )  # fmt: skip
    record = Record.read(tmp_path / RECORD)
    assert (record.counts["came"], record.counts["stored"], record.counts["changed"]) == (2, 2, 1)
    assert [line["jobs"] for line in record.of("removed")] == [2, 0]


# --- leases -----------------------------------------------------------------------------------------------


def test_a_key_creates_one_lease_and_its_ledger_has_what_happened(tmp_path: Path) -> None:
    lease = {"tenant": "t-1", "months": 12, "rent": 900}
    with running("leases", tmp_path, 3, "slow_ms=1", "apply_ms=1") as server:
        assert server.ask("LEASES", "/leases", lease)[0] == 400
        assert server.ask("LEASES", "/leases", {"tenant": "t-1"}, Idempotency_Key="k-1")[0] == 422
        status, created = server.ask("LEASES", "/leases", lease, Idempotency_Key="k-1", X_Correlation_ID="c-1")
        assert (status, created["status"], created["rent"]) == (201, "pending", 900)
        again = server.ask("LEASES", "/leases", lease, Idempotency_Key="k-1", X_Correlation_ID="c-2")
        assert (again[0], again[1]["id"], again[1]["reference"]) == (200, created["id"], "c-1")
        name = created["id"]
        while server.ask("LEASES", f"/leases/{name}")[0] == 404:
            pass
        entry = {"type": "rent.due", "amount": 900}
        assert server.ask("AUDIT", f"/ledgers/{name}/entries", entry, X_Correlation_ID="c-3")[0] == 202
        while len(items := server.ask("AUDIT", "/entries/query", {"ids": ["c-1", "c-3"]})[1]["items"]) < 2:
            pass
        assert [(one["type"], one["number"]) for one in items] == [("lease.created", 1), ("rent.due", 2)]
        history = server.ask("LEASES", f"/leases/{name}/history")[1]
        assert [one["id"] for one in history["entries"]] == ["c-1", "c-3"]
        assert server.ask("LEASES", "/leases?limit=5")[1]["items"] == [{**created, "status": "active"}]
        assert server.ask("LEASES", "/leases?limit=no")[0] == 422
        assert server.ask("PAYMENTS", "/payments", {"lease_id": name, "amount": 5}, Idempotency_Key="k-1")[0] == 201
        slow = server.ask("LEASES", "/status/slow")[1]["slow"]
        assert f"GET /leases/{name}/history" in [one["request"] for one in slow]
        shown = server.ask("PAYMENTS", "/status")[1]
        # A lease, twelve months and two entries are what a history looks at.
        assert shown["services"]["leases"]["rows_read"] >= 15
        assert shown["rows_written"] in (2, 3)
        assert server.ask("AUDIT", "/admin/knobs", {"idempotent": False})[1]["idempotent"] is False
        assert server.ask("LEASES", "/leases", lease, Idempotency_Key="k-1")[0] == 201
    record = Record.read(tmp_path / RECORD)
    assert [line["key"] for line in record.of("replayed")] == ["k-1"]
    assert record.counts["came"] == 4


def test_who_gets_no_connection_in_time_is_told_so_and_the_key_is_free() -> None:
    async def main() -> list[tuple[float, str]]:
        knobs, record, clock = LeaseKnobs(pool=1, patience_ms=50, create_ms=1500), Record(), Clock()
        pool = Pool(knobs)
        leases = Creations("lease", knobs, clock, record, pool, Ledgers(knobs, clock, record))
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def create(key: str) -> tuple[float, str]:
            request = make_mocked_request("POST", "/leases", headers={"Idempotency-Key": key})
            try:
                said = str((await leases.create(request, {})).status)
            except Unusable as refused:
                said = f"{refused.status} {refused}"
            return loop.time() - began, said

        first, second = await asyncio.gather(create("k-1"), create("k-2"))
        assert (pool.used, pool.waiting) == (0, 0)
        return [first, second, await create("k-2")]

    told = in_virtual_time(main())
    assert [said for _, said in told] == ["201", "503 no connection to the database got free in time", "201"]
    assert [at_s for at_s, _ in told] == pytest.approx([1.5, 0.05, 3.0])
