"""The config of the shop against its stand-in as people run it: processes, sockets, PostgreSQL, Redis, the clock.

What evload counted is what the shop wrote down, to the last request, and each bug that is switched on is found by
the objective that should find it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest
import yaml

from shop.app import running
from shop.knobs import ShopKnobs
from stand_in.record import Record
from tests.rigs.commands import assert_closes, evload, summary_of
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

CONFIG: Final = Path(__file__).parents[2] / "configs" / "shop.yaml"
RACES: Final = CONFIG.with_name("shop-races.yaml")
PATIENT: Final = ("offered_rate", "lateness", "headroom", "resolution", "horizon", "observer_effect", "evidence")
OF_TIME: Final = re.compile(r"p\d+\(|max\((wait|publish)|stretch|last\(|_pending\) <")
"""Objectives that a busy machine may fail, or a short run leave open."""
FEW: Final[Mapping[str, Any]] = {
    "scenarios.mixed.load": [{"users": 12, "for": "1s"}],
    "scenarios.flash-sale.start": "0s",
    "scenarios.spike.start": "0s",
    "scenarios.spike.load": [{"burst": 12}],
    "scenarios.spike.journeys": {"purchase": 1, "saga": 2},
    "scenarios.cross-domain.start": "0s",
    "scenarios.cross-domain.load": [{"users": 2, "for": "1s"}],
}
"""Loads whose first iterations begin however busy the machine is, and have some of each journey and each branch."""


@dataclass(frozen=True)
class Beside:
    """A run, and what the shop wrote down meanwhile."""

    code: int
    said: str
    summary: Mapping[str, Any]
    record: Record
    ledger: Path
    names: Sequence[str]
    wrong: Mapping[str, int]

    @property
    def results(self) -> dict[str, str]:
        """What came of each objective, by its words."""
        return {titled(one): one["result"] for one in self.summary["objectives"]}

    @property
    def failing(self) -> set[str]:
        """The objectives that failed."""
        return {name for name, result in self.results.items() if result == "fail"}

    def rows(self, query: str) -> list[Mapping[str, Any]]:
        """What a query over the ledger finds."""
        with closing(sqlite3.connect(self.ledger)) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(row) for row in ledger.execute(query)]

    def answered(self) -> Counter[tuple[str, int]]:
        """How often each step was answered with each status."""
        rows = self.rows("SELECT type, status FROM events WHERE status IS NOT NULL AND acked_ns IS NOT NULL")
        return Counter((self.names[row["type"]], row["status"]) for row in rows)


def titled(one: Mapping[str, Any]) -> str:
    """What an objective is called here."""
    about = [one[key] for key in ("scenario", "scope") if one.get(key)]
    return f"{one['expression']} [{', '.join(about)}]" if about else str(one["expression"])


class Shop:
    """One that serves in a thread of its own, for several runs."""

    def __init__(self, postgres: PostgresServer, redis: RedisServer) -> None:
        self.record, self._knobs = Record(), ShopKnobs()
        self._postgres, self._redis = postgres, redis
        self._loop = asyncio.new_event_loop()
        self._over, self._there = asyncio.Event(), threading.Event()
        self._environment: Mapping[str, str] = {}
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])

    async def _serve(self) -> None:
        postgres, redis = self._postgres.owner, self._redis.url
        async with running(self._knobs, self.record, postgres=postgres, redis=redis) as environment:
            self._environment = environment
            self._there.set()
            await self._over.wait()

    def begin(self) -> None:
        """Serve."""
        self._thread.start()
        self._there.wait(60)

    def end(self) -> None:
        """Serve no more."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    def beside(self, path: Path, *options: str, profile: str = "short", **knobs: Any) -> Beside:
        """Run a config with the shop's knobs turned, which are as before then."""
        began, counted, wrong_before = len(self.record.lines), self.record.counts.copy(), self._wrong()
        before = {name: getattr(self._knobs, name) for name in knobs}
        self._knobs.change(knobs)
        out = path.parent / "out"
        try:
            ended = evload(
                "run", path, "--profile", profile, "--out", out, "--quiet", *options, cwd=path.parent,
                env={**self._environment, "XDG_STATE_HOME": str(path.parent)},
            )  # fmt: skip
        finally:
            self._knobs.change(before)
        self._quiet(counted)
        assert ended.code in (0, 1, 4), ended.said
        record = Record()
        for line in self.record.lines[began:]:
            record.note(
                line["kind"], line["at"], **{key: one for key, one in line.items() if key not in ("kind", "at")}
            )
        with closing(sqlite3.connect(out / "events.sqlite")) as ledger:
            ((names,),) = ledger.execute("SELECT value FROM meta WHERE key = 'events'")
        summary = summary_of(out)
        now = self._wrong()
        wrong = {name: now[name] - count for name, count in wrong_before.items()}
        return Beside(ended.code, ended.said, summary, record, out / "events.sqlite", json.loads(names), wrong)

    def _wrong(self) -> dict[str, int]:
        """What should be none of each, by what is in the database."""
        with urlopen(f"{self._environment['SHOP']}/status") as answer:
            wrong: dict[str, int] = json.load(answer)["wrong"]
        return wrong

    def _quiet(self, before: Counter[str]) -> None:
        """Wait until all that was told is in the read model, or was planted not to be."""
        gone = ("applied", "lost", "skipped")
        until = threading.Event()
        while True:
            counts = self.record.counts - before
            if counts["written"] == sum(counts[kind] for kind in gone):
                return
            until.wait(0.02)


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer, redis: RedisServer) -> Iterator[Shop]:
    """A shop for the tests of this file."""
    one = Shop(postgres, redis)
    one.begin()
    yield one
    one.end()


def patient(directory: Path, *, deadline: str = "2m", of_time: bool = False, more: Sequence[str] = ()) -> Path:
    """A copy of the config with little load that waits so long for what it looks for, and that asks of times only if
    it is told to. `more` are further objectives."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    config["slos"] = [slo for slo in config["slos"] if of_time or not OF_TIME.search(str(slo))] + [*more]
    config["self_checks"] = dict.fromkeys(PATIENT, "warn")
    config["producers"]["shop"]["timeout"] = "2m"
    for probe in config["probes"].values():
        probe.update(deadline=deadline, resolution="50%")
    config["profiles"]["short"] |= FEW
    config["reports"] = {}
    path = directory / "shop.yaml"
    path.write_text(re.sub(r"within: 10s", f"within: {deadline}", yaml.safe_dump(config, sort_keys=False)))
    return path


def routes(ran: Beside) -> Counter[tuple[str, str, int]]:
    """What evload counted, by the routes of the shop and their statuses; probes, set-up and all."""
    journeys = yaml.safe_load(CONFIG.read_text())["journeys"]
    asked: Counter[tuple[str, str, int]] = Counter({("POST", "/inventory", 201): 1})  # the set-up
    for (event, status), count in ran.answered().items():
        journey, _, name = event.partition(".")
        method, path = _steps(journeys[journey])[name]
        asked[method, path, status] += count
    return asked


def _steps(node: Any) -> dict[str, tuple[str, str]]:
    """The method and the route of each step that sends, by its name."""
    found: dict[str, tuple[str, str]] = {}
    if isinstance(node, list):
        for one in node:
            found |= _steps(one)
    elif isinstance(node, Mapping):
        for name, one in node.items():
            sent = one.keys() & {"get", "post", "put"} if isinstance(one, Mapping) and "to" in one else set()
            for method in sent:
                views = re.sub(r"^/views/\w+", "/views/{context}", one[method])
                found[name] = (method.upper(), re.sub(r"\{(?!context)\w+\}", "{id}", views))
            found |= _steps(one)
    return found


def test_what_evload_counted_is_what_the_shop_wrote_down_to_the_last_request(shop: Shop, tmp_path: Path) -> None:
    ran = shop.beside(patient(tmp_path))
    assert ran.code == 0, (ran.said, ran.summary["objectives"])
    assert set(ran.results.values()) == {"pass"}, ran.results
    assert_closes(ran.summary)
    told = Counter((line["method"], line["route"], line["status"]) for line in ran.record.of("request"))
    counted = routes(ran)
    looked = {key: told.pop(key, 0) - counted.pop(key, 0) for key in [*told] if key[1].startswith("/views")}
    assert counted == told
    assert not any(status == 422 for _, _, status in told), "what is drawn is valid"
    # What is left of the views are reads of probes.
    assert min(looked.values()) >= 0
    assert sum(looked.values()) == ran.summary["reads"]["requests"]
    # Orders, payments and units, by what was answered and by what was told the others.
    answered, told_of = ran.answered(), Counter(line["type"] for line in ran.record.of("written"))
    done = {name: one["iterations"]["completed"] for name, one in ran.summary["journeys"].items()}
    assert told_of["order.created"] == done["order"] + done["purchase"] + done["saga"]
    assert told_of["order.completed"] == done["order"] + done["purchase"]
    assert told_of["payment.initiated"] == done["purchase"] + done["saga"]
    assert told_of["payment.succeeded"] == done["purchase"] + answered["saga.succeeded", 200]
    assert told_of["payment.failed"] == told_of["order.cancelled"] == answered["saga.declined", 200] > 0
    assert told_of["inventory.released"] == answered["saga.back", 200]
    assert told_of["inventory.reserved"] == 10 + done["purchase"] + done["saga"]
    assert answered["sale.grab", 409] == 40
    assert told_of.total() >= 19 * done["purchase"] + 8 * done["order"] + 5 * done["register"]
    # Each event was sent and projected once, and its id is that of the request behind it.
    for kind in ("published", "applied"):
        assert ran.record.counts[kind] == told_of.total()
    asked = {line["id"] for line in ran.record.of("request")}
    assert {line["id"] for line in ran.record.of("written")} <= asked


# --- wrong in one way -------------------------------------------------------------------------------------

COMPLETED: Final = {
    *(f"rate(completed) >= 99% [mixed, journey={journey}]" for journey in ("register", "order", "saga")),
    "rate(completed) >= 99% [cross-domain, journey=purchase]", "rate(completed) >= 100% [spike, journey=purchase]",
}  # fmt: skip
"""What fails beside a check: its iteration does."""
EVENTS: Final = {"failed == 0 [check=each event once]", "failed == 0 [check=in their order]"}
READ_MODEL: Final = {
    *COMPLETED, *EVENTS,
    *(f"{what} == 0 [{name}]" for what in ("lost", "regressed") for name in ("mixed", "spike", "cross-domain")),
}  # fmt: skip
"""What may fail where the read model isn't what it should be."""
SOLD: Final = {
    "status(201) == 10 [event=sale.grab]",
    "refused == 40 [event=sale.grab]",
    "failed == 0 [check=never oversold]",
}
KEYS: Final = {"failed == 0 [check=same order]", "failed == 0 [check=same payment]"}
BOOKED: Final = "failed == 0 [check=booked once]"


def test_bugs_of_the_write_side_are_each_found_by_what_is_asked_of_it(shop: Shop, tmp_path: Path) -> None:
    ran = shop.beside(patient(tmp_path), oversell=1.0, race_ms=1000.0, charge_again=1.0)
    assert {*SOLD, BOOKED} <= ran.failing <= {*SOLD, BOOKED, *COMPLETED}, ran.results
    sold = ran.answered()["sale.grab", 201]
    assert sold - 10 == sum(line["units"] for line in ran.record.of("oversold")) > 0
    (again,) = [one for one in ran.summary["objectives"] if titled(one) == BOOKED]
    assert again["observed"] == [ran.record.counts["charged"]] * 2


@dataclass(frozen=True)
class Twin:
    """A shop that is wrong in one way, what fails then, and what else may."""

    knobs: Mapping[str, Any]
    fails: set[str]
    may: frozenset[str] | set[str] = frozenset()
    of_time: bool = False
    more: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


TWINS: Final = {
    "events that are applied twice": Twin({"twice": 0.2}, EVENTS, COMPLETED, parts=("cross-domain",)),
    "events that are swapped": Twin({"swap": 0.2}, {"failed == 0 [check=in their order]"}, READ_MODEL),
    "events that are lost": Twin({"lose": 0.1}, {"lost == 0 [spike]"}, READ_MODEL),
    "events that projectors leave out": Twin({"skip": 0.1}, {"lost == 0 [spike]"}, READ_MODEL),
    "failed payments after which nothing is undone": Twin({"forget": 0.5}, {"lost == 0 [spike]"}, READ_MODEL),
    "units that are sold twice": Twin({"oversell": 1.0, "race_ms": 1000.0}, SOLD, parts=("flash-sale",)),
    "keys that nobody heeds": Twin({"idempotent": False}, KEYS, COMPLETED),
    "payments that are booked twice": Twin({"charge_again": 1.0}, {BOOKED}, COMPLETED),
    "requests that are refused": Twin(
        {"refuse": 0.3}, {"rate(errors) < 1%"}, {*READ_MODEL, *SOLD}, parts=("mixed", "spike", "cross-domain")
    ),
    "an engine that is slow": Twin(
        {"engine_ms": 400.0}, {"last(outbox_pending) <= 10"}, READ_MODEL, more=("last(outbox_pending) <= 10",)
    ),
    "projectors that are slow": Twin(
        {"project_ms": 2000.0}, {"last(stream_pending) <= 10"}, READ_MODEL, more=("last(stream_pending) <= 10",)
    ),
    "streams that grow without bound": Twin(
        {"trim": False}, {"max(stream_length) < 100"}, more=("max(stream_length) < 100",)
    ),
    "answers that take long": Twin(
        {"latency_ms": 3000.0}, {f"p95(publish) < {limit} [{scenario}]" for limit, scenario in
        (("500ms", "mixed"), ("500ms", "cross-domain"), ("2s", "spike"))}, of_time=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "what",
    [pytest.param(what, marks=() if what == "events that are applied twice" else pytest.mark.long) for what in TWINS],
)
def test_what_is_wrong_is_found(what: str, shop: Shop, tmp_path: Path) -> None:
    twin = TWINS[what]
    path = patient(tmp_path, deadline="2m" if not twin.may else "20s", of_time=twin.of_time, more=twin.more)
    parts = [word for part in twin.parts for word in ("--scenario", part)]
    ran = shop.beside(path, *parts, **twin.knobs)
    assert ran.failing >= twin.fails, ran.results
    if not twin.of_time:
        assert ran.failing <= twin.fails | twin.may, ran.results


# --- races ------------------------------------------------------------------------------------------------


def racing(directory: Path, rounds: int, within: str, seed: int = 42) -> Path:
    """A copy of the config of races with so many rounds of each that has all the time it takes."""
    config: dict[str, Any] = yaml.safe_load(RACES.read_text())
    config["seed"] = seed
    config["self_checks"] = dict.fromkeys(PATIENT, "warn")
    config["producers"]["shop"]["timeout"] = "2m"
    config["slos"] = [
        slo for slo in config["slos"] if not re.search(r"contention|settle|stretch|last\(", str(slo))
    ]  # fmt: skip
    for number, scenario in enumerate(config["scenarios"].values()):
        scenario["start"] = f"{700 * number}ms"
        scenario["rounds"] = {"count": rounds, "every": "2s"}
        scenario["race"].update(within=within, confirm="3s")
    config["probes"]["orders"]["deadline"] = "2m"
    config["observe"], config["reports"], config["profiles"] = "0s", {}, {"short": {"name": "shop-races"}}
    path = directory / "shop-races.yaml"
    path.write_text(re.sub(r"within: 10s, until", "within: 1m, until", yaml.safe_dump(config, sort_keys=False)))
    return path


def violated(ran: Beside) -> dict[str, int]:
    """In how many rounds each rule was broken, of those that were; none of them is unknown."""
    rules = ran.summary["race"]["rules"]
    assert not any(rule["unknown"] or rule["possible"] or rule["cut_off"] for rule in rules.values()), rules
    return {name: rule["violated"] for name, rule in rules.items() if rule["violated"]}


def assert_exact(ran: Beside, rounds: int) -> None:
    """What was found of the races is what the shop has of them."""
    assert ran.summary["race"]["rounds"] == {"due": 3 * rounds, "judged": 3 * rounds, "void": 0, "cut_off": 0}
    found = violated(ran)
    oversold = {line["item"] for line in ran.record.of("oversold")}
    assert found.get("never oversold", 0) == len(oversold)
    ends = Counter((line["aggregate"], line["type"]) for line in ran.record.of("written"))
    cancelled = {order: count for (order, kind), count in ends.items() if kind == "order.cancelled"}
    won_twice = [order for order, count in cancelled.items() if count > 1 or ends[order, "order.paid"]]
    assert found.get("one side wins", 0) == len(won_twice) >= ran.wrong["both_won"]
    assert found.get("costs what was agreed on", 0) == ran.wrong["not_as_confirmed"]
    contenders, answered = ran.summary["race"]["contenders"], ran.answered()
    for name, (scenario, won, refused) in {
        "reserve": ("flash-sale", 201, 409), "cancel": ("cancel-while-paying", 200, 409),
        "pay": ("cancel-while-paying", 200, 409), "modify": ("modify-while-confirming", 200, 409),
        "agree": ("modify-while-confirming", 200, 409),
    }.items():  # fmt: skip
        event = f"{scenario}.{name}"
        assert contenders[name]["won"] == answered[event, won]
        assert contenders[name]["refused"] == answered[event, refused]
        assert contenders[name]["due"] == contenders[name]["won"] + contenders[name]["refused"]
    told_of = Counter(line["type"] for line in ran.record.of("written"))
    assert told_of["inventory.reserved"] == contenders["reserve"]["won"]
    assert told_of["order.modified"] == contenders["modify"]["won"]
    assert told_of["order.cancelled"] == contenders["cancel"]["won"]


def test_races_of_which_some_go_wrong_are_found_each(shop: Shop, tmp_path: Path) -> None:
    ran = shop.beside(racing(tmp_path, 2, "3s"), oversell=0.5, both_win=0.5, stale_modify=0.2, race_ms=300.0)
    assert_exact(ran, 2)
    assert violated(ran)["never oversold"] == 2
    assert ran.results["violations == 0"] == "fail"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_races_are_exact_whatever_is_planted(seed: int, shop: Shop, tmp_path: Path) -> None:
    sound = tmp_path / "sound"
    sound.mkdir()
    ran = shop.beside(racing(sound, 20, "1m", seed))
    assert_exact(ran, 20)
    assert violated(ran) == {}
    assert ran.failing == set()
    share = 0.01 * (seed + 1)
    ran = shop.beside(
        racing(tmp_path, 20, "5s", seed), oversell=share, both_win=5 * share, stale_modify=share, race_ms=50.0
    )
    assert_exact(ran, 20)
