"""The stand-in of the shop by itself: what it answers, what it refuses, and what it remembers of itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from shop.app import STAND_IN, running
from shop.knobs import ShopKnobs
from stand_in.command import RECORD, main
from stand_in.record import Record
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

FOLDER: Final = Path(__file__).parents[2] / "configs" / "stand-ins" / "shop"
ADA: Final = {"email": "ada@example.com", "name": "Ada Lovelace", "phone": "+1-202-555-0123"}
HOME: Final = {"kind": "shipping", "street": "12 Elm Street", "city": "Rome", "zip": "01234"}
KETTLE: Final = {"sku": "KET-000001", "name": "Kettle", "price": 19.99, "quantity": 10}
LIFE: Final = ["created", "confirmed", "pending", "paid", "processing", "shipped", "delivered", "completed"]


@dataclass
class Shop:
    """One that runs, with its record."""

    session: aiohttp.ClientSession
    record: Record
    knobs: ShopKnobs

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status, and what was answered."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, json=body, headers=named) as answer:
            return answer.status, await (answer.text() if path == "/metrics" else answer.json())

    async def done(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """What was answered to something that isn't refused."""
        status, answer = await self.ask(method, path, body, **headers)
        assert status in (200, 201), answer
        return answer

    async def order(self, quantity: int = 2, *steps: str) -> str:
        """The id of a new order, after these steps."""
        customer = await self.done("POST", "/customers", {**ADA, "email": f"ada.{uuid4()}@example.com"})
        body = {"customer_id": customer["id"], "sku": "KET-000001", "price": 19.99, "quantity": quantity}
        order: str = (await self.done("POST", "/orders", body))["id"]
        for step in steps:
            await self.done("PUT", f"/orders/{order}/{step}")
        return order

    async def payment(self, order: str) -> str:
        """The id of a new payment of an order for two."""
        payment: str = (await self.done("POST", "/payments", {"order_id": order, "amount": 39.98}))["id"]
        return payment

    async def view(self, context: str, name: str, events: int) -> Any:
        """The read model's, once it has so many events of it."""
        while True:
            status, view = await self.ask("GET", f"/views/{context}/{name}")
            if status == 200 and len(view["events"]) >= events:
                return view
            await asyncio.sleep(0.01)

    async def wrong(self) -> Any:
        """What should be none of each."""
        return {name: n for name, n in (await self.done("GET", "/status"))["wrong"].items() if n}

    async def webhook(self, payment: str, status: str) -> int:
        """What a provider that tells of a payment is answered."""
        return (await self.ask("POST", "/payments/webhook", {"id": payment, "status": status}))[0]


@pytest.fixture
def shop(postgres: PostgresServer, redis: RedisServer) -> Callable[[Callable[[Shop], Awaitable[None]]], Record]:
    """Does something with a shop of its own, and gives its record."""

    def do(what: Callable[[Shop], Awaitable[None]], **turned: Any) -> Record:
        async def within() -> Record:
            async with running_shop(postgres, redis, **turned) as one:
                await what(one)
            return one.record

        return asyncio.run(within())

    return do


@asynccontextmanager
async def running_shop(postgres: PostgresServer, redis: RedisServer, **turned: Any) -> AsyncIterator[Shop]:
    """A shop with these knobs."""
    knobs, record = ShopKnobs(), Record()
    knobs.change(turned)
    async with (
        running(knobs, record, postgres=postgres.owner, redis=redis.url) as environment,
        aiohttp.ClientSession(environment["SHOP"]) as session,
    ):
        yield Shop(session, record, knobs)


Do = Callable[..., Record]


# --- what it answers, and what it refuses -----------------------------------------------------------------


def test_a_customer_is_registered_renamed_and_has_two_addresses_and_a_tier(shop: Do) -> None:
    async def what(one: Shop) -> None:
        customer = await one.done("POST", "/customers", ADA)
        path = f"/customers/{customer['id']}"
        assert await one.ask("PUT", f"{path}/tier", {"tier": "gold"}) == (
            409, {"error": "who has no address has no tier"}
        )  # fmt: skip
        await one.done("PUT", f"{path}/profile", {**ADA, "name": "Ada King"})
        for kind in ("billing", "shipping"):
            assert (await one.done("POST", f"{path}/addresses", {**HOME, "kind": kind}))["kind"] == kind
        await one.done("PUT", f"{path}/tier", {"tier": "gold"})
        shown = await one.done("GET", path)
        assert (shown["name"], shown["tier"], len(shown["addresses"])) == ("Ada King", "gold", 2)
        view = await one.view("customers", customer["id"], 5)
        assert (view["status"], view["version"]) == ("gold", 5)
        assert view["events"] == [
            "customer.registered", "customer.profile-updated", "customer.address-added", "customer.address-added",
            "customer.tier-changed",
        ]  # fmt: skip
        assert (await one.ask("POST", "/customers", ADA))[0] == 409
        for _ in range(3):
            await one.done("POST", f"{path}/addresses", HOME)
        assert (await one.ask("POST", f"{path}/addresses", HOME))[0] == 409

    shop(what)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/customers", {**ADA, "email": "ada"}, "email is 'ada'; write a text such as ada@example.com"),
        ("/customers", {**ADA, "name": "4da"}, "name is '4da'; write a text such as Ada Lovelace"),
        ("/customers", {**ADA, "phone": "none"}, "phone is 'none'; write a text such as +1-202-555-0123"),
        ("/inventory", {**KETTLE, "sku": "kettle"}, "sku is 'kettle'; write a text such as SKU-0f3a91bc"),
        ("/inventory", {**KETTLE, "price": 1.999}, "price is 1.999; write no more than cents, such as 19.99"),
        ("/inventory", {**KETTLE, "quantity": 0}, "quantity is 0; write a whole number from 1 to 1000000"),
        ("/orders", {"customer_id": "nobody", "sku": "KET-000001", "price": 1, "quantity": 1},
         "customer_id is nobody, whom nobody knows; write that of a customer"),
        ("/payments/webhook", {"id": "p", "status": "done"}, "status is 'done'; write one of succeeded, failed"),
    ],
)  # fmt: skip
def test_what_is_not_valid_is_422_and_says_what_would_be(path: str, body: Any, said: str, shop: Do) -> None:
    async def what(one: Shop) -> None:
        assert await one.ask("POST", path, body) == (422, {"error": said})

    assert shop(what).counts["written"] == 0


def test_an_order_goes_through_its_eight_states_in_their_order_alone(shop: Do) -> None:
    async def what(one: Shop) -> None:
        order = await one.order()
        steps = ("confirm", "pending", "paid", "process", "ship", "deliver", "complete")
        for number, step in enumerate(steps):
            for other in (*steps[:number], *steps[number + 1 :]):
                assert (await one.ask("PUT", f"/orders/{order}/{other}"))[0] == 409
            assert (await one.done("PUT", f"/orders/{order}/{step}"))["status"] == LIFE[number + 1]
        assert (await one.ask("PUT", f"/orders/{order}/cancel"))[0] == 409
        view = await one.view("orders", order, 8)
        assert (view["status"], view["events"]) == ("completed", [f"order.{state}" for state in LIFE])

    shop(what)


def test_what_was_confirmed_is_not_modified_any_more(shop: Do) -> None:
    async def what(one: Shop) -> None:
        order = await one.order(2)
        assert (await one.done("PUT", f"/orders/{order}/quantity", {"quantity": 3}))["total"] == 59.97
        await one.done("PUT", f"/orders/{order}/confirm")
        assert (await one.ask("PUT", f"/orders/{order}/quantity", {"quantity": 4}))[0] == 409
        shown = await one.done("GET", f"/orders/{order}")
        assert (shown["quantity"], shown["total"], shown["confirmed_total"]) == (3, 59.97, 59.97)

    shop(what)


def test_units_are_reserved_released_and_committed(shop: Do) -> None:
    async def what(one: Shop) -> None:
        path = f"/inventory/{(await one.done('POST', '/inventory', KETTLE))['id']}"
        for order, quantity in (("a", 4), ("b", 3), ("c", 3)):
            await one.done("POST", f"{path}/reserve", {"order": order, "quantity": quantity})
        assert await one.ask("POST", f"{path}/reserve", {"order": "d", "quantity": 1}) == (
            409, {"error": "there are 0 left"}
        )  # fmt: skip
        await one.done("PUT", f"{path}/release", {"order": "a"})
        await one.done("PUT", f"{path}/commit", {"order": "b"})
        assert (await one.ask("PUT", f"{path}/release", {"order": "b"}))[0] == 409
        shown = await one.done("GET", path)
        assert {name: shown[name] for name in ("total", "available", "reserved", "committed")} == {
            "total": 10, "available": 4, "reserved": 3, "committed": 3
        }  # fmt: skip

    shop(what)


def test_a_payment_that_succeeds_pays_its_order_once(shop: Do) -> None:
    async def what(one: Shop) -> None:
        order = await one.order(2, "confirm", "pending")
        body = {"order_id": order, "amount": 39.98}
        assert (await one.ask("POST", "/payments", {**body, "amount": 40}))[0] == 422
        first = await one.ask("POST", "/payments", body, Idempotency_Key="k")
        again = await one.ask("POST", "/payments", body, Idempotency_Key="k")
        assert (first[0], again[0], again[1]["id"]) == (201, 200, first[1]["id"])
        payment = first[1]["id"]
        assert [await one.webhook(payment, status) for status in ("succeeded", "succeeded", "failed")] == [
            200, 200, 409
        ]  # fmt: skip
        assert (await one.done("GET", f"/payments/{payment}"))["captures"] == 1
        assert (await one.done("GET", f"/orders/{order}"))["status"] == "paid"
        assert (await one.ask("PUT", f"/orders/{order}/cancel"))[0] == 409
        assert (await one.view("payments", payment, 2))["events"] == ["payment.initiated", "payment.succeeded"]

    shop(what)


def test_a_payment_that_fails_cancels_its_order_and_gives_back_what_was_reserved(shop: Do) -> None:
    async def what(one: Shop) -> None:
        item = (await one.done("POST", "/inventory", KETTLE))["id"]
        order = await one.order(2, "confirm", "pending")
        await one.done("POST", f"/inventory/{item}/reserve", {"order": order, "quantity": 2})
        assert await one.webhook(await one.payment(order), "failed") == 200
        assert (await one.view("orders", order, 4))["status"] == "cancelled"
        assert (await one.view("inventory", item, 3))["events"][-1] == "inventory.released"
        assert (await one.done("GET", f"/inventory/{item}"))["available"] == 10

    shop(what)


def test_a_shipment_waits_until_its_order_is_processed(shop: Do) -> None:
    async def what(one: Shop) -> None:
        order = await one.order(2, "confirm", "pending", "paid")
        body = {"order_id": order, "address_id": "address-1"}
        assert (await one.ask("POST", "/shipments", body))[0] == 409
        await one.done("PUT", f"/orders/{order}/process")
        shipment = (await one.done("POST", "/shipments", body))["id"]
        assert (await one.ask("PUT", f"/shipments/{shipment}/deliver"))[0] == 409
        for step in ("dispatch", "deliver"):
            await one.done("PUT", f"/shipments/{shipment}/{step}")
        assert (await one.view("shipping", shipment, 3))["status"] == "delivered"

    shop(what)


# --- many at once -----------------------------------------------------------------------------------------


async def grabbed(one: Shop, people: int = 30) -> Counter[int]:
    """What people are answered who all want one of ten at once."""
    item = (await one.done("POST", "/inventory", KETTLE))["id"]
    asked = [one.ask("POST", f"/inventory/{item}/reserve", {"order": f"o-{n}", "quantity": 1}) for n in range(people)]
    return Counter(status for status, _ in await asyncio.gather(*asked))


def test_of_ten_units_ten_are_sold_whoever_wants_them_at_once(shop: Do) -> None:
    async def what(one: Shop) -> None:
        assert await grabbed(one) == {201: 10, 409: 20}
        assert await one.wrong() == {}

    assert shop(what).counts["oversold"] == 0


def test_without_a_lock_more_are_sold_and_the_record_has_each_unit(shop: Do) -> None:
    async def what(one: Shop) -> None:
        sold = (await grabbed(one))[201]
        assert sold > 10
        assert await one.wrong() == {"oversold": sold - 10}
        assert sum(line["units"] for line in one.record.of("oversold")) == sold - 10

    shop(what, oversell=1.0, race_ms=1000.0)


@pytest.mark.parametrize("both_win", [0.0, 1.0])
def test_of_a_cancellation_and_a_payment_one_wins_unless_neither_sees_the_other(both_win: float, shop: Do) -> None:
    async def what(one: Shop) -> None:
        order = await one.order(2, "confirm", "pending")
        payment = await one.payment(order)
        (cancelled, _), paid = await asyncio.gather(
            one.ask("PUT", f"/orders/{order}/cancel"), one.webhook(payment, "succeeded")
        )
        assert sorted((cancelled, paid)) == ([200, 200] if both_win else [200, 409])
        assert await one.wrong() == ({"both_won": 1} if both_win else {})

    shop(what, both_win=both_win, race_ms=3000.0)


def test_a_modification_that_does_not_see_the_confirmation_changes_what_was_agreed_on(shop: Do) -> None:
    async def what(one: Shop) -> None:
        order = await one.order(2)
        modifying = asyncio.create_task(one.ask("PUT", f"/orders/{order}/quantity", {"quantity": 5}))
        await asyncio.sleep(0.1)
        await one.done("PUT", f"/orders/{order}/confirm")
        assert (await modifying)[0] == 200
        assert await one.wrong() == {"not_as_confirmed": 1}

    assert shop(what, stale_modify=1.0, race_ms=3000.0).counts["unseen"] == 1


def test_a_key_that_comes_twice_at_once_makes_one_order(shop: Do) -> None:
    async def what(one: Shop) -> None:
        customer = (await one.done("POST", "/customers", ADA))["id"]
        body = {"customer_id": customer, "sku": "KET-000001", "price": 19.99, "quantity": 1}
        asked = [one.ask("POST", "/orders", body, Idempotency_Key="k") for _ in range(5)]
        answers = await asyncio.gather(*asked)
        ignoring = not one.knobs.idempotent
        assert Counter(status for status, _ in answers) == ({201: 5} if ignoring else {201: 1, 200: 4})
        assert len({answer["id"] for _, answer in answers}) == (5 if ignoring else 1)

    shop(what)
    shop(what, idempotent=False)


# --- the outbox, the streams, the read model --------------------------------------------------------------


async def lives(one: Shop, number: int = 4) -> list[list[str]]:
    """What the read model has applied of orders that were completed, once all is done."""
    steps = ("confirm", "pending", "paid", "process", "ship", "deliver", "complete")
    orders = await asyncio.gather(*(one.order(2, *steps) for _ in range(number)))
    await quiet(one)
    views = [(await one.ask("GET", f"/views/orders/{order}"))[1].get("events", []) for order in orders]
    return [[event.removeprefix("order.") for event in events] for events in views]


async def quiet(one: Shop) -> None:
    """Nothing waits any more."""
    while True:
        metrics = (await one.ask("GET", "/metrics"))[1]
        if 'outbox_messages{status="PENDING"} 0' in metrics and all(
            line.endswith(" 0") for line in metrics.splitlines() if line.startswith("stream_pending")
        ):
            return
        await asyncio.sleep(0.02)


def test_what_a_command_changes_and_what_it_tells_are_one_transaction(
    shop: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def what(one: Shop) -> None:
        order = await one.order(2)

        async def fails(self: Any) -> None:
            raise asyncpg.PostgresError("the outbox is full")

        with monkeypatch.context() as broken:
            broken.setattr("shop.store.Work.flush", fails)
            async with one.session.put(f"/orders/{order}/confirm") as answer:
                assert answer.status == 500
        assert (await one.done("GET", f"/orders/{order}"))["status"] == "created"
        await one.done("PUT", f"/orders/{order}/confirm")

    record = shop(what)
    assert Counter(line["type"] for line in record.of("written"))["order.confirmed"] == 1
    assert [line["status"] for line in record.of("request") if line["route"] == "/orders/{id}/confirm"] == [500, 200]


def test_each_event_is_written_published_and_applied_once_and_in_its_order(shop: Do) -> None:
    async def what(one: Shop) -> None:
        assert await lives(one) == [LIFE] * 4

    record = shop(what)
    for kind in ("written", "published", "applied"):
        told = [(line["aggregate"], line["version"]) for line in record.of(kind)]
        assert len(told) == len({*told}) == 4 * 9
        for aggregate in {name for name, _ in told}:
            versions = [version for name, version in told if name == aggregate]
            assert versions == sorted(versions)
    (totals,) = record.of("totals")
    assert totals["events"] == dict(Counter(line["type"] for line in record.of("written")))
    assert totals["outbox"] == {"SENT": 36}
    assert sum(totals["added"].values()) == totals["applied"] == 36
    assert totals["orders"] == {"completed": 4}
    assert not any(totals["wrong"].values())


def test_what_is_planted_in_outbox_and_projectors_is_what_the_read_model_lacks(shop: Do) -> None:
    async def lost(one: Shop) -> None:
        assert [8 - len(life) for life in await lives(one)] != [0] * 4

    record = shop(lost, lose=0.1)
    assert record.counts["lost"] == 3
    assert record.counts["applied"] == record.counts["published"] == record.counts["written"] - 3

    async def skipped(one: Shop) -> None:
        assert [8 - len(life) for life in await lives(one)] != [0] * 4

    record = shop(skipped, skip=0.1)
    assert (record.counts["skipped"], record.counts["applied"]) == (3, 33)

    async def doubled(one: Shop) -> None:
        assert sum(len(life) for life in await lives(one)) > 32

    assert shop(doubled, twice=0.1).counts["doubled"] == 3

    async def swapped(one: Shop) -> None:
        found = await lives(one)
        assert found != [LIFE] * 4
        assert [sorted(life) for life in found] == [sorted(LIFE)] * 4

    assert shop(swapped, swap=0.1).counts["swapped"] == 3


def test_a_payment_that_is_told_of_again_and_booked_again_stands_in_the_record(shop: Do) -> None:
    async def what(one: Shop) -> None:
        payment = await one.payment(await one.order(2, "confirm", "pending"))
        assert [await one.webhook(payment, "succeeded") for _ in range(2)] == [200, 200]
        assert (await one.done("GET", f"/payments/{payment}"))["captures"] == 2
        assert await one.wrong() == {"charged_again": 1}

    assert shop(what, charge_again=1.0).counts["charged"] == 1


def test_a_saga_that_forgets_leaves_the_order_as_it_was(shop: Do) -> None:
    async def what(one: Shop) -> None:
        order = await one.order(2, "confirm", "pending")
        await one.webhook(await one.payment(order), "failed")
        await quiet(one)
        assert (await one.done("GET", f"/orders/{order}"))["status"] == "pending"
        assert await one.wrong() == {"not_undone": 1}

    assert shop(what, forget=1.0).counts["forgotten"] == 1


def test_metrics_show_what_waits_for_an_engine_and_for_projectors_that_are_slow(shop: Do) -> None:
    async def outbox(one: Shop) -> None:
        await one.order(2, "confirm", "pending")
        # What it has begun with is pending, too.
        assert 'outbox_messages{status="PENDING"} 4' in (await one.ask("GET", "/metrics"))[1]
        await one.done("POST", "/admin/knobs", {"engine_ms": 0})

    record = shop(outbox, engine_ms=60_000.0 / 100)
    assert record.of("changed")[0]["knobs"] == {"engine_ms": 0}

    async def streams(one: Shop) -> None:
        await one.order(2, "confirm", "pending")
        while one.record.counts["published"] < 4:
            await asyncio.sleep(0.01)
        metrics = (await one.ask("GET", "/metrics"))[1]
        (line,) = [line for line in metrics.splitlines() if line.startswith("stream_pending") and ":orders" in line]
        assert line.endswith(" 3")
        assert "broker_ops_per_sec " in metrics
        await one.done("POST", "/admin/knobs", {"project_ms": 0})

    shop(streams, project_ms=1000.0)


@pytest.mark.parametrize("trim", [True, False])
def test_streams_are_trimmed_to_what_is_not_done_unless_that_is_switched_off(trim: bool, shop: Do) -> None:
    async def what(one: Shop) -> None:
        await lives(one, 2)
        assert await length(one) in range(17)
        while trim and await length(one) > 1:
            await asyncio.sleep(0.05)
        if not trim:
            await asyncio.sleep(1.5)
            await one.order(1)
            await quiet(one)
            assert await length(one) == 17

    async def length(one: Shop) -> int:
        lines = (await one.ask("GET", "/metrics"))[1].splitlines()
        (line,) = [line for line in lines if line.startswith("stream_length") and ":orders" in line]
        return int(line.split()[-1])

    shop(what, trim=trim)


# --- the command ------------------------------------------------------------------------------------------


def test_it_leaves_nothing_behind_in_servers_that_were_given(shop: Do, redis: RedisServer, tmp_path: Path) -> None:
    async def what(one: Shop) -> None:
        await one.order(1)

    shop(what)
    assert redis.client.keys("*") == []


@pytest.mark.parametrize(
    ("server", "address", "said"),
    [
        (
            "postgres",
            "postgresql://owner@127.0.0.1:1/x",
            "there is no PostgreSQL at postgresql://owner@127.0.0.1:1/x: ",
        ),
        ("redis", "redis://127.0.0.1:1/0", "there is no Redis (7 or later) at redis://127.0.0.1:1/0: "),
    ],
)
def test_a_server_that_is_not_there_is_one_line(
    server: str, address: str, said: str, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--postgres": postgres.owner, f"--{server}": address}
    options = [word for pair in given.items() for word in pair]
    assert main(STAND_IN, [*options, "--", "true"]) == 3
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert told.endswith(f"; correct --{server}\n")
    assert len(told.splitlines()) == 1


@pytest.mark.long
def test_it_starts_servers_of_its_own_and_ends_them_with_the_command(tmp_path: Path) -> None:
    ask = 'curl -s -o /dev/null -w "%{http_code}" -X POST -d "{}" $SHOP/customers; ls -d $TMPDIR/shop-*; exit 7'
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # started by root, servers are somebody else's
        done = subprocess.run(
            [sys.executable, FOLDER, "--directory", tmp_path, "--", "sh", "-c", ask],
            env={"TMPDIR": place, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (7, "")
        assert [*Path(place).iterdir()] == []
    assert done.stdout.startswith("422")
    assert {"postgres", "redis"} <= {line.rpartition("/")[2].split("-")[1] for line in done.stdout.splitlines()}
    assert Record.read(tmp_path / RECORD).counts == {"request": 1, "totals": 1}
